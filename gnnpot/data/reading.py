"""Files to labeled structures, one after another, whatever format ASE knows."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.calculator import compare_atoms

from gnnpot.config.registry import nearest
from gnnpot.data.database import read_database
from gnnpot.data.extxyz import read_extxyz
from gnnpot.data.files import Files, Source, sources
from gnnpot.data.keys import QUANTITIES, LabelKeys
from gnnpot.data.labels import UNUSABLE, cure_for, labeled, nonfinite_labels
from gnnpot.data.vasp import with_convergence
from gnnpot.errors import DataError, one_line

_AS_READ = LabelKeys()
_NO_PART = {"initial_charges", "initial_magmoms"}  # of what a structure is
MEMORY = "memory:"  # stands for a file where structures are in memory
_ISOLATED = ("isolatedatom", "isolatedatoms", "freeatom", "freeatoms")

Array = np.ndarray


def read_frames(
    files: Files, keys: LabelKeys = _AS_READ, *, needed: Collection[str] = QUANTITIES
) -> Iterator[Atoms]:
    """Read labeled structures that can be used; only one of them is in memory.

    Each frame is new, without constraints (they would zero forces).  Its calculator holds the labels
    that are there and have a weight; its ``info`` holds ``origin`` ("file.xyz:17", counted from 1 in the
    whole file), ``group`` ("" if none), ``energy_weight``, ``forces_weight``, ``stress_weight``,
    ``label_keys`` (quantity → key that it came from), and what else the file says of the frame.  Forces that
    do not count are NaN, and the array ``forces_mask`` says which.

    Args:
        files: Extended XYZ, ASE trajectories and databases, outputs of VASP, Quantum ESPRESSO, …, with a
            selection of frames as in ``train.xyz@::4`` or without.
        keys: Names, units and signs of the labels, but for files that have their own.
        needed: Labels that are refused if they are there and cannot be used; others are then left out.

    Raises:
        DataError: A file is missing, empty or not of structures; positions, a cell or a needed label cannot
            be used; a weight is negative; or no frame has a named key.
    """
    for atoms in read_as_found(files, keys):
        check_finite(atoms)
        for quantity, fault in atoms.info.get(UNUSABLE, {}).items():
            if quantity in needed:
                raise DataError(f"{atoms.info['origin']}: {fault}; {cure_for(quantity)}")
        yield atoms


def read_as_found(files: Files, keys: LabelKeys = _AS_READ) -> Iterator[Atoms]:
    """Read labeled structures as :func:`read_frames` does, faults and all, to be looked for.

    Labels that cannot be used are left out, and ``info["unusable"]`` says why, by quantity.
    """
    wanted, present = dict[tuple[str, str], list[str]](), set[str]()
    for source in sources(files, keys):
        for field, name in source.keys.named.items():
            wanted.setdefault((field, name), []).append(str(source.path))
        for number, atoms in _selected(source):
            values = _values(atoms)
            present.update(values)
            yield labeled(atoms, values, f"{source.path}:{number}", source.keys)
    for (field, name), paths in wanted.items():
        if name not in present:
            known = nearest(name, present - {"numbers", "positions"})
            raise DataError(
                f"expected keys.{field} = {name!r} in some frame of {', '.join(paths)}, got none; {known}"
            )


def read_memory(frames: Iterable[Atoms], keys: LabelKeys = _AS_READ) -> Iterator[Atoms]:
    """Labeled structures in memory, as :func:`read_as_found` yields those of files.

    Their origins are "memory:17", counted from 1.

    Raises:
        DataError: A label is unusable, or the results of a calculator belong to another structure.
    """
    for number, atoms in enumerate(frames, start=1):
        origin = f"{MEMORY}{number}"
        check_results(atoms, origin)
        yield labeled(atoms, _values(atoms), origin, keys)


def check_results(atoms: Atoms, origin: str) -> None:
    """Refuse results that a calculator has of another structure than the one that it stands on.

    They are left where several structures share one calculator, or where atoms moved afterwards.

    Raises:
        DataError: Naming what differs.
    """
    known = getattr(atoms.calc, "atoms", None)
    if known is None or not atoms.calc.results:
        return
    if changes := compare_atoms(known, atoms, tol=1e-8, excluded_properties=_NO_PART):
        raise DataError(
            f"expected results of {origin} in its calculator, got those of another structure, with other "
            f"{', '.join(sorted(changes))}; keep each in a SinglePointCalculator of its own"
        )


def content_hash(atoms: Atoms) -> str:
    """SHA-256 of the structure alone: numbers, positions, cell, periodicity; lengths to 1e-6 Å."""
    digest = hashlib.sha256(atoms.numbers.astype("<i8").tobytes())
    for lengths in (atoms.positions, atoms.cell.array):
        digest.update((np.rint(lengths * 1e6) + 0.0).astype("<f8").tobytes())  # + 0.0 makes −0 a 0
    digest.update(atoms.pbc.tobytes())
    return digest.hexdigest()


def is_isolated_atom(atoms: Atoms) -> bool:
    """Whether the frame is there to give the energy of a free atom."""
    kinds = (re.sub("[^a-z]", "", str(atoms.info.get(name, "")).lower()) for name in ("config_type", "group"))
    return len(atoms) == 1 and any(kind in _ISOLATED for kind in kinds)


def nonfinite(atoms: Atoms) -> list[str]:
    """Which of positions, cell and labels hold NaN or infinity where they count."""
    places = {"positions": atoms.positions, "cell": atoms.cell.array}
    broken = [name for name, value in places.items() if not np.isfinite(value).all()]
    return broken + nonfinite_labels(atoms, {} if atoms.calc is None else atoms.calc.results)


def check_finite(atoms: Atoms) -> None:
    """Refuse a frame with a number that is not finite.

    Raises:
        DataError: Positions, cell or a label hold NaN or infinity.
    """
    if names := nonfinite(atoms):
        raise DataError(
            f"expected finite {names[0]} in {atoms.info['origin']}, got NaN or infinity; remove the frame"
        )


def check_file(path: Path) -> None:
    """Refuse a path at which no file of structures can be.

    Raises:
        DataError: Nothing is there, or a folder, or an empty file.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise DataError(f"expected a file of structures, got {found} at {path}; check the path")
    if path.stat().st_size == 0:
        raise DataError(f"expected structures in {path}, got an empty file; check how it was written")


