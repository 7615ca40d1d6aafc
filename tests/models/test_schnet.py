"""SchNet against PyG's, and which way its messages go."""

from __future__ import annotations

import torch
from structures import ethanol
from torch_geometric.nn.models import SchNet as PyGSchNet

from gnnpot.graph.geometry import Neighborhoods, edge_lengths
from gnnpot.graph.graph import AtomicGraph
from gnnpot.models.schnet import ExactFilters, Interaction, SchNet, SchNetConfig


def test_energies_equal_those_of_pyg():
    torch.manual_seed(0)
    config = SchNetConfig(
        elements=("H", "C", "O"), cutoff=4.0, channels=16, num_filters=12, num_basis=20, num_interactions=2,
        envelope="cosine", filters="exact",
    )  # fmt: skip
    ours = SchNet(config).double()
    theirs = PyGSchNet(
        hidden_channels=16, num_filters=12, num_interactions=2, num_gaussians=20, cutoff=4.0
    ).double()
    with torch.no_grad():
        ours.embedding.weight.copy_(theirs.embedding.weight[[1, 6, 8]])
    pairs = [(theirs.lin1, ours.readout[0]), (theirs.lin2, ours.readout[2])]
    for block, mine in zip(theirs.interactions, ours.interactions, strict=True):
        pairs += [
            (block.mlp[0], mine.filter[0]), (block.mlp[2], mine.filter[2]), (block.conv.lin1, mine.source),
            (block.conv.lin2, mine.update[0]), (block.lin, mine.update[2]),
        ]  # fmt: skip
    for source, target in pairs:
        target.load_state_dict(source.state_dict())

    graph = AtomicGraph.from_ase(ethanol(), 4.0, torch.float64)
    x, lengths = theirs.embedding(graph.atomic_numbers), edge_lengths(graph)
    for block in theirs.interactions:
        x = x + block(x, graph.edge_index, lengths, theirs.distance_expansion(lengths))
    expected = theirs.lin2(theirs.act(theirs.lin1(x))).squeeze(-1)
    assert expected.std() > 1e-3
    # PyG keeps the centers of the Gaussians in float32
    torch.testing.assert_close(ours.atomic_energies(graph), expected, atol=1e-6, rtol=1e-6)


def test_a_message_goes_from_the_neighbor_to_the_center():
    block = Interaction(SchNetConfig(elements=("Si",), channels=4, num_filters=4, num_basis=3))
    # one pair of atoms, and atom 2 alone
    edges = Neighborhoods(
        torch.tensor([[0, 1], [1, 0]]), order=torch.tensor([1, 0]), start=torch.tensor([0, 1, 2, 2])
    )
    basis, envelope = torch.randn(1, 3), torch.ones(1)
    jacobian = torch.autograd.functional.jacobian(
        lambda x: block(x, ExactFilters(basis, envelope, edges)), torch.randn(3, 4)
    )
    assert jacobian[1, :, 0].abs().max() > 0
    assert jacobian[2, :, :2].abs().max() == 0
    assert jacobian[:2, :, 2].abs().max() == 0


def test_interpolated_filters_agree_with_exact_ones_and_follow_the_weights():
    torch.manual_seed(0)
    sizes = {"cutoff": 4.0, "elements": ("H", "C", "O"), "channels": 16, "num_filters": 16, "num_basis": 12}
    exact = SchNet(SchNetConfig(**sizes, filters="exact")).double()
    interpolated = SchNet(SchNetConfig(**sizes)).double().requires_grad_(False)
    graph = AtomicGraph.from_ase(ethanol(), 4.0, torch.float64)
    for _ in range(2):
        with torch.no_grad():
            for parameter in exact.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        interpolated.load_state_dict(exact.state_dict())
        got, expected = interpolated.atomic_energies(graph), exact.atomic_energies(graph)
        assert (got - expected).abs().max() > 0  # or both would be exact
        torch.testing.assert_close(got, expected, atol=1e-6, rtol=0)
        assert expected.std() > 1e-2
