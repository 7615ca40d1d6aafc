"""Distillation: the few structures of a pool from which a potential learns all of it."""

from __future__ import annotations

import json
from pathlib import Path

from ase import Atoms

from gnnpot.data.extxyz import read_extxyz
from gnnpot.learning.distillation_config import DistillConfig
from gnnpot.learning.distillation_report import write_distillation_report
from gnnpot.learning.growth import Growth
from gnnpot.learning.labeling import write_frames
from gnnpot.learning.pool import STORE, Pool
from gnnpot.learning.story import STORY, Facts
from gnnpot.learning.translation import translate
from gnnpot.system.files import write_text
from gnnpot.system.run_folder import RunFolder
from gnnpot.training.fit import Observer
from gnnpot.training.members import MemberProcesses

RESULT, DISTILLED, TRANSLATED = "result.json", "distilled.xyz", "translated"


def distill(
    config: DistillConfig,
    output: Path,
    *,
    resume: bool = False,
    jobs: int = 1,
    observer: Observer | None = None,
) -> Facts:
    """Grow a small set out of a pool by each rule, judging the potential on the whole pool at each size.

    ``distilled.xyz`` is the last set of the rule, each structure with the reason why it was taken; a folder
    for each rule holds the trainings (that of the rule also the first, which all share), ``translated/``
    that of another material; ``result.json`` and ``report.html`` tell errors against the share of the pool.

    Source: Jung, "Data Distillation for Neural Network Potentials toward Foundational Dataset" (2023).

    Args:
        config: Pool, committee, rules.
        output: Folder for everything that is written.
        resume: Go on with the distillation in ``output``, if there is one; no label is computed twice.
        jobs: Number of members that are trained at a time, each in a process of its own.
        observer: Receives remarks, and progress events of trainings.

    Returns:
        Content of ``result.json``.

    Raises:
        GnnpotError: Bad configuration, data or folder; a pool without labels; a training that fails.
    """
    observer = observer or Observer()
    folder = RunFolder(output, "distillation", files=(STORY, RESULT, DISTILLED))
    with folder.held(resume=resume):
        config.check_same(folder)
        pool = Pool.of(config, folder.path, observer)
        inputs = pool.inputs(config)
        folder.check_inputs(inputs)
        if changes := config.changes(folder):
            observer.note(f"the distillation goes on with other values of {changes}")
        folder.begin(config.as_yaml(), inputs)
        result: Facts = {"structures": len(pool.frames), "rule": config.rule, "judged_on": "the whole pool"}
        if pool.is_bare:
            result["judged_on"] = "the test structures" if config.potential.test else "held-out structures"
        with MemberProcesses(jobs) as processes:
            for rule in config.rules:
                growth = Growth(config, pool, folder.path, rule)
                result.setdefault("curves", {})[rule] = growth.grow(observer, jobs=processes)
                if rule == config.rule:
                    write_frames(folder.path / DISTILLED, growth.distilled())
                _write(config, folder.path, result)
            if config.translate is not None:
                result["translated"] = _translated(config, folder.path, observer, processes)
                _write(config, folder.path, result)
    return result


def _translated(config: DistillConfig, output: Path, observer: Observer, jobs: MemberProcesses) -> Facts:
    frames: list[Atoms] = list(read_extxyz(output / DISTILLED))
    place, store = output / TRANSLATED, str(output / STORE)
    return translate(config, frames, place, store=store, observer=observer, jobs=jobs)


def _write(config: DistillConfig, output: Path, result: Facts) -> None:
    write_text(output / RESULT, json.dumps(result, indent=1) + "\n")
    write_distillation_report(output / "report.html", config, result)
