"""One structure in, the same with labels out, or the reason why not."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from ase import Atoms
from ase.calculators.calculator import (
    CalculationFailed,
    Calculator,
    CalculatorError,
    SCFError,
)
from ase.calculators.singlepoint import SinglePointCalculator
from ase.stress import full_3x3_to_voigt_6_stress

from gnnpot.data.reading import content_hash
from gnnpot.engines import EngineConfig
from gnnpot.errors import LabelingError, one_line
from gnnpot.labeling.store import claims

Array = np.ndarray

FailureKind = Literal["not converged", "force over limit", "crash", "time-out", "refused"]

_NO_CONVERGENCE = re.compile(r"not converge|no(t)? self-consisten|convergence not", re.IGNORECASE)


class Labeler(Protocol):
    """Label a structure, or raise :class:`~gnnpot.errors.LabelingError`; a plain function will do."""

    def __call__(self, atoms: Atoms) -> Atoms:
        """A copy of ``atoms`` whose SinglePointCalculator holds energy, forces and what else there is."""


class Label(NamedTuple):
    """Results of a reference method for one structure."""

    results: dict[str, Any]  # energy (eV), forces (eV/Å), maybe stress (Voigt, eV/Å³), energies (eV)
    seconds: float


class Failure(NamedTuple):
    """Kind and reason of a failed calculation."""

    kind: FailureKind
    reason: str


Outcome = Label | Failure


class ForceLimitError(LabelingError):
    """A force is over the limit, or not a number."""


class CalculatorLabeler:
    """Label with a reference method.

    The energy is the one that the forces derive from, unless the method's settings choose another.
    Only numbers, positions, cell and periodicity go to the method: neither magnetic moments nor charges
    that a structure carries along.

    Args:
        engine: The reference method.
        max_force: Largest believable force (eV/Å); beyond it the label is refused, not clipped.
        scratch: Folder in which each calculation that writes files has its own; it is removed unless
            the calculation fails.
    """

    def __init__(self, engine: EngineConfig, *, max_force: float = 100.0, scratch: Path = Path()) -> None:
        self.engine = engine
        self.max_force = max_force
        self.scratch = scratch
        self._known = engine.elements()
        self._shared: Calculator | None = None

    def __call__(self, atoms: Atoms) -> Atoms:
        """A new structure with its labels.

        Raises:
            LabelingError: The method fails, or a force is over the limit.
        """
        structure = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        self.engine.check(atoms, self._known, str(atoms.info.get("origin", atoms.symbols)))
        if not self.engine.writes_files:
            if self._shared is None:
                self._shared = self.engine.calculator(self.scratch)
            return self._labeled(structure, self._shared)
        folder = self._folder(content_hash(structure)[:16])
        labeled = self._labeled(structure, self.engine.calculator(folder))
        shutil.rmtree(folder)
        return labeled

    def _folder(self, name: str) -> Path:
        """A new folder of this process alone: others may treat the structure by another method now."""
        folder = self.scratch / "-".join([name, *claims.owner().rsplit(":", 2)])
        for old in self.scratch.glob(f"{name}-*-*-*"):  # of calculations that failed or were killed
            if old == folder or claims.is_gone(":".join(old.name.removeprefix(f"{name}-").rsplit("-", 2))):
                shutil.rmtree(old, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def _labeled(self, structure: Atoms, calculator: Calculator) -> Atoms:
        structure.calc = calculator
        try:
            results = self._results(structure)
        except (CalculatorError, OSError, RuntimeError, ValueError, IndexError, AssertionError) as error:
            self._shared = None  # an engine may be in no state to go on
            raise LabelingError(one_line(error)) from error
        if reason := unbelievable(results["forces"], self.max_force):
            raise ForceLimitError(reason)
        if not np.isfinite(results["energy"]):
            raise LabelingError(f"expected a finite energy, got {results['energy']}")
        structure.calc = SinglePointCalculator(structure, **results)
        return structure

    @staticmethod
    def _results(structure: Atoms) -> dict[str, Any]:
        calculator = structure.calc
        energy = structure.get_potential_energy()
        free = calculator.results.get("free_energy")  # VASP extrapolates the other to zero smearing
        energy = float(energy if free is None else free)
        results: dict[str, Any] = {"energy": energy, "forces": _result(structure, "forces")}
        if structure.pbc.all() and "stress" in calculator.implemented_properties:
            stress = _result(structure, "stress")
            results["stress"] = full_3x3_to_voigt_6_stress(stress) if stress.shape == (3, 3) else stress
        for name in ("energies", "magmoms"):
            if name in calculator.results:
                results[name] = np.array(calculator.results[name])
        if results["forces"].shape != (len(structure), 3):
            raise CalculationFailed(f"expected {len(structure)} forces, got {results['forces'].shape}")
        return results


def unbelievable(forces: Array, max_force: float) -> str:
    """Describe forces beyond ``max_force`` (eV/Å); "" if there are none."""
    largest = np.abs(forces).max(initial=0.0)
    if largest < max_force:  # not true of NaN
        return ""
    return (
        f"expected forces below {max_force:g} eV/Å, got {largest:.4g}; raise max_force, or leave the "
        "structure out"
    )


def _result(structure: Atoms, name: str) -> Array:
    """What the calculator has found beside the energy; ASE would compare the whole structure again."""
    calculator = structure.calc
    found = calculator.results.get(name)
    return np.array(calculator.get_property(name, structure) if found is None else found)


def attempt(labeler: Callable[[Atoms], Atoms], atoms: Atoms) -> Outcome:
    """The label, or the reason why there is none: here an engine's crash becomes a reason to store."""
    start = time.perf_counter()
    try:
        labeled = labeler(atoms)
    except ForceLimitError as error:
        return Failure("force over limit", str(error))
    except LabelingError as error:
        text = str(error)
        if isinstance(error.__cause__, SCFError) or _NO_CONVERGENCE.search(text):
            return Failure("not converged", text)
        return Failure("refused" if error.__cause__ is None else "crash", text)
    except Exception as error:
        return Failure("crash", f"{type(error).__name__}: {' '.join(str(error).split())[:500]}")
    return Label(dict(labeled.calc.results), time.perf_counter() - start)
