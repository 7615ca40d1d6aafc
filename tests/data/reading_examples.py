"""What tests of reading share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms

from gnnpot.data.keys import LabelKeys
from gnnpot.data.reading import (
    read_frames,
)


def write(path: Path, *comments: str, forces: str = "", columns: str = "") -> Path:
    """Frames of two atoms in a box of 120 Å³ with these comment lines."""
    rows = [f"{symbol} {x} 0 0 {forces}" for symbol, x in (("Si", 0.0), ("O", 1.6))]
    head = f'Lattice="4 0 0 0 5 0 0 0 6" Properties=species:S:1:pos:R:3{columns}'
    path.write_text("".join(f"2\n{head} {comment}\n" + "\n".join(rows) + "\n" for comment in comments))
    return path


def read_one(path: Path, **keys: str) -> Atoms:
    (atoms,) = read_frames([path], LabelKeys.model_validate(keys))
    return atoms


def words(values: np.ndarray) -> str:
    return " ".join(repr(float(value)) for value in np.ravel(values))
