"""Start of a transfer: the source potential carried to the target's elements, lengths and energies."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols
from jaxtyping import Float
from torch import Tensor

from gnnpot.data.dataset import GraphDataset
from gnnpot.data.reference_energies import composition, reference_energies
from gnnpot.data.store import GraphStore
from gnnpot.errors import ConfigError, DataError
from gnnpot.evaluation.evaluation import BATCH_ATOMS, evaluate_graphs
from gnnpot.graph.graph import LABELS, AtomicGraph, label_arrays
from gnnpot.models.base import sum_over_structures
from gnnpot.potential.model_file import load_potential
from gnnpot.potential.potential import Potential
from gnnpot.training.preparation import PreparedData, initial_potential, references_of
from gnnpot.training.run_config import RunConfig
from gnnpot.transferring.config import TransferConfig, length_scale
from gnnpot.transferring.element_map import ElementMap, resolve_element_map
from gnnpot.transferring.fit_structures import FitStructures
from gnnpot.transferring.weights import carried, carried_model

_RANGE = (0.7, 1.45)  # of lattice scales that are tried
_GRID = 16
_GOLDEN = (math.sqrt(5) - 1) / 2
_FORCE_NOISE = 0.01  # of the labels of DFT (eV/Å)
_STRESS_NOISE = 1e-4  # the same (eV/Å³)

Array = np.ndarray


class _Pairs(NamedTuple):
    """Predictions and labels of one quantity, in units of the norm of the labels, and whether it tells.

    Attributes:
        predicted: What the model says, which an energy scale multiplies.
        labels: Labels less what the repulsion says, which it leaves as it is.
        tells: Whether the labels are more than noise.
    """

    predicted: Float[Array, "I"]
    labels: Float[Array, "I"]
    tells: bool


class Step(NamedTuple):
    """One choice of the start, with the errors after it on some training structures."""

    name: str
    choice: str
    metrics: dict[str, Any]


@dataclass(frozen=True)
class TransferStart:
    """How the source becomes the initial potential of a run.

    Attributes:
        source: The trained potential, in float64.
        elements: Origin of the weights of each element.
        length_scale: Factor on the source's lengths.
        energy_scale: Factor on the source's energies.
        steps: Errors after each choice.
    """

    source: Potential
    elements: ElementMap
    length_scale: float
    energy_scale: float
    steps: tuple[Step, ...]

    def run(self, config: TransferConfig) -> RunConfig:
        """Training configuration that begins from this start."""
        model = self.source.model.config.scaled(self.length_scale)
        scale = float(self.source.scale) * self.energy_scale
        return plain_run(
            config, model=model.model_copy(update={"elements": self.elements.target}), scale=scale
        )

    def potential(self, config: RunConfig, data: PreparedData) -> tuple[Potential, PreparedData]:
        """The potential that training starts from, and the data with its reference energies.

        These are fitted to what the potential leaves of the energy labels.
        """
        fresh = initial_potential(config, data)
        carried_model(self.source.model, fresh.model, self.elements, length_scale=self.length_scale)
        interaction = _interaction(fresh, data)
        references = references_of(config, data.train, interaction=interaction)
        said = f"{references.source}, of what the potential leaves"
        data = replace(data, references=replace(references, source=said))
        values = data.references.values
        return Potential(fresh.model, values, scale=data.scale, repulsion=fresh.repulsion), data


def plain_run(config: TransferConfig, **changes: Any) -> RunConfig:
    """Training configuration of a transfer, without the settings of the transfer."""
    values = {name: getattr(config, name) for name in RunConfig.model_fields}
    return RunConfig.model_construct(**{**values, **changes})


def first_cutoff(config: TransferConfig) -> float:
    """Cutoff of the model that will be trained (Å), as far as it is known before the structures are.

    Raises:
        ConfigError: The lattice scale is none.
        ModelFileError: The source is no whole model file.
    """
    if config.source is None:
        return config.model.cutoff
    length = 1.0 if config.lattice_scale == "fit" else length_scale(config.lattice_scale)
    return load_potential(config.source).model.config.scaled(length).cutoff


def find_start(config: TransferConfig, store: GraphStore) -> TransferStart:
    """Resolve map and scales of a transfer, and measure the effect of each.

    Args:
        config: Configuration of the transfer.
        store: Graphs of the training structures, up to any cutoff.

    Raises:
        ConfigError: A map that does not fit the source or the data, or a scale that cannot be fitted.
        DataError: The store has no structures.
        ModelFileError: The source is no whole model file.
    """
    assert config.source is not None
    source = load_potential(config.source, dtype=torch.float64)
    fit = FitStructures(store, config.fit_frames)
    symbols = GraphDataset(store, store.structure_rows(), dtype=torch.float64).elements()
    elements = resolve_element_map(config.map, source=source.elements, target=symbols)
    length, energy = 1.0, 1.0
    steps = [_step("elements", str(elements), carried(source, elements), fit)]
    if config.lattice_scale is not None:
        length = _length_scale(
            config, lambda scale: carried(source, elements, length_scale=scale), fit.frames
        )
        potential = carried(source, elements, length_scale=length)
        steps.append(_step("lattice scale", f"{length:.4f}", potential, fit))
    if config.energy_scale is not None:
        potential = carried(source, elements, length_scale=length)
        energy = _energy_scale(config, potential, fit.frames)
        potential = carried(source, elements, length_scale=length, energy_scale=energy)
        steps.append(_step("energy scale", f"{energy:.4f}", potential, fit))
    return TransferStart(source, elements, length, energy, tuple(steps))


def fitted_length_scale(
    scaled: Callable[[float], Potential], frames: Sequence[Atoms], *, energy_scale: float | None = None
) -> float:
    r"""The s at which forces and stress of the potential carried with it differ least from their labels.

    .. math:: \min_{s, \alpha} \frac{\sum |F - F^{ZBL} - \alpha \hat F|^2}{\sum |F|^2}
        + \frac{\sum |\sigma - \sigma^{ZBL} - \alpha \hat\sigma|^2}{\sum |\sigma|^2}

    over sixteen scales in equal ratios from 0.7 to 1.45, then by golden section to 1e-4 about the best;
    α is the energy scale, which the repulsion does not have.  Without labels of stress forces decide
    alone, and tend to a larger s.  Where labels vanish, as in a perfect crystal at rest, noise of DFT takes
    the place of their norm, and α is 1 if all of them do.

    Args:
        scaled: The potential carried with a length scale.
        frames: Structures with forces.
        energy_scale: α, if the potential gets a certain one; the best for each s if it will be fitted, too.

    Raises:
        ConfigError: No structure has forces.
    """
    labeled = _with_forces(frames)

    def error(logarithm: float) -> float:
        pairs = _derivatives(scaled(math.exp(logarithm)), labeled)
        predicted = np.concatenate([pair.predicted for pair in pairs])
        labels = np.concatenate([pair.labels for pair in pairs])
        factor = energy_scale or (_factor(predicted, labels) if any(pair.tells for pair in pairs) else 1.0)
        return float(np.square(labels - factor * predicted).sum())

    grid = np.linspace(math.log(_RANGE[0]), math.log(_RANGE[1]), _GRID)
    best = int(np.argmin([error(point) for point in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, _GRID - 1)]
    return math.exp(golden_section(error, float(low), float(high)))


def fitted_energy_scale(potential: Potential, frames: Sequence[Atoms]) -> float:
    """The factor by least squares between predicted and labeled forces, or stress where no force acts.

    What the repulsion says is taken off the labels, for no scale changes it.  The factor is 1 where
    neither tells anything, as in a perfect crystal at rest.

    Raises:
        ConfigError: No structure has forces, or the predictions point the other way.
    """
    pairs = _derivatives(potential, _with_forces(frames))
    telling = [pair for pair in pairs if pair.tells]
    if not telling:
        return 1.0
    factor = _factor(telling[0].predicted, telling[0].labels)
    if not factor > 0:
        raise ConfigError(
            f"expected forces and stress that point as their labels do, got a factor of {factor:.3g}; give "
            "energy_scale, a lattice_scale, or another map"
        )
    return factor


def golden_section(function: Callable[[float], float], low: float, high: float) -> float:
    """Minimum of a unimodal function between ``low`` and ``high``, to 1e-4."""
    one, other = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_one, at_other = function(one), function(other)
    while high - low > 1e-4:
        if at_one < at_other:
            high, other, at_other = other, one, at_one
            one = high - _GOLDEN * (high - low)
            at_one = function(one)
        else:
            low, one, at_one = one, other, at_other
            other = low + _GOLDEN * (high - low)
            at_other = function(other)
    return 0.5 * (low + high)


def _length_scale(
    config: TransferConfig, scaled: Callable[[float], Potential], frames: Sequence[Atoms]
) -> float:
    if config.lattice_scale == "fit":
        given = None if config.energy_scale == "fit" else float(config.energy_scale or 1.0)
        return fitted_length_scale(scaled, frames, energy_scale=given)
    return length_scale(config.lattice_scale)


def _energy_scale(config: TransferConfig, potential: Potential, frames: Sequence[Atoms]) -> float:
    if config.energy_scale == "fit":
        return fitted_energy_scale(potential, frames)
    return float(config.energy_scale or 1.0)


@torch.no_grad()
def _step(name: str, choice: str, potential: Potential, fit: FitStructures) -> Step:
    """Errors with reference energies that are fitted to the same structures."""
    graphs = fit.graphs(potential.cutoff)
    if not any(graphs.has(label) for label in LABELS):
        raise DataError(f"expected labels on the training structures, got none on {len(graphs)}; label them")
    fit_references(potential, graphs)
    return Step(name, choice, evaluate_graphs(potential, graphs).metrics())


@torch.no_grad()
def fit_references(potential: Potential, graphs: GraphDataset) -> None:
    """Fit reference energies to what a potential leaves of energy labels, in place.

    Args:
        potential: Potential with any reference energies.
        graphs: Labeled structures of its dtype, with edges up to its cutoff.
    """
    compositions, left = [], []
    for graph in graphs:
        if not torch.isnan(graph.energy):
            symbols = (chemical_symbols[number] for number in graph.atomic_numbers.tolist())
            compositions.append(composition(symbols))
            left.append(float(graph.energy - potential.interaction_energies(graph).sum()))
    for symbol, value in reference_energies(compositions, left).values.items():
        potential.reference_energies[atomic_numbers[symbol]] = value


def _graph(potential: Potential, atoms: Atoms) -> AtomicGraph:
    bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    return AtomicGraph.from_ase(bare, potential.cutoff, potential.dtype)


@torch.no_grad()
def _interaction(potential: Potential, data: PreparedData) -> dict[int, float]:
    """Interaction energy of each training structure (eV) by row of the store."""
    energies: dict[int, float] = {}
    for graph in data.train.batches(BATCH_ATOMS):
        sums = sum_over_structures(potential.interaction_energies(graph), graph)
        energies.update(zip(graph.frame.tolist(), sums.tolist(), strict=True))
    return energies


def _with_forces(frames: Sequence[Atoms]) -> list[Atoms]:
    labeled = [atoms for atoms in frames if "forces" in label_arrays(atoms)]
    if not labeled:
        raise ConfigError("expected forces to fit a scale to, got none; give the scale as a number")
    return labeled


def _derivatives(potential: Potential, frames: Sequence[Atoms]) -> list[_Pairs]:
    """Forces and, where there are any, stresses of the model, each with its labels less the repulsion."""
    zeros = dict.fromkeys(potential.elements, 0.0)
    alone = Potential(potential.model, zeros, scale=float(potential.scale))
    forces, stresses = [], []
    for atoms in frames:
        graph, labels = _graph(potential, atoms), label_arrays(atoms)
        with torch.no_grad():
            whole, model = potential(graph), alone(graph)
        forces.append(_parted(whole.forces, model.forces, labels["forces"]))
        if "stress" in labels and atoms.pbc.all():
            stresses.append(_parted(whole.stress, model.stress, labels["stress"]))
    return [
        _relative(parts, noise)
        for parts, noise in ((forces, _FORCE_NOISE), (stresses, _STRESS_NOISE))
        if parts
    ]


def _parted(whole: Tensor, model: Tensor, labels: Array) -> tuple[Array, Array, Array]:
    """What the model says, what the repulsion adds, and the labels."""
    return model.numpy().ravel(), (whole - model).numpy().ravel(), labels.ravel()


def _relative(parts: Sequence[tuple[Array, Array, Array]], noise: float) -> _Pairs:
    predicted, repulsion, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
    counted = ~np.isnan(labels)
    predicted, repulsion, labels = predicted[counted], repulsion[counted], labels[counted]
    norm, least = float(np.linalg.norm(labels)), noise * math.sqrt(labels.size)
    unit = max(norm, least)
    return _Pairs(predicted / unit, (labels - repulsion) / unit, tells=norm > least)


def _factor(predicted: Float[Array, "I"], labels: Float[Array, "I"]) -> float:
    square = float((predicted**2).sum())
    return float((predicted * labels).sum()) / square if square > 0 else 0.0
