"""Reference energies of the elements and the scales of labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from gnnpot.errors import DataError

Array = np.ndarray

_SMALL = 1e-10  # squares and shares that are zero but for rounding


@dataclass(frozen=True)
class ReferenceEnergies:
    """Energy of each element that a model need not learn.

    Attributes:
        values: Energy of one atom by symbol (eV).
        source: Origin of each value, in words.
    """

    values: dict[str, float]
    source: str

    def __str__(self) -> str:
        energies = ", ".join(f"{symbol} {energy:.4f} eV" for symbol, energy in self.values.items())
        return f"{energies} ({self.source})"


def reference_energies(
    compositions: Sequence[Mapping[str, int]],
    energies: Sequence[float],
    *,
    isolated: Mapping[str, float] | None = None,
    given: Mapping[str, float] | None = None,
    elements: Iterable[str] = (),
) -> ReferenceEnergies:
    r"""Energies of the elements: given, else of isolated atoms, else by least squares.

    The last minimize :math:`\sum_s (E_s - \sum_Z n_{sZ} E_Z)^2 / N_s^2` over the structures, where
    known elements keep their values.  Where the compositions leave a combination of the elements
    open, as those of SiO₂ alone do, it is put at the smallest norm, and ``source`` says so and what to do.

    Args:
        compositions: Number of atoms of each symbol, for each structure.
        energies: Labels of the same structures (eV).
        isolated: Energies of free atoms (eV).
        given: Energies that the user chose (eV).
        elements: Symbols that need a value besides those in ``compositions``.

    Raises:
        DataError: An element has no known energy and is in no structure with one.
    """
    needed = sorted({s for counts in compositions for s in counts if counts[s]} | set(elements))
    known = {**(isolated or {}), **(given or {})}
    open_elements = [symbol for symbol in needed if symbol not in known]
    values = {symbol: float(known[symbol]) for symbol in needed if symbol in known}
    origins = {symbol: "given" if symbol in (given or {}) else "isolated atoms" for symbol in values}
    if open_elements:
        fitted, origin = _least_squares(compositions, energies, known=values, elements=open_elements)
        values |= fitted
        origins |= dict.fromkeys(open_elements, origin)
    return ReferenceEnergies({symbol: values[symbol] for symbol in needed}, _describe(origins))


def undetermined(compositions: Iterable[Mapping[str, int]], known: Collection[str] = ()) -> list[str]:
    """Elements whose energies the compositions leave open: both of SiO₂ alone, none of Si and SiO₂.

    Args:
        compositions: Number of atoms of each symbol, for each structure.
        known: Elements whose energies are known otherwise.
    """
    different = {tuple(sorted(one.items())) for one in compositions}
    elements = sorted({s for one in different for s, count in one if count and s not in known})
    counts = np.array([[dict(one).get(s, 0) for s in elements] for one in different], dtype=float)
    if not elements:
        return []
    sizes = np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    squares, axes = np.linalg.eigh((counts / sizes).T @ (counts / sizes))
    open_axes = axes[:, squares < _SMALL * max(len(different), 1)]
    shares = np.linalg.norm(open_axes, axis=1)
    return [symbol for symbol, share in zip(elements, shares, strict=True) if share**2 > _SMALL]


def cure_for_open(elements: Sequence[str]) -> str:
    """What to do where the energies of some elements are open."""
    return f"add isolated atoms of {', '.join(elements)}, or give reference_energies"


def composition(symbols: Iterable[str]) -> dict[str, int]:
    """Number of atoms of each symbol."""
    return dict(sorted(Counter(symbols).items()))


def root_mean_square(arrays: Iterable[Float[Array, "..."]]) -> float:
    """Root of the mean square of all entries, e.g. of the components of the forces (eV/Å).

    Raises:
        DataError: There is no entry.
    """
    total, count = 0.0, 0
    for array in arrays:
        total += float(np.square(array).sum())
        count += np.size(array)
    if count == 0:
        raise DataError("expected labels to take the scale from, got none; name their key or give the scale")
    return float(np.sqrt(total / count))


def _least_squares(
    compositions: Sequence[Mapping[str, int]],
    energies: Sequence[float],
    *,
    known: Mapping[str, float],
    elements: Sequence[str],
) -> tuple[dict[str, float], str]:
    counts = np.array([[c.get(symbol, 0) for symbol in elements] for c in compositions], dtype=float)
    explained = [sum(c.get(symbol, 0) * known[symbol] for symbol in known) for c in compositions]
    rest = np.array(energies, dtype=float) - np.array(explained)
    counts = counts.reshape(-1, len(elements))
    if absent := [symbol for column, symbol in enumerate(elements) if not counts[:, column].any()]:
        raise DataError(
            f"expected structures with an energy and with {', '.join(absent)}, got none; "
            f"{cure_for_open(absent)}"
        )
    used = counts.any(axis=1)
    sizes = np.array([sum(c.values()) for c in compositions], dtype=float)[used]
    solution, _, rank, _ = np.linalg.lstsq(counts[used] / sizes[:, None], rest[used] / sizes)
    source = f"least squares over {used.sum()} structures"
    if rank < len(elements):
        source += (
            f", smallest norm: their compositions fix {rank} of {len(elements)} values; "
            f"{cure_for_open(undetermined(compositions, known))}"
        )
    return dict(zip(elements, solution.tolist(), strict=True)), source


def _describe(origins: Mapping[str, str]) -> str:
    """One origin for all, or which element is from where: sources are not mixed in silence."""
    kinds = dict.fromkeys(origins.values())
    if len(kinds) == 1:
        return next(iter(kinds))
    return "; ".join(f"{', '.join(s for s in origins if origins[s] == kind)}: {kind}" for kind in kinds)
