"""Canonical averages at other temperatures from dynamics under a frozen bias."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Self

import numpy as np
from ase import Atoms, units
from jaxtyping import Float

from gnnpot.errors import DataError, one_line
from gnnpot.units import kBar

Array = np.ndarray


class State(NamedTuple):
    """Temperature and pressure."""

    temperature: float  # K
    pressure: float = 0.0  # bar


class BiasedSamples(NamedTuple):
    """Energy, volume, order and bias of each frame, as reweighting needs them."""

    energies: Float[Array, "S"]  # U, eV
    volumes: Float[Array, "S"]  # Å³
    orders: Float[Array, "S"]
    biases: Float[Array, "S"]  # ΔH, eV

    @classmethod
    def of(cls, frames: Iterable[Atoms]) -> Self:
        """Collect the samples from labeled frames of a MOMT run.

        Raises:
            DataError: There are no frames, or a frame lacks energy, order or bias.
        """
        try:
            rows = [
                (atoms.get_potential_energy(), atoms.get_volume(), atoms.info["order"], atoms.info["bias"])
                for atoms in frames
            ]
        except (KeyError, RuntimeError) as error:
            raise DataError(
                f"expected frames of momt with energies, order and bias, got one without "
                f"({one_line(error)}); sample with labels: keep"
            ) from error
        if not rows:
            raise DataError("expected frames of momt, got none; sample some")
        return cls(*np.array(rows, dtype=float).T)


class Weights(NamedTuple):
    """Statistical weights of the frames."""

    values: Float[Array, "S"]  # they sum to one

    @property
    def effective_size(self) -> float:
        """Effective sample size (Σw)² / Σw², for independent frames."""
        return float(1 / np.sum(self.values**2))

    def average(self, quantity: Float[Array, "S"]) -> float:
        """Canonical average of ``values``."""
        return float(self.values @ quantity)


def canonical_weights(samples: BiasedSamples, *, sampled: State, wanted: State) -> Weights:
    r"""Weights that turn averages over biased frames into canonical ones.

    .. math:: w_t \propto \exp\big[ -\beta (U_t + P V_t) + \beta_0 (U_t + P_0 V_t + \Delta H_t) \big]

    Valid inside the sampled window, and for frames under one frozen bias.

    Args:
        samples: Frames under one frozen bias.
        sampled: Temperature and pressure of the dynamics.
        wanted: Temperature and pressure of the averages.

    Raises:
        DataError: A temperature is not above zero.
    """
    if not (sampled.temperature > 0 and wanted.temperature > 0):
        raise DataError(
            f"expected temperatures above 0 K, got {sampled.temperature} and {wanted.temperature}"
        )
    exponents = _reduced(samples, sampled, samples.biases) - _reduced(samples, wanted, 0.0)
    weights = np.exp(exponents - exponents.max())
    return Weights(weights / weights.sum())


def free_energy(
    samples: BiasedSamples, weights: Weights, temperature: float, *, edges: Float[Array, "b+1"]
) -> Float[Array, "b"]:
    r"""F(O; T) = −kT ln P(O) in bins of the order parameter (eV), zero at its lowest; ∞ where empty.

    Args:
        samples: The frames.
        weights: Canonical weights of the samples at ``temperature``.
        temperature: K.
        edges: Edges of the bins.
    """
    population, _ = np.histogram(samples.orders, bins=edges, weights=weights.values)
    with np.errstate(divide="ignore"):
        energies = -units.kB * temperature * np.log(population)
    return energies - energies.min()


def _reduced(samples: BiasedSamples, state: State, extra: Float[Array, "S"] | float) -> Float[Array, "S"]:
    enthalpies = samples.energies + state.pressure * kBar / 1000 * samples.volumes + extra
    return enthalpies / (units.kB * state.temperature)
