"""Forces of many copies of one structure, computed as one batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from gnnpot.calculator.prediction import PredictingCalculator
from gnnpot.potential.committee import Committee
from gnnpot.potential.last_layer import LastLayerUncertainty
from gnnpot.potential.potential import Potential


class ReplicaCalculator(PredictingCalculator):
    """Energies and forces of several copies of a structure that share a cell and do not see each other.

    The atoms are those of the copies, one copy after another.  ``energy`` is the sum over all, ``energies``
    are those of the atoms; there is no stress.  Made by
    :meth:`~gnnpot.calculator.calculator.GNNPotCalculator.replicas`.

    Args:
        potential: Potential or committee, which the calculator does not copy.
        copies: Number of copies.
        skin: How much longer than the cutoff the edges of the neighbor list are (Å).
        device: Device of the potential.
    """

    name = "gnnpot replicas"
    implemented_properties = ["energy", "free_energy", "energies", "forces"]  # noqa: RUF012

    def __init__(
        self,
        potential: Potential | Committee | LastLayerUncertainty,
        copies: int,
        *,
        skin: float,
        device: torch.device,
    ) -> None:
        super().__init__(potential, potential, skin=skin, device=device, copies=copies)

    @torch.inference_mode(False)
    def computed(self) -> dict[str, Any]:
        """Energies and forces of all copies.

        Raises:
            DataError: An element that the potential was not made for, two atoms on one spot, positions
                that are not finite, or a periodic cell without a volume.
        """
        prediction = self.predicted()
        energy = prediction.energy.item()
        return {
            "energy": energy,
            "free_energy": energy,
            "energies": np.array(prediction.atomic_energies.cpu().numpy(), dtype=np.float64),
            "forces": np.array(prediction.forces.cpu().numpy(), dtype=np.float64),
        }
