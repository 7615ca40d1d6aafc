"""What keeps structures from being judged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from gnnpot.errors import DataError
from gnnpot.graph.graph import AtomicGraph
from gnnpot.potential.committee import Committee
from gnnpot.potential.last_layer import LastLayerUncertainty
from gnnpot.potential.potential import Potential

Array = np.ndarray

Judged = Potential | Committee | LastLayerUncertainty


def check_elements(potential: Judged, graph: AtomicGraph, origins: Sequence[str]) -> None:
    """Refuse atoms of elements that the potential was not made for, and name their structure."""
    try:
        potential.check_elements(graph.atomic_numbers)
    except DataError:
        for number, origin in enumerate(origins):
            try:
                potential.check_elements(graph.atomic_numbers[graph.batch == number])
            except DataError as error:
                raise DataError(f"{origin}: {error}") from error


def check_finite(
    energy: Float[Array, "B"], forces: Float[Array, "N 3"], atoms: Sequence[Array], origins: Sequence[str]
) -> None:
    """Refuse predictions that are not finite, and name their structure; ``atoms`` are its rows of forces."""
    if np.isfinite(energy).all() and np.isfinite(forces).all():
        return
    for number, origin in enumerate(origins):
        own = forces[atoms[number]]
        if not (np.isfinite(energy[number]) and np.isfinite(own).all()):
            raise DataError(
                f"expected a finite energy and forces for {origin}, got {energy[number]:g} eV and forces up "
                f"to {np.abs(own).max():g} eV/Å; look for atoms on one spot, or remove the frame"
            )
