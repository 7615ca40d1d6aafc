"""The number by which structures are judged: what a configuration may say of it, read without torch."""

from __future__ import annotations

from gnnpot.config.base import Section
from gnnpot.sampling.spread import Gathered, Quantity


class ScoreConfig(Section):
    """The number that stands for how little a committee knows of a structure.

    Args:
        of: Whose spread: ``energies`` of the atoms, ``forces`` on them, or ``energy`` of the structure.
        atoms: Whether the largest value of ``any`` atom counts, or their ``mean``.
    """

    of: Quantity = "energies"
    atoms: Gathered = "any"

    @property
    def unit(self) -> str:
        """Unit of the score."""
        return "eV/Å" if self.of == "forces" else "eV"
