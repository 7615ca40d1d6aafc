"""The spread of a committee along a walk: kept with frames, and a reason to end."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from ase import Atoms
from jaxtyping import Float
from pydantic import BeforeValidator, NonNegativeFloat, PositiveFloat, PositiveInt

from gnnpot.config.base import Section

Array = np.ndarray
Quantity = Literal["energy", "energies", "forces"]
Gathered = Literal["any", "mean"]

SPREADS: dict[Quantity, str] = {
    "energy": "energy_uncertainty",
    "energies": "energies_uncertainty",
    "forces": "forces_uncertainty",
}
_WORDS: dict[Quantity, str] = {
    "energy": "the energy",
    "energies": "atomic energies",
    "forces": "forces",
}
_RELATIVE = re.compile(r"\s*(?:mu|μ|µ)\s*\+\s*(\d+(?:\.\d*)?|\.\d+)?\s*\*?\s*(?:sigma|σ)\s*")
_NAMED = 8  # atoms that a message names


def _bound_text(value: Any) -> Any:
    if isinstance(value, str) and not _RELATIVE.fullmatch(value):
        raise ValueError(f"expected a number or mu+3sigma, got {value!r}; write one of them")
    return value


Bound = Annotated[PositiveFloat | str, BeforeValidator(_bound_text)]


class Moments:
    """Mean and standard deviation of numbers that come one by one.

    Args:
        count: How many have come.
        mean: Their mean.
        squares: Sum of their squared deviations from the mean.
    """

    def __init__(self, count: int = 0, mean: float = 0.0, squares: float = 0.0) -> None:
        self.count, self.mean, self.squares = count, mean, squares

    @classmethod
    def of(cls, values: Float[Array, "S"]) -> Moments:
        """Those of several numbers."""
        moments = cls()
        for value in np.asarray(values, dtype=float).ravel():
            moments.add(float(value))
        return moments

    def add(self, value: float) -> None:
        """Take in one more number."""
        self.count += 1
        change = value - self.mean
        self.mean += change / self.count
        self.squares += change * (value - self.mean)

    @property
    def deviation(self) -> float:
        """Standard deviation, with the count less one in the denominator."""
        return math.sqrt(self.squares / (self.count - 1)) if self.count > 1 else 0.0


def threshold(bound: float | str, reference: Moments) -> float:
    """The number that a bound stands for.

    Args:
        bound: A number, or ``mu+3sigma``: so many standard deviations over the mean of the reference.
        reference: Spreads of what is known.
    """
    if not isinstance(bound, str):
        return bound
    found = _RELATIVE.fullmatch(bound)
    assert found is not None
    return reference.mean + float(found[1] or 1.0) * reference.deviation


class StopWhen(Section):
    """Spread of a committee over which a walk ends.

    Args:
        spread: Largest spread (eV, for forces eV/Å), or ``mu+3sigma``: so many standard deviations over the
            mean of a reference.
        of: Whose spread: ``energies`` of the atoms, ``forces`` on them (length of the vector), or ``energy``
            of the structure.
        atoms: Whether ``any`` atom may end the walk, or their ``mean``.
        window: Number of looks, one every ten steps, at the beginning of a walk that make up the reference.
        reference: Mean and standard deviation of a reference of one's own, e.g. of the training set.
    """

    spread: Bound = "mu+3sigma"
    of: Quantity = "energies"
    atoms: Gathered = "any"
    window: PositiveInt = 100
    reference: tuple[NonNegativeFloat, NonNegativeFloat] | None = None


class AtomSpreads(NamedTuple):
    """A spread of one structure.

    Attributes:
        score: The number that stands for the structure.
        values: Of each atom, or the score alone for the energy of the structure.
    """

    score: float
    values: Float[Array, "_"]


def spread_in(found: Mapping[str, Any], of: Quantity, atoms: Gathered) -> AtomSpreads:
    """The spread of one structure among a calculator's results, or in a frame's ``info`` and ``arrays``.

    Raises:
        KeyError: It is not there.
    """
    values = np.asarray(found[SPREADS[of]], dtype=float)
    if of == "forces":
        values = np.linalg.norm(values.reshape(-1, 3), axis=1)
    values = np.atleast_1d(values)
    return AtomSpreads(float(values.max() if atoms == "any" else values.mean()), values)


def spreads_of(calculator: Any, atoms: Atoms, quantities: Iterable[Quantity] = SPREADS) -> dict[str, Any]:
    """Spreads that a calculator knows of a structure, each only if it is asked for, as some are dear.

    Args:
        calculator: Of ASE's kind.
        atoms: The structure.
        quantities: Those to ask for.
    """
    names = {SPREADS[of] for of in quantities}.intersection(calculator.implemented_properties)
    return {name: calculator.get_property(name, atoms) for name in sorted(names)}


def put_spreads(frame: Atoms, results: Mapping[str, Any]) -> None:
    """Keep the spreads among a calculator's results with a frame, if there are any."""
    for quantity, name in SPREADS.items():
        if name not in results:
            continue
        if quantity == "energy":
            frame.info[name] = float(results[name])
        else:
            frame.set_array(name, np.array(results[name], dtype=float))


class SpreadWatch:
    """Watches the spread of a walk.

    Args:
        rule: Bound and reference.
    """

    def __init__(self, rule: StopWhen) -> None:
        self.rule = rule
        self.reference = Moments()

    def __call__(self, results: Mapping[str, Any]) -> str:
        """Why the walk ends here, or nothing."""
        rule = self.rule
        found = spread_in(results, rule.of, rule.atoms)
        reference = self.reference
        if rule.reference is not None:
            mean, deviation = rule.reference
            reference = Moments(2, mean, deviation**2)
        elif isinstance(rule.spread, str) and reference.count < rule.window:
            reference.add(found.score)
            return ""
        largest = threshold(rule.spread, reference)
        return "" if found.score <= largest else self._reason(found, largest)

    def _reason(self, found: AtomSpreads, largest: float) -> str:
        unit = "eV/Å" if self.rule.of == "forces" else "eV"
        where = ""
        if self.rule.of != "energy":
            places = np.flatnonzero(found.values > largest)
            some = ", ".join(map(str, places[:_NAMED].tolist())) + (" …" if len(places) > _NAMED else "")
            what = "atom" if len(places) == 1 else "atoms"
            where = f" at {what} {some}" if len(places) else ""
        bound = f" ({self.rule.spread})" if isinstance(self.rule.spread, str) else ""
        return (
            f"a spread of {_WORDS[self.rule.of]} of {found.score:.3g} {unit}{where}, over "
            f"{largest:.3g} {unit}{bound}"
        )

    def state(self) -> dict[str, Any]:
        """What is known of the reference."""
        reference = self.reference
        return {"count": reference.count, "mean": reference.mean, "squares": reference.squares}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.reference = Moments(**state)
