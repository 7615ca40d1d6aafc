r"""Frames of the same atoms that lie close together, and what labels say of the step between two of them.

To second order in the displacements u and in the logarithmic strain ε from a to b,

.. math:: E_b - E_a = -\tfrac12 \sum_i (F_{ai} + F_{bi}) · u_i + \tfrac12 (V_a σ_a + V_b σ_b) : ε

The error is of third order: about the change of the forces along the step, ½ (F_b − F_a) · u, times the
length of the step over that on which bonds become anharmonic, and likewise for the stress.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress
from jaxtyping import Bool, Float, Int

Array = np.ndarray

BOND = 2.5  # Å: a strain ε moves neighbors by about ε times this
LARGEST_STRAIN = 0.12
LARGEST_DISPLACEMENT = 0.3  # Å, root mean square
SAME_CELL = 1e-6  # strain of cells that are the same but for rounding
_UNMOVED = 1e-4  # Å: an atom whose force does not matter
_ANHARMONIC = 0.75  # per Å: third derivative of a bond's energy over 2 times its second
_ANHARMONIC_STRAIN = 2.0  # the same of a solid, for strains
_COHERENT = 0.15  # share of the errors of all atoms that has one sign
_NEAREST = 4  # pairs that a frame enters with frames close to it


class Frame(NamedTuple):
    """What of a labeled structure is compared.

    Attributes:
        cell: Lattice vectors in rows (Å); the unit cell of a cluster is 1 Å, for no image of it is taken.
        periodic: Along which of them.
        scaled: Fractional coordinates.
        energy: Energy (eV).
        forces: Forces (eV/Å), NaN where there is no label.
        stress: Stress (eV/Å³), NaN where there is no label.
    """

    cell: Float[Array, "3 3"]
    periodic: Bool[Array, "3"]
    scaled: Float[Array, "N 3"]
    energy: float
    forces: Float[Array, "N 3"]
    stress: Float[Array, "3 3"]

    @classmethod
    def of(cls, atoms: Atoms) -> Frame:
        """Take the numbers of a structure that has an energy."""
        results = atoms.calc.results
        periodic = atoms.pbc.copy()
        cell = np.array(atoms.cell.complete()) if periodic.any() else np.eye(3)
        stress = results.get("stress", np.full(6, np.nan)) if periodic.all() else np.full(6, np.nan)
        return cls(
            cell=cell,
            periodic=periodic,
            scaled=atoms.positions @ np.linalg.inv(cell),
            energy=float(results["energy"]),
            forces=np.array(results.get("forces", np.full((len(atoms), 3), np.nan))),
            stress=voigt_6_to_full_3x3_stress(stress),
        )


class Stack(NamedTuple):
    """The same of several frames of the same atoms."""

    cell: Float[Array, "M 3 3"]
    periodic: Bool[Array, "M 3"]
    scaled: Float[Array, "M N 3"]
    energy: Float[Array, "M"]
    forces: Float[Array, "M N 3"]
    stress: Float[Array, "M 3 3"]

    @classmethod
    def of(cls, frames: list[Frame]) -> Stack:
        """One array a quantity."""
        return cls(*(np.array(column) for column in zip(*frames, strict=True)))

    def rows(self, chosen: Int[Array, "P"] | slice) -> Stack:
        """Some of the frames."""
        return Stack(*(column[chosen] for column in self))


class Steps(NamedTuple):
    """Columns over steps P between two frames.

    Attributes:
        gain: Difference of the energies (eV).
        push: Work against the forces, −½ Σ (F_a + F_b) · u (eV); NaN where an atom without force moved.
        push_error: Third-order error to be expected of it (eV).
        work: Work of the stress, ½ (V_a σ_a + V_b σ_b) : ε (eV), NaN without labels.
        work_error: Third-order error to be expected of it (eV).
        shear_work: What of it comes from the entries off the diagonal (eV).
        dilation: ½ (V_a + V_b) tr ε, the work of a unit isotropic stress (Å³).
        log_volume: tr ε, the change of the logarithm of the volume.
        num_atoms: Number of atoms.
        stretch: Sum of the squares of ε.
        strain: Largest principal strain.
        displacement: Root mean square of u (Å).
    """

    gain: Float[Array, "P"]
    push: Float[Array, "P"]
    push_error: Float[Array, "P"]
    work: Float[Array, "P"]
    work_error: Float[Array, "P"]
    shear_work: Float[Array, "P"]
    dilation: Float[Array, "P"]
    log_volume: Float[Array, "P"]
    num_atoms: Float[Array, "P"]
    stretch: Float[Array, "P"]
    strain: Float[Array, "P"]
    displacement: Float[Array, "P"]

    @property
    def distance(self) -> Float[Array, "P"]:
        """How far atoms move against their neighbors, roughly (Å)."""
        return self.displacement + BOND * self.strain

    def rows(self, chosen: Bool[Array, "P"]) -> Steps:
        """Some of the steps."""
        return Steps(*(column[chosen] for column in self))


def joined(parts: list[Steps]) -> Steps:
    """Steps one after another."""
    return Steps(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def steps(a: Stack, b: Stack) -> Steps:
    """What the labels say of the steps from each frame of ``a`` to the one of ``b`` at the same place."""
    strain, turned = log_strain(np.linalg.inv(a.cell) @ b.cell)
    first = np.abs(np.linalg.det(a.cell))[:, None, None] * a.stress
    second = np.abs(np.linalg.det(b.cell))[:, None, None] * (turned @ b.stress @ turned.transpose(0, 2, 1))
    volume = 0.5 * (np.abs(np.linalg.det(a.cell)) + np.abs(np.linalg.det(b.cell)))
    mean, size = 0.5 * (first + second), np.abs(np.linalg.eigvalsh(strain)).max(axis=1)
    work = np.einsum("mij,mij->m", mean, strain)
    bend = 0.5 * np.abs(np.einsum("mij,mij->m", second - first, strain))

    moved = _moved(a, b)
    u = moved @ a.cell
    # Each force in the frame of its own cell, for cells may be turned.
    before = np.einsum("mix,mix->mi", a.forces, u)
    after = np.einsum("mix,mix->mi", b.forces, moved @ b.cell)
    still = np.abs(u).max(axis=2) < _UNMOVED
    push, change = (np.where(still & np.isnan(sums), 0.0, sums) for sums in (before + after, after - before))
    lengths = np.sqrt(np.square(u).sum(axis=2).mean(axis=1))
    scatter = np.sqrt(np.square(change).sum(axis=1)) + _COHERENT * np.abs(change.sum(axis=1))
    return Steps(
        gain=b.energy - a.energy,
        push=-0.5 * push.sum(axis=1),
        push_error=0.5 * _ANHARMONIC * lengths * scatter,
        work=work,
        work_error=_ANHARMONIC_STRAIN * size * bend,
        shear_work=work - np.einsum("mii,mii->m", mean, strain),
        dilation=volume * np.trace(strain, axis1=1, axis2=2),
        log_volume=np.trace(strain, axis1=1, axis2=2),
        num_atoms=np.full(len(size), float(a.scaled.shape[1])),
        stretch=np.square(strain).sum(axis=(1, 2)),
        strain=size,
        displacement=lengths,
    )


def near_pairs(frames: Stack, *, smallest_strain: float = 0.0) -> tuple[Int[Array, "P"], Int[Array, "P"]]:
    """Pairs in which one frame is among the nearest of the other, and no farther than can be compared.

    Args:
        frames: All frames.
        smallest_strain: Strain below which pairs do not count; if it is positive, displacements must not be
            large beside the strain, either.
    """
    count = len(frames.energy)
    distance = np.full((count, count), np.inf)
    for row in range(count - 1):
        a, b = frames.rows(slice(row, row + 1)), frames.rows(slice(row + 1, None))
        strain, _ = log_strain(np.linalg.inv(a.cell) @ b.cell)
        size = np.abs(np.linalg.eigvalsh(strain)).max(axis=1)
        moved = np.sqrt(np.square(_moved(a, b) @ a.cell).sum(axis=2).mean(axis=1))
        fits = (size < LARGEST_STRAIN) & (moved < LARGEST_DISPLACEMENT)
        if smallest_strain:
            fits &= (size > smallest_strain) & (moved < 2 * BOND * size)
        distance[row, row + 1 :] = np.where(fits, moved + BOND * size, np.inf)
    distance = np.minimum(distance, distance.T)
    near = np.sort(distance, axis=1)[:, :_NEAREST][:, -1:] if count else distance
    first, second = np.nonzero(np.triu((distance <= np.maximum(near, near.T)) & np.isfinite(distance), k=1))
    return first, second


def log_strain(gradient: Float[Array, "M 3 3"]) -> tuple[Float[Array, "M 3 3"], Float[Array, "M 3 3"]]:
    """Logarithm of U and R of the polar decomposition r' = r U R of a deformation of row vectors."""
    squares, axes = np.linalg.eigh(gradient @ gradient.transpose(0, 2, 1))
    back = axes.transpose(0, 2, 1)
    logarithm = (axes * (0.5 * np.log(squares))[:, None, :]) @ back
    return logarithm, (axes * squares[:, None, :] ** -0.5) @ back @ gradient


def _moved(a: Stack, b: Stack) -> Float[Array, "M N 3"]:
    """Displacements in fractional coordinates, each to the nearest image, without a common shift."""
    moved = b.scaled - a.scaled
    moved -= moved[:, :1]  # a common shift first, lest images of some atoms are taken and of some not
    moved -= np.where(b.periodic[:, None, :], np.rint(moved), 0.0)
    return moved - moved.mean(axis=1, keepdims=True)
