"""Structures on their one way in: read once, checked, written as graphs with neighbor lists built once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ase import Atoms
from pydantic import ValidationError

from gnnpot.data.checks.data_report import DataReport
from gnnpot.data.checks.frames import contact_pairs, contact_reach
from gnnpot.data.checks.inspection import Inspection
from gnnpot.data.columns import named_pairs
from gnnpot.data.files import own_keys
from gnnpot.data.offset_table import OffsetTable
from gnnpot.data.store import GraphStore, StoreWriter
from gnnpot.data.structure_set import StructureSet
from gnnpot.errors import DataError

_FILES, _SOURCE, _REPORT = "files", "source", "report"  # what the index of a store says of its structures


@dataclass(frozen=True)
class CheckedGraphs:
    """Graphs of labeled structures that were checked.

    Attributes:
        store: The graphs.
        report: Findings of the checks.
    """

    store: GraphStore
    report: DataReport

    @classmethod
    def opened(
        cls, folder: Path, open_store: Callable[[Path], GraphStore] = GraphStore.open
    ) -> CheckedGraphs:
        """The graphs in ``folder``.

        Args:
            folder: Folder that :func:`checked_graphs` wrote.
            open_store: How to open it; ``GraphStore.mapped`` trusts its files.

        Raises:
            DataError: There are none that are whole and of this version.
        """
        store = open_store(folder)
        try:
            return cls(store, DataReport.from_dict(store.about[_REPORT]))
        except (LookupError, TypeError, ValidationError) as error:
            raise DataError(f"expected checked graphs in {folder}, got others; build them again") from error

    def with_cutoff(self, cutoff: float) -> CheckedGraphs:
        """The same structures with edges up to ``cutoff`` (Å); in their place if it is another.

        Raises:
            OutputError: The disk is full, or the folder cannot be written to.
        """
        return self if cutoff == self.store.cutoff else replace(self, store=self.store.with_cutoff(cutoff))

    def without_stress_offset(self, offsets: OffsetTable) -> CheckedGraphs:
        """The same structures with a pressure taken off the stress labels."""
        return replace(self, store=self.store.without_stress_offset(offsets))


def checked_graphs(
    structures: StructureSet,
    cutoff: float,
    folder: Path,
    *,
    watch: Callable[[int], None] = lambda count: None,
) -> CheckedGraphs:
    """The graphs of ``structures``: those in ``folder`` if they are of the same, else new ones.

    Structures are read once, one at a time; the neighbor list of each is built once, for its graph and for
    the checks alike.  Graphs that are there keep their cutoff.

    Args:
        structures: Labeled structures.
        cutoff: Longest edge of new graphs (Å).
        folder: Folder of the graphs; what does not fit is replaced.
        watch: Called with the number of structures that were read.

    Raises:
        DataError: The structures cannot be read, or have a fault.
        ConfigError: They were in the memory of another process.
        OutputError: The disk is full, or the folder cannot be written to.
    """
    with suppress(DataError):
        found = CheckedGraphs.opened(folder)
        if _are_of(found.store, structures):
            return found
    identity = structures.identity()
    own = own_keys(structures.files, structures.keys)
    inspection = Inspection(structures.keys, own=own, trained=structures.trained)
    with StoreWriter(folder, cutoff) as writer:
        for count, atoms in enumerate(structures.read(), start=1):
            _take(atoms, inspection, writer)
            watch(count)
        report = inspection.report()
        report.check()
        about = {_FILES: structures.names, _SOURCE: identity, _REPORT: report.as_dict()}
        return CheckedGraphs(writer.finish(about), report)


def _are_of(store: GraphStore, structures: StructureSet) -> bool:
    """Whether a store has the graphs of ``structures``, as far as those can be told."""
    if structures.is_gone:
        return store.about.get(_FILES) == structures.names
    return store.about.get(_SOURCE) == structures.identity()


def _take(atoms: Atoms, inspection: Inspection, writer: StoreWriter) -> None:
    """Check one structure and write its graph, if there is one."""
    if not inspection.admits(atoms):
        inspection.add(atoms, None)
        return
    pairs = named_pairs(atoms, writer.cutoff)
    reaches = writer.cutoff >= contact_reach(atoms)
    inspection.add(atoms, pairs if reaches else contact_pairs(atoms))
    writer.add(atoms, pairs)
