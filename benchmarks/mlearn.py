"""Convert a clone of https://github.com/materialsvirtuallab/mlearn to extended XYZ files.

    git clone --depth 1 https://github.com/materialsvirtuallab/mlearn
    python benchmarks/mlearn.py mlearn --elements Si Ge

writes ``mlearn_Si_train.xyz``, ``mlearn_Si_test.xyz``, … to the present folder, where the configurations
beside this file look for them.  Labels are those of Zuo et al., J. Phys. Chem. A 124, 731 (2020), in eV, eV/Å
and eV/Å³.  ``virial_stress`` is in kbar, positive under pressure; the order of its shear components differs
between sets and groups, as forces and energies tell, and that of slabs is not known: they have weight 0.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

KBAR = 1 / 1602.176634  # eV/Å³
ELEMENTS = ("Li", "Mo", "Ni", "Cu", "Si", "Ge")
_XY_YZ_XZ, _XY_XZ_YZ = ((0, 1), (1, 2), (0, 2)), ((0, 1), (0, 2), (1, 2))


def shear_order(element: str, group: str, part: str) -> tuple[tuple[int, int], ...]:
    """Places in the tensor of the last three components of ``virial_stress``."""
    if element == "Li" or (element in ("Si", "Ge") and group == "Elastic"):
        return _XY_YZ_XZ
    if element == "Ni" and part == "training":
        return _XY_YZ_XZ
    return _XY_XZ_YZ


def stress_tensor(values: list[float], order: tuple[tuple[int, int], ...]) -> np.ndarray:
    """The stress as ASE has it (eV/Å³), positive under tension."""
    tensor = np.diag(values[:3]).astype(float)
    for (row, column), value in zip(order, values[3:], strict=True):
        tensor[row, column] = tensor[column, row] = value
    return -KBAR * tensor


def structures(entries: list[dict[str, Any]], element: str, part: str) -> Iterator[Atoms]:
    """Labeled structures of one file of the repository."""
    for entry in entries:
        sites = entry["structure"]["sites"]
        atoms = Atoms(
            [site["species"][0]["element"] for site in sites],
            [site["xyz"] for site in sites],
            cell=entry["structure"]["lattice"]["matrix"],
            pbc=True,
        )
        outputs, group = entry["outputs"], entry["group"]
        tensor = stress_tensor(outputs["virial_stress"], shear_order(element, group, part))
        atoms.info = {"group": group, "description": entry["description"]}
        if group == "Surface":
            atoms.info["config_stress_weight"] = 0.0
        voigt = tensor[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        atoms.calc = SinglePointCalculator(
            atoms, energy=outputs["energy"], forces=np.array(outputs["forces"]), stress=voigt
        )
        yield atoms


def main() -> None:
    """Convert the elements that are named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clone", type=Path, help="folder of the clone")
    parser.add_argument("--elements", nargs="+", default=ELEMENTS, choices=ELEMENTS)
    words = parser.parse_args()
    for element in words.elements:
        for part, name in (("training", "train"), ("test", "test")):
            entries = json.loads((words.clone / "data" / element / f"{part}.json").read_text())
            frames = list(structures(entries, element, part))
            write(f"mlearn_{element}_{name}.xyz", frames)
            print(f"mlearn_{element}_{name}.xyz: {len(frames)} structures")


if __name__ == "__main__":
    main()
