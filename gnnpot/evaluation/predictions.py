"""Predictions beside labels, structure by structure, as extended XYZ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io.extxyz import write_extxyz
from ase.stress import full_3x3_to_voigt_6_stress

from gnnpot.data.reading import is_isolated_atom
from gnnpot.data.structure import bare_structure
from gnnpot.evaluation.evaluation import Evaluation
from gnnpot.system.files import atomic_write

PREDICTIONS_FILE = "predictions.xyz"


def keeping(frames: Iterable[Atoms], kept: list[Atoms] | None) -> Iterator[Atoms]:
    """Yield the structures, and add those that are judged, which isolated atoms are not, to ``kept``."""
    for atoms in frames:
        if kept is not None and not is_isolated_atom(atoms):
            kept.append(atoms)
        yield atoms


def write_predictions(path: Path, frames: Iterable[Atoms], evaluation: Evaluation) -> None:
    """Write each structure with its labels and predictions side by side.

    Labels are under ``REF_energy`` (eV), ``REF_forces`` (eV/Å) and ``REF_stress`` (eV/Å³, Voigt order),
    predictions under ``gnnpot_energy``, ``gnnpot_forces`` and ``gnnpot_stress``; forces that do not count are
    NaN, and labels that are not there are left out.

    Args:
        path: File to write.
        frames: The structures that were evaluated, in their order, without isolated atoms.
        evaluation: Their labels and predictions.

    Raises:
        OutputError: The file cannot be written.
    """
    ends = np.cumsum(evaluation.sizes)
    with atomic_write(path) as aside, aside.open("w") as file:
        for row, atoms in enumerate(frames):
            write_extxyz(file, [_beside(atoms, evaluation, row, int(ends[row]))])


def _beside(atoms: Atoms, evaluation: Evaluation, row: int, end: int) -> Atoms:
    size = int(evaluation.sizes[row])
    structure = bare_structure(atoms)
    structure.info = {"origin": evaluation.origins[row]}
    if evaluation.groups[row]:
        structure.info["group"] = evaluation.groups[row]
    for name, values in (
        ("energy", evaluation.energy[:, row] * size),
        ("forces", evaluation.forces[:, end - size : end]),
        ("stress", evaluation.stress[:, row]),
    ):
        for prefix, value in zip(("REF", "gnnpot"), values, strict=True):
            if np.isnan(value).all():
                continue
            if name == "forces":
                structure.set_array(f"{prefix}_forces", np.array(value))
            elif name == "stress":
                structure.info[f"{prefix}_stress"] = full_3x3_to_voigt_6_stress(value)
            else:
                structure.info[f"{prefix}_energy"] = float(value)
    return structure
