"""All checks of one potential on one structure."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from pydantic import NonNegativeInt, PositiveFloat

from gnnpot.config.base import Section
from gnnpot.config.durations import SimulatedTime
from gnnpot.errors import GnnpotError
from gnnpot.evaluation.conservation import constant_energy, heat
from gnnpot.properties.calculation import placed, supercell
from gnnpot.properties.certificate import crystals, derivatives, dimers, invariance
from gnnpot.properties.certificate.checks import Bounds, Certificate, Check, Curve, attempted, judged

DRIFT = "energy conservation"


class CertificateConfig(Section):
    """Sizes of the structures and length of the dynamics.

    Args:
        size: Shortest side of the cell that invariance and derivatives are tried on (Å).
        rattle: Standard deviation of the displacements of its atoms (Å).
        steps: Steps of dynamics at constant energy; none for 0.
        timestep: Timestep of these dynamics (fs).
        temperature: Temperature of these dynamics (K).
        dynamics_size: Shortest side of the cell that moves (Å).
        seed: Seed of the displacements and the first momenta.
    """

    size: PositiveFloat = 5.0
    rattle: PositiveFloat = 0.1
    steps: NonNegativeInt = 1000
    timestep: SimulatedTime = 1.0
    temperature: PositiveFloat = 300.0
    dynamics_size: PositiveFloat = 8.0
    seed: int = 0


def certify(calculator: Calculator, atoms: Atoms, *, config: CertificateConfig | None = None) -> Certificate:
    """Hold a potential against what physics demands of any.

    A check that cannot be computed has failed; what does not concern the structure is not applicable.

    Args:
        calculator: Calculator to judge, in float64 if it can.
        atoms: A relaxed crystal, or a molecule; not changed.
        config: Sizes and lengths.
    """
    config = config or CertificateConfig()
    rattled = supercell(atoms, config.size) if atoms.pbc.all() else atoms.copy()
    rattled.rattle(config.rattle, seed=config.seed)
    checks: list[Check] = []
    for name, check in (
        (derivatives.FORCES, derivatives.forces_check),
        (derivatives.STRESS, derivatives.stress_check),
        (invariance.ROTATION, invariance.rotation_check),
        (invariance.PERMUTATION, invariance.permutation_check),
        (invariance.EXTENSIVITY, invariance.extensivity_check),
        (invariance.LOCALITY, invariance.locality_check),
    ):
        checks += attempted([name], lambda check=check: [check(calculator, rattled)])
    curves: dict[str, Curve] = {}
    checks += attempted(
        [dimers.REPULSION, dimers.MINIMA, dimers.SMOOTHNESS], lambda: _dimer_checks(calculator, atoms, curves)
    )
    compressed: dict[str, Curve] = {}
    if atoms.pbc.all():
        checks += _crystal_checks(calculator, atoms, compressed)
    if config.steps:
        checks += attempted([DRIFT], lambda: [_drift_check(calculator, atoms, config)])
    return Certificate(tuple(checks), curves, compressed.get("compression"))


def _dimer_checks(calculator: Calculator, atoms: Atoms, curves: dict[str, Curve]) -> list[Check]:
    found = dimers.dimers(calculator, sorted(set(atoms.symbols)))
    curves |= {dimer.name: dimer.curve for dimer in found}
    return dimers.dimer_checks(found)


def _crystal_checks(calculator: Calculator, atoms: Atoms, curves: dict[str, Curve]) -> list[Check]:
    def compression() -> list[Check]:
        curves["compression"] = crystals.compression(calculator, atoms)
        return crystals.compression_checks(curves["compression"])

    return [
        *attempted([crystals.EXTREMA, crystals.WIGGLES], compression),
        *attempted([crystals.SYMMETRY], lambda: [crystals.symmetry_check(calculator, atoms)]),
        *attempted([crystals.COHESION], lambda: [crystals.cohesion_check(calculator, atoms)]),
    ]


def _drift_check(calculator: Calculator, atoms: Atoms, config: CertificateConfig) -> Check:
    moving = placed(calculator, supercell(atoms, config.dynamics_size) if atoms.pbc.all() else atoms)
    settings = {"timestep": config.timestep, "temperature": config.temperature}
    says = f"drift of the total energy in {config.steps} steps at constant energy, {config.temperature:g} K"
    try:
        heat(
            moving, config.temperature, steps=config.steps // 5, timestep=config.timestep,
            rng=np.random.default_rng(config.seed),
        )  # fmt: skip
        trace = constant_energy(moving, steps=config.steps, **settings)
    except GnnpotError as error:
        return Check(DRIFT, "fail", float("nan"), "meV/atom/ps", str(error))
    return judged(DRIFT, abs(trace.drift), "meV/atom/ps", says, bounds=Bounds(0.2, 2.0))
