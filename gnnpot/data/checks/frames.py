"""What can be wrong with a single frame, or with a frame beside the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from jaxtyping import Float

from gnnpot.data.checks.isolated import SAME_ENERGY
from gnnpot.data.extxyz import UNREAD
from gnnpot.data.forces_mask import CONSTRAINT, MASK, MOVE_MASK
from gnnpot.data.labels import MASKED_BY
from gnnpot.data.reading import content_hash, is_isolated_atom
from gnnpot.data.reference_energies import composition, reference_energies, undetermined
from gnnpot.data.vasp import UNCONVERGED
from gnnpot.graph.neighbors import Pairs, pairs_of

Array = np.ndarray

_CLOSEST = 0.5  # of the sum of two covalent radii; compressed melts and H₂ stay above 0.7
_SAME_SPOT = 1e-3  # Å
_BONDED = 1.2  # of the sum of two covalent radii: how far the shortest distance is looked for
_SMALLEST_VOLUME = 0.1  # Å³ an atom; the densest matter in any data has 1
_NET_FORCE = 5e-3  # eV/Å an atom
_FORCE = 0.01  # eV/Å: more than rounding leaves in a crystal
_LARGE_FORCE = 10.0  # eV/Å: below it nothing is an outlier
_LARGE_ENERGY = 1.0  # eV an atom: the same
_OUTLIER = 20.0  # times what is typical
_SAME_ENERGY, _SAME_FORCES = 1e-3, 1e-2  # eV an atom, eV/Å: labels of one structure from two equal runs
_STRONG_BONDS, _NO_BONDS = 20.0, 50.0  # eV an atom; tungsten has 9
_NAMED = 3  # origins that a sentence names


class Findings:
    """Findings of one kind in one sentence, however many frames have it."""

    def __init__(self) -> None:
        self._origins: dict[str, list[str]] = {}
        self._counts: Counter[str] = Counter()

    def add(self, kind: str, origin: str) -> None:
        """Note a frame; ``kind`` is what the sentence says of it."""
        self._counts[kind] += 1
        if self._counts[kind] <= _NAMED:
            self._origins.setdefault(kind, []).append(origin)

    def sentences(self) -> list[str]:
        """One sentence a kind."""
        return [f"{self._where(kind)}: {kind}" for kind in self._origins]

    def _where(self, kind: str) -> str:
        count, origins = self._counts[kind], self._origins[kind]
        if count == 1:
            return origins[0]
        return f"{count} frames ({', '.join(origins)}{', …' if count > _NAMED else ''})"


class Contact(NamedTuple):
    """The two atoms that are closest, measured in covalent radii."""

    distance: float
    ratio: float
    pair: str


class Duplicates:
    """Knows the structures it has seen."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, float, float]] = {}

    def check(self, atoms: Atoms, faults: Findings, warnings: Findings) -> None:
        """Note a structure that was there before, and whether its labels were others."""
        origin, results = str(atoms.info["origin"]), _results(atoms)
        energy = float(results.get("energy", np.nan)) / len(atoms)
        forces = float(np.sqrt(np.nanmean(np.square(results["forces"])))) if "forces" in results else np.nan
        first, other_energy, other_forces = self._seen.setdefault(
            content_hash(atoms), (origin, energy, forces)
        )
        if first == origin:
            return
        # A label that one of the two lacks is NaN and differs from nothing.
        if abs(energy - other_energy) > _SAME_ENERGY or abs(forces - other_forces) > _SAME_FORCES:
            faults.add("the same structure is there with other labels", f"{origin} = {first}")
        elif first.rpartition(":")[0] != origin.rpartition(":")[0]:
            warnings.add("the same structure is in two files", f"{origin} = {first}")
        else:
            warnings.add("the same structure is there twice", f"{origin} = {first}")


