"""Make the demo data: 8-atom silicon cells labeled by density-functional theory.

    apt-get install quantum-espresso quantum-espresso-data libopenblas0-pthread
    python benchmarks/demo_data.py --output configs/silicon-demo.xyz

Labels: Quantum ESPRESSO 6.7 (``pw.x``), PBE, the norm-conserving pseudopotential Si.pbe-rrkj.UPF of
Debian's quantum-espresso-data, plane waves up to 30 Ry, a 2×2×2 k mesh off Γ, Gaussian smearing of
0.01 Ry (melts have no gap).  The energy is the total energy whose derivatives the forces are; the stress
is in ASE's sign, positive under tension.  Structures: strained and rattled diamond, and frames of
molecular dynamics with the Stillinger-Weber potential from 300 K to the melt.  Frames that are labeled already are not labeled again.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.espresso import Espresso, EspressoProfile
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from ase.md.bussi import Bussi
from ase.md.velocitydistribution import thermalize_momenta
from matscipy.calculators.manybody import Manybody
from matscipy.calculators.manybody.explicit_forms import StillingerWeber
from rich.progress import track

LATTICE_CONSTANT = 5.47  # Å, PBE with this pseudopotential
PSEUDOPOTENTIALS = Path("/usr/share/espresso/pseudo")

# Stillinger and Weber, Phys. Rev. B 31, 5262 (1985)
SILICON_1985 = {
    "__ref__": "Stillinger and Weber, Phys. Rev. B 31, 5262 (1985)",
    "el": "Si", "epsilon": 2.1683, "sigma": 2.0951, "costheta0": 1 / 3, "A": 7.049556277, "B": 0.6022245584,
    "p": 4, "a": 1.80, "lambda1": 21.0, "gamma": 1.20,
}  # fmt: skip


def diamond(strain: np.ndarray | float = 0.0, rattle: float = 0.0, seed: int = 0) -> Atoms:
    """The cubic cell under a symmetric strain, with Gaussian noise on the positions (Å)."""
    atoms = bulk("Si", "diamond", a=LATTICE_CONSTANT, cubic=True)
    deformation = np.eye(3) + (strain * np.eye(3) if np.isscalar(strain) else strain)
    atoms.set_cell(atoms.cell.array @ deformation, scale_atoms=True)
    if rattle:
        atoms.rattle(rattle, seed=seed)
    return atoms


def strained() -> Iterator[Atoms]:
    """Series along one strain each, nothing else changed: volume, one axis, shear."""
    patterns = {
        "volume": np.eye(3),
        "uniaxial": np.diag([1.0, 0.0, 0.0]),
        "shear": np.array([[0.0, 0.5, 0.0], [0.5, 0.0, 0.0], [0.0, 0.0, 0.0]]),
    }
    sizes = {"volume": np.linspace(-0.04, 0.035, 14), "uniaxial": np.linspace(-0.1, 0.1, 11)}
    for name, pattern in patterns.items():
        for size in sizes.get(name, np.linspace(0.02, 0.1, 5)):
            atoms = diamond(size * pattern)
            atoms.info.update(config_type="strained", strain=f"{name} {size:+.3f}")
            yield atoms


def rattled(rng: np.random.Generator) -> Iterator[Atoms]:
    """Noise of several amplitudes, in the ideal and in randomly strained cells."""
    for number in range(40):
        atoms = diamond(0.0, rattle=(0.02, 0.05, 0.1, 0.15, 0.2)[number % 5], seed=number)
        atoms.info["config_type"] = "rattled"
        yield atoms
    for number in range(60):
        strain = rng.uniform(-0.1, 0.1, (3, 3)) * (0.3, 0.6, 1.0)[number % 3]
        strain = 0.5 * (strain + strain.T) * (0.6 + 0.4 * np.eye(3))
        atoms = diamond(strain, rattle=(0.03, 0.08, 0.14, 0.2)[number % 4], seed=1000 + number)
        atoms.info["config_type"] = "strained_rattled"
        yield atoms


def dynamics() -> Iterator[Atoms]:
    """Frames 100 fs apart at constant volume with the Stillinger-Weber potential, solid and molten."""
    runs = [(300, 0.0), (900, 0.01), (1500, 0.0), (2500, -0.01), (4000, 0.0), (4000, 0.03), (6000, -0.02)]
    for temperature, strain in runs:
        atoms = diamond(strain)
        atoms.calc = Manybody(**StillingerWeber(SILICON_1985))
        rng = np.random.default_rng(temperature)
        thermalize_momenta(atoms, temperature_K=temperature, rng=rng)
        driver = Bussi(atoms, 1.0 * units.fs, temperature_K=temperature, taut=50 * units.fs, rng=rng)
        driver.run(1500)
        for _ in range(10):
            driver.run(150)
            frame = Atoms(atoms.symbols, cell=atoms.cell, pbc=True, positions=atoms.positions)
            frame.wrap()
            frame.info.update(config_type="md", temperature=temperature)
            yield frame


def label(atoms: Atoms, *, cutoff: float = 30.0) -> Atoms:
    """Energy, forces and stress by one self-consistent calculation of ``pw.x``.

    Args:
        atoms: Silicon, periodic.
        cutoff: Of the plane waves (Ry).
    """
    folder = tempfile.mkdtemp(prefix="pw-")
    settings = {
        "control": {"calculation": "scf", "tprnfor": True, "tstress": True, "disk_io": "none"},
        "system": {"ecutwfc": cutoff, "occupations": "smearing", "smearing": "gaussian", "degauss": 0.01},
        "electrons": {"conv_thr": 1e-8, "mixing_beta": 0.5},
    }
    labeled = atoms.copy()
    labeled.calc = Espresso(
        profile=EspressoProfile(command="pw.x", pseudo_dir=PSEUDOPOTENTIALS),
        directory=folder, pseudopotentials={"Si": "Si.pbe-rrkj.UPF"}, input_data=settings,
        kpts=(2, 2, 2), koffset=(1, 1, 1),
    )  # fmt: skip
    results = {
        "energy": labeled.get_potential_energy(),
        "forces": labeled.get_forces(),
        "stress": labeled.get_stress(),
    }
    shutil.rmtree(folder)
    labeled.calc = SinglePointCalculator(labeled, **results)
    return labeled


def main() -> None:
    """Label what is not labeled yet, one frame after another."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output", type=Path, required=True, help="extended XYZ file; continued if it is there"
    )
    output = parser.parse_args().output
    frames = [*strained(), *rattled(np.random.default_rng(0)), *dynamics()]
    done = read(output, ":") if output.exists() else []
    for frame in track(frames[len(done) :], description="labeling"):
        done.append(label(frame))
        aside = output.with_suffix(".partial.xyz")
        write(aside, done, format="extxyz")
        aside.replace(output)


if __name__ == "__main__":
    main()
