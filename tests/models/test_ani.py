"""ANI against TorchANI, by hand, and where TorchANI's angle is delicate."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers
from pydantic import ValidationError
from structures import ethanol, rattled_crystal

from gnnpot.graph.graph import AtomicGraph
from gnnpot.models.ani import ANI, ANIConfig


def silicon_carbide() -> Atoms:
    """A sheared cell of two elements, smaller than the cutoff."""
    atoms = bulk("SiC", "zincblende", a=4.36)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + [[0.0, 0.06, 0.0], [0.0, 0.02, 0.0], [0.03, 0.0, 0.0]]))
    atoms.rattle(0.08, seed=5)
    return atoms


def model(symbols: tuple[str, ...], **changes: object) -> ANI:
    torch.manual_seed(0)
    return ANI(ANIConfig(elements=symbols, hidden=(8, 4), **changes)).double()


def torchani_environments(atoms: Atoms, config: ANIConfig) -> torch.Tensor:
    """AEVs of TorchANI; a crystal goes as its atoms among explicit copies of the cell."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torchani = pytest.importorskip("torchani.aev", reason="needs torchani (pip install gnnpot[test])")
    count = len(atoms)
    if atoms.pbc.any():
        repeats = 9
        cluster = atoms.repeat(repeats)
        start = (repeats**3 // 2) * count
        chosen = slice(start, start + count)
        atoms = Atoms(cluster.numbers, cluster.positions)
    else:
        chosen = slice(0, count)
    double = {"dtype": torch.float64}
    computer = torchani.AEVComputer.from_constants(
        radial_cutoff=config.cutoff,
        angular_cutoff=config.angular_cutoff,
        radial_eta=config.radial_eta,
        radial_shifts=list(config.radial_shifts),
        angular_eta=config.angular_eta,
        angular_zeta=config.zeta,
        angular_shifts=list(config.angular_shifts),
        sections=list(config.angle_shifts),
        num_species=len(config.elements),
    ).to(**double)
    species = torch.tensor([[config.elements.index(symbol) for symbol in atoms.symbols]])
    return computer(species, torch.tensor(atoms.positions, **double)[None])[0, chosen]


@pytest.mark.parametrize("make", [ethanol, rattled_crystal, silicon_carbide], ids=lambda make: make.__name__)
def test_environments_equal_those_of_torchani(make):
    atoms = make()
    symbols = tuple(sorted(set(atoms.symbols), key=atomic_numbers.__getitem__))
    angles = tuple(math.pi / 8 * odd for odd in (1, 3, 5, 7))
    ours = model(symbols, envelope="cosine", zeta=14.1, angle_shifts=angles)
    environments = ours.environments(AtomicGraph.from_ase(atoms, ours.cutoff, torch.float64))
    expected = torchani_environments(atoms, ours.config)
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(environments, expected, atol=1e-6, rtol=0)


def test_three_atoms_give_the_values_worked_out_by_hand():
    config = ANIConfig(
        elements=("Si",), radial_eta=2.0, radial_shifts=(2.0,), angular_eta=1.5, angular_shifts=(1.8,),
        zeta=3.0, angle_shifts=(math.pi / 4,), angular_cutoff=4.0, cutoff=5.0,
        envelope="cosine",
    )  # fmt: skip
    atoms = Atoms("Si3", [[0, 0, 0], [2.2, 0, 0], [0, 2.6, 0]])
    vector = ANI(config).double().environments(AtomicGraph.from_ase(atoms, 5.0, torch.float64))[0]
    radial = sum(
        0.25 * math.exp(-2.0 * (r - 2.0) ** 2) * 0.5 * (math.cos(math.pi * r / 5.0) + 1) for r in (2.2, 2.6)
    )
    theta = math.acos(0.95 * 0.0)
    angular = 2 * ((1 + math.cos(theta - math.pi / 4)) / 2) ** 3 * math.exp(-1.5 * (2.4 - 1.8) ** 2)
    for r in (2.2, 2.6):
        angular *= 0.5 * (math.cos(math.pi * r / 4.0) + 1)
    assert vector.tolist() == pytest.approx([radial, angular], abs=1e-12)


@pytest.mark.parametrize("angle", [0.0, 180.0])
def test_collinear_neighbors_have_finite_second_derivatives(angle):
    radians = math.radians(angle)
    atoms = Atoms("Si3", [[0, 0, 0], [2.3, 0, 0], [3.0 * math.cos(radians), 0, 0]])
    ours = model(("Si",))
    graph = AtomicGraph.from_ase(atoms, ours.cutoff, torch.float64)

    def energy(positions: torch.Tensor) -> torch.Tensor:
        moved = graph.clone()
        moved.positions = positions
        return ours.atomic_energies(moved).sum()

    hessian = torch.autograd.functional.hessian(energy, graph.positions)
    assert torch.isfinite(hessian).all()
    assert hessian.abs().max() > 1e-4


@pytest.mark.parametrize("networks", ["per_element", "shared"])
def test_energies_depend_on_which_neighbor_is_which(networks):
    ours = model(("H", "C", "O"), networks=networks)
    atoms = Atoms("OHC", [[0, 0, 0], [1.0, 0, 0], [0, 1.4, 0]])
    swapped = Atoms("OCH", atoms.positions)
    one, other = (
        ours.atomic_energies(AtomicGraph.from_ase(a, ours.cutoff, torch.float64)) for a in (atoms, swapped)
    )
    assert (one[0] - other[0]).abs().detach() > 1e-5


def test_standardized_functions_have_mean_zero_and_deviation_one():
    ours = model(("Si",))
    graphs = []
    for seed in range(20):
        atoms = rattled_crystal()
        atoms.rattle(0.2, seed=seed)
        graphs.append(AtomicGraph.from_ase(atoms, ours.cutoff, torch.float64))
    ours.prepare(graphs)
    values = torch.cat([(ours.environments(graph) - ours.mean) / ours.deviation for graph in graphs])
    varying = ours.deviation[0] > ours.deviation.min() * 1.001
    torch.testing.assert_close(values.mean(0), torch.zeros_like(ours.mean[0]), atol=1e-9, rtol=0)
    deviation = values.std(0, correction=0)[varying]
    torch.testing.assert_close(deviation, torch.ones_like(deviation), atol=1e-9, rtol=0)


def test_an_angular_cutoff_beyond_the_cutoff_is_refused():
    with pytest.raises(ValidationError, match="expected angular_cutoff up to the cutoff of 4"):
        ANIConfig(cutoff=4.0, angular_cutoff=5.0)
