"""A distilled set turned into that of another material: renamed, scaled, labeled anew, trained on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ase import Atoms

from gnnpot.data.files import DataFile
from gnnpot.errors import ConfigError, DataError
from gnnpot.labeling.export import LABELS
from gnnpot.learning.distillation_config import DistillConfig
from gnnpot.learning.labeling import label_chosen, write_frames
from gnnpot.learning.story import Facts, Phases
from gnnpot.sampling.substitution import transferred
from gnnpot.system.run_folder import changed_values, in_words
from gnnpot.training.fit import Observer
from gnnpot.training.members import MemberProcesses
from gnnpot.training.run import train
from gnnpot.training.run_config import RunConfig

_BARE = "structures.xyz"


def translate(
    config: DistillConfig,
    frames: Sequence[Atoms],
    folder: Path,
    *,
    store: str,
    observer: Observer,
    jobs: MemberProcesses,
) -> Facts:
    """Turn a set into that of another material, and train on it; what is done already is not repeated.

    Source: Jung, Yoshimoto, Oh, Tsuneyuki, arXiv:2308.08098 (2023), section 2: nickel to aluminum.

    Args:
        config: A distillation with ``translate``.
        frames: The distilled set.
        folder: Folder of the structures, their labels, and the training, which is that of the other material.
        store: Place of the labels.
        observer: Receives remarks, and progress events of the training.
        jobs: Processes that train members.

    Returns:
        Numbers of structures and labels, and the errors of the training.

    Raises:
        ConfigError: Another translation has begun in the folder.
        DataError: An element of ``map`` is not in the set, or no structure could be labeled.
    """
    change = config.translate
    assert change is not None
    present = {symbol for atoms in frames for symbol in atoms.symbols}
    if absent := sorted(set(change.names) - present):
        raise DataError(
            f"expected elements of the set ({', '.join(sorted(present))}) to replace, got "
            f"{', '.join(absent)}; mend translate.map"
        )
    phases, written = Phases(folder), change.model_dump(mode="json")
    before = phases.once("begin", lambda: {"translate": written})["translate"]
    if changes := changed_values(before, written, free=("labeling.running", "labeling.time_limit")):
        raise ConfigError(
            f"expected the translation in {folder}, got other values of {in_words(changes)}; remove the "
            "folder for another"
        )
    moved = [transferred(atoms, names=change.names, scale=change.length_scale) for atoms in frames]
    write_frames(folder / _BARE, moved)
    observer.note(f"translated: {len(moved)} structures, {change.change}")
    labeled = phases.once(
        "label",
        partial(label_chosen, change.labeling, folder / _BARE, store=store, folder=folder / "labels"),
    )
    if labeled.get("bad"):
        raise DataError(f"expected labels of the translated set, got none: {labeled['bad']}")
    run = _run(config, DataFile(path=str(folder / "labels" / LABELS)))
    trained = phases.once("train", lambda: _trained(run, folder, observer, jobs))
    return {**labeled, **trained}


def _run(config: DistillConfig, file: DataFile) -> RunConfig:
    change = config.translate
    assert change is not None
    own = {
        "model": config.potential.model.scaled(change.length_scale),
        "training": config.translated_training(change),
        "train": (file,),
        "test": (),
        "members": config.members,
    }
    return config.potential.model_copy(update=own)


def _trained(run: RunConfig, folder: Path, observer: Observer, jobs: MemberProcesses) -> Facts:
    metrics = train(run, folder, resume=True, observer=observer, jobs=jobs)
    return {name: metrics[name] for name in ("energy", "forces", "split")}
