"""What a check of the stress labels means, in words a user can act on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log

from gnnpot import units
from gnnpot.data.checks.findings import Finding
from gnnpot.data.checks.shear import ShearCheck
from gnnpot.data.checks.stress import StressCheck
from gnnpot.data.conversions import is_virial
from gnnpot.data.keys import ENERGY_UNITS, STRESS_UNITS, LabelKeys

_RIGHT, _DOUBTFUL = log(1.4), log(2.2)  # |ln ratio| up to which labels are right, or only doubtful
_SAME = 0.25  # |ln| within which a ratio is taken for a known one
_TIED = 0.1  # |ln| within which two known ratios cannot be told apart
_FAR, _ROUGHLY_TIED = log(4.0), log(1.5)  # the same of ratios that are known within a factor of two
_OFFSET = 1.0 * units.GPa
_SIGMAS = 5.0  # standard errors of an offset
_UNRELATED, _CLEAR, _MANY = 0.5, 4.0, 12  # correlation, signal and pairs of labels without any relation
_ORDER_WORDS = {
    "voigt": "xx yy zz yz xz xy",
    "vasp": "xx yy zz xy yz zx",
    "lammps": "xx yy zz xy xz yz",
    "triangle": "xx xy xz yy yz zz",
}
_EXACT = 0.99  # correlation from which an offset is believed
COMPRESSED = 0.85  # correlation with the volume from which it tells
_STIFFEST = 1000 * units.GPa  # twice the bulk modulus of diamond


@dataclass(frozen=True)
class _Mistake:
    """A known way to be off: labels over truth without the sign, what it is, what to do."""

    ratio: float
    words: str
    cure: str


def diagnose(check: StressCheck, forces_ratio: float | None, keys: LabelKeys) -> Iterator[Finding]:
    """What is wrong with the stress labels of one group; nothing if nothing is.

    Args:
        check: The evidence.
        forces_ratio: Forces over those that the same energies imply, if that is known: it tells whether the
            energies are to blame.
        keys: Names, units and signs with which the file was read.
    """
    name = _named(check)
    if check.order is not None:
        yield _of_order(check.order, name)
    if check.ratio is not None:
        yield from _from_energies(check, check.ratio, name, _Evidence(forces_ratio, keys))
        return
    if abs(check.volume_correlation or 0.0) > COMPRESSED:
        yield from _from_compression(check, name, keys)
    elif check.typical > _STIFFEST:
        yield Finding(
            f"{name}: {check.typical / units.GPa:.4g} GPa is typical, more than matter stands; the unit is "
            f"not {keys.stress_unit}: set keys.stress_unit",
            fault=True,
        )
    if abs(check.correlation or 0.0) < _UNRELATED and check.signal > _CLEAR and check.pairs >= _MANY:
        yield Finding(
            f"{name}: it has nothing to do with the energies of {check.pairs} pairs of strained frames "
            f"(correlation {check.correlation or 0.0:.2f}); check that both are of one calculation",
            fault=False,
        )


def diagnose_scale(
    shear: ShearCheck,
    check: StressCheck,
    *,
    told: float | None,
    forces_ratio: float | None,
    keys: LabelKeys,
) -> Finding | None:
    """What forces say of the sign and the unit of the stress of one group, unless energies do.

    Args:
        shear: The evidence.
        check: What energies and volumes say of the same group.
        told: Labels over the stress that energies imply in the file, if that is known.
        forces_ratio: Forces over those that the energies imply, if that is known.
        keys: Names, units and signs with which the file was read.
    """
    ratio, known = shear.ratio, [1.0]  # or forces are off by as much, or the file has this mistake elsewhere
    known += [1.0 / forces_ratio] if forces_ratio is not None else []
    known += [told] if told is not None else []
    if check.ratio is not None or any(ratio * one > 0 and abs(log(ratio / one)) < _FAR for one in known):
        return None
    mistake = _name_mistake(ratio, check, _Evidence(1.0, keys), rough=True)
    right = forces_ratio is not None and forces_ratio > 0 and abs(log(forces_ratio)) < _RIGHT
    sure = right or abs(check.volume_correlation or 0.0) > COMPRESSED
    return Finding(
        f"{_named(check)}: its entries off the diagonal are about {ratio:.2g} times what the forces say; "
        f"{mistake}{'' if sure else '; or the forces have another sign or unit than was read'}",
        fault=True,
    )


def diagnose_order(shear: ShearCheck, check: StressCheck) -> Finding | None:
    """That the entries off the diagonal of the stress are in another order than was read."""
    if shear.order is None or check.order is not None:
        return None
    told = f"its entries off the diagonal go with the forces in the order {_ORDER_WORDS[shear.order]}"
    return Finding(
        f"{_named(check)}: {told} (correlation {shear.correlation:.2f}), not as they were read "
        f"({shear.read:.2f}); set keys.stress_order: {shear.order}, or reorder them where whole tensors are "
        "written",
        fault=True,
    )


def _named(check: StressCheck) -> str:
    return f"stress in {check.file}" + (f", group {check.group}" if check.group else "")


@dataclass(frozen=True)
class _Evidence:
    """What else is known.

    Attributes:
        forces_ratio: Forces over those that the energies imply.
        keys: Names, units and signs with which the file was read.
    """

    forces_ratio: float | None
    keys: LabelKeys

    def energies_right(self) -> bool:
        """Whether forces say that the energies have the right unit."""
        return self.forces_ratio is not None and abs(log(abs(self.forces_ratio))) < _RIGHT

    def energies_wrong(self, ratio: float) -> bool:
        """Whether forces are off by as much, so that the energies are to blame."""
        if self.forces_ratio is None or self.energies_right():
            return False
        return abs(log(abs(ratio / self.forces_ratio))) < _SAME


def _name_mistake(ratio: float, check: StressCheck, known: _Evidence, *, rough: bool = False) -> str:
    """Say which mistake makes labels ``ratio`` times the true stress, and its cure.

    Args:
        ratio: Labels over the true stress.
        check: The group.
        known: What else is known.
        rough: Whether the ratio is known within a factor of two only.
    """
    same, tied = (_FAR, _ROUGHLY_TIED) if rough else (_SAME, _TIED)
    mistakes = list(_mistakes(check, known.keys))
    if not known.energies_right():
        mistakes += _energy_mistakes(check, known.keys)
    off = [(abs(log(abs(ratio) / mistake.ratio)), mistake) for mistake in mistakes]
    closest = min(distance for distance, _ in off)
    flipped = "the sign is flipped and " if ratio < 0 else ""
    if closest > same:
        return f"{flipped}no unit that we know gives this; check the units of energy and stress"
    return ", or ".join(
        _sentence(mistake, check, known.keys, flipped=ratio < 0)
        for distance, mistake in off
        if distance < closest + tied
    )


def _of_order(order: str, name: str) -> Finding:
    return Finding(
        f"{name}: its entries off the diagonal go with the energies in the order {_ORDER_WORDS[order]}, not "
        f"as they were read; set keys.stress_order: {order}, or reorder them where whole tensors are written",
        fault=True,
    )


def _from_energies(check: StressCheck, ratio: float, name: str, known: _Evidence) -> Iterator[Finding]:
    told = f"{name}: {ratio:.4g} times what the energies of {check.pairs} pairs of strained frames say"
    off = abs(log(abs(ratio)))
    if ratio > 0 and off > _DOUBTFUL and known.energies_wrong(ratio):
        return  # the forces say it of the energies
    if ratio < 0 or off > _DOUBTFUL:
        yield Finding(f"{told}; {_name_mistake(ratio, check, known)}", fault=True)
        return
    if off > _RIGHT:
        yield Finding(f"{told}; check the convergence of the reference method", fault=False)
    elif shows_offset(check):
        offset, error = (check.offset or 0.0) / units.GPa, (check.offset_error or 0.0) / units.GPa
        cure = {
            "auto": "; a training takes it off, unless keys.stress_offset: none",
            "none": "; keys.stress_offset: fit takes it off",
        }
        yield Finding(
            f"{name}: {offset:+.2f} ± {error:.2f} GPa off what the energies say at every strain; no model "
            f"can fit both{cure.get(known.keys.stress_offset, '')}",
            fault=False,
        )
    shear = check.shear_ratio
    if shear is not None and (shear < 0 or abs(log(shear / ratio)) > _DOUBTFUL):
        yield Finding(
            f"{name}: its entries off the diagonal are {shear:.2g} times what the energies say, those on it "
            f"{ratio:.2g} times; check how they were written",
            fault=True,
        )


def shows_offset(check: StressCheck) -> bool:
    """Whether the labels have a constant isotropic stress too much, beyond doubt."""
    if check.offset is None or check.offset_error is None:
        return False
    sure = abs(check.offset) > max(_OFFSET, _SIGMAS * check.offset_error)
    return sure and abs(check.correlation or 0.0) > _EXACT


def _from_compression(check: StressCheck, name: str, keys: LabelKeys) -> Iterator[Finding]:
    correlation, slope = check.volume_correlation or 0.0, check.bulk_modulus or 0.0
    if correlation < 0:
        yield Finding(
            f"{name}: falls with the volume (correlation {correlation:.2f}), but compression must give a "
            f"negative trace; the sign is flipped: set {_sign_setting(check, keys)}",
            fault=True,
        )
    if abs(slope) > _STIFFEST:
        yield Finding(
            f"{name}: means a bulk modulus of {abs(slope) / units.GPa:.4g} GPa, more than any matter has; "
            f"the unit is not {keys.stress_unit}: set keys.stress_unit",
            fault=True,
        )


def _mistakes(check: StressCheck, keys: LabelKeys) -> Iterator[_Mistake]:
    yield _Mistake(1.0, "", "")
    if not is_virial(check.key, keys):
        yield from _stress_mistakes(check, keys)


def _energy_mistakes(check: StressCheck, keys: LabelKeys) -> Iterator[_Mistake]:
    for unit, factor in ENERGY_UNITS.items():
        ratio = factor / ENERGY_UNITS[keys.energy_unit]
        if unit not in (keys.energy_unit, "meV"):
            yield _Mistake(ratio, f"the energies are in {unit} ({ratio:.4g})", f"keys.energy_unit: {unit}")
    if check.num_atoms > 1 and keys.energy_per == "structure":
        yield _Mistake(check.num_atoms, "the energies are energies per atom", "keys.energy_per: atom")


def _stress_mistakes(check: StressCheck, keys: LabelKeys) -> Iterator[_Mistake]:
    read = STRESS_UNITS[keys.stress_unit]
    for unit, factor in STRESS_UNITS.items():
        if unit != keys.stress_unit:
            yield _Mistake(
                read / factor, f"the unit is {unit} ({read / factor:.4g})", f"keys.stress_unit: {unit}"
            )
    if keys.stress_unit == "eV/A^3":
        yield _Mistake(0.1, "GPa was converted as if it were kBar (0.1)", "make it 10 times as large")
        yield _Mistake(10.0, "kBar was converted as if it were GPa (10)", "make it 10 times smaller")
        yield _Mistake(units.GPa, "it was converted from GPa twice (1/160.2)", "make it 160.2 times as large")
    yield _Mistake(
        check.volume * read, "it is a virial, the stress times the volume", f"keys.virial: {check.key}"
    )


def _sentence(mistake: _Mistake, check: StressCheck, keys: LabelKeys, *, flipped: bool) -> str:
    if mistake.cure.startswith("keys.virial:"):  # W = −V σ: its usual sign is the flipped one
        return f"{mistake.words}: set {mistake.cure}" + ("" if flipped else " and keys.virial_sign: tension")
    words = ["the sign is flipped (-1)"] if flipped else []
    cures = [_sign_setting(check, keys)] if flipped else []
    if mistake.words:
        words.append(mistake.words)
        cures.append(mistake.cure)
    settings = [cure for cure in reversed(cures) if cure.startswith("keys.")]
    deeds = [cure for cure in cures if not cure.startswith("keys.")]
    if settings:
        deeds.append(f"set {' and '.join(settings)}")
    return f"{' and '.join(words)}: {', '.join(deeds)}"


def _sign_setting(check: StressCheck, keys: LabelKeys) -> str:
    if is_virial(check.key, keys):
        return f"keys.virial_sign: {_other(keys.virial_sign)}"
    return f"keys.stress_sign: {_other(keys.stress_sign)}"


def _other(sign: str) -> str:
    return "tension" if sign == "pressure" else "pressure"
