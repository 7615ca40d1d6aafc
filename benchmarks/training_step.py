"""Time a training step of SchNet and DimeNet++ against PyG's own classes, interleaved, on one thread.

    python benchmarks/training_step.py --output step.json

Both sides do the same work: 64 rattled silicon atoms a structure, 5 Å, energy + forces + stress in the loss,
backward, AdamW; the neighbor list (and for PyG the list of triplets, which its own code cannot make for
periodic cells) is built before.  PyG's blocks run on our edges,
with forces and stress from the same derivative.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from ase.build import bulk
from torch import Tensor, nn

warnings.filterwarnings("ignore", category=DeprecationWarning)

from torch_geometric.nn.models import DimeNetPlusPlus, SchNet  # noqa: E402

from gnnpot.data.graph import AtomicGraph, collate  # noqa: E402
from gnnpot.geometry import edge_lengths, edge_vectors  # noqa: E402
from gnnpot.models import MODELS, AtomicEnergyModel, ModelConfig, build_model  # noqa: E402
from gnnpot.potential import Potential  # noqa: E402

CUTOFF = 5.0


class PyGSchNet(AtomicEnergyModel):
    """PyG's SchNet on our edges."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.net = SchNet(
            hidden_channels=128, num_filters=128, num_interactions=3, num_gaussians=25, cutoff=CUTOFF
        )

    def atomic_energies(self, graph: AtomicGraph) -> Tensor:
        """Energies by PyG's blocks."""
        net, lengths = self.net, edge_lengths(graph)
        x, basis = net.embedding(graph.atomic_numbers), net.distance_expansion(lengths)
        for interaction in net.interactions:
            x = x + interaction(x, graph.edge_index, lengths, basis)
        return net.lin2(net.act(net.lin1(x))).squeeze(-1)


class PyGDimeNet(AtomicEnergyModel):
    """PyG's DimeNet++ on our edges and a list of triplets that is made once."""

    def __init__(self, config: ModelConfig, width: int) -> None:
        super().__init__(config)
        self.net = DimeNetPlusPlus(
            hidden_channels=width, out_channels=1, num_blocks=4, int_emb_size=width // 2, basis_emb_size=8,
            out_emb_channels=2 * width, num_spherical=7, num_radial=6, cutoff=CUTOFF,
        )  # fmt: skip
        self.triplets: tuple[Tensor, Tensor] | None = None

    def atomic_energies(self, graph: AtomicGraph) -> Tensor:
        """Energies by PyG's blocks."""
        if self.triplets is None:
            self.triplets = triplets(graph)
        net, (edge_ji, edge_kj) = self.net, self.triplets
        source, center = graph.edge_index
        vectors, lengths = edge_vectors(graph), edge_lengths(graph)
        one, other = -vectors[edge_ji], -vectors[edge_kj]
        angle = torch.atan2(torch.linalg.cross(one, other).norm(dim=-1), (one * other).sum(-1))
        rbf, sbf = net.rbf(lengths), net.sbf(lengths, angle, edge_kj)
        x, size = net.emb(graph.atomic_numbers, rbf, center, source), len(graph.atomic_numbers)
        energies = net.output_blocks[0](x, rbf, center, num_nodes=size)
        for block, output in zip(net.interaction_blocks, net.output_blocks[1:], strict=True):
            x = block(x, rbf, sbf, edge_kj, edge_ji)
            energies = energies + output(x, rbf, center, num_nodes=size)
        return energies.squeeze(-1)


def triplets(graph: AtomicGraph) -> tuple[Tensor, Tensor]:
    """Edges j→i and k→j of all triplets but those that turn back to the same image of i."""
    source, center = graph.edge_index
    order = torch.argsort(center, stable=True)
    degree = torch.bincount(center, minlength=len(graph.atomic_numbers))
    start = torch.cumsum(degree, 0) - degree
    count = degree[source]
    edge_ji = torch.arange(len(source)).repeat_interleave(count)
    within = torch.arange(len(edge_ji)) - (torch.cumsum(count, 0) - count).repeat_interleave(count)
    edge_kj = order[start[source[edge_ji]] + within]
    onward = edge_kj != (edge_ji ^ 1)
    return edge_ji[onward], edge_kj[onward]


def stepper(model: nn.Module, graph: AtomicGraph) -> Callable[[], None]:
    """One training step of this model on this batch."""
    potential = Potential(model, {"Si": 0.0})
    optimizer = torch.optim.AdamW(potential.parameters(), lr=1e-4)
    weights = list(potential.parameters())

    def step() -> None:
        optimizer.zero_grad()
        prediction = potential(graph)
        loss = sum(value.square().mean() for value in prediction[:3])
        loss.backward(inputs=weights)
        optimizer.step()

    return step


def main() -> None:
    """Measure and print medians and ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, help="JSON file for the result")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    small = {"interaction_channels": 16, "output_channels": 64}
    cases = {
        "schnet 128×3": (16, "schnet", {"num_interactions": 3, "num_basis": 25}, PyGSchNet),
        "dimenet++ 32": (4, "dimenet++", {"channels": 32, **small}, lambda config: PyGDimeNet(config, 32)),
        "dimenet++ 128": (2, "dimenet++", {}, lambda config: PyGDimeNet(config, 128)),
    }
    rows = []
    for name, (batch_size, kind, sizes, peer) in cases.items():
        structures = []
        for seed in range(batch_size):
            atoms = bulk("Si", "diamond", a=5.43, cubic=True) * (2, 2, 2)
            atoms.rattle(0.05, seed=seed)
            structures.append(AtomicGraph.from_ase(atoms, CUTOFF))
        graph = collate(structures)
        config = MODELS[kind].Config(elements=("Si",), cutoff=CUTOFF, **sizes)
        steps = {"gnnpot": stepper(build_model(config), graph), "pyg": stepper(peer(config), graph)}
        times: dict[str, list[float]] = {side: [] for side in steps}
        for repeat in range(arguments.repeats + 1):
            for side, step in steps.items():
                before = time.process_time()
                step()
                if repeat:  # the first is a warm-up
                    times[side].append(1000 * (time.process_time() - before))
        ours, theirs = (float(np.median(times[side])) for side in ("gnnpot", "pyg"))
        rows.append({"case": name, "batch_size": batch_size, "gnnpot_ms": ours, "pyg_ms": theirs})
        print(f"{name:14s} batch {batch_size:2d}: {ours:.0f} ms, PyG {theirs:.0f} ms, {theirs / ours:.2f}×")
    if arguments.output:
        arguments.output.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
