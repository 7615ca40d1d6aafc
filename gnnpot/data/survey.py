"""What a set of labeled structures is like, as far as the settings of a training depend on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from gnnpot.data.keys import QUANTITIES
from gnnpot.data.reading import is_isolated_atom
from gnnpot.data.scales import LengthScales
from gnnpot.errors import DataError

_RADII = (3, 4, 5, 6)  # Å, at which neighbors are counted for people
_KEPT = 400  # structures that stay in memory, evenly spread, up to


@dataclass(frozen=True)
class Survey:
    """Facts of a set of labeled structures, isolated atoms left out.

    Attributes:
        elements: Symbols by atomic number.
        num_structures: Number of structures.
        num_atoms: Atoms of the median structure.
        isolated: Symbols of isolated atoms that give reference energies.
        groups: Number of structures of each group, "" for those without.
        labeled: Number of structures with each label that counts.
        widths: Least and largest distance between opposite faces of periodic cells (Å); None without any.
        scales: Distances between atoms; None where no atom has a neighbor within 9 Å.
        frames: Some of the structures, evenly spread.
    """

    elements: tuple[str, ...]
    num_structures: int
    num_atoms: int
    isolated: tuple[str, ...]
    groups: dict[str, int]
    labeled: dict[str, int]
    widths: tuple[float, float] | None
    scales: LengthScales | None
    frames: tuple[Atoms, ...]

    @classmethod
    def of(cls, frames: Iterable[Atoms]) -> Self:
        """Look through labeled structures in one pass.

        Args:
            frames: As :func:`gnnpot.data.reading.read_frames` yields them.

        Raises:
            DataError: There is no structure but isolated atoms.
        """
        counts, groups, labeled = Counter[str](), Counter[str](), Counter[str]()
        sizes, widths, isolated, kept = list[int](), list[float](), set[str](), _EvenlySpread(_KEPT)
        for atoms in frames:
            if is_isolated_atom(atoms):
                isolated.update(atoms.symbols)
                continue
            counts.update(atoms.symbols)
            groups[atoms.info["group"]] += 1
            labeled.update(list(atoms.info["label_keys"]))
            sizes.append(len(atoms))
            if atoms.pbc.any():
                widths.append(float((1.0 / np.linalg.norm(atoms.cell.reciprocal()[atoms.pbc], axis=1)).min()))
            kept.add(atoms)
        if not sizes:
            raise DataError("expected structures to train on, got none but isolated atoms; add some")
        return cls(
            elements=tuple(sorted(counts, key=atomic_numbers.__getitem__)),
            num_structures=len(sizes),
            num_atoms=int(np.median(sizes)),
            isolated=tuple(sorted(isolated)),
            groups=dict(groups),
            labeled=dict(labeled),
            widths=(min(widths), max(widths)) if widths else None,
            scales=LengthScales.of(kept.items),
            frames=tuple(kept.items),
        )

    def as_dict(self) -> dict[str, Any]:
        """The facts as plain JSON, without structures."""
        scales = self.scales
        return {
            "elements": list(self.elements),
            "num_structures": self.num_structures,
            "median_atoms": self.num_atoms,
            "isolated_atoms": list(self.isolated),
            "groups": self.groups,
            "labeled": {name: self.labeled.get(name, 0) for name in QUANTITIES},
            "cell_widths": None if self.widths is None else list(self.widths),
            "nearest_neighbor": None if scales is None else scales.nearest,
            "shortest_distance": None if scales is None else scales.shortest,
            "neighbors": None if scales is None else {f"{r} Å": scales.neighbors_within(r) for r in _RADII},
        }

    def in_words(self) -> dict[str, str]:
        """The facts by name, with units."""
        words = {
            "structures": f"{self.num_structures:,}, of {self.num_atoms:,} atoms (median)",
            "elements": ", ".join(self.elements),
            "labels": ", ".join(
                f"{name} of {self.labeled[name]:,}" for name in QUANTITIES if self.labeled.get(name)
            ),
            "groups": ", ".join(f"{name} {count:,}" for name, count in sorted(self.groups.items()) if name),
            "isolated atoms": ", ".join(self.isolated),
        }
        if self.widths is not None:
            least, largest = (f"{width:.2f}" for width in self.widths)
            extent = least if least == largest else f"{least} to {largest}"
            words["cells"] = f"{extent} Å between the closest faces"
        if (scales := self.scales) is not None:
            words["distances"] = (
                f"nearest neighbor {scales.nearest:.2f} Å (median), one in a hundred below "
                f"{scales.shortest:.2f} Å"
            )
            counts = ", ".join(
                f"{scales.neighbors_within(radius):.0f} within {radius} Å" for radius in _RADII
            )
            words["neighbors"] = counts
        return {name: text or "none" for name, text in words.items()}


class _EvenlySpread:
    """Keeps every k-th of what it is given, with k such that there are at most ``most``."""

    def __init__(self, most: int) -> None:
        self.items: list[Atoms] = []
        self._most, self._every, self._count = most, 1, 0

    def add(self, atoms: Atoms) -> None:
        if self._count % self._every == 0:
            self.items.append(atoms)
        self._count += 1
        if len(self.items) > self._most:
            self.items, self._every = self.items[::2], 2 * self._every