def _selected(source: Source) -> Iterator[tuple[int, Atoms]]:
    """The frames of a file that are meant, each with its number in the file.

    Raises:
        DataError: There are none of them.
    """
    numbered = enumerate(_raw_frames(source.path), start=1)
    if source.frames is None:
        yield from numbered
        return
    limits = (source.frames.start, source.frames.stop, source.frames.step)
    if all(limit is None or limit >= 0 for limit in limits):
        chosen: Iterator[tuple[int, Atoms]] = islice(numbered, *limits)
    else:  # counted from the end, which only who has read it knows
        chosen = iter(list(numbered)[source.frames])
    first = next(chosen, None)
    if first is None:
        said = ":".join("" if limit is None else str(limit) for limit in limits)
        raise DataError(f"expected frames {said} of {source.path}, got none; choose others")
    yield first
    yield from chosen


def _raw_frames(path: Path) -> Iterator[Atoms]:
    """The frames as ASE reads them, with errors that name the file and the frame."""
    check_file(path)
    number = 0
    try:
        for atoms in _reader(path)(path):
            number += 1
            if not len(atoms):
                raise DataError(f"expected atoms in {path}:{number}, got none; remove the frame")
            yield atoms
    except DataError:
        raise
    except ImportError as error:
        package = (error.name or "").partition(".")[0] or "that it names"
        raise DataError(
            f"expected the package {package} to read {path}, got none ({one_line(error)[:100]}); install it: "
            f"pip install {package}"
        ) from error
    except Exception as error:  # ASE's parsers raise anything at all on files that they cannot read
        reason = one_line(error)
        raise DataError(
            f"expected a structure at {path}:{number + 1}, got {reason[:200]}; check the file"
        ) from error
    if number == 0:
        raise DataError(f"expected structures in {path}, got none; check how it was written")


def _reader(path: Path) -> Callable[[Path], Iterator[Atoms]]:
    suffixes = [suffix for suffix in path.suffixes if suffix not in (".gz", ".bz2", ".xz")]
    known = {".xyz": read_extxyz, ".extxyz": read_extxyz, ".db": read_database}
    return known.get(suffixes[-1] if suffixes else "", _read_with_ase)


def _read_with_ase(path: Path) -> Iterator[Atoms]:
    kind = ase.io.formats.filetype(str(path))
    frames = ase.io.iread(str(path), index=":", format=kind, do_not_split_by_at_sign=True)
    yield from with_convergence(frames, path) if kind == "vasp-xml" else frames


def _values(atoms: Atoms) -> dict[str, Any]:
    """All that a file holds of a frame, by the name that it has there; ``info`` before the rest."""
    results = {} if atoms.calc is None else atoms.calc.results
    values = {**results, **atoms.arrays, **atoms.info}
    return {name: value for name, value in values.items() if value is not None}
