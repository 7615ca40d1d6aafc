"""Whether isolated atoms of one element have one energy, wherever they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from ase.data import chemical_symbols

from gnnpot.errors import DataError

if TYPE_CHECKING:
    from gnnpot.data.store import GraphStore

SAME_ENERGY = 1e-4  # eV: isolated atoms of one element, rounded differently


def check_same_isolated(stores: Iterable[GraphStore]) -> None:
    """Check that all sets of a run agree on the energies of isolated atoms.

    Raises:
        DataError: Two isolated atoms of one element have different energies.
    """
    seen: dict[int, tuple[str, float]] = {}
    for store in stores:
        for row in np.flatnonzero(store.isolated & ~np.isnan(store.energy)).tolist():
            (number,), origin, energy = store.composition(row), store.origins[row], float(store.energy[row])
            first, known = seen.setdefault(number, (origin, energy))
            if abs(energy - known) > SAME_ENERGY:
                raise DataError(
                    f"expected one energy of an isolated {chemical_symbols[number]}, got {known:.6g} eV in "
                    f"{first} and {energy:.6g} eV in {origin}; remove one, or label all files by one method"
                )
