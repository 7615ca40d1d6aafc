"""Copies of structures with a calculator, and one kind of error for whatever a calculator cannot do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, CalculatorError, PropertyNotImplementedError
from jaxtyping import Float

from gnnpot.errors import GnnpotError, PropertyError, one_line
from gnnpot.sampling.step_cache import OncePerStep

Array = np.ndarray

FAILURES = (  # by which a property is one that could not be computed
    GnnpotError, CalculatorError, ArithmeticError, ValueError, RuntimeError, LookupError, NotImplementedError,
)  # fmt: skip
_GAP = 6.0  # Å without atoms: there a crystal ends


def placed(calculator: Calculator, atoms: Atoms) -> Atoms:
    """A copy of ``atoms`` whose energy is the one that the forces of ``calculator`` derive from."""
    copy = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    copy.calc = OncePerStep(calculator)
    return copy


@contextmanager
def explained(what: str, atoms: Atoms) -> Iterator[None]:
    """Turn what a calculator raises inside into one line.

    Raises:
        PropertyError: The calculator lacks a quantity, or fails on a structure.
    """
    try:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            yield
    except GnnpotError:
        raise
    except PropertyNotImplementedError as error:
        lacking = "stress" if "stress" in str(error) else one_line(error)
        raise PropertyError(
            f"expected a calculator with {lacking} for {what} of {atoms.symbols}, got one without; choose "
            "another calculator, or leave the property out"
        ) from error
    except (
        CalculatorError,
        np.linalg.LinAlgError,
        ArithmeticError,
        NotImplementedError,
        LookupError,
    ) as error:
        raise PropertyError(f"{what} of {atoms.symbols} failed: {one_line(error)}") from error


def require_crystal(atoms: Atoms, what: str) -> None:
    """Refuse molecules and slabs.

    Raises:
        PropertyError: A direction is open, or atoms end before the cell does.
    """
    if not atoms.pbc.all() or atoms.cell.rank < 3:
        raise PropertyError(
            f"expected a crystal for {what}, got {atoms.symbols} with pbc={atoms.pbc.tolist()}; give a "
            "structure with three periodic directions"
        )
    gaps = empty_lengths(atoms)
    if gaps.max() > _GAP:
        raise PropertyError(
            f"expected a crystal for {what}, got {atoms.symbols} with {gaps.max():.1f} Å of vacuum, a slab "
            "or a molecule; give its bulk"
        )


def empty_lengths(atoms: Atoms) -> Float[Array, "3"]:
    """How far atomic planes are apart at most, perpendicular to each face of a periodic cell (Å)."""
    heights = 1 / np.linalg.norm(atoms.cell.reciprocal(), axis=1)
    scaled = np.sort(atoms.get_scaled_positions(wrap=True), axis=0)
    steps = np.diff(np.concatenate([scaled, scaled[:1] + 1]), axis=0)
    return steps.max(axis=0) * heights


def one_element(atoms: Atoms, what: str) -> str:
    """The only element of ``atoms``.

    Raises:
        PropertyError: There are several, whose chemical potentials would have to be given.
    """
    symbols = sorted(set(atoms.symbols))
    if len(symbols) > 1:
        raise PropertyError(
            f"expected one element for {what}, got {', '.join(symbols)}; the energy would depend on chemical "
            "potentials, so leave it out for compounds"
        )
    return symbols[0]


def supercell(atoms: Atoms, shortest: float) -> Atoms:
    """The crystal repeated until opposite faces of the cell are at least ``shortest`` (Å) apart."""
    heights = 1 / np.linalg.norm(atoms.cell.reciprocal(), axis=1)
    repeats = np.ceil(shortest / heights - 1e-6).astype(int)
    return atoms.repeat(np.maximum(repeats, 1).tolist())


def optional(module: str, what: str) -> Any:
    """A module of the extra ``properties``.

    Raises:
        PropertyError: The package is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise PropertyError(
            f"expected {module.partition('.')[0]} for {what}, got none ({one_line(error)}); install it: "
            'pip install "gnnpot[properties]"'
        ) from error


def plain(value: Any) -> Any:
    """Numbers, words, lists and dictionaries only; None stands for what is not finite."""
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
