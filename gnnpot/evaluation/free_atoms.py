"""Errors of free atoms, which the errors of structures leave out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from ase import Atoms

from gnnpot.graph.graph import AtomicGraph
from gnnpot.potential.committee import Committee
from gnnpot.potential.last_layer import LastLayerUncertainty
from gnnpot.potential.potential import Potential


@torch.no_grad()
def free_atom_errors(
    potential: Potential | Committee | LastLayerUncertainty, atoms: Iterable[Atoms]
) -> dict[str, float]:
    """Predicted less labeled energy (eV) by symbol; the largest where an element comes several times.

    Args:
        potential: Potential to judge.
        atoms: Isolated atoms; those without an energy, or of an unknown element, do not count.
    """
    errors: dict[str, float] = {}
    device = next(potential.parameters()).device
    for atom in atoms:
        (symbol,) = atom.symbols
        graph = AtomicGraph.from_ase(atom, potential.cutoff, potential.dtype)
        if "energy" in graph and symbol in potential.elements:
            predicted = potential(graph.to(device)).energy.item()
            error = predicted - float(atom.calc.results["energy"])
            errors[symbol] = max(errors.get(symbol, 0.0), error, key=abs)
    return dict(sorted(errors.items()))


def free_atoms_in_words(errors: Mapping[str, float]) -> str:
    """The errors in one line."""
    return ", ".join(f"{symbol} {error:+.4f} eV" for symbol, error in errors.items())
