"""Small potentials that tests share."""

from __future__ import annotations

import torch

from gnnpot.models import MODELS
from gnnpot.potential import Potential
from gnnpot.repulsion import ZBLRepulsion

SMALL = {
    "ani": {"hidden": (8, 8)},
    "dimenet++": {
        "channels": 8,
        "interaction_channels": 4,
        "output_channels": 8,
        "num_blocks": 1,
        "num_spherical": 3,
        "num_radial": 3,
    },
    "nequip": {"channels": 4, "num_interactions": 2, "radial_hidden": (8,), "num_neighbors": 20.0},
    "schnet": {"channels": 16, "num_filters": 16, "num_basis": 12, "num_interactions": 2},
}
# eV; forces of some eV/Å on rattled silicon
SCALE = {"ani": 50.0, "dimenet++": 1.0, "nequip": 10.0, "schnet": 100.0}


def small_potential(
    kind: str = "schnet",
    *,
    elements: tuple[str, ...] = ("Si",),
    cutoff: float = 4.0,
    seed: int = 1,
    dtype: torch.dtype = torch.float64,
) -> Potential:
    """A potential with random weights, all of them at work."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = MODELS[kind](MODELS[kind].Config(cutoff=cutoff, elements=elements, **SMALL[kind]))
        with torch.no_grad():
            for parameter in model.parameters():
                if not parameter.any():
                    parameter.normal_(std=0.3)
    references = {symbol: -100.0 - 0.1 * place for place, symbol in enumerate(elements)}
    return Potential(model.to(dtype), references, scale=SCALE[kind], repulsion=ZBLRepulsion())
