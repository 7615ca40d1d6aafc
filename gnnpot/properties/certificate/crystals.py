"""A crystal under pressure and at rest: one minimum, no wiggles, symmetry kept, bound against its atoms."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from jaxtyping import Float

from gnnpot.properties.calculation import explained, placed
from gnnpot.properties.certificate.checks import Bounds, Check, Curve, judged
from gnnpot.properties.certificate.dimers import isolated_energies
from gnnpot.properties.equation_of_state import energies_at
from gnnpot.properties.relaxation import RelaxationConfig, relax
from gnnpot.properties.symmetry import space_group

Array = np.ndarray

EXTREMA, WIGGLES = "one minimum of the volume", "no wiggles of the pressure"
SYMMETRY, COHESION = "symmetry kept", "isolated atoms"
_VOLUMES = np.linspace(0.7, 1.3, 61)  # over that at rest
_NOISE = 1e-3  # of the largest curvature: less is rounding
_STRONGEST = 12.0  # eV/atom, more than any element binds


def compression(calculator: Calculator, atoms: Atoms) -> Curve:
    """Energy per atom (eV) from 0.7 to 1.3 of the volume at rest.

    Raises:
        PropertyError: An energy is not finite.
    """
    energies = energies_at(calculator, atoms, _VOLUMES * atoms.get_volume() / len(atoms))
    return Curve(tuple(_VOLUMES.tolist()), tuple(energies.tolist()))


def compression_checks(curve: Curve) -> list[Check]:
    """Extrema of the energy, and turns of the pressure, between 0.7 and 1.3 of the volume."""
    energies = np.array(curve.values)
    extrema = _sign_changes(np.diff(energies), 0.0)
    curvature = np.diff(energies, 2)
    turns = _sign_changes(curvature, _NOISE * float(np.abs(curvature).max()))
    return [
        judged(
            EXTREMA,
            abs(extrema - 1),
            "",
            "extrema of the energy beyond one minimum, from 0.7 to 1.3 times the volume at rest",
            bounds=Bounds(0, 0),
        ),
        judged(
            WIGGLES,
            max(turns - 1, 0),
            "",
            "changes of sign of the stiffness beyond that of a crystal torn apart, over the same volumes",
            bounds=Bounds(0, 1),
        ),
    ]


def symmetry_check(calculator: Calculator, atoms: Atoms) -> Check:
    """Relax the crystal from a slightly larger cell: its space group stays.

    Raises:
        PropertyError: spglib is not installed, or the calculator fails.
    """
    before = space_group(atoms)
    start = atoms.copy()
    start.set_cell(atoms.cell * 1.01, scale_atoms=True)
    ended = relax(calculator, start, config=RelaxationConfig(force=1e-3, steps=200))
    after = space_group(ended.atoms) if not ended.failure else ""
    lost = ended.failure or ("" if before == after else f"{before} became {after or 'none'}")
    return judged(
        SYMMETRY,
        float(bool(lost)),
        "",
        lost or f"the space group {before} stays when the crystal relaxes from a larger cell",
        bounds=Bounds(0, 0.5),
    )


def cohesion_check(calculator: Calculator, atoms: Atoms) -> Check:
    """The crystal lies below its isolated atoms, by no more than any solid does."""
    symbols = sorted(set(atoms.symbols))
    alone = dict(zip(symbols, isolated_energies(calculator, symbols).tolist(), strict=True))
    with explained("the energy", atoms):
        energy = float(placed(calculator, atoms).get_potential_energy())
    binding = (sum(alone[symbol] for symbol in atoms.symbols) - energy) / len(atoms)
    is_believable = 0 < binding < _STRONGEST
    return Check(
        COHESION,
        "pass" if is_believable else "warn",
        binding,
        "eV/atom",
        "energy that sets the crystal's atoms free"
        + (
            ""
            if is_believable
            else f"; expected between 0 and {_STRONGEST:g}: isolated atoms were not learned"
        ),
    )


def _sign_changes(values: Float[Array, "V"], noise: float) -> int:
    signs = np.sign(values[np.abs(values) > noise])
    return int((np.diff(signs) != 0).sum())
