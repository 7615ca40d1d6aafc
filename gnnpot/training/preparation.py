"""What a run learns from: graphs on disk, reference energies, and the untrained potential."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from ase.data import chemical_symbols
from lightning.pytorch.utilities import rank_zero_only

from gnnpot.data.columns import named_pairs
from gnnpot.data.dataset import GraphDataset
from gnnpot.data.reading import content_hash, is_isolated_atom, read_frames
from gnnpot.data.reference_energies import ReferenceEnergies, reference_energies, root_mean_square
from gnnpot.data.split import (
    SplitConfig,
    SplitRow,
    check_disjoint,
    read_splits,
    split_indices,
    write_splits,
)
from gnnpot.data.store import GraphStore, StoreWriter
from gnnpot.errors import DataError
from gnnpot.graph.graph import LABELS
from gnnpot.models import build_model
from gnnpot.potential.potential import Potential
from gnnpot.potential.repulsion import ZBLRepulsion
from gnnpot.training.config import TrainingConfig
from gnnpot.training.run_config import RunConfig, data_paths


@dataclass(frozen=True)
class PreparedData:
    """What a run learns from, on disk.

    Attributes:
        train: Graphs that change the weights.
        validation: Graphs that pick the best model.
        references: Energies of free atoms and where they come from.
        scale: Unit of the model's output (eV).
        elements: Symbols of all elements of the training graphs.
    """

    train: GraphDataset
    validation: GraphDataset
    references: ReferenceEnergies
    scale: float
    elements: tuple[str, ...]


def prepare(config: RunConfig, output: Path) -> PreparedData:
    """Graphs of the training and validation structures, reference energies and the scale.

    Graphs are built once; those in ``output`` are used if they are of the same structures and cutoff.

    Raises:
        DataError: The sets overlap, a set is empty, validation has an element that training lacks, or
            a run in ``output`` has begun with other structures or labels.
    """
    store = _store(config, config.train, output / "graphs" / "train")
    whole = store.structure_rows()
    if isinstance(config.validation, SplitConfig):
        hashes, groups = [store.hashes[row] for row in whole], [store.groups[row] for row in whole]
        chosen = split_indices(hashes, groups, config=config.validation, seed=config.seed)
        train_rows, validation_rows = ([whole[place] for place in places] for places in chosen)
        validation_store = store
    else:
        validation_store = _store(config, config.validation, output / "graphs" / "validation")
        train_rows, validation_rows = whole, validation_store.structure_rows()
    dtype = getattr(torch, config.training.dtype)
    training = GraphDataset(store, train_rows, dtype=dtype)
    validation = GraphDataset(validation_store, validation_rows, dtype=dtype)
    _check_sets(config, training, validation)
    if is_first_process():
        parts = {"train": _split_rows(training), "validation": _split_rows(validation)}
        _check_same_data(parts, output)
        write_splits(output / "splits.json", parts, seed=config.seed)
    return PreparedData(
        training, validation, references_of(config, training), _scale(config, training), training.elements()
    )


def initial_potential(config: RunConfig, data: PreparedData) -> Potential:
    """The untrained potential; its weights depend on the seed alone."""
    dtype = getattr(torch, config.training.dtype)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = build_model(config.model, data.elements).to(dtype)
    model.prepare(data.train)
    repulsion = None if config.repulsion is None else ZBLRepulsion(config.repulsion.reach)
    return Potential(model, data.references.values, scale=data.scale, repulsion=repulsion)


def is_first_process() -> bool:
    """Whether this is the first of the processes that train together."""
    return int(getattr(rank_zero_only, "rank", 0)) == 0


def _store(config: RunConfig, names: Sequence[str], folder: Path) -> GraphStore:
    """The graphs of these files: those in ``folder`` if nothing has changed, else new ones."""
    paths = data_paths(names)
    keys = config.keys.model_dump_json()
    state = hashlib.sha256(keys.encode())
    for path in paths:
        if not path.exists():
            raise DataError(f"expected a file of structures, got {path}, which is not there; check the path")
        state.update(f"{path.resolve()} {path.stat().st_size} {path.stat().st_mtime_ns}".encode())
    key = f"{state.hexdigest()} {config.model.cutoff!r}"
    if not is_first_process():
        return GraphStore.mapped(folder)
    with suppress(DataError):
        store = GraphStore.open(folder)
        if store.about.get("key") == key:
            return store
    with StoreWriter(folder, config.model.cutoff) as writer:
        for atoms in read_frames(paths, config.keys):
            writer.add(atoms, named_pairs(atoms, config.model.cutoff))
        return writer.finish({"key": key})


def _split_rows(dataset: GraphDataset) -> list[SplitRow]:
    named = zip(dataset.named_hashes(), dataset.label_hashes(), strict=True)
    return [SplitRow(*name, labels) for name, labels in named]


def _check_same_data(parts: Mapping[str, Sequence[SplitRow]], output: Path) -> None:
    """Refuse to go on with a run on other data; a run has begun where its configuration is."""
    path = output / "splits.json"
    if not (path.exists() and (output / "config.yaml").exists()):
        return
    before = read_splits(path)
    advice = "resume with the same files, or use another --output"
    old, new = ({name: [row.hash for row in rows] for name, rows in some.items()} for some in (before, parts))
    if old != new:
        raise DataError(f"expected the structures of the run in {output}, got others; {advice}")
    changed = [
        row.origin
        for name, rows in parts.items()
        for one, row in zip(before[name], rows, strict=True)
        if one.labels not in ("", row.labels)
    ]
    if changed:
        raise DataError(
            f"expected the labels of the run in {output}, got others on {len(changed)} of "
            f"{sum(map(len, parts.values()))} structures, first {changed[0]}; {advice}"
        )


def _check_sets(config: RunConfig, training: GraphDataset, validation: GraphDataset) -> None:
    for name, dataset in (("training", training), ("validation", validation)):
        if len(dataset) == 0:
            raise DataError(f"expected structures for {name}, got none; check the files")
    if not any(training.has(name) for name in LABELS):
        raise DataError(
            f"expected labels in {', '.join(config.train)}, got none on {len(training)} structures; name "
            "their keys with keys.energy, keys.forces and keys.stress"
        )
    trained, validated = (
        {content: origin for origin, content in dataset.named_hashes()} for dataset in (training, validation)
    )
    check_disjoint(trained, validated)
    if config.test:
        frames = read_frames(data_paths(config.test), config.keys)
        tested = {content_hash(one): one.info["origin"] for one in frames if not is_isolated_atom(one)}
        check_disjoint(trained, tested, "training and test")
        check_disjoint(validated, tested, "validation and test")
    unseen = set(validation.elements()) - set(training.elements())
    if unseen:
        raise DataError(
            f"expected the elements of training ({', '.join(training.elements())}) in validation, got also "
            f"{', '.join(sorted(unseen))}; add structures of them to training or remove these"
        )
    check_volumes(config.training, training, validation)


def check_volumes(config: TrainingConfig, *datasets: GraphDataset) -> None:
    """Refuse structures without a volume where the loss weighs their stress.

    Raises:
        DataError: Naming the first.
    """
    if "stress" in config.loss.labels:
        for dataset in datasets:
            first = dataset.first_open()
            if first is not None:
                raise DataError(
                    f"expected three periodic directions wherever stress is trained, got {first} without; "
                    "train with stress weight 0, set its config_stress_weight=0, or remove open structures"
                )


def references_of(
    config: RunConfig,
    training: GraphDataset,
    *,
    interaction: Mapping[int, float] | None = None,
) -> ReferenceEnergies:
    """Reference energies of the elements of the training structures.

    Args:
        config: Energies that the user chose.
        training: Structures; isolated atoms are looked for in their store.
        interaction: What a potential says of each row (eV), which references need not explain.  Isolated
            atoms then count no more than the user's word.
    """
    store = training.store
    labeled = [row for row in training.rows if store.energy[row] == store.energy[row]]
    isolated = {}
    for row in range(len(store)):
        if interaction is None and store.isolated[row] and store.energy[row] == store.energy[row]:
            isolated[chemical_symbols[next(iter(store.composition(row)))]] = float(store.energy[row])
    compositions = [
        {chemical_symbols[number]: count for number, count in store.composition(row).items()}
        for row in labeled
    ]
    if not labeled and "energy" not in config.training.loss.labels:
        zeros = dict.fromkeys(training.elements(), 0.0)
        return ReferenceEnergies({**zeros, **isolated, **config.reference_energies}, "zero: no energy labels")
    if not labeled and not isolated and not config.reference_energies:
        raise DataError(
            f"expected energy labels, as training.loss weighs energy, got none on {len(training)} frames; "
            "name their key with keys.energy, or set training.loss.energy=0"
        )
    explained = interaction or {}
    energies = [float(store.energy[row]) - explained.get(row, 0.0) for row in labeled]
    return reference_energies(
        compositions,
        energies,
        isolated=isolated,
        given=config.reference_energies,
        elements=training.elements(),
    )


def _scale(config: RunConfig, training: GraphDataset) -> float:
    """Root mean square of the force labels, or 1 without any."""
    if config.scale is not None:
        return config.scale
    forces = training.store.forces_of(training.rows)
    forces = forces[forces == forces]
    return root_mean_square([forces]) or 1.0 if forces.size else 1.0
