"""DimeNet++ against PyG's, and the mechanism that PyG's lacks."""

from __future__ import annotations

import pytest
import torch
from structures import ethanol, rattled_crystal
from torch import Tensor
from torch_geometric.nn.models import DimeNetPlusPlus
from torch_geometric.utils import scatter

from gnnpot.graph.geometry import edge_lengths, edge_vectors
from gnnpot.graph.graph import AtomicGraph
from gnnpot.models.dimenet import DimeNet, DimeNetConfig
from gnnpot.ops.harmonics import solid_harmonics
from gnnpot.ops.triplet_sums import TripletFactors, TripletGeometry, sum_over_triplets

pytestmark = pytest.mark.xdist_group("dimenet")  # what they share is made once

SIZES = {
    "channels": 16,
    "interaction_channels": 8,
    "basis_channels": 5,
    "output_channels": 24,
    "num_blocks": 2,
}


@pytest.fixture(params=[ethanol, rattled_crystal], ids=lambda make: make.__name__)
def graph(request):
    return AtomicGraph.from_ase(request.param(), 4.0, torch.float64)


@pytest.fixture(scope="module")
def models():
    """Ours and PyG's with the same random weights; PyG's embedding has a row for each Z."""
    torch.manual_seed(0)
    ours = DimeNet(DimeNetConfig(cutoff=4.0, elements=("H", "C", "O", "Si"), **SIZES)).double()
    theirs = DimeNetPlusPlus(
        hidden_channels=16, out_channels=1, num_blocks=2, int_emb_size=8, basis_emb_size=5,
        out_emb_channels=24, num_spherical=7, num_radial=6, cutoff=4.0,
        output_initializer="glorot_orthogonal",
    ).double()  # fmt: skip
    copy_weights(theirs, ours)
    return ours, theirs


def copy_weights(theirs: DimeNetPlusPlus, ours: DimeNet) -> None:
    with torch.no_grad():
        ours.embedding.element.weight.copy_(theirs.emb.emb.weight[[1, 6, 8, 14]])
        ours.radial.frequencies.copy_(theirs.rbf.freq)
    pairs = [(theirs.emb.lin_rbf, ours.embedding.radial), (theirs.emb.lin, ours.embedding.dense)]
    for block, mine in zip(theirs.interaction_blocks, ours.interactions, strict=True):
        pairs += [
            (block.lin_rbf1, mine.radial[0]), (block.lin_rbf2, mine.radial[1]),
            (block.lin_sbf1, mine.spherical[0]), (block.lin_sbf2, mine.spherical[1]),
            (block.lin_ji, mine.keep), (block.lin_kj, mine.send), (block.lin_down, mine.down),
            (block.lin_up, mine.up), (block.lin, mine.dense),
        ]  # fmt: skip
        residuals = [*zip(block.layers_before_skip, mine.before_skip, strict=True)]
        residuals += [*zip(block.layers_after_skip, mine.after_skip, strict=True)]
        pairs += [pair for a, b in residuals for pair in ((a.lin1, b.first), (a.lin2, b.second))]
    for output, mine in zip(theirs.output_blocks, ours.outputs, strict=True):
        pairs += [(output.lin_rbf, mine.radial), (output.lin_up, mine.up), (output.lin, mine.energy)]
        pairs += [*zip(output.lins, mine.dense, strict=True)]
    for source, target in pairs:
        target.load_state_dict(source.state_dict())


def triplets(graph: AtomicGraph) -> tuple[Tensor, Tensor]:
    """Pairs of edges (k→j, j→i) by brute force; only the very same image of i is left out."""
    source, center = graph.edge_index
    incoming = source[:, None] == center[None, :]
    same = (center[:, None] == source[None, :]) & (
        graph.cell_shifts[:, None] == -graph.cell_shifts[None, :]
    ).all(-1)
    edge_ji, edge_kj = (incoming & ~same).nonzero().unbind(1)
    return edge_ji, edge_kj


def pyg_energies(model: DimeNetPlusPlus, graph: AtomicGraph) -> Tensor:
    """PyG's blocks on an explicit list of triplets (its own list knows no periodic images)."""
    edge_ji, edge_kj = triplets(graph)
    source, center = graph.edge_index
    vectors, lengths = edge_vectors(graph), edge_lengths(graph)
    one, other = -vectors[edge_ji], -vectors[edge_kj]
    cross = torch.linalg.cross(one, other).norm(dim=-1)
    angle = torch.atan2(cross, (one * other).sum(-1))
    rbf, sbf = model.rbf(lengths), model.sbf(lengths, angle, edge_kj)
    x = model.emb(graph.atomic_numbers, rbf, center, source)
    size = len(graph.atomic_numbers)
    energies = model.output_blocks[0](x, rbf, center, num_nodes=size)
    for block, output in zip(model.interaction_blocks, model.output_blocks[1:], strict=True):
        x = block(x, rbf, sbf, edge_kj, edge_ji)
        energies = energies + output(x, rbf, center, num_nodes=size)
    return energies.squeeze(-1)


def test_energies_equal_those_of_pyg(models, graph):
    ours, theirs = models
    expected = pyg_energies(theirs, graph)
    assert expected.abs().min() > 1e-3
    # PyG keeps the roots of the Bessel functions in float32
    torch.testing.assert_close(ours.atomic_energies(graph), expected, atol=1e-7, rtol=1e-5)


def test_sum_over_triplets_equals_the_sum_over_their_list(graph):
    torch.manual_seed(1)
    edge_ji, edge_kj = triplets(graph)
    num_edges = graph.edge_index.shape[1]
    messages, radial = torch.randn(num_edges, 3).double(), torch.randn(4, num_edges // 2, 3).double()
    unit = edge_vectors(graph) / edge_lengths(graph)[:, None]
    cosine = (unit[edge_ji] * unit[edge_kj]).sum(-1)
    legendre = torch.stack([cosine**0, cosine, 1.5 * cosine**2 - 0.5, 2.5 * cosine**3 - 1.5 * cosine], dim=1)
    weights = (radial[:, edge_kj // 2] * legendre.T[:, :, None]).sum(0)
    expected = scatter(messages[edge_kj] * weights, edge_ji, dim_size=num_edges)
    factors = TripletFactors(radial, radial[1::2].sum(0) - radial[0::2].sum(0))
    result = sum_over_triplets(messages, factors, TripletGeometry.of(graph, 4))
    torch.testing.assert_close(result, expected, atol=1e-11, rtol=1e-11)


def test_a_cell_of_one_atom_has_triplets_with_its_own_images():
    from ase.build import bulk

    graph = AtomicGraph.from_ase(bulk("Ni"), 3.0, torch.float64)
    edge_ji, _ = triplets(graph)
    assert len(graph.atomic_numbers) == 1
    assert len(edge_ji) == 12 * 11


def test_harmonics_obey_the_addition_theorem():
    from scipy.special import eval_legendre

    torch.manual_seed(2)
    first, second = torch.nn.functional.normalize(torch.randn(2, 20, 3).double(), dim=-1)
    cosine = (first * second).sum(-1).numpy()
    products = solid_harmonics(first, 7) * solid_harmonics(second, 7)
    for order in range(7):
        expected = torch.as_tensor(eval_legendre(order, cosine))
        total = products[:, order**2 : (order + 1) ** 2].sum(-1)
        torch.testing.assert_close(total, expected, atol=1e-13, rtol=0)
