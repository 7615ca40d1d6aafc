"""The structures that a small set is grown out of, with or without labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from jaxtyping import Float

from gnnpot.data.checked_graphs import checked_graphs
from gnnpot.data.dataset import GraphDataset
from gnnpot.data.files import DataFile, DataFiles
from gnnpot.data.reading import read_frames
from gnnpot.data.store import GraphStore
from gnnpot.data.structure import bare_structure
from gnnpot.data.structure_set import StructureSet
from gnnpot.errors import DataError
from gnnpot.labeling.export import LABELS
from gnnpot.labeling.methods import method_of
from gnnpot.learning.distillation_config import DistillConfig
from gnnpot.learning.labeling import label_chosen, write_frames
from gnnpot.training.fit import Observer

Array = np.ndarray
STORE = "labels.db"
_POOL, _BARE = "pool", "pool.xyz"


@dataclass(frozen=True)
class Pool:
    """The structures to choose from.

    Attributes:
        graphs: Their graphs, with edges up to the cutoff of the model.
        frames: The structures with their labels, bare where only what is chosen gets labels.
        own: Graphs with the labels that the pool came with, where a teacher has given it others.
    """

    graphs: GraphDataset
    frames: list[Atoms]
    own: GraphDataset | None = None

    @classmethod
    def of(cls, config: DistillConfig, output: Path, observer: Observer) -> Pool:
        """Read the pool, and have a teacher label it if there is one.

        Args:
            config: The distillation.
            output: Its folder, which keeps the graphs.
            observer: Receives remarks.

        Raises:
            DataError: It lacks labels that nobody gives it, or is no larger than the first set.
        """
        own: GraphDataset | None = None
        if config.teacher is not None:
            found = _as_it_is(config)
            own = found if found.has("energy") or found.has("forces") else None
            graphs = _taught(config, output, [*found.frames()], observer)
        elif config.labeling is not None:
            graphs = _as_it_is(config)
        else:
            graphs = _labeled(config, config.pool, output / _POOL)
        frames = list(graphs.frames())
        if config.labeling is not None:
            frames = [_numbered(atoms, place) for place, atoms in enumerate(frames)]
        if len(frames) <= config.start:
            raise DataError(
                f"expected a pool of more than start: {config.start} structures, got {len(frames)}; "
                "lower start"
            )
        return cls(graphs, frames, own)

    def inputs(self, config: DistillConfig) -> dict[str, str]:
        """Hashes of the pool and of what labels it."""
        labeling = config.labeling or config.teacher_labeling
        found = {"pool": self.graphs.content_hash()}
        return found if labeling is None else {**found, "method": method_of(labeling.method).hash}

    def plane(self, energies: Float[Array, "S"]) -> Float[Array, "S 2"]:
        """Energy and volume per atom of each structure (eV, Å³); of molecules the energy alone.

        Args:
            energies: Predicted energies per atom (eV), in place of labels where there are none.
        """
        store, rows = self.graphs.store, self.graphs.rows
        sizes = store.num_atoms()[rows]
        labels = store.energy[rows] / sizes
        volumes = np.abs(np.linalg.det(store.cell[rows])) / sizes
        is_known = not np.isnan(labels).any() and not self.is_bare
        return np.stack([labels if is_known else energies, volumes], axis=1)

    @property
    def is_bare(self) -> bool:
        """Whether only what is chosen gets labels."""
        return self.frames[0].calc is None


def _taught(config: DistillConfig, output: Path, frames: list[Atoms], observer: Observer) -> GraphDataset:
    """Graphs of the pool with labels of the teacher."""
    teacher = config.teacher_labeling
    assert teacher is not None
    write_frames(output / _BARE, [_numbered(atoms, place) for place, atoms in enumerate(frames)])
    observer.note(f"the teacher labels {len(frames)} structures")
    facts = label_chosen(teacher, output / _BARE, store=str(output / STORE), folder=output / "labels")
    if facts.get("bad"):
        raise DataError(f"expected labels of the teacher, got none: {facts['bad']}; name another")
    if facts["failed"]:
        observer.note(f"warning: the teacher failed on {facts['failed']} structures, which are left out")
    file = DataFile(path=str(output / "labels" / LABELS))
    return _labeled(config, (file,), output / _POOL)


def _labeled(config: DistillConfig, files: DataFiles, folder: Path) -> GraphDataset:
    """Checked graphs of structures that have the labels to train on."""
    needed = config.potential.trained_labels
    structures = StructureSet(files, config.keys, None, needed)
    store = checked_graphs(structures, config.potential.model.cutoff, folder).store
    graphs = _dataset(config, store)
    if lacking := [name for name in needed if name != "stress" and not graphs.has(name)]:
        raise DataError(
            f"expected {' and '.join(lacking)} labels in {', '.join(map(str, files))}, got none on "
            f"{len(graphs)} structures; name a reference method under labeling, or keys"
        )
    return graphs


def _as_it_is(config: DistillConfig) -> GraphDataset:
    """Graphs of the pool with whatever labels it has."""
    frames = read_frames(config.pool, config.keys, needed=())
    return _dataset(config, GraphStore.in_memory(frames, config.potential.model.cutoff))


def _dataset(config: DistillConfig, store: GraphStore) -> GraphDataset:
    return GraphDataset(store, store.structure_rows(), dtype=getattr(torch, config.potential.training.dtype))


def _numbered(atoms: Atoms, place: int) -> Atoms:
    """The structure without labels, with its place in the pool."""
    frame = bare_structure(atoms)
    group = atoms.info.get("group")
    frame.info = {"place": place, **({"group": group} if group else {})}
    return frame
