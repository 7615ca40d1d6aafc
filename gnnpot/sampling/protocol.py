"""What a sampler is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
from ase import Atoms


class Sampler(Protocol):
    """Makes structures from structures.

    Each frame's ``info`` tells where it comes from: ``sampler``, ``seed`` (place of its seed structure),
    and what else made it, such as ``run``, ``step`` and ``temperature``.
    """

    def __call__(self, seeds: Iterable[Atoms], rng: np.random.Generator) -> Iterator[Atoms]:
        """Frames, one after another."""
