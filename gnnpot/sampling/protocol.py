"""Interface of samplers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
from ase import Atoms


class Sampler(Protocol):
    """Callable that makes new structures from seed structures.

    Each frame's ``info`` records its origin: ``sampler``, ``seed`` (index of its seed structure), and, where
    they apply, ``run``, ``step`` and ``temperature``.
    """

    def __call__(self, seeds: Iterable[Atoms], rng: np.random.Generator) -> Iterator[Atoms]:
        """Yield frames one by one."""