class IsolatedAtoms:
    """Knows the energies of the isolated atoms it has seen."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, float]] = {}

    @property
    def energies(self) -> dict[str, float]:
        """Energy of the first of each element (eV)."""
        return {symbol: energy for symbol, (_, energy) in self._seen.items()}

    def origins(self, symbols: Iterable[str]) -> str:
        """Where the first of some elements are, in words."""
        return ", ".join(self._seen[symbol][0] for symbol in symbols)

    def check(self, atoms: Atoms, faults: Findings) -> None:
        """Note an isolated atom whose energy is not that of the first of its element."""
        results = _results(atoms)
        if not is_isolated_atom(atoms) or "energy" not in results:
            return
        origin, symbol, energy = str(atoms.info["origin"]), atoms.symbols[0], float(results["energy"])
        first, known = self._seen.setdefault(symbol, (origin, energy))
        if abs(energy - known) > SAME_ENERGY:
            faults.add(f"an isolated {symbol} of another energy than {first} with {known:.6g} eV", origin)


class Typical:
    """Numbers of all frames, to tell which is far from the others."""

    def __init__(self) -> None:
        self._forces: list[tuple[float, str]] = []
        self._energies: list[tuple[float, str]] = []
        self._compositions: list[dict[str, int]] = []
        self._known: dict[str, dict[str, int]] = {}

    def add(self, atoms: Atoms) -> None:
        """Take the numbers of a frame."""
        results, origin = _results(atoms), atoms.info["origin"]
        if "forces" in results:
            self._forces.append((largest_force(atoms), origin))
        if "energy" in results and not is_isolated_atom(atoms):
            formula = atoms.get_chemical_formula()
            self._energies.append((float(results["energy"]), origin))
            self._compositions.append(self._known.setdefault(formula, composition(atoms.symbols)))

    def open_elements(self, known: Collection[str]) -> list[str]:
        """Elements whose reference energies the compositions leave open, but for those that are known."""
        return undetermined(self._known.values(), known)

    def check_isolated(self, isolated: IsolatedAtoms, faults: Findings, warnings: Findings) -> None:
        """Note isolated atoms that leave to the structures an energy that no bonds have."""
        known, rest = isolated.energies, []
        for (energy, _), counts in zip(self._energies, self._compositions, strict=True):
            if counts.keys() <= known.keys():
                free = sum(known[symbol] * count for symbol, count in counts.items())
                rest.append((energy - free) / sum(counts.values()))
        typical = float(np.median(rest)) if rest else 0.0
        if abs(typical) < _STRONG_BONDS:
            return
        where, elements = isolated.origins(sorted(known)), ", ".join(sorted(known))
        sentence = (
            f"isolated {elements} that leave {typical:+.4g} eV an atom to the structures, where bonds give 0 "
            "to -10; they are of another method: compute them as the structures were, or remove them"
        )
        (faults if abs(typical) > _NO_BONDS else warnings).add(sentence, where)

    def check(self, warnings: Findings) -> None:
        """Note the frames that are far out."""
        forces = np.array([largest for largest, _ in self._forces])
        limit = max(_OUTLIER * float(np.median(forces)), _LARGE_FORCE) if len(forces) else np.inf
        for largest, origin in self._forces:
            if largest > limit:
                warnings.add(f"a force over {limit:.0f} eV/Å, {_OUTLIER:.0f} times what is typical", origin)
        if self._energies:
            self._check_energies(warnings)

    def _check_energies(self, warnings: Findings) -> None:
        energies = [energy for energy, _ in self._energies]
        values = reference_energies(self._compositions, energies).values
        explained = [sum(values[s] * n for s, n in c.items()) for c in self._compositions]
        sizes = np.array([sum(c.values()) for c in self._compositions])
        rest = (np.array(energies) - np.array(explained)) / sizes
        off = np.abs(rest - np.median(rest))
        limit = max(_OUTLIER * float(np.median(off)), _LARGE_ENERGY)
        for (_, origin), distance in zip(self._energies, off, strict=True):
            if distance > limit:
                warnings.add(f"an energy over {limit:.1f} eV an atom away from what is typical", origin)


def check_reading(atoms: Atoms, warnings: Findings) -> None:
    """Note what was left aside when the frame was read, and labels that did not converge."""
    origin, info = atoms.info["origin"], atoms.info
    if UNREAD in info:
        count = info[UNREAD]
        warnings.add(
            f"{count} column{'s' if count > 1 else ''} more than Properties names; they are not read", origin
        )
    if info.get(MASKED_BY) in (MOVE_MASK, CONSTRAINT):
        warnings.add(
            f"forces of exactly zero on atoms that {info[MASKED_BY]} holds; they are left out "
            "(keys.forces_mask: none takes them)",
            origin,
        )
    if info.get(UNCONVERGED):
        warnings.add(
            "labels that did not converge, as NELM electronic steps were taken; leave these frames out",
            origin,
        )


def check_cell(atoms: Atoms, faults: Findings, warnings: Findings, *, trained: Collection[str]) -> bool:
    """Whether the neighbors of a frame can be found; notes cells that make no sense."""
    origin, volume = atoms.info["origin"], abs(float(np.linalg.det(atoms.cell.array)))
    if atoms.pbc.any() and not np.any(atoms.cell.array[atoms.pbc], axis=1).all():
        faults.add("periodic along a direction without a lattice vector", origin)
        return False
    if atoms.pbc.all() and not volume > _SMALLEST_VOLUME * len(atoms):
        faults.add(f"periodic, but the cell has a volume of {volume:.3g} Å³", origin)
        return False
    if "stress" in _results(atoms) and not atoms.pbc.all() and not is_isolated_atom(atoms):
        if volume > 0 or "stress" not in trained:
            warnings.add("a stress, but not three periodic directions: it cannot be trained", origin)
        else:
            faults.add("a stress, but no cell with a volume", origin)
    return True


def contact_reach(atoms: Atoms) -> float:
    """How far apart two atoms can be that :func:`check_contact` finds too close (Å)."""
    return 2 * _CLOSEST * float(covalent_radii[atoms.numbers].max())


def contact_pairs(atoms: Atoms) -> Pairs:
    """The pairs of atoms up to the length of a bond, periodic images too."""
    return pairs_of(atoms, 2 * _BONDED * float(covalent_radii[atoms.numbers].max()))


def closest_contact(atoms: Atoms, pairs: Pairs) -> Contact | None:
    """The closest two atoms, or None where there are no pairs."""
    if len(pairs.source) == 0:
        return None
    vectors, radii = pairs.vectors(atoms), covalent_radii[atoms.numbers]
    lengths = np.sqrt(np.einsum("ex,ex->e", vectors, vectors))
    ratios = lengths / (radii[pairs.source] + radii[pairs.center])
    worst = int(ratios.argmin())
    first, second = sorted((atoms.symbols[pairs.source[worst]], atoms.symbols[pairs.center[worst]]))
    return Contact(float(lengths[worst]), float(ratios[worst]), f"{first}-{second}")


def check_contact(contact: Contact, origin: str, faults: Findings) -> None:
    """Note atoms that no physics brings so close."""
    if contact.distance < _SAME_SPOT:
        faults.add("two atoms on one spot", origin)
    elif contact.ratio < _CLOSEST:
        faults.add(
            f"{contact.pair} closer than {_CLOSEST:g} of their covalent radii",
            f"{origin}, {contact.distance:.2f} Å",
        )


def check_zero_stress(atoms: Atoms, faults: Findings, warnings: Findings, *, trained: bool) -> None:
    """Note a stress of exactly zero where forces are not: a number that nobody calculated."""
    results = _results(atoms)
    if "stress" not in results or np.any(results["stress"]) or not atoms.pbc.all():
        return
    if "forces" not in results or not largest_force(atoms) > _FORCE:
        return
    (faults if trained else warnings).add(
        "a stress of exactly zero although forces are not, as if it was not calculated; drop it with "
        "keys.stress=none, or set config_stress_weight=0 on these frames",
        atoms.info["origin"],
    )


def check_net_force(atoms: Atoms, warnings: Findings) -> None:
    """Note forces that do not sum to zero, as they must without an outer field, where all count."""
    forces = _results(atoms).get("forces")
    if forces is not None and MASK not in atoms.arrays and np.linalg.norm(forces.mean(axis=0)) > _NET_FORCE:
        warnings.add(f"a net force of more than {_NET_FORCE * 1000:.0f} meV/Å an atom", atoms.info["origin"])


def largest_force(atoms: Atoms) -> float:
    """Largest length of a force label (eV/Å), without the components that do not count."""
    forces: Float[Array, "N 3"] = atoms.calc.results["forces"]
    return float(np.sqrt(np.nansum(np.square(forces), axis=1).max()))


def _results(atoms: Atoms) -> dict[str, Any]:
    return {} if atoms.calc is None else atoms.calc.results
