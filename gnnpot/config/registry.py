"""Names for classes and functions that a configuration may choose."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from typing import Generic, TypeVar

from gnnpot.errors import UnknownNameError

T = TypeVar("T")


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which of ``known`` was probably meant by ``name``, or list them all."""
    known = sorted(known)
    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"


class Registry(Generic[T]):
    """A mapping from names to entries that suggests the nearest spelling.

    Args:
        noun: Name of an entry in messages.
    """

    def __init__(self, noun: str) -> None:
        self._noun = noun
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Give the decorated entry this name."""

        def enter(entry: T) -> T:
            self._entries[name] = entry
            return entry

        return enter

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            raise UnknownNameError(f"no {self._noun} is called {name!r}; {nearest(name, self._entries)}")
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def items(self) -> dict[str, T]:
        """All entries by name."""
        return {name: self._entries[name] for name in self}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries
