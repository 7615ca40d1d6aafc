"""Calculator that adds a bias on enthalpy and order to any other calculator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from gnnpot.calculator.base import WholeCalculator
from gnnpot.sampling.momt.bias import Bias, BiasValue
from gnnpot.sampling.momt.order import Order
from gnnpot.sampling.step_cache import OncePerStep

_VOIGT_IDENTITY = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])


class BiasedCalculator(WholeCalculator):
    r"""Energy, forces and stress of U + ΔH(H, O) with H = U + P V.

    With a = 1 + ∂ΔH/∂H:

    .. math:: F_i' = a F_i - \frac{\partial \Delta H}{\partial O} \frac{\partial O}{\partial r_i},
        \qquad \sigma' = a \sigma + \frac{\partial \Delta H}{\partial H} P\, 1

    Any thermostat at the bias's temperature and any barostat of isotropic pressure P sample the biased
    ensemble.  The results of the unbiased calculator are in ``unbiased``.

    Args:
        calculator: Calculator of U.
        bias: Bias ΔH; call :meth:`refresh` after changing it.
        order: Order parameter O with its gradient.
        pressure: Pressure P (eV/Å³).
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012

    def __init__(
        self,
        calculator: Calculator | OncePerStep,
        bias: Bias,
        order: Callable[[Atoms], Order],
        *,
        pressure: float,
    ) -> None:
        super().__init__()
        self.calculator = calculator
        self.bias = bias
        self.order = order
        self.pressure = pressure
        self.unbiased: dict[str, Any] = {}
        self.enthalpy = 0.0
        self.order_value = 0.0
        self.bias_value = BiasValue(0.0, 0.0, 0.0)

    def computed(self) -> dict[str, Any]:
        """The biased energy, forces and stress."""
        base, moving = self.calculator, self.atoms
        stress = base.get_property("stress", moving)
        energy, forces = base.get_property("energy", moving), base.get_property("forces", moving)
        order = self.order(moving)
        self.enthalpy = energy + self.pressure * moving.get_volume()
        self.order_value = order.value
        self.bias_value = self.bias(self.enthalpy, order.value)
        self.unbiased = {"energy": energy, "forces": forces, "stress": stress}
        slope = self.bias_value.enthalpy_slope
        biased = energy + self.bias_value.energy
        return {
            "energy": biased,
            "free_energy": biased,
            "forces": (1 + slope) * forces - self.bias_value.order_slope * order.gradient,
            "stress": (1 + slope) * stress + slope * self.pressure * _VOIGT_IDENTITY,
        }

    @property
    def description(self) -> dict[str, float]:
        """Entries that describe the bias in a frame's ``info``."""
        return {
            "enthalpy": self.enthalpy,
            "order": self.order_value,
            "bias": self.bias_value.energy,
            "effective_temperature": self.bias.temperature / (1 + self.bias_value.enthalpy_slope),
        }

    def refresh(self) -> None:
        """Discard the results after a change of the bias; U is not computed again."""
        self.results = {}
