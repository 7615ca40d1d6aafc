"""A sampling run in a folder: frames as they come, and a summary."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from gnnpot.engines import EngineConfig, calculator_from
from gnnpot.errors import DataError
from gnnpot.sampling.config import SampleConfig
from gnnpot.sampling.log import means_of, read_log
from gnnpot.sampling.md import MolecularDynamicsSampler
from gnnpot.sampling.momt.sampler import MOMTSampler
from gnnpot.sampling.steered import SteeredSampler, read_work_curves
from gnnpot.sampling.trajectory import FRAMES, LOG, STATE, FrameWriter
from gnnpot.sampling.walk import Walks
from gnnpot.system.files import write_text
from gnnpot.system.run_folder import RunFolder

Watch = Callable[[int, float | None], None]  # of the number of frames and the share of steps, if known
SUMMARY, BIAS = "summary.json", "bias.json"


def sample(
    config: SampleConfig,
    output: Path,
    *,
    resume: bool = False,
    watch: Watch = lambda frames, share: None,
) -> dict[str, Any]:
    """Sample as ``config`` says into the folder ``output``; gives the summary.

    Args:
        config: The run.
        output: Folder for everything that is written.
        resume: Go on with the run in ``output``, if there is one.
        watch: Told now and then how many frames there are, and, of dynamics, which share of the steps is
            done.

    Raises:
        ConfigError: The folder holds a run of another configuration, calculator or structures.
        DataError: The structures cannot be used, or no frame came.
        LabelingError: The calculator lacks an element of a structure, or needs a cell.
        OutputError: The folder holds results, cannot be written to, or another run is there.
    """
    summary = collect(config, output, resume=resume, watch=watch)
    _check(summary)
    return summary


def collect(
    config: SampleConfig, output: Path, *, resume: bool, watch: Watch = lambda frames, share: None
) -> dict[str, Any]:
    """As :func:`sample`, but dynamics that explode before their first frame are a result like others."""
    begun = time.monotonic()
    folder = RunFolder(output, "sampling run", files=(FRAMES, LOG, STATE, SUMMARY))
    with folder.held(resume=resume):
        config.check_same(folder)
        inputs = config.inputs()
        folder.check_inputs(inputs)
        calculator = (
            None
            if config.calculator is None
            else calculator_from(config.calculator, folder.path / "calculator")
        )
        sampler = config.sampler.sampler(calculator)
        frames = sampler(_treatable(config), np.random.default_rng(config.seed))
        folder.begin(config.as_yaml(), inputs)
        trajectory, state = FrameWriter.go_on(folder.path)
        with trajectory:
            coming = _taken_up(frames, state, trajectory.count)
            _write(coming, trajectory, keep=config.keeps_labels, watch=watch)
        summary = {
            "sampler": config.sampler.kind,
            "frames": trajectory.count,
            "labeled": config.keeps_labels,
            "seconds": round(time.monotonic() - begun, 3),
            "runs": _runs(frames),
        }
        if trajectory.count:
            summary |= _findings(sampler, folder.path)
        write_text(folder.path / SUMMARY, json.dumps(summary, indent=2))
    return summary


def _treatable(config: SampleConfig) -> Iterator[Atoms]:
    """The structures to start from; one that the calculator cannot treat is refused when it comes."""
    structures, engine = config.structures.structures(), config.calculator
    return structures if engine is None else _checked(structures, engine)


def _checked(structures: Iterator[Atoms], engine: EngineConfig) -> Iterator[Atoms]:
    known = engine.elements()
    for number, atoms in enumerate(structures, start=1):
        engine.check(atoms, known, str(atoms.info.get("origin", f"structure {number} ({atoms.symbols})")))
        yield atoms


def _taken_up(frames: Iterator[Atoms], state: Mapping[str, Any] | None, count: int) -> Iterator[Atoms]:
    """The frames after the first ``count``."""
    if not isinstance(frames, Walks):
        return islice(frames, count, None)
    if state is not None:
        frames.restore(state)
    return frames


def _write(frames: Iterator[Atoms], trajectory: FrameWriter, *, keep: bool, watch: Watch) -> None:
    def between() -> None:
        _note_if_due(frames, trajectory)
        watch(trajectory.count, frames.share if isinstance(frames, Walks) else None)

    if isinstance(frames, Walks):
        for walk in frames.walks:
            walk.between = between
    for frame in frames:
        if not keep:
            frame.calc = None
        trajectory.append(frame)
        _log(frames, trajectory)
        between()
    _log(frames, trajectory)
    _note(frames, trajectory)


def _note_if_due(frames: Iterator[Atoms], trajectory: FrameWriter) -> None:
    if trajectory.is_due:
        _log(frames, trajectory)
        _note(frames, trajectory)


def _log(frames: Iterator[Atoms], trajectory: FrameWriter) -> None:
    if isinstance(frames, Walks):
        trajectory.log(frames.columns, frames.take_rows())


def _note(frames: Iterator[Atoms], trajectory: FrameWriter) -> None:
    trajectory.note(frames.state() if isinstance(frames, Walks) else None)


def _runs(frames: Iterator[Atoms]) -> list[dict[str, Any]]:
    """What became of each run."""
    return [
        {
            **{name: walk.provenance[name] for name in ("run", "seed")},
            "temperature": walk.plan.schedule.ramp.first,
            "steps": walk.step,
            "frames": walk.frames,
            "failure": walk.failure,
            "stop": walk.stop,
        }
        for walk in (frames.walks if isinstance(frames, Walks) else [])
    ]


def _findings(sampler: object, output: Path) -> dict[str, Any]:
    """What a sampler is run for beside frames, with its figure."""
    from gnnpot.sampling.figures import draw_dynamics, draw_momt, draw_steered  # matplotlib takes time

    if isinstance(sampler, MolecularDynamicsSampler):
        log = read_log(output / LOG)
        draw_dynamics(log, sampler.config.timestep, output / "dynamics.svg")
        return {"means": [means_of(log[log["run"] == run]) for run in np.unique(log["run"])]}
    if isinstance(sampler, MOMTSampler):
        sampler.bias.save(output / BIAS)
        draw_momt(sampler.bias, output / "momt.svg")
        return {"updates": sampler.bias.progress.updates, "frozen": sampler.bias.is_frozen}
    if isinstance(sampler, SteeredSampler):
        curves = read_work_curves(output / LOG)
        draw_steered(curves, output / "steered.svg")
        return {"activation_energies": [round(curve.activation_energy, 6) for curve in curves.values()]}
    return {}


def _check(summary: dict[str, Any]) -> None:
    if not summary["frames"]:
        reasons = "; ".join(
            f"run {run['run']}: {run['failure']}" for run in summary["runs"] if run["failure"]
        )
        raise DataError(
            f"expected frames, got none ({reasons or 'no step was left to take one from'}); shorten the "
            "timestep or the interval, or start from a relaxed structure"
        )
