"""What a stiffness matrix says: cubic constants, and moduli of polycrystals.

Hill, Proc. Phys. Soc. A 65, 349 (1952).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

Array = np.ndarray

_CUBIC = 0.02  # largest share of the stiffness that may differ from the cubic form


@dataclass(frozen=True)
class Moduli:
    """Averages of the stiffness over all directions (GPa; Poisson's ratio and anisotropy without unit).

    Attributes:
        bulk_voigt: Upper bound of the bulk modulus, from even strain.
        bulk_reuss: Lower bound, from even stress.
        bulk_hill: Their mean.
        shear_voigt: Upper bound of the shear modulus.
        shear_reuss: Lower bound.
        shear_hill: Their mean.
        young_hill: Young's modulus of Hill's means.
        poisson_hill: Poisson's ratio of Hill's means.
        anisotropy: 5 G_V/G_R + B_V/B_R − 6, zero of an isotropic crystal.
    """

    bulk_voigt: float
    bulk_reuss: float
    bulk_hill: float
    shear_voigt: float
    shear_reuss: float
    shear_hill: float
    young_hill: float
    poisson_hill: float
    anisotropy: float

    def as_dict(self) -> dict[str, Any]:
        """Numbers by name."""
        return asdict(self)


def moduli(stiffness: Float[Array, "6 6"]) -> Moduli:
    """Voigt's, Reuss's and Hill's averages of a stiffness matrix (GPa); NaN where it cannot be inverted."""
    bulk_voigt, shear_voigt = _even_strain(stiffness)
    bulk_reuss, shear_reuss = _even_stress(stiffness)
    bulk, shear = (bulk_voigt + bulk_reuss) / 2, (shear_voigt + shear_reuss) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        return Moduli(
            bulk_voigt=bulk_voigt,
            bulk_reuss=bulk_reuss,
            bulk_hill=bulk,
            shear_voigt=shear_voigt,
            shear_reuss=shear_reuss,
            shear_hill=shear,
            young_hill=float(np.divide(9 * bulk * shear, 3 * bulk + shear)),
            poisson_hill=float(np.divide(3 * bulk - 2 * shear, 2 * (3 * bulk + shear))),
            anisotropy=float(5 * np.divide(shear_voigt, shear_reuss) + np.divide(bulk_voigt, bulk_reuss) - 6),
        )


def cubic_constants(stiffness: Float[Array, "6 6"]) -> dict[str, float] | None:
    """C11, C12, C44 and C' = (C11 − C12)/2 as means over equal entries; None without cubic symmetry."""
    normal, shear = stiffness[:3, :3], np.diag(stiffness)[3:]
    along = float(np.diag(normal).mean())
    across = float(normal[np.triu_indices(3, 1)].mean())
    tilt = float(shear.mean())
    form = np.diag([along] * 3 + [tilt] * 3)
    form[:3, :3] += across * (1 - np.eye(3))
    if np.abs(stiffness - form).max() > _CUBIC * np.abs(form).max():
        return None
    return {"C11": along, "C12": across, "C44": tilt, "C_prime": (along - across) / 2}


def _even_strain(stiffness: Float[Array, "6 6"]) -> tuple[float, float]:
    trace, off = np.trace(stiffness[:3, :3]), stiffness[np.triu_indices(3, 1)].sum()
    tilt = np.diag(stiffness)[3:].sum()
    return float((trace + 2 * off) / 9), float((trace - off + 3 * tilt) / 15)


def _even_stress(stiffness: Float[Array, "6 6"]) -> tuple[float, float]:
    try:
        compliance = np.linalg.inv(stiffness)
    except np.linalg.LinAlgError:
        return float("nan"), float("nan")
    trace, off = np.trace(compliance[:3, :3]), compliance[np.triu_indices(3, 1)].sum()
    tilt = np.diag(compliance)[3:].sum()
    return float(1 / (trace + 2 * off)), float(15 / (4 * trace - 4 * off + 3 * tilt))
