"""What tests of transfers share."""

from __future__ import annotations

from typing import Any

import torch
from ase import Atoms
from potentials import SCALE, SMALL

from gnnpot.graph.graph import AtomicGraph
from gnnpot.models import MODELS
from gnnpot.potential.potential import Potential
from gnnpot.transferring.element_map import resolve_element_map


def potential_of(kind: str, elements: tuple[str, ...]) -> Potential:
    """Random weights, all at work, without repulsion and reference energies."""
    kind, _, networks = kind.partition(" ")
    changes = {"networks": networks} if networks else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        config = MODELS[kind].Config(cutoff=4.0, elements=elements, **{**SMALL[kind], **changes})
        model = MODELS[kind](config).double()
        with torch.no_grad():
            for parameter in model.parameters():
                if not parameter.any():
                    parameter.normal_(std=0.3)
            if kind == "ani":
                model.mean.uniform_(0.0, 1.0)
                model.deviation.uniform_(0.5, 2.0)
    return Potential(model, dict.fromkeys(elements, 0.0), scale=SCALE[kind])


@torch.no_grad()
def energy(potential: Potential, atoms: Atoms) -> float:
    return potential(AtomicGraph.from_ase(atoms, potential.cutoff, torch.float64)).energy.item()


def renamed(atoms: Atoms, symbols: str) -> Atoms:
    """The structure with these symbols over and over."""
    copy = atoms.copy()
    copy.symbols[:] = (symbols.split() * len(atoms))[: len(atoms)]
    return copy


def mapped(text: dict[str, str], source: str, target: str) -> Any:
    return resolve_element_map(text, source=source.split(), target=target.split())
