"""A labeling run as a YAML file."""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from gnnpot.config.base import Configuration, Paths, Section
from gnnpot.config.kinds import Kinds
from gnnpot.engines import Engine


class LocalConfig(Section):
    """Processes of this machine.

    Args:
        workers: Number of processes; by default one for each core that this process may use.
    """

    kind: Literal["local"] = "local"
    workers: PositiveInt = Field(default_factory=lambda: len(os.sched_getaffinity(0)))


class DaskConfig(Section):
    """Workers of Dask, on other machines maybe.

    Args:
        scheduler: Address of a scheduler that runs, e.g. ``tcp://host:8786``; or ``queue``.
        queue: Batch system in which to start workers.
        jobs: Number of jobs to submit to the batch system.
        options: Keyword arguments of dask-jobqueue's cluster, e.g. ``{cores: 1, memory: 4GB}``.
    """

    kind: Literal["dask"] = "dask"
    scheduler: str | None = None
    queue: Literal["slurm", "pbs", "sge", "lsf", "htcondor"] | None = None
    jobs: PositiveInt = 1
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.queue is None) == (self.scheduler is None):
            raise ValueError("expected scheduler or queue, got both or none; give one")
        return self


Running = Annotated[LocalConfig | DaskConfig, Kinds("way to run", default="local")]


class LabelConfig(Configuration):
    """One labeling run.

    Args:
        method: Reference method and its settings.
        structures: Files of structures; labels in them are ignored.
        store: File of the label store, or ``postgresql://…``; ``labels.db`` in the output if None.
        running: Processes or cluster that run the calculations.
        time_limit: Longest time for one structure (s).
        max_force: Largest believable force (eV/Å), of new labels and of those in the store.
        max_jump: Largest believable difference between the energies of two structures that follow each other
            in a file, beyond what the forces explain (eV); for paths in small steps.
    """

    method: Engine
    structures: Annotated[Paths, Field(min_length=1)]
    store: str | None = None
    running: Running = LocalConfig()
    time_limit: PositiveFloat = 3600.0
    max_force: PositiveFloat = 100.0
    max_jump: PositiveFloat | None = None
