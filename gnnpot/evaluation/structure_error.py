"""Errors of a potential on one structure."""

from __future__ import annotations

from typing import NamedTuple


class StructureError(NamedTuple):
    """Errors of a potential on one structure."""

    origin: str
    group: str
    num_atoms: int
    energy: float  # predicted less labeled, eV/atom; NaN without a label
    forces: float  # root mean square over the components, eV/Å
    largest_force: float  # length of the largest error vector, eV/Å
