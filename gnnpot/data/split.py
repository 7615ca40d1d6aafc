"""Training and validation sets that share nothing and can be told again."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Int
from pydantic import Field, PositiveInt, model_validator

from gnnpot.config.base import Section
from gnnpot.errors import DataError, one_line
from gnnpot.system.documents import read_json
from gnnpot.system.files import write_text

Array = np.ndarray
FORMAT = 1
_SHOWN = 5  # sizes of groups that a message tells
_FEW = 5  # structures; element sets with fewer on average do not divide a group


class SplitRow(NamedTuple):
    """A structure of a split.

    Attributes:
        origin: File and place.
        hash: Content hash of the structure.
        labels: Hash of its labels; "" in files of older versions.
    """

    origin: str
    hash: str
    labels: str = ""


class SplitConfig(Section):
    """How to take structures out of those to train on: for validation, or for a test.

    Args:
        fraction: Share of the structures; 0.1 if neither this nor ``frames`` is given.
        frames: Number of structures, in place of ``fraction``.
        by: "stratified" takes the share of every group and set of elements, "random" takes it of all
            together, "grouped" holds whole groups out: a test of what the model makes of the unseen.
        groups: The groups that "grouped" holds out; if not given, they are drawn, and those that would
            take more over the share than they leave to it are passed over.
        inherit: A ``splits.json`` of another run, whose structures stay where they were; only others are
            distributed, so that the share of all is held out.
    """

    fraction: float | None = Field(default=None, gt=0, lt=1)
    frames: PositiveInt | None = None
    by: Literal["stratified", "random", "grouped"] = "stratified"
    groups: tuple[str, ...] = ()
    inherit: str | None = None

    @model_validator(mode="after")
    def _one_size(self) -> SplitConfig:
        if self.fraction is not None and self.frames is not None:
            raise ValueError("expected fraction or frames, got both; remove one")
        if self.groups and self.by != "grouped":
            raise ValueError(f"expected groups with by: grouped, got by: {self.by}; change one")
        if self.groups and (self.fraction is not None or self.frames is not None):
            raise ValueError("expected named groups or a size, got both; remove one")
        if self.inherit is not None and (self.frames is not None or self.by == "grouped"):
            raise ValueError("expected a fraction with inherit, got frames or groups; remove them")
        return self


def split_indices(
    hashes: Sequence[str],
    groups: Sequence[str],
    *,
    config: SplitConfig,
    seed: int,
    part: str = "validation",
    elements: Sequence[Iterable[str]] = (),
) -> tuple[Int[Array, "train"], Int[Array, "validation"]]:
    """Indices of the training structures and of those held out, each ascending.

    The result depends on contents and seed, not on the order of the structures; copies of one
    structure stay together.

    Args:
        hashes: Content hash of each structure.
        groups: Group of each structure, "" if it has none.
        config: Size and manner.
        seed: Any integer; another one gives another split.
        part: What the structures are held out for, as a split to inherit names it.
        elements: Elements of each structure; a stratified split takes the same share of each set of elements
            in a group, too, where these are few.

    Raises:
        DataError: One of the two sets would be empty, a named group is not there, no whole groups make
            between half and twice the share, or the split to inherit cannot be read.
    """
    if config.by == "stratified" and elements:
        groups = _divided_by_elements(groups, [" ".join(sorted(symbols)) for symbols in elements])
    members: dict[str, list[int]] = {}
    for index, content in enumerate(hashes):
        members.setdefault(content, []).append(index)
    # Copies may carry different groups; the least one does not depend on their order.
    group_of = {content: min(groups[index] for index in indices) for content, indices in members.items()}
    copies = {content: len(indices) for content, indices in members.items()}
    if config.inherit is None:
        held_out = _held_out(group_of, copies, config, seed)
    else:
        held_out = _inherited(group_of, copies, config, seed, part)
    in_validation = np.array([content in held_out for content in hashes], dtype=bool)
    if in_validation.all() or not in_validation.any():
        raise DataError(
            f"expected structures to train on beside those held out, got {(~in_validation).sum()} and "
            f"{in_validation.sum()} held out; hold out another share, or add different structures"
        )
    return np.flatnonzero(~in_validation), np.flatnonzero(in_validation)


def check_disjoint(
    ones: Mapping[str, str], others: Mapping[str, str], names: str = "training and validation"
) -> None:
    """Refuse sets that share a structure.

    Args:
        ones: Origin of each structure of one set by content hash.
        others: Hashes and origins of the structures that must not be among them.
        names: Purposes of the two sets, for messages.

    Raises:
        DataError: Some structure is in both.
    """
    if shared := [content for content in others if content in ones]:
        first = shared[0]
        raise DataError(
            f"expected different structures for {names}, got {len(shared)} in both, first "
            f"{others[first]} = {ones[first]}; remove them from one"
        )


def write_splits(path: Path, parts: Mapping[str, Iterable[SplitRow]], *, seed: int) -> None:
    """Write which structures were used for what; the file is there whole or not at all.

    Args:
        path: File to write, ``splits.json``.
        parts: Structures by "train", "validation", ….
        seed: Seed of the split.
    """
    content: dict[str, object] = {"format": FORMAT, "seed": seed}
    for name, structures in parts.items():
        content[name] = [row._asdict() for row in structures]
    write_text(path, json.dumps(content, indent=1) + "\n")


def read_splits(path: Path) -> dict[str, list[SplitRow]]:
    """The structures of each part that ``write_splits`` wrote.

    Raises:
        DataError: The file is not a split of this format.
    """
    try:
        content = read_json(path)
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']!r}")
        parts = {name: rows for name, rows in content.items() if isinstance(rows, list)}
        return {name: [SplitRow(**row) for row in rows] for name, rows in parts.items()}
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise DataError(
            f"expected splits of format {FORMAT} in {path}, got {one_line(error)}; split anew"
        ) from error


def _held_out(
    group_of: Mapping[str, str], copies: Mapping[str, int], config: SplitConfig, seed: int
) -> set[str]:
    """Content hashes that go to validation."""
    size = config.frames or (config.fraction or 0.1) * sum(copies.values())
    order = sorted(group_of, key=lambda content: _draw(content, seed))
    if config.by == "random":
        return _take(order, copies, size)
    if config.by == "stratified":
        return _take(_interleaved(order, group_of), copies, size)
    names = set(config.groups)
    if not names:
        sizes: dict[str, int] = {}
        for content, group in group_of.items():
            sizes[group] = sizes.get(group, 0) + copies[content]
        names = _take_groups(sorted(sizes, key=lambda group: _draw(group, seed)), sizes, size)
    if unknown := names - set(group_of.values()):
        there = ", ".join(sorted(set(group_of.values())))
        raise DataError(f"expected a group of the data, got {min(unknown)!r}; choose of: {there}")
    return {content for content in order if group_of[content] in names}


def _inherited(
    group_of: Mapping[str, str], copies: Mapping[str, int], config: SplitConfig, seed: int, part: str
) -> set[str]:
    """Content hashes that were in this part before, and of the new ones as many as the share lacks."""
    before = read_splits(Path(str(config.inherit)).expanduser())
    known = {row.hash for rows in before.values() for row in rows}
    kept = {row.hash for row in before.get(part, ())} & set(group_of)
    new = {content: group for content, group in group_of.items() if content not in known}
    lacking = (config.fraction or 0.1) * sum(copies.values()) - sum(copies[content] for content in kept)
    if not new or lacking < 0.5:
        return kept
    drawn = SplitConfig(frames=max(1, round(lacking)), by=config.by)
    return kept | _held_out(new, {content: copies[content] for content in new}, drawn, seed)


def _divided_by_elements(groups: Sequence[str], elements: Sequence[str]) -> list[str]:
    """Group and elements of each structure; the group alone where most of its element sets are rare."""
    sizes, kinds = Counter(groups), dict[str, set[str]]()
    for group, symbols in zip(groups, elements, strict=True):
        kinds.setdefault(group, set()).add(symbols)
    return [
        f"{group} of {symbols}" if sizes[group] >= _FEW * len(kinds[group]) else group
        for group, symbols in zip(groups, elements, strict=True)
    ]


def _draw(text: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{text}".encode()).hexdigest()


def _interleaved(order: Sequence[str], group_of: Mapping[str, str]) -> list[str]:
    """Reorder so that any first part takes the same share of every group.

    Member k of n in its group comes at (k + ½)/n, so a group of one stays out up to a share of ½.
    """
    queues: dict[str, list[str]] = {}
    for content in order:
        queues.setdefault(group_of[content], []).append(content)
    place = {c: (k + 0.5) / len(queue) for queue in queues.values() for k, c in enumerate(queue)}
    return sorted(order, key=place.__getitem__)


def _take(order: Sequence[str], copies: Mapping[str, int], size: float) -> set[str]:
    """The first entries of ``order`` whose copies together come closest to ``size``, at least one."""
    taken: set[str] = set()
    count = 0
    for entry in order:
        if count and count + copies[entry] / 2 > size:
            break
        taken.add(entry)
        count += copies[entry]
    return taken


def _take_groups(order: Sequence[str], sizes: Mapping[str, int], share: float) -> set[str]:
    """Groups that together have between half and twice ``share``, the first of ``order`` if they can."""
    largest_first = sorted(order, key=sizes.__getitem__, reverse=True)  # finds what there is
    for groups in (order, largest_first):
        taken: set[str] = set()
        count = 0
        for group in groups:
            if count + sizes[group] / 2 <= share:
                taken.add(group)
                count += sizes[group]
        if count >= share / 2:
            return taken
    found = ", ".join(map(str, sorted(sizes.values(), reverse=True)[:_SHOWN]))
    more = ", …" if len(sizes) > _SHOWN else ""
    raise DataError(
        f"expected whole groups of about {share:.0f} structures to hold out, got groups of {found}{more}; "
        "hold out another share, or name groups"
    )
