"""Composition of batches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import Sampler


class EpochBatches(Sampler[list[int]]):
    """Batches that depend on seed and epoch alone, so that a resumed run sees the same batches.

    All structures come ``repeats`` times an epoch, in batches whose sizes differ by at most one.  With
    several processes each takes every ``world_size``-th structure of each batch: together they make the
    same steps as one process.

    Args:
        size: Number of structures.
        batch_size: Largest batch, over all processes together.
        seed: Seed of the order; None keeps the order of the structures.
        repeats: Times that each structure comes in an epoch.
        rank: Number of this process.
        world_size: Number of processes; no more than structures in the smallest batch.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        *,
        seed: int | None,
        repeats: int = 1,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.size = size
        self.repeats = repeats
        items = size * repeats
        self.num_batches = max(1, min(-(-items // batch_size), items // world_size))
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0

    @property
    def sampler(self) -> EpochBatches:
        """The object itself, as Lightning announces the epoch to the sampler inside a batch sampler."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of this epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.num_batches

    def __iter__(self) -> Iterator[list[int]]:
        items = self.size * self.repeats
        order = torch.arange(items)
        if self.seed is not None:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
            order = torch.randperm(items, generator=generator)
        for batch in np.array_split(order.numpy() % self.size, self.num_batches):
            yield batch[self.rank :: self.world_size].tolist()
