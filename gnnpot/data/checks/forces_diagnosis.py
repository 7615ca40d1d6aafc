"""What a check of forces against energies means, in words a user can act on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log

from gnnpot.data.checks.findings import Finding
from gnnpot.data.checks.forces import ForcesCheck
from gnnpot.data.keys import ENERGY_UNITS, FORCES_UNITS, LabelKeys

_RIGHT = 0.3  # |ln ratio| up to which forces are right
_SURE = 2.0  # times the uncertainty
_KNOWN = 0.05  # |ln| within which a ratio is taken for a known one, at least
_UNRELATED, _CLEAR, _MANY = 0.5, 4.0, 12  # correlation, signal and pairs of forces without any relation
_BOTH = (("Hartree", "Hartree/Bohr"), ("Ry", "Ry/Bohr"), ("kJ/mol", "kJ/mol/nm"))  # units of one program


def diagnose_forces(
    checks: Sequence[ForcesCheck], stress_ratio: float | None, keys: LabelKeys
) -> Iterator[Finding]:
    """What is wrong with forces and energies of one file; nothing if nothing is.

    Args:
        checks: The evidence, a group each.
        stress_ratio: Stress labels over the stress that the same energies imply, if that is known: it tells
            whether the energies are to blame.
        keys: Names, units and signs with which the file was read.
    """
    wrong = sorted((check for check in checks if is_wrong(check)), key=lambda check: check.uncertainty or 0.0)
    while wrong:
        sharpest, same = wrong[0], [check for check in wrong if _agree(wrong[0], check)]
        wrong = [check for check in wrong if check not in same]
        advice = _advice(sharpest, stress_ratio, keys)
        yield Finding(f"{_told(sharpest, same)}; {advice}", fault=True)
    for check in checks:
        if check.ratio is None and check.ratio_per_atom is None and _is_unrelated(check):
            yield Finding(
                f"forces in {_name([check])}: they have nothing to do with the energies of {check.pairs} "
                f"pairs of close frames (correlation {check.correlation:.2f}); check that both are of one "
                "calculation and that the order of the atoms is the same",
                fault=False,
            )


def trusted_ratio(checks: Sequence[ForcesCheck]) -> float | None:
    """Forces over those that energies imply, of the group that tells most; None where no group does."""
    told = [check for check in checks if check.ratio is not None]
    if not told:
        return None
    check = min(told, key=lambda check: check.uncertainty or 0.0)
    return check.ratio if is_wrong(check) else 1.0


def is_wrong(check: ForcesCheck) -> bool:
    """Whether forces and energies contradict each other."""
    if check.ratio is None or check.uncertainty is None:
        return check.ratio_per_atom is not None and abs(log(abs(check.ratio_per_atom))) < _RIGHT
    return check.ratio < 0 or abs(log(check.ratio)) > max(_RIGHT, _SURE * check.uncertainty)


def _is_unrelated(check: ForcesCheck) -> bool:
    far = abs(check.correlation) < _UNRELATED
    return far and check.same_cells and check.signal > _CLEAR and check.pairs >= _MANY


def _agree(first: ForcesCheck, other: ForcesCheck) -> bool:
    """Whether two groups have the same mistake."""
    limit = max(_RIGHT, _SURE * ((first.uncertainty or 0.0) + (other.uncertainty or 0.0)))
    return any(
        a is not None and b is not None and a * b > 0 and abs(log(a / b)) < limit
        for a, b in ((first.ratio, other.ratio), (first.ratio_per_atom, other.ratio_per_atom))
    )


def _told(sharpest: ForcesCheck, same: Sequence[ForcesCheck]) -> str:
    ratio = sharpest.ratio if sharpest.ratio is not None else sharpest.num_atoms
    return (
        f"forces in {_name(same)}: {ratio:.4g} times what the energies of {sharpest.pairs} pairs of close "
        f"frames say (correlation {abs(sharpest.correlation):.3f})"
    )


def _name(checks: Sequence[ForcesCheck]) -> str:
    groups = [check.group for check in checks if check.group]
    words = {0: "", 1: f", group {groups[0]}"} if groups else {0: ""}
    return checks[0].file + words.get(len(groups), f", groups {', '.join(groups)}")


def _advice(check: ForcesCheck, stress_ratio: float | None, keys: LabelKeys) -> str:
    flipped = check.ratio is not None and check.ratio < 0
    size = 1.0 if check.ratio is None else abs(check.ratio)
    other = "force" if keys.forces_sign == "gradient" else "gradient"
    sign = f"set keys.forces_sign: {other}"
    words = "they are gradients dE/dr, not forces -dE/dr" if other == "gradient" else "they are forces -dE/dr"
    if flipped and abs(log(size)) < max(_RIGHT, check.uncertainty or 0.0):
        return f"{words}: {sign}"
    known = [(off, text) for off, text in _candidates(check, stress_ratio, keys) if off < _limit(check)]
    before = f"{words} ({sign}), and " if flipped else ""
    if not known:
        return f"{before}no unit that we know gives this; check the units of energies and forces"
    closest = min(off for off, _ in known)
    tied = [text for off, text in known if off < closest + max(0.02, 0.5 * (check.uncertainty or 0.0))]
    return before + ", or ".join(dict.fromkeys(tied))


def _limit(check: ForcesCheck) -> float:
    return max(_KNOWN, check.uncertainty or 0.0)


def _candidates(
    check: ForcesCheck, stress_ratio: float | None, keys: LabelKeys
) -> Iterator[tuple[float, str]]:
    """Known mistakes with their distance |ln| from what was found."""
    ratio = abs(check.ratio) if check.ratio is not None else None
    energies_right = stress_ratio is not None and 0.7 < abs(stress_ratio) < 1.4
    energies_wrong = (
        stress_ratio is not None
        and ratio is not None
        and not energies_right
        and abs(log(abs(stress_ratio) / ratio)) < max(0.2, check.uncertainty or 0.0)
    )
    if not energies_right:
        yield from _of_energies(check, ratio, keys)
    if ratio is None:
        return
    forces, energy = FORCES_UNITS[keys.forces_unit], ENERGY_UNITS[keys.energy_unit]
    if not energies_wrong:
        for unit, factor in FORCES_UNITS.items():
            if unit != keys.forces_unit:
                value = forces / factor
                text = f"the forces are in {unit} ({value:.4g}): set keys.forces_unit: {unit}"
                yield abs(log(ratio / value)), text
    if stress_ratio is None:
        for one, other in _BOTH:
            value = forces / FORCES_UNITS[other] * ENERGY_UNITS[one] / energy
            text = (
                f"energies are in {one} and forces in {other} ({value:.4g}): set keys.energy_unit: {one} and "
                f"keys.forces_unit: {other}"
            )
            if keys.energy_unit != one and keys.forces_unit != other:
                yield abs(log(ratio / value)), text


def _of_energies(check: ForcesCheck, ratio: float | None, keys: LabelKeys) -> Iterator[tuple[float, str]]:
    if check.ratio_per_atom is not None and check.num_atoms > 1 and keys.energy_per == "structure":
        text = f"the energies are energies per atom ({check.num_atoms} atoms): set keys.energy_per: atom"
        yield abs(log(abs(check.ratio_per_atom))), text
    if ratio is None:
        return
    if keys.energy_per == "atom":
        text = "the energies are those of whole structures: set keys.energy_per: structure"
        yield abs(log(ratio * check.num_atoms)), text
    for unit, factor in ENERGY_UNITS.items():
        value = factor / ENERGY_UNITS[keys.energy_unit]
        if unit != keys.energy_unit:
            text = f"the energies are in {unit} ({value:.4g}): set keys.energy_unit: {unit}"
            yield abs(log(ratio / value)), text
