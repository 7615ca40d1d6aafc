"""Errors of a potential on labeled structures, by quantity, element and group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols
from jaxtyping import Float, Int

from gnnpot.committee import Committee
from gnnpot.data.graph import AtomicGraph, collate
from gnnpot.errors import DataError
from gnnpot.potential import Potential, Prediction
from gnnpot.units import MPa, meV

Array = np.ndarray


@dataclass(frozen=True)
class Evaluation:
    """Labels and predictions of a set; what has no label is NaN.

    Attributes:
        origins: Where each structure came from.
        groups: Group of each structure.
        sizes: Number of atoms of each structure.
        energy: Label and prediction per atom (eV).
        stress: Label and prediction (eV/Å³).
        atomic_numbers: Of all atoms, structure after structure.
        forces: Label and prediction (eV/Å).
    """

    origins: tuple[str, ...]
    groups: tuple[str, ...]
    sizes: Int[Array, "S"]
    energy: Float[Array, "2 S"]
    stress: Float[Array, "2 S 3 3"]
    atomic_numbers: Int[Array, "N"]
    forces: Float[Array, "2 N 3"]

    @property
    def structure_of_atom(self) -> Int[Array, "N"]:
        """Number of the structure that each atom belongs to."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    def metrics(self) -> dict[str, Any]:
        """MAE and RMSE of energy per atom (meV/atom), forces (meV/Å) and stress (MPa).

        Forces count by Cartesian component, stress by the nine components of the tensor (shear twice,
        as in most of the field's codes).  A quantity without labels is None.
        """
        names = sorted(set(self.groups) - {""})
        metrics = self._errors(np.ones(len(self.sizes), dtype=bool))
        metrics["groups"] = {name: self._errors(np.array(self.groups) == name) for name in names}
        metrics["elements"] = {
            chemical_symbols[number]: _error(self.forces[:, self.atomic_numbers == number], meV)
            for number in np.unique(self.atomic_numbers).tolist()
        }
        return metrics

    def worst(self, count: int) -> list[tuple[str, float]]:
        """Structures with the largest root-mean-square force error (eV/Å), worst first."""
        square = np.square(self.forces[1] - self.forces[0]).sum(axis=1)
        sums = np.bincount(self.structure_of_atom, weights=square, minlength=len(self.sizes))
        errors = np.sqrt(sums / (3 * np.maximum(self.sizes, 1)))
        labeled = np.flatnonzero(~np.isnan(errors))
        order = labeled[np.argsort(-errors[labeled], kind="stable")][:count]
        return [(self.origins[row], float(errors[row])) for row in order]

    def _errors(self, chosen: Array) -> dict[str, Any]:
        return {
            "energy": _error(self.energy[:, chosen], meV),
            "forces": _error(self.forces[:, chosen[self.structure_of_atom]], meV),
            "stress": _error(self.stress[:, chosen], MPa),
            "num_structures": int(chosen.sum()),
        }


def evaluate(
    potential: Potential | Committee,
    frames: Iterable[Atoms],
    *,
    batch_atoms: int = 512,
    device: torch.device | str = "cpu",
    advance: Callable[[int], None] = lambda structures: None,
) -> Evaluation:
    """Predict labeled structures and keep labels and predictions.

    Args:
        potential: What is judged.
        frames: Structures whose calculators hold labels; taken batch by batch.
        batch_atoms: Structures are predicted together up to this many atoms.
        device: Where the potential is.
        advance: Called with the number of structures done since the last call.

    Raises:
        DataError: No structure has a label, or one has an element that the potential does not know.
    """
    parts: list[_Part] = []
    for batch in _batches(frames, batch_atoms):
        graphs = [_graph(atoms, potential) for atoms in batch]
        with torch.no_grad():
            prediction = potential(collate(graphs).to(device))
        parts += _parts(batch, prediction)
        advance(len(batch))
    if not any(np.isfinite(part.energy[0]) or np.isfinite(part.forces[0]).any() for part in parts):
        raise DataError(
            "expected structures with energies or forces to evaluate on, got none; name their keys"
        )
    return Evaluation(
        origins=tuple(part.origin for part in parts),
        groups=tuple(part.group for part in parts),
        sizes=np.array([len(part.numbers) for part in parts]),
        energy=np.stack([part.energy for part in parts], axis=1),
        stress=np.stack([part.stress for part in parts], axis=1),
        atomic_numbers=np.concatenate([part.numbers for part in parts]),
        forces=np.concatenate([part.forces for part in parts], axis=1),
    )


@dataclass(frozen=True)
class _Part:
    """Label and prediction of one structure."""

    origin: str
    group: str
    numbers: Int[Array, "N"]
    energy: Float[Array, "2"]
    forces: Float[Array, "2 N 3"]
    stress: Float[Array, "2 3 3"]


def _batches(frames: Iterable[Atoms], batch_atoms: int) -> Iterator[list[Atoms]]:
    batch: list[Atoms] = []
    for atoms in frames:
        if batch and sum(map(len, batch)) + len(atoms) > batch_atoms:
            yield batch
            batch = []
        batch.append(atoms)
    if batch:
        yield batch


def _graph(atoms: Atoms, potential: Potential | Committee) -> AtomicGraph:
    bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    try:
        graph = AtomicGraph.from_ase(bare, potential.cutoff, potential.dtype)
        potential.check_elements(graph.atomic_numbers)
    except DataError as error:
        raise DataError(f"{atoms.info.get('origin', atoms.symbols)}: {error}") from error
    return graph


def _parts(batch: list[Atoms], prediction: Prediction) -> list[_Part]:
    energies, forces, stresses = (
        value.detach().cpu().double().numpy()
        for value in (prediction.energy, prediction.forces, prediction.stress)
    )
    ends = np.cumsum([len(atoms) for atoms in batch])
    parts = []
    for atoms, energy, force, stress in zip(
        batch, energies, np.split(forces, ends[:-1]), stresses, strict=True
    ):
        labels = atoms.calc.results if atoms.calc is not None else {}
        label_stress = atoms.get_stress(voigt=False) if "stress" in labels else np.full((3, 3), np.nan)
        parts.append(
            _Part(
                origin=str(atoms.info.get("origin", atoms.symbols)),
                group=str(atoms.info.get("group", "")),
                numbers=atoms.numbers,
                energy=np.array([labels.get("energy", np.nan), energy]) / len(atoms),
                forces=np.stack([labels.get("forces", np.full_like(force, np.nan)), force]),
                stress=np.stack([label_stress if atoms.pbc.all() else np.full((3, 3), np.nan), stress]),
            )
        )
    return parts


def _error(pair: Float[Array, "2 ..."], unit: float) -> dict[str, float] | None:
    """MAE and RMSE of prediction against label, where there is a label."""
    difference = (pair[1] - pair[0]).ravel()
    difference = difference[~np.isnan(pair[0]).ravel()]
    if len(difference) == 0:
        return None
    return {
        "mae": float(np.abs(difference).mean() / unit),
        "rmse": float(np.sqrt(np.square(difference).mean()) / unit),
    }
