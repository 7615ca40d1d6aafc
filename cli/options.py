"""Options that take several words, and groups with a command that goes without saying."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from gnnpot.errors import ConfigError


class MultiValueCommand(TyperCommand):
    """A command whose options that may be repeated also take several words: ``--sizes 10 50 200``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option before each of its words.

        Raises:
            ConfigError: An argument is not there, maybe as such an option took it.
        """
        several = [option for option in self.params if getattr(option, "multiple", False)]
        names = {name for one in several for name in one.opts}
        try:
            return super().parse_args(ctx, list(repeated(args, names)))
        except typer.BadParameter as error:
            param = error.param
            if param is None or not param.required or param.param_type_name == "option":
                raise
            if names.isdisjoint(args):
                raise
            raise ConfigError(
                f"expected {str(param.name).upper()} before options that take several words, got none; "
                "put it first"
            ) from error


def repeated(words: Iterable[str], repeatable: set[str]) -> Iterator[str]:
    """Put a repeatable option before each word that follows it, up to the next option."""
    option, has_value = "", False
    for word in words:
        name, equals, _ = word.partition("=")
        if word.startswith("-"):
            option, has_value = (name if name in repeatable else ""), bool(equals)
        elif option and has_value:
            yield option
        else:
            has_value = True
        yield word


class DefaultCommandGroup(TyperGroup):
    """A group whose first command is meant where none is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Name it."""
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = [next(iter(self.commands)), *args]
        return super().parse_args(ctx, args)
