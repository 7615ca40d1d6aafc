"""The few training structures on which the start of a transfer is judged and its scales are fitted."""

from __future__ import annotations

import numpy as np
import torch
from ase import Atoms

from gnnpot.data.dataset import GraphDataset
from gnnpot.data.store import GraphStore
from gnnpot.errors import DataError


class FitStructures:
    """Some structures of a store, evenly spread, and their graphs up to any cutoff.

    Args:
        store: Graphs of the training structures.
        size: Number of structures.

    Raises:
        DataError: The store has isolated atoms alone, or nothing.
    """

    def __init__(self, store: GraphStore, size: int) -> None:
        rows = store.structure_rows()
        if not rows:
            raise DataError("expected structures for training, got none; check the files")
        stride = 1
        while len(rows[::stride]) > 2 * size:
            stride *= 2
        places = np.linspace(0, len(rows[::stride]) - 1, min(size, len(rows))).round().astype(int)
        chosen = [rows[::stride][place] for place in places]
        self._graphs = {store.cutoff: GraphDataset(store, chosen, dtype=torch.float64)}
        self.frames: list[Atoms] = list(self._graphs[store.cutoff].frames())

    def graphs(self, cutoff: float) -> GraphDataset:
        """Their graphs with edges up to ``cutoff`` (Å), in float64."""
        if cutoff not in self._graphs:
            store = GraphStore.in_memory(self.frames, cutoff)
            self._graphs[cutoff] = GraphDataset(store, range(len(store)), dtype=torch.float64)
        return self._graphs[cutoff]
