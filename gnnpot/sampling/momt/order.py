"""Order parameter of crystallinity from the scattering along reciprocal vectors of the cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

import numpy as np
from ase import Atoms
from jaxtyping import Float, Int
from pydantic import Field, model_validator

from gnnpot.config.base import Section
from gnnpot.errors import DataError

Array = np.ndarray
Crystal = Literal["fcc", "bcc", "sc", "diamond"]
Triple = tuple[int, int, int]

_BODY_DIAGONALS = ((1, 1, 1), (-1, 1, 1), (1, -1, 1), (1, 1, -1))
_FACE_DIAGONALS = ((1, 1, 0), (1, -1, 0), (1, 0, 1), (1, 0, -1), (0, 1, 1), (0, 1, -1))
# The shortest reciprocal vectors that scatter, one of each pair ±g, of the conventional cubic cell
_SHORTEST: dict[Crystal, tuple[Triple, ...]] = {
    "fcc": _BODY_DIAGONALS,
    "bcc": _FACE_DIAGONALS,
    "sc": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "diamond": _BODY_DIAGONALS,
}


_ATOMS: dict[Crystal, int] = {"fcc": 4, "bcc": 2, "sc": 1, "diamond": 8}  # of a conventional cell
_DEFECTS = 0.1  # of the atoms


class Order(NamedTuple):
    """Value and gradient of the order parameter."""

    value: float
    gradient: Float[Array, "N 3"]  # 1/Å, at fixed cell


class OrderConfig(Section):
    """Crystal that the order parameter detects.

    Args:
        crystal: Kind of crystal.
        repeats: Number of conventional cubic cells along each vector of the simulation cell.
        vectors: Reciprocal vectors as integers of the simulation cell, instead of a crystal.
    """

    crystal: Crystal | None = None
    repeats: Annotated[int, Field(ge=1)] | tuple[int, int, int] = 1
    vectors: tuple[Triple, ...] = ()

    @model_validator(mode="after")
    def _one_of_two(self) -> OrderConfig:
        if (self.crystal is None) == (not self.vectors):
            raise ValueError("expected either a crystal or vectors; give one of them")
        if any(vector == (0, 0, 0) for vector in self.vectors):
            raise ValueError("expected reciprocal vectors, and 0 0 0 is none; remove it")
        return self

    def check(self, atoms: Atoms) -> None:
        """Check that the number of atoms fits the conventional cells, up to a few defects.

        Raises:
            DataError: The structure has more or fewer atoms.
        """
        if self.crystal is None:
            return
        times = (self.repeats,) * 3 if isinstance(self.repeats, int) else self.repeats
        expected = _ATOMS[self.crystal] * times[0] * times[1] * times[2]
        if abs(len(atoms) - expected) > _DEFECTS * expected:
            raise DataError(
                f"expected {expected} atoms for {times} cells of {self.crystal}, got {len(atoms)}; mend "
                "order.repeats, or give order.vectors"
            )

    def parameter(self) -> OrderParameter:
        """Build the order parameter."""
        return OrderParameter(
            self.vectors if self.crystal is None else shortest_vectors(self.crystal, self.repeats)
        )


class OrderParameter:
    r"""Mean scattering along a few reciprocal vectors that follow the cell.

    .. math:: O = \frac{1}{N_g N} \sum_g \Big| \sum_i e^{i g \cdot r_i} \Big|^2,
        \qquad \frac{\partial O}{\partial r_j} = -\frac{2}{N_g N} \sum_g g\,
        \mathrm{Im}\big[ e^{i g \cdot r_j} \rho_g^* \big]

    with g = 2π h⁻¹ n, so that g·r depends on scaled coordinates alone and a strain at fixed scaled
    coordinates leaves O as it is: it adds nothing to the stress.  N for the perfect crystal (N/2 for
    diamond), about 1 for a liquid.

    Args:
        vectors: Integers n, one row for each reciprocal vector.
    """

    def __init__(self, vectors: Sequence[Triple]) -> None:
        self.vectors: Int[Array, "G 3"] = np.array(vectors)

    def __call__(self, atoms: Atoms) -> Order:
        """Compute value and gradient."""
        inverse = np.linalg.inv(atoms.cell.array)
        phases = np.exp(2j * np.pi * (atoms.positions @ inverse) @ self.vectors.T)
        amplitudes = phases.sum(axis=0)
        norm = phases.size
        g = 2 * np.pi * self.vectors @ inverse.T
        gradient = -2 / norm * np.imag(phases * amplitudes.conj()) @ g
        return Order(float(np.sum(np.abs(amplitudes) ** 2)) / norm, gradient)


def shortest_vectors(crystal: Crystal, repeats: int | Triple) -> list[Triple]:
    """The shortest reciprocal vectors of ``crystal`` in a cell of ``repeats`` conventional cells."""
    times = (repeats,) * 3 if isinstance(repeats, int) else repeats
    return [(n[0] * times[0], n[1] * times[1], n[2] * times[2]) for n in _SHORTEST[crystal]]
