"""NequIP: how its features rotate, its energies by plain loops, and what e3nn leaves behind."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import e3nn
import pytest
import torch
import torch.nn.functional as F
from ase import Atoms
from e3nn import o3
from e3nn.math import normalize2mom
from scipy.spatial.transform import Rotation
from structures import ethanol, rattled_crystal, silicon
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from gnnpot.graph.geometry import edge_lengths, edge_vectors
from gnnpot.graph.graph import AtomicGraph
from gnnpot.models.nequip import Convolution, Interaction, NequIP, NequIPConfig, pair_harmonics
from gnnpot.potential.model_file import load_potential, save_potential
from gnnpot.potential.potential import Potential

ELEMENTS = ("H", "C", "O", "Si")


def small(seed: int = 0, **sizes: object) -> NequIP:
    torch.manual_seed(seed)
    sizes = {"channels": 4, "radial_hidden": (8, 8), "num_basis": 5, "num_neighbors": 7.0, **sizes}
    return NequIP(NequIPConfig(elements=ELEMENTS, cutoff=3.5, **sizes))


def graph_of(atoms: Atoms, dtype: torch.dtype = torch.float64) -> AtomicGraph:
    return AtomicGraph.from_ase(atoms, 3.5, dtype)


def features(model: NequIP, graph: AtomicGraph) -> list[Tensor]:
    """Features of the atoms after each interaction."""
    seen: list[Tensor] = []
    hooks = [
        block.register_forward_hook(lambda block, inputs, output: seen.append(output))
        for block in model.interactions
    ]
    model.atomic_energies(graph)
    for hook in hooks:
        hook.remove()
    return seen


def representation(kind: o3.Irreps, matrix: Tensor) -> Tensor:
    """Wigner's D matrices; e3nn makes them in torch's default precision."""
    torch.set_default_dtype(matrix.dtype)
    try:
        return kind.D_from_matrix(matrix)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("make", [ethanol, rattled_crystal], ids=lambda make: make.__name__)
@pytest.mark.parametrize("sign", [1, -1], ids=["rotation", "inversion"])
def test_features_rotate_as_their_representation_says(make, sign):
    model, atoms = small().double(), make()
    matrix = sign * torch.as_tensor(Rotation.from_rotvec([0.4, -1.1, 0.7]).as_matrix())
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ matrix.T.numpy(), scale_atoms=False)
    turned.positions = atoms.positions @ matrix.T.numpy()
    before, after = features(model, graph_of(atoms)), features(model, graph_of(turned))
    kinds = [o3.Irreps("4x0e + 4x1o + 4x2e")] * 2 + [o3.Irreps("4x0e")]
    for x, y, kind in zip(before, after, kinds, strict=True):
        torch.testing.assert_close(y, x @ representation(kind, matrix).T, atol=1e-12, rtol=1e-12)
        assert all(x[:, part].abs().max() > 1e-3 for part in kind.slices())


def plain_linear(linear: o3.Linear, x: dict[int, Tensor]) -> dict[int, Tensor]:
    """Mix the channels of each degree."""
    mixed = {}
    for _, instruction, weight in linear.weight_views(yield_instruction=True):
        degree = linear.irreps_in[instruction.i_in].ir.l
        mixed[degree] = torch.einsum("uw,nui->nwi", weight, x[degree]) / len(weight) ** 0.5
    return mixed


def plain_weights(model: NequIP, convolution: Convolution, length: Tensor) -> Tensor:
    """Weights of all paths and channels for one distance."""
    x = length / model.cutoff
    h = torch.sin(model.basis.frequencies * x) / x * (1 - 28 * x**6 + 48 * x**7 - 21 * x**8)
    norm = normalize2mom(F.silu).cst
    *hidden, last = convolution.radial.parameters()
    for weight in hidden:
        h = norm * F.silu(h @ weight / len(weight) ** 0.5)
    return h @ last / len(last) ** 0.5


def plain_convolution(
    model: NequIP, convolution: Convolution, x: dict[int, Tensor], graph: AtomicGraph
) -> dict[int, Tensor]:
    """One convolution, edge by edge and path by path."""
    x, degrees = plain_linear(convolution.source, x), convolution.update.irreps_in.ls
    paths = [(a, b, c) for a in x for b in range(3) for c in range(abs(a - b), a + b + 1)]
    paths = [(a, b, c) for a, b, c in paths if (a + b + c) % 2 == 0 and c in degrees]
    sums = {c: [[0.0] * sum(path[2] == c for path in paths) for _ in graph.batch] for c in {*degrees}}
    for edge, (source, center) in enumerate(graph.edge_index.T.tolist()):
        vector = edge_vectors(graph)[edge]
        weights = plain_weights(model, convolution, vector.norm()).unflatten(0, (len(paths), -1))
        place = dict.fromkeys(sums, 0)
        for (a, b, c), weight in zip(paths, weights, strict=True):
            harmonic = o3.spherical_harmonics(b, vector, normalize=True, normalization="component")
            coupling = (2 * c + 1) ** 0.5 * o3.wigner_3j(a, b, c, dtype=vector.dtype)
            product = torch.einsum("ijk,ui,j->uk", coupling, x[a][source], harmonic)
            sums[c][center][place[c]] = sums[c][center][place[c]] + weight[:, None] * product
            place[c] += 1
    gathered = {c: torch.stack([torch.cat(parts) for parts in atoms]) / 7**0.5 for c, atoms in sums.items()}
    return plain_linear(convolution.update, gathered)


def plain_interaction(
    model: NequIP, block: Interaction, x: dict[int, Tensor], graph: AtomicGraph
) -> dict[int, Tensor]:
    y = plain_convolution(model, block.convolution, x, graph)
    connection, rows = block.self_connection, model.element_rows(graph)
    for _, instruction, weight in connection.weight_views(yield_instruction=True):
        degree = connection.irreps_in1[instruction.i_in1].ir.l
        y[degree] = y[degree] + torch.einsum("unw,nui->nwi", weight[:, rows], x[degree]) / len(weight) ** 0.5
    norm = normalize2mom(F.silu).cst
    factors = norm * F.silu(y.pop(0).squeeze(-1))
    scalars, *gates = factors.split(model.config.channels, dim=1)
    gated = {degree: gate[:, :, None] * y[degree] for degree, gate in zip(sorted(y), gates, strict=True)}
    return {0: scalars[:, :, None], **gated}


@pytest.mark.parametrize("make", [lambda: ethanol()[:5], rattled_crystal], ids=["molecule", "crystal"])
def test_features_and_energies_equal_those_of_plain_loops(make):
    model, graph = small().double(), graph_of(make())
    x = {0: model.embedding(model.element_rows(graph))[:, :, None]}
    for block, output in zip(model.interactions, features(model, graph), strict=True):
        x = plain_interaction(model, block, x, graph)
        whole = torch.cat([x[degree].flatten(1) for degree in sorted(x)], dim=1)
        torch.testing.assert_close(output, whole, atol=1e-11, rtol=1e-11)
    expected = model.readout(x[0].squeeze(-1)).squeeze(-1)
    assert expected.abs().min() > 1e-3
    torch.testing.assert_close(model.atomic_energies(graph), expected, atol=1e-11, rtol=1e-11)


def test_harmonics_are_those_of_e3nn():
    graph = graph_of(ethanol())
    expected = o3.spherical_harmonics(
        [0, 1, 2, 3], edge_vectors(graph)[0::2], normalize=True, normalization="component"
    )
    torch.testing.assert_close(pair_harmonics(graph, 3), expected, atol=1e-12, rtol=0)


def test_messages_vanish_at_the_cutoff_with_slope_and_curvature():
    model = small().double()
    gaps = torch.tensor([2e-3, 1e-3, -1e-3], dtype=torch.float64)
    weights = model.interactions[1].convolution.radial(model.basis(model.cutoff - gaps))
    near, nearer, beyond = weights.abs().amax(dim=1).tolist()
    assert near / nearer == pytest.approx(16.0, rel=0.02)  # the envelope is cubic, the sines vanish too
    assert beyond == 0.0


def test_the_mean_number_of_neighbors_is_taken_from_the_training_data():
    graphs = [graph_of(silicon()), graph_of(Atoms("O"))]
    model, given = small(num_neighbors=None), small(num_neighbors=5.0)
    for either in (model, given):
        either.prepare(graphs)
    assert model.num_neighbors.item() == pytest.approx(len(edge_lengths(graphs[0])) / 9)
    assert given.num_neighbors.item() == 5.0
    alone = small(num_neighbors=None)
    alone.prepare([graph_of(Atoms("O"))])
    assert torch.isfinite(alone.atomic_energies(graph_of(Atoms("O"), torch.float32))).all()


@pytest.mark.parametrize("sizes", [{"l_max": 0}, {"num_interactions": 1}, {"radial_hidden": ()}], ids=str)
def test_the_smallest_models_work(sizes):
    energies = small(**sizes).double().atomic_energies(graph_of(ethanol()))
    assert energies.std() > 1e-4


def test_constants_are_exact_in_every_precision():
    model = small().double().float().double()
    *_, path = model.interactions[1].convolution.product.paths  # 2 x 2 -> 2
    expected = 5**0.5 * o3.wigner_3j(2, 2, 2, dtype=torch.float64)
    torch.testing.assert_close(path.coupling, expected, atol=1e-15, rtol=0)


def test_a_state_holds_no_names_of_e3nns_choice():
    state = small().state_dict()
    assert not [name for name in state if "w3j" in name or "mask" in name]
    assert all(tensor.numel() for tensor in state.values())
    other = small(seed=1).double()
    other.load_state_dict(small().double().state_dict())
    graph = graph_of(ethanol())
    assert torch.equal(other.atomic_energies(graph), small().double().atomic_energies(graph))


def test_copies_pickles_and_averages_are_the_same_model(tmp_path):
    potential = Potential(small(), dict.fromkeys(ELEMENTS, 0.0))
    average = AveragedModel(potential)
    average.update_parameters(potential)
    save_potential(average.module, tmp_path / "model.safetensors")
    others = [
        copy.deepcopy(potential), pickle.loads(pickle.dumps(potential)), average.module,
        load_potential(tmp_path / "model.safetensors"),
    ]  # fmt: skip
    for dtype in (torch.float32, torch.float64):
        graph = graph_of(ethanol(), dtype)
        expected = potential.model.to(dtype).atomic_energies(graph)
        for other in others:
            assert list(other.state_dict()) == list(potential.state_dict())
            assert torch.equal(other.model.to(dtype).atomic_energies(graph), expected)


def test_building_leaves_the_settings_of_e3nn_and_torch():
    before = e3nn.get_optimization_defaults(), torch.get_default_dtype()
    small()
    assert (e3nn.get_optimization_defaults(), torch.get_default_dtype()) == before


def test_other_models_do_not_import_e3nn():
    code = """
import sys
import gnnpot.cli, gnnpot.training.run_config
from gnnpot.models import MODELS, build_model
for kind in MODELS:
    if kind != "nequip":
        build_model(MODELS[kind].Config(), ("Si",))
assert "nequip" in MODELS
from gnnpot.cli.models import models
models(as_json=True)
assert not [name for name in sys.modules if name.startswith("e3nn")]
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=120)
