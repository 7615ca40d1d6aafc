"""Preparation of a run: graphs on disk, reference energies, the untrained potential."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from ase.data import chemical_symbols

from gnnpot.data.checks.data_report import DataReport
from gnnpot.data.dataset import GraphDataset
from gnnpot.data.reference_energies import ReferenceEnergies, reference_energies, root_mean_square
from gnnpot.data.split import (
    SplitConfig,
    SplitRow,
    check_disjoint,
    read_splits,
    split_indices,
    write_splits,
)
from gnnpot.data.store import GraphStore
from gnnpot.data.stress_offset import StressOffsets
from gnnpot.errors import ConfigError, DataError
from gnnpot.graph.graph import LABELS
from gnnpot.models import build_model
from gnnpot.potential.model_file import load_potential
from gnnpot.potential.potential import Potential
from gnnpot.potential.repulsion import ZBLRepulsion
from gnnpot.system.run_folder import differences
from gnnpot.training.config import TrainingConfig
from gnnpot.training.ranks import is_first_process
from gnnpot.training.run_config import RunConfig
from gnnpot.training.run_graphs import RunGraphs


@dataclass(frozen=True)
class PreparedData:
    """Data of a run, on disk.

    Attributes:
        train: Graphs that change the weights.
        validation: Graphs that pick the best model.
        test: Graphs that are only evaluated, isolated atoms too, or None.
        references: Energies of free atoms and where they come from.
        scale: Unit of the model's output (eV).
        elements: Symbols of all elements of the training graphs.
        reports: Findings of the checks in each set.
        stress_offset: What was taken off stress labels, or None.
    """

    train: GraphDataset
    validation: GraphDataset
    test: GraphDataset | None
    references: ReferenceEnergies
    scale: float
    elements: tuple[str, ...]
    reports: tuple[DataReport, ...]
    stress_offset: StressOffsets | None = None

    @property
    def unseen_groups(self) -> tuple[str, ...]:
        """Groups of the test structures of which none is trained on."""
        trained = _groups(self.train)
        return () if self.test is None or trained == {""} else tuple(sorted(_groups(self.test) - trained))


def prepare(config: RunConfig, graphs: RunGraphs, output: Path) -> PreparedData:
    """Divide the graphs of a run, and find reference energies and the scale.

    Raises:
        DataError: The sets overlap, a set is empty, validation or test has an element that training lacks,
            or a run in ``output`` has begun with other structures or labels.
    """
    dtype = getattr(torch, config.training.dtype)
    training, validation, test = _sets(config, graphs, dtype)
    _check_sets(config, training, validation, test)
    if is_first_process():
        sets = {"train": training, "validation": validation, "test": test}
        parts = {name: _split_rows(part) for name, part in sets.items() if part is not None}
        _check_same_data(parts, output)
        write_splits(output / "splits.json", parts, seed=config.seed_of("split"))
    return PreparedData(
        training,
        validation,
        test,
        references=references_of(config, training),
        scale=_scale(config, training),
        elements=training.elements(),
        reports=graphs.reports,
        stress_offset=graphs.stress_offset,
    )


def _sets(
    config: RunConfig, graphs: RunGraphs, dtype: torch.dtype
) -> tuple[GraphDataset, GraphDataset, GraphDataset | None]:
    """Graphs to train on, for validation and for the test; a test set is taken out first."""
    store, rows, test = graphs.train.store, graphs.train.store.structure_rows(), None
    if isinstance(config.test, SplitConfig):
        rows, held_out = _divided(store, rows, config.test, name="test", seed=config.seed)
        test = GraphDataset(store, held_out, dtype=dtype)
    elif graphs.test is not None:
        test = GraphDataset(graphs.test.store, range(len(graphs.test.store)), dtype=dtype)
    if graphs.validation is not None:
        other = graphs.validation.store
        validation = GraphDataset(other, other.structure_rows(), dtype=dtype)
    else:
        assert isinstance(config.validation, SplitConfig)
        rows, held_out = _divided(
            store, rows, config.validation, name="validation", seed=config.seed_of("split")
        )
        validation = GraphDataset(store, held_out, dtype=dtype)
    return GraphDataset(store, rows, dtype=dtype), validation, test


def _divided(
    store: GraphStore, rows: Sequence[int], split: SplitConfig, *, name: str, seed: int
) -> tuple[list[int], list[int]]:
    """Rows that stay, and rows that are taken out."""
    hashes, groups = [store.hashes[row] for row in rows], [store.groups[row] for row in rows]
    elements = [[chemical_symbols[number] for number in store.composition(row)] for row in rows]
    chosen = split_indices(hashes, groups, config=split, seed=seed, part=name, elements=elements)
    stay, out = (places.tolist() for places in chosen)
    return [rows[place] for place in stay], [rows[place] for place in out]


def initial_potential(config: RunConfig, data: PreparedData) -> Potential:
    """The untrained potential; its weights depend on the seed alone, or are those to start from.

    Raises:
        ConfigError: The potential to start from is of another model, or lacks an element.
        ModelFileError: It is no whole model file.
    """
    dtype = getattr(torch, config.training.dtype)
    if config.start is not None:
        return _started(config, data, dtype)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed_of("weights"))
        model = build_model(config.model, data.elements).to(dtype)
    model.prepare(data.train)
    repulsion = None if config.repulsion is None else ZBLRepulsion(config.repulsion.reach)
    return Potential(model, data.references.values, scale=data.scale, repulsion=repulsion)


def _started(config: RunConfig, data: PreparedData, dtype: torch.dtype) -> Potential:
    """The potential to start from, which must be what would be trained here."""
    potential = load_potential(str(config.start), dtype=dtype)
    there, here = (one.model_dump(exclude={"elements"}) for one in (potential.model.config, config.model))
    if names := differences(there, here):
        raise ConfigError(
            f"expected the model of {config.start} to start from, got other values of {', '.join(names)}; "
            "train from scratch, or use gnnpot transfer"
        )
    if unknown := set(data.elements) - set(potential.elements):
        raise ConfigError(
            f"expected the elements of {config.start} ({', '.join(potential.elements)}), got also "
            f"{', '.join(sorted(unknown))}; use gnnpot transfer"
        )
    return potential


def _split_rows(dataset: GraphDataset) -> list[SplitRow]:
    named = zip(dataset.named_hashes(), dataset.label_hashes(), strict=True)
    return [SplitRow(*name, labels) for name, labels in named]


def _check_same_data(parts: Mapping[str, Sequence[SplitRow]], output: Path) -> None:
    """Check that a resumed run has the same data."""
    path = output / "splits.json"
    if not (path.exists() and (output / "config.yaml").exists()):
        return
    before = read_splits(path)
    advice = "resume with the same files, or use another --output"
    parts = {name: parts[name] for name in ("train", "validation")}  # others can be judged on at any time
    old, new = ({name: [row.hash for row in some[name]] for name in parts} for some in (before, parts))
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


def _check_sets(
    config: RunConfig, training: GraphDataset, validation: GraphDataset, test: GraphDataset | None
) -> None:
    for name, dataset in (("training", training), ("validation", validation)):
        if len(dataset) == 0:
            raise DataError(f"expected structures for {name}, got none; check the files")
    if not any(training.has(name) for name in LABELS):
        raise DataError(
            f"expected labels in {', '.join(map(str, config.train))}, got none on {len(training)} "
            "structures; name their keys with keys.energy, keys.forces and keys.stress"
        )
    trained, validated = _origins(training), _origins(validation)
    check_disjoint(trained, validated)
    if test is not None:
        check_disjoint(trained, _origins(test), "training and test")
        check_disjoint(validated, _origins(test), "validation and test")
    for name, judged in (("validation", validation), ("test", test)):
        if judged is not None and (unseen := set(_elements(judged)) - set(training.elements())):
            raise DataError(
                f"expected the elements of training ({', '.join(training.elements())}) in {name}, got also "
                f"{', '.join(sorted(unseen))}; add structures of them to training or remove these"
            )
    check_volumes(config.training, training, validation)


def _groups(dataset: GraphDataset) -> set[str]:
    """Groups of the structures, "" for those without; isolated atoms left out."""
    store = dataset.store
    return {store.groups[row] for row in dataset.rows if not store.isolated[row]}


def _origins(dataset: GraphDataset) -> dict[str, str]:
    """Origin of each structure by content hash; isolated atoms may be in several sets."""
    store = dataset.store
    return {store.hashes[row]: store.origins[row] for row in dataset.rows if not store.isolated[row]}


def _elements(dataset: GraphDataset) -> tuple[str, ...]:
    """Symbols of all elements, those of isolated atoms left out."""
    store = dataset.store
    rows = [row for row in dataset.rows if not store.isolated[row]]
    return GraphDataset(store, rows, dtype=dataset.dtype).elements()


def check_volumes(config: TrainingConfig, *datasets: GraphDataset) -> None:
    """Check that structures have a volume if the loss weighs their stress.

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
