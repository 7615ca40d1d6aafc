"""Make the demo data: 8-atom silicon cells labeled by density-functional theory.

    apt-get install quantum-espresso quantum-espresso-data libopenblas0-pthread
    OMP_NUM_THREADS=1 python benchmarks/demo_data.py --output configs/silicon-demo.xyz

Labels: Quantum ESPRESSO 6.7 (``pw.x``, Debian 6.7-2), PBE, the norm-conserving pseudopotential
Si.pbe-rrkj.UPF of Debian's quantum-espresso-data, plane waves up to 30 Ry, a shifted 2×2×2 k mesh,
Gaussian smearing of 0.01 Ry for every frame (melts have no gap).  Computed in November 2026; the data
have the license of the project.  The energy is the total energy F whose derivatives the forces are; the
stress is in ASE's sign, positive under tension.

Measured: the mean stress is within 0.3 kbar of dE/dV from -14 to +16 % of volume; four forces, two of
them of melts, are within 0.5 meV/Å of central differences of the energy (±0.01 Å); 50 Ry changes forces by
0.4 meV/Å and stress by 0.1 kbar.  The k mesh is coarse: a 4×4×4 mesh changes rattled diamond by 2 meV/atom
and 0.05 eV/Å (one frame), melts by 26 and 170 meV/atom and 0.23 and 0.34 eV/Å (two frames).  So the labels
are consistent derivatives of one energy, but no reference for the physics of liquid silicon.

A few seconds a frame.  Frames that are labeled already are not labeled again.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.espresso import Espresso, EspressoProfile
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta
from matscipy.calculators.manybody import Manybody
from matscipy.calculators.manybody.explicit_forms import StillingerWeber
from matscipy.neighbours import neighbour_list
from rich.progress import track

LATTICE_CONSTANT = 5.47  # Å, PBE with this pseudopotential
SHORTEST_PAIR = 1.9  # Å; the bond is 2.37 Å
PSEUDOPOTENTIALS = Path("/usr/share/espresso/pseudo")
SOURCE = "QE 6.7 PBE"

# Stillinger and Weber, Phys. Rev. B 31, 5262 (1985)
SILICON_1985 = {
    "__ref__": "Stillinger and Weber, Phys. Rev. B 31, 5262 (1985)",
    "el": "Si", "epsilon": 2.1683, "sigma": 2.0951, "costheta0": 1 / 3, "A": 7.049556277, "B": 0.6022245584,
    "p": 4, "a": 1.80, "lambda1": 21.0, "gamma": 1.20,
}  # fmt: skip


def diamond(strain: np.ndarray) -> Atoms:
    """The cubic cell under the symmetric ``strain`` (3, 3)."""
    atoms = bulk("Si", "diamond", a=LATTICE_CONSTANT, cubic=True)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return atoms


def shortest_pair(atoms: Atoms) -> float:
    """Smallest distance between two atoms, images among them (Å)."""
    return float(neighbour_list("d", atoms, cutoff=4.0).min())


def strained() -> Iterator[Atoms]:
    """Series along one strain each, nothing else changed: all axes, one axis, engineering shear."""
    shear = np.array([[0.0, 0.5, 0.0], [0.5, 0.0, 0.0], [0.0, 0.0, 0.0]])
    series = {
        "volume": (np.eye(3), np.linspace(-0.05, 0.05, 15)),
        "uniaxial": (np.diag([1.0, 0.0, 0.0]), np.linspace(-0.1, 0.1, 10)),
        "shear": (shear, np.linspace(0.02, 0.1, 5)),
    }
    for name, (pattern, sizes) in series.items():
        for size in sizes:
            atoms = diamond(size * pattern)
            atoms.info.update(config_type="strained", strain=f"{name} {size:+.4f}")
            yield atoms


def rattled(rng: np.random.Generator) -> Iterator[Atoms]:
    """Noise of several amplitudes on the positions of the ideal cell."""
    for number in range(40):
        amplitude = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25)[number % 6]
        yield _apart(rng, largest_strain=0.0, amplitude=amplitude, config_type="rattled")


def strained_rattled(rng: np.random.Generator) -> Iterator[Atoms]:
    """Noise on the positions under random symmetric strains."""
    for number in range(60):
        strain, amplitude = (0.03, 0.06, 0.1)[number % 3], (0.03, 0.08, 0.14, 0.2)[number % 4]
        yield _apart(rng, largest_strain=strain, amplitude=amplitude, config_type="strained_rattled")


def _apart(rng: np.random.Generator, *, largest_strain: float, amplitude: float, config_type: str) -> Atoms:
    """The first random cell in which no two atoms are closer than ``SHORTEST_PAIR``."""
    while True:
        noise = rng.uniform(-largest_strain, largest_strain, (3, 3))
        atoms = diamond(np.tril(noise) / 2 + np.tril(noise).T / 2)  # off the diagonal, half the strain
        atoms.positions += rng.normal(0.0, amplitude, (len(atoms), 3))
        atoms.info["config_type"] = config_type
        if shortest_pair(atoms) > SHORTEST_PAIR:
            return atoms


def dynamics() -> Iterator[Atoms]:
    """Frames 200 fs apart at constant volume with the Stillinger-Weber potential, solid and molten.

    Langevin friction acts on every mode.  Velocity rescaling would leave the drift of the whole cell alone,
    and in 8 atoms that drift takes the heat away from the vibrations.
    """
    solid = [(300, 300, 0.0), (1200, 1200, 0.01), (2500, 2500, 0.0)]
    molten = [(8000, 4000, 0.0), (8000, 4000, 0.03), (8000, 2500, -0.02), (8000, 2500, 0.01)]
    for number, (start, temperature, strain) in enumerate(solid + molten):
        rng = np.random.default_rng(number)
        atoms = diamond(strain * np.eye(3))
        atoms.calc = Manybody(**StillingerWeber(SILICON_1985))
        thermalize_momenta(atoms, temperature_K=start, rng=rng)
        driver = Langevin(
            atoms, units.fs, temperature_K=start, friction=0.02 / units.fs, fixcm=False, rng=rng
        )
        driver.run(1000)
        driver.set_temperature(temperature_K=temperature)
        driver.run(500)
        yield from _snapshots(atoms, driver, temperature)


def _snapshots(atoms: Atoms, driver: Langevin, temperature: int) -> Iterator[Atoms]:
    """Ten frames of a run that have no pair closer than ``SHORTEST_PAIR``."""
    taken = 0
    while taken < 10:
        driver.run(200)
        if shortest_pair(atoms) > SHORTEST_PAIR:
            frame = Atoms(atoms.symbols, cell=atoms.cell, pbc=True, positions=atoms.positions)
            frame.wrap()
            frame.info.update(config_type="md", temperature=temperature)
            taken += 1
            yield frame


def label(atoms: Atoms) -> SinglePointCalculator:
    """Energy, forces and stress of ``atoms`` by one self-consistent calculation of ``pw.x``."""
    settings = {
        "control": {"calculation": "scf", "tprnfor": True, "tstress": True, "disk_io": "none"},
        "system": {"ecutwfc": 30.0, "occupations": "smearing", "smearing": "gaussian", "degauss": 0.01},
        "electrons": {"conv_thr": 1e-8, "mixing_beta": 0.5},
    }
    reference = atoms.copy()
    with tempfile.TemporaryDirectory(prefix="pw-") as folder:
        reference.calc = Espresso(
            profile=EspressoProfile(command="pw.x", pseudo_dir=PSEUDOPOTENTIALS),
            directory=folder, pseudopotentials={"Si": "Si.pbe-rrkj.UPF"}, input_data=settings,
            kpts=(2, 2, 2), koffset=(1, 1, 1),
        )  # fmt: skip
        energy, forces = reference.get_potential_energy(), reference.get_forces()
        return SinglePointCalculator(atoms, energy=energy, forces=forces, stress=reference.get_stress())


def take_over(frames: list[Atoms], earlier: list[Atoms]) -> None:
    """Give ``frames`` the labels of the same structures, to the digits that a file keeps, in ``earlier``."""
    for frame in frames:
        for other in earlier:
            if np.allclose(other.cell, frame.cell, atol=1e-6) and np.allclose(
                other.positions, frame.positions, atol=1e-6
            ):
                frame.calc = SinglePointCalculator(frame, **other.calc.results)


def keep(frames: list[Atoms], output: Path) -> None:
    """Write aside, then rename: a kill leaves the old file or the new one."""
    aside = output.with_suffix(".partial.xyz")
    write(aside, frames, format="extxyz")
    aside.write_text(re.sub(" +", " ", aside.read_text()))  # padding is a quarter of the file
    aside.replace(output)


def main() -> None:
    """Label what is not labeled yet, one frame after another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="extended XYZ, continued if it is there")
    output = parser.parse_args().output
    rng = np.random.default_rng(0)
    kinds = chain(strained(), rattled(rng), strained_rattled(rng), dynamics())
    frames = list(track(kinds, description="structures", total=200))
    for frame in frames:
        frame.info["source"] = SOURCE
    take_over(frames, read(output, ":") if output.exists() else [])
    missing = [frame for frame in frames if frame.calc is None]
    for number, frame in enumerate(missing, start=1):
        frame.calc = label(frame)
        keep([f for f in frames if f.calc is not None], output)
        kind, energy = frame.info["config_type"], frame.get_potential_energy()
        print(f"labeled {number} of {len(missing)}: {kind}, {energy:.3f} eV", flush=True)


if __name__ == "__main__":
    main()
