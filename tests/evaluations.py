"""Predictions that tests of pages share."""

from __future__ import annotations

import numpy as np

from gnnpot.evaluation.evaluation import Evaluation


def random_evaluation(num_structures: int, num_atoms: int, groups: int = 2) -> Evaluation:
    """Structures of equal size, half of it oxygen, with predictions off by 0.01 in all units."""
    rng = np.random.default_rng(0)
    total = num_structures * num_atoms

    def pair(*shape: int) -> np.ndarray:
        label = rng.normal(size=shape)
        return np.stack([label, label + 0.01 * rng.normal(size=shape)])

    return Evaluation(
        origins=tuple(f"a.xyz:{row}" for row in range(num_structures)),
        groups=tuple(f"group {row % groups}" for row in range(num_structures)),
        sizes=np.full(num_structures, num_atoms),
        energy=pair(num_structures),
        stress=pair(num_structures, 3, 3),
        atomic_numbers=np.resize([8, 14], total),
        forces=pair(total, 3),
    )
