"""Nested subsets of a labeled data set, and a test set disjoint from all of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from gnnpot.config.registry import nearest
from gnnpot.data.checks.inspection import inspect
from gnnpot.data.columns import label_hash
from gnnpot.data.files import Files
from gnnpot.data.forces_mask import MASK
from gnnpot.data.keys import LabelKeys
from gnnpot.data.reading import content_hash, is_isolated_atom, read_frames
from gnnpot.data.split import SplitConfig, split_indices
from gnnpot.errors import DataError
from gnnpot.graph.graph import LABELS, label_arrays
from gnnpot.system.files import atomic_write, make_folder

VALIDATION_EVERY = 10  # one of so many frames picks the model, at least one
_KEPT = ("group", "config_type", *(f"{name}_weight" for name in LABELS))


@dataclass(frozen=True)
class StructurePool:
    """Labeled structures from which subsets are drawn.

    Attributes:
        frames: Structures, unique by content hash, without isolated atoms.
        isolated: Isolated atoms, which are added to every training file.
        test: Test structures, which are in no subset.
        labels: Quantities with a label on every frame.
        warnings: Warnings of the data report.
    """

    frames: list[Atoms]
    isolated: list[Atoms]
    test: list[Atoms]
    labels: tuple[str, ...]
    warnings: tuple[str, ...]


def read_pool(
    names: Files,
    test: SplitConfig | Files,
    keys: LabelKeys,
    *,
    exclude: Collection[str] = (),
) -> StructurePool:
    """Read the structures and hold out the test set.

    Args:
        names: Files of labeled structures; ``gnnpot:NAME`` comes with the package.
        test: Test files, or how to hold out a part of the structures.
        keys: Keys and units of the labels.
        exclude: Groups of structures to leave out, also from the test set.

    Raises:
        DataError: The data have a fault, only some frames are labeled, a structure is in both sets, or a
            group is unknown.
    """
    every = list(read_frames(names, keys))
    apart = [] if isinstance(test, SplitConfig) else list(read_frames(test, keys))
    known = sorted({atoms.info["group"] for atoms in (*every, *apart)})
    if unknown := sorted(set(exclude).difference(known)):
        raise DataError(
            f"expected groups of the structures to leave out, got {unknown[0]!r}; "
            f"{nearest(unknown[0], known)}"
        )
    everything, warnings = _inspected(every, keys, exclude)
    isolated = [atoms for atoms in everything if is_isolated_atom(atoms)]
    rest = [atoms for atoms in everything if not is_isolated_atom(atoms)]
    if isinstance(test, SplitConfig):
        taken = test.frames or 0
        if len(rest) <= taken:
            raise DataError(
                f"expected more structures than the {taken} that the test takes, got {len(rest)} beside the "
                "groups that are left out; take a smaller test, or add data"
            )
        hashes, groups = [content_hash(atoms) for atoms in rest], [atoms.info["group"] for atoms in rest]
        elements = [set(atoms.symbols) for atoms in rest]
        chosen = split_indices(hashes, groups, config=test, seed=0, elements=elements)
        pool, held_out = ([rest[index] for index in indices] for indices in chosen)
    else:
        found, more = _inspected(apart, keys, exclude)
        pool, held_out = rest, [atoms for atoms in found if not is_isolated_atom(atoms)]
        warnings = (*warnings, *more)
    frames, tested = _different(pool), _different(held_out)
    if shared := sorted(set(frames) & set(tested)):
        raise DataError(
            f"expected test structures that are not in the data, got {len(shared)} in both, first "
            f"{tested[shared[0]].info['origin']} = {frames[shared[0]].info['origin']}; remove them from one"
        )
    if not any({"energy", "forces"} & set(label_arrays(atoms)) for atoms in tested.values()):
        raise DataError(
            f"expected test structures with energies or forces, got {len(tested)} without; name their keys"
        )
    ordered = [frames[content] for content in sorted(frames)]
    return StructurePool(ordered, isolated, list(tested.values()), common_labels(ordered), warnings)


def common_labels(frames: Sequence[Atoms]) -> tuple[str, ...]:
    """Quantities for which every frame of nonzero weight has a label.

    Raises:
        DataError: Only a part of the frames has a label, or none has any.
    """
    common = []
    for name in LABELS:
        weighing = [atoms for atoms in frames if atoms.info[f"{name}_weight"] > 0]
        lacking = [atoms.info["origin"] for atoms in weighing if name not in label_arrays(atoms)]
        if weighing and not lacking:
            common.append(name)
        elif len(lacking) < len(weighing):
            raise DataError(
                f"expected {name} labels on all frames or on none, got none on {len(lacking)} of "
                f"{len(weighing)}, first {lacking[0]}; label them, remove them or set "
                f"config_{name}_weight=0 on them"
            )
    if not common:
        raise DataError(
            f"expected frames with energies, forces or stress, got {len(frames)} without; name their keys"
        )
    return tuple(common)


def nested_order(frames: Sequence[Atoms], seed: int) -> list[int]:
    """A random order whose first n members are the subset of size n.

    Frames that add an element come first, and are never used for validation, so that small subsets
    contain all elements if possible.
    """
    shuffled = np.random.default_rng(seed).permutation(len(frames)).tolist()
    seen: set[str] = set()
    bringing, others = deque[int](), deque[int]()
    for index in shuffled:
        symbols = set(frames[index].symbols)
        (others if symbols <= seen else bringing).append(index)
        seen |= symbols
    order = []
    for place in range(len(frames)):
        is_for_validation = _picks_model(place)
        queue = others if others and (is_for_validation or not bringing) else bringing
        order.append(queue.popleft())
    return order


def parts(order: Sequence[int], size: int) -> tuple[list[int], list[int]]:
    """Split the first ``size`` members of ``order`` into training and validation; both sets are nested."""
    train = [index for place, index in enumerate(order[:size]) if not _picks_model(place)]
    return train, [index for place, index in enumerate(order[:size]) if _picks_model(place)]


def check_parts(pool: StructurePool, sizes: Sequence[int], seeds: int) -> None:
    """Check that the pool is large enough for all sizes, and that each subset has every element.

    Raises:
        DataError: A size exceeds the pool, the smallest subset lacks an element, or the pool lacks an
            element of the test set.
    """
    if max(sizes) > len(pool.frames):
        raise DataError(
            f"expected sizes up to the {len(pool.frames)} different frames that the test leaves, got "
            f"{max(sizes)}; lower --sizes or add data"
        )
    needed, tested = (
        {symbol for atoms in frames for symbol in atoms.symbols} for frames in (pool.frames, pool.test)
    )
    if unknown := sorted(tested - needed):
        raise DataError(
            f"expected the elements of the data ({', '.join(sorted(needed))}) in the test, got also "
            f"{', '.join(unknown)}; add frames with it to the data, or remove those of the test"
        )
    for seed in range(seeds):
        train, _ = parts(nested_order(pool.frames, seed), min(sizes))
        lacking = needed - {symbol for index in train for symbol in pool.frames[index].symbols}
        if lacking:
            raise DataError(
                f"expected all elements in the {len(train)} training frames of size {min(sizes)}, got no "
                f"{', '.join(sorted(lacking))} with seed {seed}; start with a larger size, or remove the "
                "frames with it"
            )


def write_frames(frames: Iterable[Atoms], path: Path) -> None:
    """Write structures with their labels, without rounding; a file with the same content is kept.

    Raises:
        DataError: The file exists with other structures, labels, weights or groups.
        OutputError: The file cannot be written.
    """
    frames = list(frames)
    if path.exists():
        old, new = (list(map(_identity, some)) for some in (read_frames([path]), frames))
        if old != new:
            what = (
                "labels, weights or groups" if [one[0] for one in old] == [one[0] for one in new] else "data"
            )
            raise DataError(
                f"expected the data that {path} was taken from, got other {what}; resume with the same, or "
                "use another --output"
            )
        return
    make_folder(path.parent)
    with atomic_write(path) as aside:
        ase.io.write(str(aside), [_labeled(atoms) for atoms in frames], format="traj")


def _identity(atoms: Atoms) -> tuple[str, str, str]:
    """Identity of a labeled structure: hashes of the structure and of its labels, and the group."""
    return content_hash(atoms), label_hash(atoms), str(atoms.info.get("group", ""))


def _labeled(atoms: Atoms) -> Atoms:
    """Copy of the structure with its labels, group and weights only."""
    bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    bare.calc = atoms.calc
    bare.info = {name: atoms.info[name] for name in _KEPT if name in atoms.info}
    if MASK in atoms.arrays:  # which this format has no place for among the arrays
        bare.info[MASK] = atoms.arrays[MASK]
    return bare


def _picks_model(place: int) -> bool:
    return place % VALIDATION_EVERY == 1


def _inspected(
    frames: Iterable[Atoms], keys: LabelKeys, exclude: Collection[str]
) -> tuple[list[Atoms], tuple[str, ...]]:
    frames = [atoms for atoms in frames if atoms.info["group"] not in exclude]
    report = inspect(frames, keys)
    report.check()
    return frames, report.warnings


def _different(frames: Iterable[Atoms]) -> dict[str, Atoms]:
    """The first frame of each content hash."""
    chosen: dict[str, Atoms] = {}
    for atoms in frames:
        chosen.setdefault(content_hash(atoms), atoms)
    return chosen
