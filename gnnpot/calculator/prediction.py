"""What calculators of a potential share: lasting neighbor lists, recorded steps, weights that may change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import all_changes

from gnnpot.calculator.base import WholeCalculator
from gnnpot.calculator.recording import Replay
from gnnpot.graph.graph import AtomicGraph
from gnnpot.graph.verlet_list import SkinList
from gnnpot.nn.weight_state import WeightState
from gnnpot.potential.committee import Committee
from gnnpot.potential.last_layer import LastLayerUncertainty
from gnnpot.potential.potential import Potential


class PredictingCalculator(WholeCalculator):
    """A calculator that asks a potential, which it does not copy.

    Args:
        potential: Potential or committee.
        function: What it is asked.
        skin: How much longer than the cutoff the edges of the neighbor list are (Å).
        device: Device of the potential.
        copies: Copies of one structure that the atoms are, which do not see each other.
    """

    ignored_changes = {"initial_charges", "initial_magmoms"}  # noqa: RUF012

    def __init__(
        self,
        potential: Potential | Committee | LastLayerUncertainty,
        function: Callable[[AtomicGraph], Any],
        *,
        skin: float,
        device: torch.device,
        copies: int = 1,
    ) -> None:
        super().__init__()
        self.potential, self.device = potential, device
        self._checked = np.empty(0, dtype=int)
        few, dtype = potential.few_pairs, potential.dtype
        self._neighbors = SkinList(potential.cutoff, skin, dtype=dtype, device=device, few=few, copies=copies)
        self._predict = Replay(function)
        self._further: dict[str, Replay] = {}  # what else is asked of it, after the prediction
        self._weights = WeightState(potential)

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """What has changed since the last results: of the atoms, or all where the potential has."""
        changes: list[str] = super().check_state(atoms, tol)
        return changes or ([] if self._weights.is_same() else list(all_changes))

    def predicted(self) -> Any:
        """What the function says of ``self.atoms``.

        Raises:
            DataError: An element that the potential was not made for, two atoms on one spot, positions
                that are not finite, or a periodic cell without a volume.
        """
        if not np.array_equal(self.atoms.numbers, self._checked):
            self.potential.check_elements(torch.as_tensor(self.atoms.numbers))
            self._checked = self.atoms.numbers.copy()
        return self._said_by(self._predict)

    def _said_by(self, replay: Replay) -> Any:
        if not self._weights.is_same():
            for one in (self._predict, *self._further.values()):
                one.forget()
            self._weights.look()
        with torch.no_grad():
            return replay(self._neighbors.graph(self.atoms))
