"""Options that take several words, and groups with a command that goes without saying."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from typer.core import TyperCommand, TyperGroup


class SeveralWords(TyperCommand):
    """A command whose options that may be repeated also take several words: ``--sizes 10 50 200``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option before each of its words."""
        several = [option for option in self.params if getattr(option, "multiple", False)]
        return super().parse_args(ctx, list(repeated(args, {name for one in several for name in one.opts})))


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


class FirstByDefault(TyperGroup):
    """A group whose first command is meant where none is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Name it."""
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = [next(iter(self.commands)), *args]
        return super().parse_args(ctx, args)
