"""What is wrong with stress labels, in words, from what energies say of them."""

from __future__ import annotations

import math

from gnnpot.data.stress_check import StressCheck
from gnnpot.units import GPa, MPa, kBar

_RIGHT = (0.7, 1.4)  # ratios that pass: second order in the strain and scatter of the pairs
_NEAR = math.log(1.35)  # how far a ratio may be from the one that names a fault
_COMPRESSED = -0.9  # correlation of stress and volume that matter does not have
_LARGE_OFFSET = 0.006  # eV/Å³, 1 GPa


def diagnose(check: StressCheck) -> tuple[bool, str] | None:
    """Whether the finding is a fault, and the sentence that names it; None where nothing is wrong."""
    where = f"{check.file}" + (f" group {check.group}" if check.group else "")
    if check.ratio is not None:
        told = f"stress of {where}: {check.pairs} pairs of strained frames give {check.ratio:.4g} times"
        told += " the stress from energies"
        if check.ratio < 0 or not _RIGHT[0] < check.ratio < _RIGHT[1]:
            return True, f"{told}; {_name(check)}"
        if check.offset is not None and abs(check.offset) > _LARGE_OFFSET:
            return False, f"{told}, but {check.offset / GPa:+.1f} GPa too much at every strain; check the method"
        return None
    if check.volume_correlation is not None and check.volume_correlation < _COMPRESSED:
        return True, (
            f"stress of {where}: it falls with the volume (correlation {check.volume_correlation:.2f}), but "
            "compression must give a negative trace; the sign is flipped, set keys.stress_sign: pressure"
        )
    return None


def _name(check: StressCheck) -> str:
    """The mistake that gives this ratio."""
    assert check.ratio is not None
    known = {
        1.0: ("", ""),
        1 / GPa: ("the unit is GPa (160.2)", "keys.stress_unit: GPa"),
        1 / kBar: ("the unit is kBar (1602)", "keys.stress_unit: kBar"),
        1 / MPa: ("the unit is MPa (160218)", "keys.stress_unit: MPa"),
        0.1: ("GPa was taken for kBar (0.1)", ""),
        10.0: ("kBar was taken for GPa (10)", ""),
        GPa: ("it was converted from GPa twice (1/160.2)", ""),
        check.volume: ("it is a virial, the stress times the volume", "keys.virial to its name"),
    }
    size = min(known, key=lambda value: abs(math.log(abs(check.ratio or 1.0) / value)))
    fault, remedy = known[size]
    if abs(math.log(abs(check.ratio) / size)) > _NEAR:
        fault, remedy = "no unit that we know", ""
    signs = "the sign is flipped (-1)" if check.ratio < 0 else ""
    remedies = [remedy, "keys.stress_sign: pressure" if check.ratio < 0 else ""]
    faults = " and ".join(filter(None, [signs, fault]))
    setting = " and ".join(filter(None, remedies))
    return f"{faults}; set {setting}" if setting else f"{faults}; mend the labels"
