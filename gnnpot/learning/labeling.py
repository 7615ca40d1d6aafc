"""Labels for what was chosen, each computed once, whoever has asked for it."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from pathlib import Path

from ase import Atoms
from ase.io.extxyz import write_extxyz
from pydantic import PositiveFloat

from gnnpot.config.base import Section
from gnnpot.engines import Engine
from gnnpot.labeling.config import LabelConfig, LocalConfig, Running
from gnnpot.labeling.run import Pools, label_files
from gnnpot.learning.story import Facts
from gnnpot.system.files import write_text


class LabelingConfig(Section):
    """The reference method of a loop and how it runs.

    Args:
        method: Reference method and its settings.
        running: Processes or cluster that run the calculations.
        time_limit: Longest time for one structure (s).
        max_force: Largest believable force (eV/Å).
        store: File of the label store, or ``postgresql://…``; ``labels.db`` in the output if None.
    """

    method: Engine
    running: Running = LocalConfig()
    time_limit: PositiveFloat = 3600.0
    max_force: PositiveFloat = 100.0
    store: str | None = None


def label_chosen(
    labeling: LabelingConfig, structures: Path, *, store: str, folder: Path, pools: Pools | None = None
) -> Facts:
    """Label the structures of a file; those in the store are not computed again.

    A structure that does not fit the method, such as a torn molecule, is one more failure.

    Args:
        labeling: Reference method.
        structures: File of bare structures.
        store: Place of the labels, where the section names none.
        folder: Folder that gets ``labels.xyz``.
        pools: Makes or keeps the pool of workers, as :func:`gnnpot.labeling.run.label_files` takes it.

    Returns:
        Numbers of structures, of labels and of failures, and ``bad`` where all have failed.
    """
    settings = LabelConfig(
        method=labeling.method,
        structures=(str(structures),),
        store=labeling.store or store,
        running=labeling.running,
        time_limit=labeling.time_limit,
        max_force=labeling.max_force,
    )
    figures = label_files(settings, folder, pools=pools, all_fit=False)
    failures = figures["failures"]
    facts: Facts = {
        "structures": figures["structures"],
        "labeled": figures["written"],
        "failed": len(failures),
    }
    if not figures["written"]:
        first = failures[0]
        facts["bad"] = f"all {len(failures)} structures failed, the first: {first['kind']}: {first['reason']}"
    return facts


def write_frames(path: Path, frames: Sequence[Atoms]) -> None:
    """Write structures as extended XYZ, each with columns of its own, in one piece."""
    text = StringIO()
    for frame in frames:
        write_extxyz(text, [frame])
    write_text(path, text.getvalue())
