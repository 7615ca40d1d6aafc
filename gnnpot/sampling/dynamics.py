"""``gnnpot md``: a sampling run of molecular dynamics in a few words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from gnnpot.config.base import Configuration
from gnnpot.config.durations import SimulatedTime
from gnnpot.engines import EngineConfig
from gnnpot.errors import ConfigError
from gnnpot.sampling.config import SampleConfig
from gnnpot.sampling.crystals import is_crystal, structure
from gnnpot.sampling.run import Watch, collect
from gnnpot.sampling.schedule import Ramp

EnsembleName = Literal[
    "nve", "nvt", "npt", "langevin", "bussi", "nose-hoover", "berendsen", "npt-langevin", "npt-isotropic",
    "npt-flexible",
]  # fmt: skip
_SHORT = {"nvt": "langevin", "npt": "npt-langevin"}
_ROWS, _LONGEST = 100, 100.0  # frames at least, and fs between two at most, where no interval is given


class DynamicsOptions(Configuration):
    """What ``gnnpot md`` asks for.

    Args:
        ensemble: ``nvt`` is Langevin's thermostat, ``npt`` Langevin's piston; other names are those of the
            section ``ensemble`` of a sampling run.
        temperature: K; two are the ends of a ramp.
        time: Length (``10ps``; fs without unit).
        timestep: fs.
        interval: Time between two frames, and two rows of the log; by default 100 fs, but at most a
            hundredth of the time.
        pressure: Of the ensembles in which the cell moves (bar).
        friction: Of Langevin's thermostat (1/fs).
        repeat: Cells along each vector.
        seed: Of all random numbers.
    """

    ensemble: EnsembleName = "nvt"
    temperature: PositiveFloat | tuple[PositiveFloat, PositiveFloat] = 300.0
    time: SimulatedTime = 10_000.0
    timestep: SimulatedTime = 1.0
    interval: SimulatedTime | None = None
    pressure: float | None = None
    friction: PositiveFloat | None = None
    repeat: PositiveInt | tuple[PositiveInt, PositiveInt, PositiveInt] = 1
    seed: NonNegativeInt = 0

    @classmethod
    def from_words(cls, words: Mapping[str, Any]) -> Self:
        """The options of a command line, where some are words: ``300:1200`` (K), ``4x4x2``; None is no word.

        Raises:
            ConfigError: Naming what does not fit.
        """
        values = {name: word for name, word in words.items() if word is not None}
        for name, mark in (("temperature", ":"), ("repeat", "x")):
            if isinstance(values.get(name), str) and mark in values[name]:
                values[name] = values[name].split(mark)
        return cls.from_dict(values, source="gnnpot md")

    def sampling_run(self, engine: EngineConfig, word: str) -> SampleConfig:
        """The run as a configuration of ``gnnpot sample``.

        Args:
            engine: What moves the atoms.
            word: A file with one structure, or a crystal such as ``Si:diamond``.

        Raises:
            ConfigError: The options contradict each other, or nothing is called ``word``.
            DataError: The file holds several structures.
        """
        structure(word)
        place = {"crystal": word} if is_crystal(word) else {"files": [word]}
        values = {
            "structures": {**place, "repeats": self.repeat},
            "calculator": engine,
            "sampler": {"kind": "md", "ensemble": self._ensemble(), **self._timing()},
            "labels": "keep",
            "seed": self.seed,
        }
        return SampleConfig.from_dict(values, source="gnnpot md")

    def _ensemble(self) -> dict[str, Any]:
        kind = _SHORT.get(self.ensemble, self.ensemble)
        section: dict[str, Any] = {"kind": kind}
        if self.friction is not None:
            if kind != "langevin":
                raise ConfigError(
                    f"expected a friction with --ensemble nvt or langevin, got one with {self.ensemble}; "
                    "leave it out"
                )
            section["friction"] = self.friction
        if self.pressure is not None:
            if not kind.startswith("npt"):
                raise ConfigError(
                    f"expected a pressure with --ensemble npt, got one with {self.ensemble}; leave it out"
                )
            section["pressure"] = self.pressure
        return section

    def _timing(self) -> dict[str, Any]:
        steps = round(self.time / self.timestep)
        if steps < 1:
            raise ConfigError(
                f"expected a time of at least one step, got {self.time:g} fs with a step of "
                f"{self.timestep:g} fs; run longer"
            )
        interval = min(_LONGEST, self.time / _ROWS) if self.interval is None else self.interval
        ends = self.temperature
        ramp = Ramp(first=ends[0], last=ends[1]) if isinstance(ends, tuple) else ends
        return {
            "timestep": self.timestep,
            "steps": steps,
            "interval": max(1, round(interval / self.timestep)),
            "temperatures": ramp,
        }


def dynamics(
    config: SampleConfig, output: Path, *, resume: bool, watch: Watch = lambda frames, share: None
) -> dict[str, Any]:
    """Run it; gives when it ended, what ended it, and means over its second half.

    An explosion is a result: ``failure`` then says what went wrong with which atoms.

    Args:
        config: Of :meth:`DynamicsOptions.sampling_run`.
        output: Folder of trajectory, log, figure and summary.
        resume: Go on with the run in ``output``, if there is one.
        watch: Told now and then how many frames there are and which share of the steps is done.

    Raises:
        ConfigError: The folder holds another run.
        DataError: The structure cannot be used.
        LabelingError: The calculator lacks an element of the structure, or needs a cell.
        OutputError: The folder holds results, cannot be written to, or another run is there.
    """
    summary = collect(config, output, resume=resume, watch=watch)
    (run,) = summary["runs"]
    (means,) = summary.get("means") or [{}]
    return {
        "time_ps": run["steps"] * config.sampler.model_dump()["timestep"] / 1000,
        "steps": run["steps"],
        "frames": summary["frames"],
        "failure": run["failure"],
        "means": means,
        "seconds": summary["seconds"],
    }
