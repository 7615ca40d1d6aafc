"""How the axes of a tensor index chemical elements, so that a model can be carried to others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple


class Blocks(NamedTuple):
    """A stretch of an axis, laid out as ``outer`` × one block for each of ``of`` × ``width``.

    Attributes:
        of: ``element`` in the order of the model, ``pair`` for unordered pairs (0,0), (0,1), …, (1,1), …,
            or ``all`` for a stretch that no element divides.
        width: Entries of a block.
        outer: Slower index around the blocks.
        shared: Blocks made of the same block share it, so that they add up to it; else each is like it.
    """

    of: Literal["element", "pair", "all"]
    width: int = 1
    outer: int = 1
    shared: bool = False

    def count(self, num_elements: int) -> int:
        """How many blocks there are."""
        pairs = num_elements * (num_elements + 1) // 2
        return {"element": num_elements, "pair": pairs, "all": 1}[self.of]

    def size(self, num_elements: int) -> int:
        """Length of the stretch."""
        return self.outer * self.count(num_elements) * self.width


Axes = Mapping[int, tuple[Blocks, ...]]  # by number of the axis; the others know no elements
ROWS: Axes = {0: (Blocks("element"),)}  # one row for each element
