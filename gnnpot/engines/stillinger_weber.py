"""The Stillinger-Weber potential of one element, through matscipy.

Stillinger and Weber, Phys. Rev. B 31, 5262 (1985).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from ase import Atoms
from ase.calculators.calculator import Calculator
from pydantic import ConfigDict, Field, NonNegativeFloat, PositiveFloat, model_validator

from gnnpot.config.base import Section
from gnnpot.engines.base import ENGINES, EngineConfig
from gnnpot.errors import LabelingError


class StillingerWeberParameters(Section):
    r"""Parameters of one element.

    .. math:: E = \sum_{i<j} \epsilon A (B (\sigma/r)^4 - 1) e^{1/(r/\sigma - a)}
        + \sum_i \sum_{j<k} \epsilon\lambda (\cos\theta_{jik} + 1/3)^2
          e^{\gamma/(r_{ij}/\sigma - a) + \gamma/(r_{ik}/\sigma - a)}, \quad r < a\sigma

    Args:
        epsilon: Depth of the pair well (eV).
        sigma: Length (Å).
        lambda_: Strength of the three-body term; ``lambda`` in a file.
        a: Cutoff in units of sigma.
        gamma: Range of the three-body term.
        A: Strength of the pair term.
        B: Strength of the repulsion.
    """

    model_config = ConfigDict(validate_by_name=True)

    epsilon: PositiveFloat
    sigma: PositiveFloat
    lambda_: NonNegativeFloat = Field(alias="lambda")
    a: PositiveFloat = 1.80
    gamma: PositiveFloat = 1.20
    A: PositiveFloat = 7.049556277
    B: PositiveFloat = 0.6022245584


PRESETS = {
    # Stillinger and Weber, Phys. Rev. B 31, 5262 (1985)
    "Si-1985": ("Si", StillingerWeberParameters(epsilon=2.1683, sigma=2.0951, lambda_=21.0)),
    # Ding and Andersen, Phys. Rev. B 34, 6987 (1986)
    "Ge-Ding-Andersen": ("Ge", StillingerWeberParameters(epsilon=1.93, sigma=2.181, lambda_=31.0)),
}


@ENGINES.register("stillinger-weber")
class StillingerWeberConfig(EngineConfig):
    """A named set of parameters, or an element with parameters of its own.

    Args:
        preset: Name of a published set.
        element: Symbol that ``parameters`` are for.
        parameters: A set of the user.
    """

    kind: Literal["stillinger-weber"] = "stillinger-weber"
    preset: Literal["Si-1985", "Ge-Ding-Andersen"] | None = None
    element: str | None = None
    parameters: StillingerWeberParameters | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        own = self.element is not None and self.parameters is not None
        if (self.preset is None) != own or (self.element is None) != (self.parameters is None):
            raise ValueError(f"expected a preset ({', '.join(PRESETS)}), or element and parameters; give one")
        return self

    def calculator(self, folder: Path) -> Calculator:
        """Build the calculator."""
        from matscipy.calculators.manybody import Manybody
        from matscipy.calculators.manybody.explicit_forms import StillingerWeber

        element, chosen = self._chosen()
        values = {
            "__ref__": "", "el": element, "p": 4, "costheta0": 1 / 3, "lambda1": chosen.lambda_,
            **chosen.model_dump(exclude={"lambda_"}),
        }  # fmt: skip
        return Manybody(**StillingerWeber(values))

    def elements(self) -> frozenset[str]:
        """Symbols that the method knows."""
        return frozenset({self._chosen()[0]})

    def check(self, atoms: Atoms, known: frozenset[str] | None, origin: str) -> None:
        """Check that the method can treat a structure."""
        super().check(atoms, known, origin)
        if atoms.cell.rank < 3:
            raise LabelingError(
                f"expected a cell for {self.kind} in {origin}, got {atoms.cell.rank} vectors; put it into a "
                "box, e.g. by atoms.center(vacuum=5)"
            )

    def identity(self) -> dict[str, Any]:
        """Everything that decides the results, for the hash of the method."""
        element, chosen = self._chosen()
        return {"kind": self.kind, "element": element, "parameters": chosen.model_dump()}

    def _chosen(self) -> tuple[str, StillingerWeberParameters]:
        if self.preset is not None:
            return PRESETS[self.preset]
        assert self.element is not None
        assert self.parameters is not None
        return self.element, self.parameters
