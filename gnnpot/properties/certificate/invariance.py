"""Turned, renumbered, repeated and distant structures: what must not change does not."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from gnnpot.properties.calculation import explained, placed
from gnnpot.properties.certificate.checks import Bounds, Check, judged, not_applicable
from gnnpot.units import meV

Array = np.ndarray

ROTATION, PERMUTATION = "rotation", "permutation"
EXTENSIVITY, LOCALITY = "extensivity", "locality"
_FORCES, _ENERGY = Bounds(0.1, 5.0), Bounds(0.01, 1.0)  # meV/Å, meV/atom
_FAR = 30.0  # Å between fragments


def rotation_check(calculator: Calculator, atoms: Atoms) -> Check:
    """Turn the structure: its forces turn with it."""
    turn = Rotation.from_rotvec([0.7, -1.1, 0.4]).as_matrix()
    turned = Atoms(atoms.numbers, atoms.positions @ turn, cell=atoms.cell.array @ turn, pbc=atoms.pbc)
    difference = _forces(calculator, turned) - _forces(calculator, atoms) @ turn
    return judged(
        ROTATION,
        _largest(difference),
        "meV/Å",
        "largest change of a force when the structure is turned",
        bounds=_FORCES,
    )


def permutation_check(calculator: Calculator, atoms: Atoms) -> Check:
    """Renumber the atoms: each keeps its force."""
    order = np.random.default_rng(0).permutation(len(atoms))
    difference = _forces(calculator, atoms[order]) - _forces(calculator, atoms)[order]
    return judged(
        PERMUTATION,
        _largest(difference),
        "meV/Å",
        "largest change of a force when atoms are renumbered",
        bounds=_FORCES,
    )


def extensivity_check(calculator: Calculator, atoms: Atoms) -> Check:
    """Repeat the structure along a periodic direction: the energy per atom stays."""
    if not atoms.pbc.any():
        return not_applicable(EXTENSIVITY, "the structure has no periodic direction")
    repeats = np.where(np.arange(3) == int(atoms.pbc.argmax()), 2, 1)
    one, two = (_energy(calculator, cell) / len(cell) for cell in (atoms, atoms.repeat(repeats.tolist())))
    return judged(
        EXTENSIVITY,
        abs(two - one) / meV,
        "meV/atom",
        "change of the energy per atom when the cell is doubled",
        bounds=_ENERGY,
    )


def locality_check(calculator: Calculator, atoms: Atoms) -> Check:
    """Two clusters far apart: their energies add up."""
    cluster = _cluster(atoms)
    pair = cluster.copy()
    other = cluster.copy()
    other.positions += [_FAR, 0.0, 0.0]
    pair += other
    for one in (cluster, pair):
        _box(one)
    excess = _energy(calculator, pair) - 2 * _energy(calculator, cluster)
    return judged(
        LOCALITY,
        abs(excess) / len(pair) / meV,
        "meV/atom",
        f"energy of two clusters {_FAR:g} Å apart beyond that of each alone",
        bounds=_ENERGY,
    )


def _cluster(atoms: Atoms) -> Atoms:
    """Some atoms without cell."""
    few = Atoms(atoms.numbers, atoms.positions)
    center = few.positions.mean(axis=0)
    nearest = np.argsort(np.linalg.norm(few.positions - center, axis=1), kind="stable")[:8]
    return few[np.sort(nearest)]


def _box(atoms: Atoms) -> None:
    """A periodic box in which images are as far as fragments; some methods need a cell."""
    atoms.center(vacuum=_FAR / 2)
    atoms.pbc = True


def _forces(calculator: Calculator, atoms: Atoms) -> Float[Array, "N 3"]:
    with explained("the forces", atoms):
        return placed(calculator, atoms).get_forces()


def _energy(calculator: Calculator, atoms: Atoms) -> float:
    with explained("the energy", atoms):
        return float(placed(calculator, atoms).get_potential_energy())


def _largest(differences: Float[Array, "N 3"]) -> float:
    return float(np.linalg.norm(differences, axis=1).max()) / meV
