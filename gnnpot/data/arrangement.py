"""Files of labeled structures joined, and divided into parts that share nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ase import Atoms

from gnnpot.data.columns import label_hash, origin_of
from gnnpot.data.reading import content_hash, is_isolated_atom
from gnnpot.data.split import SplitConfig, SplitRow, split_indices, write_splits
from gnnpot.data.writing import write_labeled
from gnnpot.errors import DataError
from gnnpot.system.files import make_folder

PARTS = ("train", "validation", "test")


def without_repeats(
    frames: Iterable[Atoms], repeated: Callable[[str], None] = lambda origin: None
) -> Iterator[Atoms]:
    """The structures, each once.

    Args:
        frames: Labeled structures.
        repeated: Called with the origin of each that is left out, as it came before with the same labels.

    Raises:
        DataError: A structure comes twice with different labels.
    """
    seen: dict[str, tuple[str, str]] = {}
    for atoms in frames:
        content, labels, origin = content_hash(atoms), label_hash(atoms), origin_of(atoms)
        first = seen.setdefault(content, (labels, origin))
        if first[1] == origin:
            yield atoms
        elif first[0] == labels:
            repeated(origin)
        else:
            raise DataError(
                f"expected the same labels of one structure, got others in {origin} than in {first[1]}; "
                "remove one"
            )


def divided(
    frames: Sequence[Atoms], splits: Mapping[str, SplitConfig], *, seed: int
) -> dict[str, list[Atoms]]:
    """Structures to train on, and those kept apart; isolated atoms are in the first part.

    Args:
        frames: Labeled structures.
        splits: How to take "test" and "validation" out, in this order; shares are of all structures.
        seed: Seed of the choice.

    Raises:
        DataError: A part would be empty.
    """
    rows = [row for row, atoms in enumerate(frames) if not is_isolated_atom(atoms)]
    total, parts = len(rows), dict[str, list[int]]()
    for name, split in splits.items():
        size = split.frames or max(round((split.fraction or 0.1) * total), 1)
        exact = split.model_copy(update={"fraction": None, "frames": size})
        hashes = [content_hash(frames[row]) for row in rows]
        groups = [str(frames[row].info.get("group", "")) for row in rows]
        elements = [set(frames[row].symbols) for row in rows]
        stay, out = split_indices(hashes, groups, config=exact, seed=seed, elements=elements)
        parts[name] = [rows[place] for place in out]
        rows = [rows[place] for place in stay]
    isolated = [row for row, atoms in enumerate(frames) if is_isolated_atom(atoms)]
    parts["train"] = sorted([*isolated, *rows])
    return {name: [frames[row] for row in parts[name]] for name in PARTS if name in parts}


def write_parts(folder: Path, parts: Mapping[str, Sequence[Atoms]], *, seed: int) -> dict[str, Path]:
    """Write each part as extended XYZ, and ``splits.json``, which a run can take as its split.

    Args:
        folder: Folder to write to.
        parts: Structures by part.
        seed: Seed of the split.

    Returns:
        The files by part.

    Raises:
        DataError: A file is there already.
        OutputError: The folder cannot be written to.
    """
    make_folder(folder)
    files = {name: folder / f"{name}.xyz" for name in parts}
    for name, frames in parts.items():
        write_labeled(files[name], frames)
    rows = {
        name: [SplitRow(origin_of(atoms), content_hash(atoms), label_hash(atoms)) for atoms in frames]
        for name, frames in parts.items()
    }
    write_splits(folder / "splits.json", rows, seed=seed)
    return files
