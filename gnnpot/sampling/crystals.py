"""Crystals by name: ``Ni``, ``Ni:bcc``, ``NiAl:B2``; and the structures that phases are compared in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers, covalent_radii, reference_states
from ase.formula import Formula

from gnnpot.config.registry import nearest
from gnnpot.data.files import data_paths
from gnnpot.data.reading import read_frames
from gnnpot.data.structure import bare_structure
from gnnpot.errors import ConfigError, DataError
from gnnpot.graph.neighbors import neighbor_pairs

_LONGEST_BOND = 15.0  # Å
_IDEAL = np.sqrt(8 / 3)  # c/a of close-packed spheres
_SYNONYMS = {
    "a1": "fcc", "a2": "bcc", "a3": "hcp", "a4": "diamond", "ah": "sc", "b1": "rocksalt", "nacl": "rocksalt",
    "b2": "cesiumchloride", "cscl": "cesiumchloride", "b3": "zincblende", "b4": "wurtzite", "c1": "fluorite",
    "l1_2": "l12",
}  # fmt: skip


class Prototype(NamedTuple):
    """A kind of crystal.

    Attributes:
        counts: How many atoms of each element a formula unit has, in the order of the formula.
        ratio: The lattice constant over the shortest bond.
        build: The conventional cell, from a formula and a lattice constant (Å).
    """

    counts: tuple[int, ...]
    ratio: float
    build: Callable[[Sequence[str], float], Atoms]


def _cubic(kind: str) -> Callable[[Sequence[str], float], Atoms]:
    return lambda symbols, length: bulk("".join(symbols), kind, a=length, cubic=True)


def _hexagonal(kind: str) -> Callable[[Sequence[str], float], Atoms]:
    return lambda symbols, length: bulk("".join(symbols), kind, a=length, c=_IDEAL * length)


def _fluorite(symbols: Sequence[str], length: float) -> Atoms:
    return bulk(f"{symbols[0]}{symbols[1]}2", "fluorite", a=length, cubic=True)


def _copper_gold(symbols: Sequence[str], length: float) -> Atoms:
    faces, corner = symbols
    atoms = bulk(faces, "fcc", a=length, cubic=True)
    atoms.symbols[0] = corner
    return atoms


PROTOTYPES = {
    "fcc": Prototype((1,), np.sqrt(2), _cubic("fcc")),
    "bcc": Prototype((1,), 2 / np.sqrt(3), _cubic("bcc")),
    "hcp": Prototype((1,), 1.0, _hexagonal("hcp")),
    "sc": Prototype((1,), 1.0, _cubic("sc")),
    "diamond": Prototype((1,), 4 / np.sqrt(3), _cubic("diamond")),
    "rocksalt": Prototype((1, 1), 2.0, _cubic("rocksalt")),
    "cesiumchloride": Prototype((1, 1), 2 / np.sqrt(3), _cubic("cesiumchloride")),
    "zincblende": Prototype((1, 1), 4 / np.sqrt(3), _cubic("zincblende")),
    "wurtzite": Prototype((1, 1), _IDEAL, _hexagonal("wurtzite")),
    "fluorite": Prototype((1, 2), 4 / np.sqrt(3), _fluorite),
    "l12": Prototype((3, 1), np.sqrt(2), _copper_gold),
}


def crystal(word: str, *, bond: float | None = None, lattice_constant: float | None = None) -> Atoms:
    """The conventional cell of a crystal such as ``Ni``, ``Ni:bcc``, ``NaCl:B1``, ``Ni3Al:L12``.

    An element without a prototype has the structure in which ASE knows it.  Strukturbericht symbols (A1, A2,
    A3, A4, B1, B2, B3, B4, C1, L1_2) name prototypes too.

    Args:
        word: Formula, a colon and the prototype.
        bond: Shortest distance of two atoms (Å); without it the one that ASE knows of the element, or the
            sum of two covalent radii.
        lattice_constant: Å; replaces ``bond``.

    Raises:
        ConfigError: The formula or the prototype is unknown, or they do not fit.
    """
    symbols, counts, name = _parts(word)
    chosen = PROTOTYPES[name]
    if counts != chosen.counts:
        raise ConfigError(
            f"expected a formula with {' and '.join(map(str, chosen.counts))} atoms for {name}, got "
            f"{word!r}; e.g. Ni:fcc, NaCl:rocksalt, CaF2:fluorite, Ni3Al:l12"
        )
    length = lattice_constant or (
        _known_length(symbols, name) if bond is None else bond * float(chosen.ratio)
    )
    atoms = chosen.build(symbols, length)
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)  # magnetic moments stay behind


def is_alloy(word: str) -> bool:
    """Whether ``word`` names a lattice of one kind of site with several elements on it: ``Cu3Au:fcc``.

    Raises:
        ConfigError: The formula or the prototype is unknown.
    """
    _, counts, name = _parts(word)
    return len(counts) > 1 and len(PROTOTYPES[name].counts) == 1


def random_alloy(
    word: str,
    repeats: int | tuple[int, int, int],
    rng: np.random.Generator,
    *,
    lattice_constant: float | None = None,
) -> Atoms:
    """A lattice on whose sites elements lie at random, in the shares of the formula as nearly as sites allow.

    Args:
        word: Formula, a colon and the lattice: ``Cu3Au:fcc``.
        repeats: Conventional cells along each vector.
        rng: Source of the arrangement.
        lattice_constant: Å; by default the mean of those of the elements.

    Raises:
        ConfigError: The formula or the lattice is unknown.
    """
    symbols, counts, name = _parts(word)
    shares = np.array(counts) / sum(counts)
    length = lattice_constant or float(shares @ [_known_length([symbol], name) for symbol in symbols])
    atoms = PROTOTYPES[name].build(symbols[:1], length) * repeats
    wanted = shares * len(atoms)
    whole = np.floor(wanted).astype(int)
    whole[np.argsort(whole - wanted, kind="stable")[: len(atoms) - whole.sum()]] += 1
    numbers = rng.permutation(np.repeat([atomic_numbers[symbol] for symbol in symbols], whole))
    return Atoms(numbers, atoms.positions, cell=atoms.cell, pbc=True)


def structure(word: str) -> Atoms:
    """The structure in the file that ``word`` names, else the crystal of that name.

    Args:
        word: ``cell.xyz``, ``frames.xyz@-1``, ``gnnpot:silicon-demo.xyz@0``, or a crystal, ``NiAl:B2``.

    Raises:
        ConfigError: There is neither.
        DataError: The file holds no structure, or several.
    """
    if is_crystal(word):
        return crystal(word)
    frames = list(islice(read_frames([word], needed=()), 2))
    if len(frames) > 1:
        path = word.partition("@")[0]
        raise DataError(
            f"expected one structure in {word}, got several; choose one of them, e.g. {path}@0 or {path}@-1"
        )
    return bare_structure(frames[0])


def is_crystal(word: str) -> bool:
    """Whether ``word`` names a crystal rather than a file.

    Raises:
        ConfigError: It looks like the path of a file, which is not there.
    """
    path = data_paths([word])[0]
    if path.exists():
        return False
    if path.suffix or len(path.parts) > 1:
        raise ConfigError(
            f"expected a file of structures or a crystal, got {word}, which is not there; check the path"
        )
    return True


def prototype_name(kind: str) -> str:
    """The name in :data:`PROTOTYPES` that ``kind`` means.

    Raises:
        ConfigError: The name means no prototype.
    """
    name = kind.lower()
    name = _SYNONYMS.get(name, name)
    if name not in PROTOTYPES:
        raise ConfigError(f"no crystal structure is called {kind!r}; {nearest(name, PROTOTYPES)}")
    return name


def fitting_prototypes(atoms: Atoms) -> list[str]:
    """Names of the crystals that ``atoms`` could form, such as ``Ni:bcc``; none for other compositions."""
    formula = atoms.symbols.formula.reduce()[0]
    counts = formula.count()
    names = []
    for name, prototype in PROTOTYPES.items():
        symbols = _in_order(counts, prototype.counts)
        if symbols:
            pairs = zip(symbols, prototype.counts, strict=True)
            names.append("".join(s if n == 1 else f"{s}{n}" for s, n in pairs) + f":{name}")
    return names


def bond_length(atoms: Atoms) -> float:
    """The shortest distance of two atoms (Å), periodic images included; infinity of a lone atom."""
    reach = 4.0
    while reach < _LONGEST_BOND:
        (second, first), shifts = neighbor_pairs(atoms.positions, atoms.cell.array, atoms.pbc, reach)
        if len(first):
            edges = atoms.positions[second] + shifts @ atoms.cell.array - atoms.positions[first]
            return float(np.linalg.norm(edges, axis=1).min())
        reach *= 1.5
    return float("inf")


def _in_order(counts: dict[str, int], wanted: tuple[int, ...]) -> tuple[str, ...]:
    """The elements in the order in which their counts are those wanted, or nothing."""
    symbols = tuple(counts)
    for order in (symbols, symbols[::-1]):
        if tuple(counts[symbol] for symbol in order) == wanted:
            return order
    return ()


def _parts(word: str) -> tuple[list[str], tuple[int, ...], str]:
    """Elements, their numbers in the formula, and the prototype."""
    formula, _, kind = word.partition(":")
    symbols, counts = _elements_of(formula, word)
    return symbols, counts, prototype_name(kind) if kind else _reference_structure(symbols, word)


def _elements_of(formula: str, word: str) -> tuple[list[str], tuple[int, ...]]:
    try:
        counts = Formula(formula).count()
    except ValueError:
        counts = {}
    if not counts or any(symbol not in atomic_numbers for symbol in counts):
        raise ConfigError(
            f"expected a file of structures or a crystal, got {word!r}; name it as Ni, Ni:bcc or "
            "NaCl:rocksalt"
        )
    return list(counts), tuple(counts.values())


def _reference_structure(symbols: Sequence[str], word: str) -> str:
    known = (reference_states[atomic_numbers[symbols[0]]] or {}) if len(symbols) == 1 else {}
    kind = known.get("symmetry", "")
    if kind not in PROTOTYPES:
        raise ConfigError(
            f"expected a crystal structure for {word}, got none; name it, e.g. {word}:{_example(symbols)}"
        )
    return kind


def _example(symbols: Sequence[str]) -> str:
    return "fcc" if len(symbols) == 1 else "rocksalt"


def _known_length(symbols: Sequence[str], kind: str) -> float:
    """The lattice constant by ASE's table, else by covalent radii (Å)."""
    numbers = [atomic_numbers[symbol] for symbol in symbols]
    known = reference_states[numbers[0]] or {}
    if len(numbers) == 1 and known.get("symmetry") == kind and isinstance(known.get("a"), float):
        return known["a"]
    radii = covalent_radii[numbers]
    return float((radii.max() + radii.min()) * PROTOTYPES[kind].ratio)
