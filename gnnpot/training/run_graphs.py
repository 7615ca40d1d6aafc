"""The graphs of all structures of a run, in its folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ase import Atoms

from gnnpot.data.checked_graphs import CheckedGraphs, checked_graphs
from gnnpot.data.checks.data_report import DataReport
from gnnpot.data.checks.isolated import check_same_isolated
from gnnpot.data.files import DataFile, own_keys
from gnnpot.data.store import GraphStore
from gnnpot.data.stress_offset import StressOffsets, stress_offsets
from gnnpot.data.structure_set import Structures, StructureSet
from gnnpot.training.ranks import is_first_process
from gnnpot.training.run_config import RunConfig

_FOLDER = "graphs"
_IN_CONFIG = Structures()


@dataclass(frozen=True)
class RunGraphs:
    """Graphs of all structures of a run, checked.

    Attributes:
        train: Structures to train on, and isolated atoms.
        validation: Structures that pick the model; None where they are taken out of those to train on.
        test: Structures that are only evaluated, or None.
        stress_offset: What was taken off stress labels, or None.
    """

    train: CheckedGraphs
    validation: CheckedGraphs | None
    test: CheckedGraphs | None
    stress_offset: StressOffsets | None = None

    @property
    def reports(self) -> tuple[DataReport, ...]:
        """What the checks found in each set."""
        return tuple(graphs.report for graphs in (self.train, self.validation, self.test) if graphs)

    def with_cutoff(self, cutoff: float) -> RunGraphs:
        """The same structures with edges up to ``cutoff`` (Å)."""
        return self._each(lambda graphs: graphs.with_cutoff(cutoff))

    def without_stress_offset(self, config: RunConfig) -> RunGraphs:
        """The same structures without the constant that their stress labels have too much.

        The training structures tell it, or those of a file tell its own; where files have keys of their own
        for it, it is theirs to say.

        Raises:
            DataError: It is to be fitted, and nothing tells it.
        """
        if "stress" not in config.trained_labels:
            return self
        own = own_keys((*config.train, *config.validation_files, *config.test_files), config.keys)
        train, *judged = (report.stress_checks for report in self.reports)
        found = stress_offsets(
            train, config.keys, own, judged=[check for checks in judged for check in checks]
        )
        if found is None:
            return self
        table = found.table
        return replace(self._each(lambda graphs: graphs.without_stress_offset(table)), stress_offset=found)

    def _each(self, change: Callable[[CheckedGraphs], CheckedGraphs]) -> RunGraphs:
        return RunGraphs(
            train=change(self.train),
            validation=self.validation and change(self.validation),
            test=self.test and change(self.test),
            stress_offset=self.stress_offset,
        )


def read_graphs(
    config: RunConfig,
    output: Path,
    *,
    cutoff: float,
    structures: Structures = _IN_CONFIG,
    watch: Callable[[str], None] = lambda text: None,
) -> RunGraphs:
    """Read and check all structures of a run, each file once, and build their graphs.

    Graphs that are in ``output`` are used if they are of the same structures.  The first of several
    processes does this; the others open what it has written.

    Args:
        config: Names of the files and of the labels.
        output: Folder of the run.
        cutoff: Longest edge of new graphs (Å).
        structures: Structures in memory, in place of files.
        watch: Receives what is being done.

    Raises:
        DataError: Structures cannot be read, or have a fault.
        ConfigError: They were in the memory of another process.
        OutputError: The disk is full, or the folder cannot be written to.
    """

    def graphs(
        name: str, files: tuple[DataFile, ...], frames: Sequence[Atoms] | None
    ) -> CheckedGraphs | None:
        folder = output / _FOLDER / name
        if frames is None and not files:
            return None
        if not is_first_process():
            return CheckedGraphs.opened(folder, GraphStore.mapped)
        found = StructureSet(files, config.keys, frames, config.trained_labels)
        said = f"reading and checking structures ({name})"
        return checked_graphs(found, cutoff, folder, watch=lambda count: watch(f"{said}, {count:,}"))

    try:
        train = graphs("train", config.train, structures.train)
        assert train is not None
        sets = RunGraphs(
            train,
            graphs("validation", config.validation_files, structures.validation),
            graphs("test", config.test_files, structures.test),
        )
        check_same_isolated(graphs.store for graphs in (sets.train, sets.validation, sets.test) if graphs)
        return sets.without_stress_offset(config)
    finally:
        with suppress(OSError):
            (output / _FOLDER).rmdir()  # where nothing was written
