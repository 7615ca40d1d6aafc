"""Errors of a potential on labeled structures, by quantity, element and group."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols
from jaxtyping import Bool, Float, Int

from gnnpot.data.columns import origin_of
from gnnpot.data.dataset import GraphDataset
from gnnpot.data.reading import check_results, is_isolated_atom
from gnnpot.data.store import GraphStore
from gnnpot.errors import DataError
from gnnpot.evaluation.calibration import Calibration, calibration
from gnnpot.evaluation.checks import Judged, check_elements, check_finite
from gnnpot.evaluation.free_atoms import free_atom_errors
from gnnpot.evaluation.structure_error import StructureError as StructureError
from gnnpot.evaluation.temperatures import temperature_classes, temperature_of
from gnnpot.graph.graph import AtomicGraph, collate
from gnnpot.potential.committee import Committee, mean_prediction, spread_of
from gnnpot.potential.last_layer import LastLayerUncertainty
from gnnpot.units import ERROR_UNITS, MPa, meV

Array = np.ndarray


BATCH_ATOMS = 512  # structures are predicted together up to so many


@dataclass(frozen=True)
class Evaluation:
    """Labels and predictions of a set; a missing label is NaN, and so is its error.

    Attributes:
        origins: Origin of each structure.
        groups: Group of each structure.
        sizes: Number of atoms of each structure.
        energy: Label and prediction per atom (eV).
        stress: Label and prediction (eV/Å³); both NaN without three periodic directions.
        atomic_numbers: Atomic numbers of all atoms, structure after structure.
        forces: Label and prediction (eV/Å); labels that do not count are NaN.
        num_isolated: Isolated atoms that were left out.
        free_atoms: Predicted less labeled energies of isolated atoms by symbol (eV).
        energy_spread: Standard deviation of the energy per atom over a committee, or by the last layer (eV);
            None of a potential without.
        forces_spread: The same of the forces (eV/Å).
        temperatures: Temperature of each structure (K), NaN where none is told; may be empty.
        widths: Number of spreads that should hold 95 % of the errors, by quantity; two where none is told.
    """

    origins: tuple[str, ...]
    groups: tuple[str, ...]
    sizes: Int[Array, "S"]
    energy: Float[Array, "2 S"]
    stress: Float[Array, "2 S 3 3"]
    atomic_numbers: Int[Array, "N"]
    forces: Float[Array, "2 N 3"]
    num_isolated: int = 0
    free_atoms: dict[str, float] = field(default_factory=dict)
    energy_spread: Float[Array, "S"] | None = None
    forces_spread: Float[Array, "N 3"] | None = None
    temperatures: tuple[float, ...] = ()
    widths: Mapping[str, float] = field(default_factory=dict)

    def calibration(self) -> dict[str, Calibration]:
        """How a committee's spread and the errors go together, for energy per atom (eV) and forces (eV/Å)."""
        found = {}
        for name, pair, spread in (
            ("energy", self.energy, self.energy_spread),
            ("forces", self.forces, self.forces_spread),
        ):
            if spread is None:
                continue
            errors, width = (pair[1] - pair[0]).ravel(), self.widths.get(name, 2.0)
            if result := calibration(errors, spread.ravel(), width):
                found[name] = result
        return found

    @property
    def structure_of_atom(self) -> Int[Array, "N"]:
        """Index of the structure that each atom belongs to."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    @property
    def has_forces(self) -> Bool[Array, "S"]:
        """Whether each structure has force labels."""
        counted = ~np.isnan(self.forces[0]).all(axis=1)
        return np.logical_or.reduceat(counted, self._first_atoms)

    @property
    def force_errors(self) -> Float[Array, "S"]:
        """Root-mean-square error of the force components of each structure (eV/Å); NaN without labels."""
        square = np.nansum(np.square(self.forces[1] - self.forces[0]), axis=1)
        counted = np.add.reduceat((~np.isnan(self.forces[0])).sum(axis=1), self._first_atoms)
        return np.sqrt(np.add.reduceat(square, self._first_atoms) / np.where(counted, counted, np.nan))

    @property
    def _first_atoms(self) -> Int[Array, "S"]:
        return np.cumsum(self.sizes) - self.sizes

    def metrics(self) -> dict[str, Any]:
        """MAE and RMSE of energy per atom (meV/atom), forces (meV/Å) and stress (MPa).

        Forces count by Cartesian component, stress by the nine components of the tensor, so that shear
        weighs twice: the error does not depend on how the crystal is turned.  ``num_labeled`` counts
        the structures that have the label; a quantity that none has is None.  ``num_isolated`` counts
        the isolated atoms that were left out.  A committee's metrics have ``uncertainty``, the
        :class:`~gnnpot.evaluation.calibration.Calibration` of its spreads.
        """
        names = sorted(set(self.groups) - {""})
        metrics = self._errors(np.ones(len(self.sizes), dtype=bool))
        metrics |= {"num_isolated": self.num_isolated, "units": dict(ERROR_UNITS)}
        metrics["free_atoms"] = self.free_atoms
        if found := self.calibration():
            metrics["uncertainty"] = {name: one._asdict() for name, one in found.items()}
        metrics["groups"] = {name: self._errors(np.array(self.groups) == name) for name in names}
        kinds = temperature_classes(np.array(self.temperatures, dtype=float))
        if len(known := np.unique(kinds[np.isfinite(kinds)])):
            metrics["temperatures"] = {f"{one:g}": self._errors(kinds == one) for one in known}
        metrics["elements"] = {
            chemical_symbols[number]: _error(self.forces[:, self.atomic_numbers == number], meV)
            for number in np.unique(self.atomic_numbers).tolist()
        }
        return metrics

    def metrics_without(self, groups: Collection[str]) -> dict[str, Any]:
        """The same errors of the structures that are in none of these groups, as a whole."""
        return self._errors(np.array([group not in groups for group in self.groups]))

    def worst(self, count: int) -> list[StructureError]:
        """Structures with the largest root-mean-square force errors, worst first."""
        square = np.nansum(np.square(self.forces[1] - self.forces[0]), axis=1)
        errors, largest = self.force_errors, np.sqrt(np.maximum.reduceat(square, self._first_atoms))
        labeled = np.flatnonzero(self.has_forces)
        order = labeled[np.argsort(-errors[labeled], kind="stable")][:count]
        energy = self.energy[1] - self.energy[0]
        return [
            StructureError(
                origin=self.origins[row],
                group=self.groups[row],
                num_atoms=int(self.sizes[row]),
                energy=float(energy[row]),
                forces=float(errors[row]),
                largest_force=float(largest[row]),
            )
            for row in order.tolist()
        ]

    def _errors(self, chosen: Array) -> dict[str, Any]:
        return {
            "energy": _error(self.energy[:, chosen], meV),
            "forces": _error(self.forces[:, chosen[self.structure_of_atom]], meV),
            "stress": _error(self.stress[:, chosen], MPa),
            "num_structures": int(chosen.sum()),
            "num_labeled": {
                "energy": int((chosen & ~np.isnan(self.energy[0])).sum()),
                "forces": int((chosen & self.has_forces).sum()),
                "stress": int((chosen & ~np.isnan(self.stress[0, :, 0, 0])).sum()),
            },
        }


def evaluate(
    potential: Judged,
    frames: Iterable[Atoms],
    *,
    batch_atoms: int = BATCH_ATOMS,
    advance: Callable[[int], None] = lambda structures: None,
) -> Evaluation:
    """Predict labeled structures, and collect labels and predictions.

    Graphs live for one batch.  Weights do not count, but that labels with a weight of zero are not read.
    Isolated atoms are there for reference energies and are left out, as in training.

    Args:
        potential: Potential to judge.
        frames: Structures whose calculators hold labels; taken batch by batch.
        batch_atoms: Structures are predicted together up to this many atoms.
        advance: Called with the number of structures done since the last call.

    Raises:
        DataError: No structure has a label, or one has an element that the potential does not know, a
            label that is not finite, or atoms so placed that a prediction is not finite.
    """
    parts, lone, temperatures = list[_Part](), list[Atoms](), list[float]()
    for batch in _batches(frames, batch_atoms):
        judged = [atoms for atoms in batch if not is_isolated_atom(atoms)]
        lone += [atoms for atoms in batch if is_isolated_atom(atoms)]
        for atoms in judged:
            check_results(atoms, origin_of(atoms))
            temperatures.append(temperature_of(atoms))
        if judged:
            store = GraphStore.in_memory(judged, potential.cutoff)
            dataset = GraphDataset(store, range(len(store)), dtype=potential.dtype, labels=())
            parts.append(_part(potential, store, collate(list(dataset))))
        advance(len(batch))
    found = _joined(parts, len(lone), free_atom_errors(potential, lone))
    return replace(found, temperatures=tuple(temperatures), widths=_widths(potential))


def evaluate_graphs(
    potential: Judged,
    dataset: GraphDataset,
    *,
    batch_atoms: int = BATCH_ATOMS,
    advance: Callable[[int], None] = lambda structures: None,
) -> Evaluation:
    """Do as :func:`evaluate` with structures of a store, whose graphs are there already.

    Args:
        potential: Potential to judge.
        dataset: Labeled graphs with edges up to the cutoff of the potential, of any dtype.
        batch_atoms: Structures are predicted together up to this many atoms.
        advance: Called with the number of structures done since the last call.

    Raises:
        DataError: There is nothing to compare, or the graphs have another cutoff.
    """
    store = dataset.store
    if store.cutoff != potential.cutoff:
        raise DataError(
            f"expected graphs with edges up to {potential.cutoff:g} Å, got {store.cutoff:g} Å; build them "
            "for this potential"
        )
    rows = [row for row in dataset.rows if not store.isolated[row]]
    graphs, parts = GraphDataset(store, rows, dtype=potential.dtype, labels=()), []
    for graph in graphs.batches(batch_atoms):
        parts.append(_part(potential, store, graph))
        advance(graph.num_structures)
    lone = GraphDataset(store, np.flatnonzero(store.isolated).tolist(), dtype=potential.dtype)
    found = _joined(parts, len(dataset) - len(rows), free_atom_errors(potential, lone.frames()))
    return replace(found, widths=_widths(potential))


def _widths(potential: Judged) -> Mapping[str, float]:
    return potential.widths if isinstance(potential, LastLayerUncertainty) else {}


class _Part(NamedTuple):
    """Labels and predictions of one batch."""

    origins: list[str]
    groups: list[str]
    sizes: Int[Array, "B"]
    energy: Float[Array, "2 B"]  # per atom
    stress: Float[Array, "2 B 3 3"]
    numbers: Int[Array, "N"]
    forces: Float[Array, "2 N 3"]
    spread: tuple[Array, Array] | None  # of energy per atom and of forces

    @property
    def is_labeled(self) -> bool:
        """Whether the structure has any label."""
        return not all(np.isnan(pair[0]).all() for pair in (self.energy, self.forces, self.stress))


def _batches(frames: Iterable[Atoms], batch_atoms: int) -> Iterator[list[Atoms]]:
    batch: list[Atoms] = []
    for atoms in frames:
        if batch and sum(map(len, batch)) + len(atoms) > batch_atoms:
            yield batch
            batch = []
        batch.append(atoms)
    if batch:
        yield batch


def _part(potential: Judged, store: GraphStore, graph: AtomicGraph) -> _Part:
    """Predict one batch of the store's structures."""
    rows = graph.frame.tolist()
    origins, sizes = [store.origins[row] for row in rows], graph.num_atoms.numpy()
    check_elements(potential, graph, origins)
    graph, spread = graph.to(next(potential.parameters()).device), None
    with torch.no_grad():
        if isinstance(potential, Committee):
            members = potential.predictions(graph)
            prediction, spread = mean_prediction(members), spread_of(members)[:2]
        elif isinstance(potential, LastLayerUncertainty):
            prediction, deviations = potential(graph), potential.deviations(graph)
            assert deviations.forces is not None
            spread = (deviations.energy, deviations.forces)
        else:
            prediction = potential(graph)
    energy, forces, stress = (
        _array(value) for value in (prediction.energy, prediction.forces, prediction.stress)
    )
    check_finite(energy, forces, np.split(np.arange(len(forces)), np.cumsum(sizes)[:-1]), origins)
    return _Part(
        origins=origins,
        groups=[store.groups[row] for row in rows],
        sizes=sizes,
        energy=np.stack([store.energy[rows], energy]) / sizes,
        stress=np.stack([store.stress[rows], stress]),
        numbers=graph.atomic_numbers.cpu().numpy(),
        forces=np.stack([store.forces_of(rows), forces]),
        spread=spread and (_array(spread[0]) / sizes, _array(spread[1])),
    )


def _array(values: torch.Tensor) -> Array:
    return values.detach().cpu().double().numpy()


def _joined(parts: Sequence[_Part], num_isolated: int, free_atoms: dict[str, float]) -> Evaluation:
    if not any(part.is_labeled for part in parts):
        count = sum(len(part.origins) for part in parts)
        raise DataError(
            f"expected structures with energies, forces or stress, got {count} without and "
            f"{num_isolated} isolated atoms; name their keys"
        )
    return Evaluation(
        origins=tuple(origin for part in parts for origin in part.origins),
        groups=tuple(group for part in parts for group in part.groups),
        sizes=np.concatenate([part.sizes for part in parts]),
        energy=np.concatenate([part.energy for part in parts], axis=1),
        stress=np.concatenate([part.stress for part in parts], axis=1),
        atomic_numbers=np.concatenate([part.numbers for part in parts]),
        forces=np.concatenate([part.forces for part in parts], axis=1),
        num_isolated=num_isolated,
        free_atoms=free_atoms,
        energy_spread=_spreads(parts, 0),
        forces_spread=_spreads(parts, 1),
    )


def _spreads(parts: Sequence[_Part], place: int) -> Array | None:
    found = [part.spread[place] for part in parts if part.spread is not None]
    return np.concatenate(found) if found else None


def _error(pair: Float[Array, "2 ..."], unit: float) -> dict[str, float] | None:
    """MAE and RMSE of predictions against labels, where there are labels."""
    difference = (pair[1] - pair[0]).ravel()
    difference = difference[~np.isnan(pair[0]).ravel()]
    if len(difference) == 0:
        return None
    return {
        "mae": float(np.abs(difference).mean() / unit),
        "rmse": float(np.sqrt(np.square(difference).mean()) / unit),
    }
