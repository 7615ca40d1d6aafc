"""The phases of a round: sample, score, select, label, train, and what the result is good for.

Each begins with files that earlier phases have left and ends with files of its own, goes on where a killed
one was, and gives the same result whenever it was killed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from gnnpot.calculator.calculator import GNNPotCalculator
from gnnpot.data.dataset import GraphDataset
from gnnpot.data.extxyz import read_extxyz
from gnnpot.data.files import DataFile
from gnnpot.data.reading import read_frames
from gnnpot.data.split import SplitConfig
from gnnpot.data.store import GraphStore
from gnnpot.data.structure import bare_structure
from gnnpot.engines import EngineConfig
from gnnpot.engines.imported import TeacherConfig
from gnnpot.errors import DataError, TrainingError
from gnnpot.labeling.export import LABELS
from gnnpot.labeling.run import KeptPool
from gnnpot.learning.config import GoalConfig, LearnConfig
from gnnpot.learning.labeling import label_chosen, write_frames
from gnnpot.learning.scoring import Candidates, candidates_of, scores_of_graphs
from gnnpot.learning.selection import evenly
from gnnpot.learning.selectors import AboveConfig, chosen
from gnnpot.learning.source import MEMBER, carry_source
from gnnpot.learning.story import Facts, Round
from gnnpot.potential.committee import Committee, load_model
from gnnpot.potential.folder import MEMBERS, MODEL_FILE
from gnnpot.properties.judgment import judged
from gnnpot.sampling.config import WITHOUT_FORCES, SampleConfig
from gnnpot.sampling.displacement import DisplacementSampler
from gnnpot.sampling.run import sample
from gnnpot.sampling.trajectory import FRAMES
from gnnpot.system.files import write_bytes, write_text
from gnnpot.training.fit import Observer
from gnnpot.training.members import MemberProcesses
from gnnpot.training.run import train_committee

RUNS, SCORES, SELECTED, SPLIT, STORE = "runs", "scores.npz", "selected.xyz", "split.json", "labels.db"


@dataclass(frozen=True)
class Workplace:
    """What all phases of a loop share.

    Attributes:
        config: The loop.
        output: Its folder.
        observer: Receives progress events of trainings, and remarks.
        jobs: Processes that train members, for all rounds.
        pools: Workers that label, for all rounds.
    """

    config: LearnConfig
    output: Path
    observer: Observer
    jobs: MemberProcesses
    pools: KeptPool


def make_initial(place: Workplace, current: Round) -> Facts:
    """Sample the first structures."""
    initial, config = place.config.first, place.config
    if initial is None:
        return {"structures": 0}
    settings = SampleConfig(
        structures=initial.structures or config.structures,
        sampler=initial.sampler,
        calculator=None if isinstance(initial.sampler, WITHOUT_FORCES) else _first_engine(place, current),
        seed=config.seed,
    )
    sample(settings, current.path / RUNS, resume=True)
    frames = list(read_extxyz(current.path / RUNS / FRAMES))
    places = evenly(np.zeros(len(frames)), np.empty((len(frames), 0)), initial.size)
    write_frames(current.path / SELECTED, [_bare(frames[k], "initial", {"round": 0}) for k in places])
    return {"frames": len(frames), "selected": len(places)}


def make_samples(place: Workplace, current: Round, previous: Round) -> Facts:
    """Sample new structures on the committee of the round before."""
    config = place.config
    free = isinstance(config.sampler, WITHOUT_FORCES)
    settings = SampleConfig(
        structures=config.structures,
        sampler=config.sampler,
        calculator=None if free else _committee_engine(previous),
        labels="drop" if free else "keep",
        seed=1000 * config.seed + current.number,
    )
    try:
        summary = sample(settings, current.path / RUNS, resume=True)
    except DataError as error:
        return {"frames": 0, "bad": str(error)}
    ends = [run["failure"] or run["stop"] for run in summary["runs"]]
    return {"frames": summary["frames"], "ends": [end for end in ends if end]}


def score(place: Workplace, current: Round, previous: Round) -> Facts:
    """Score the sampled structures, and the training structures where thresholds need them."""
    config, committee = place.config, _committee(previous)
    found = candidates_of(_sampled(current), committee, config.score)
    training = np.empty(0)
    if any(isinstance(rule, AboveConfig) and rule.reference == "training" for rule in config.select):
        training = scores_of_graphs(committee, _known(previous, committee), config.score)
    buffer = BytesIO()
    np.savez(buffer, scores=found.scores, energies=found.energies, training=training)
    write_bytes(current.path / SCORES, buffer.getbuffer())
    return {"median": float(np.median(found.scores)), "largest": float(found.scores.max())}


def select(place: Workplace, current: Round, previous: Round, *, budget: int | None) -> Facts:
    """Choose the structures that are worth a label.

    Args:
        place: The loop.
        current: Its round.
        previous: The round whose committee scored them.
        budget: Most structures that may still be labeled, if there is a limit.
    """
    config, frames = place.config, _sampled(current)
    with np.load(current.path / SCORES) as kept:
        scores, energies, training = kept["scores"], kept["energies"], kept["training"]
    committee = _committee(previous)
    known = _known(previous, committee)
    candidates = Candidates(frames, scores, energies, committee, training if len(training) else None, known)
    rng, rules = np.random.default_rng([config.seed, current.number]), list[str]()
    places = chosen(config.select, candidates, rng, tell=rules.append)
    copies = 0 if config.noise is None else config.noise.copies
    if budget is not None and len(places) * (1 + copies) > budget:
        most = max(budget // (1 + copies), 0)
        places = [places[k] for k in evenly(scores[places], np.empty((len(places), 0)), most)]
        rules.append(f"the budget leaves {budget} labels: {len(places)} of them")
    group = f"round {current.number}"
    reason = "; ".join(rules)
    selected = [
        _bare(frames[k], group, {"round": current.number, "score": float(scores[k]), "selected_by": reason})
        for k in places
    ]
    if config.noise is not None:
        noisy = DisplacementSampler(config.noise)(selected, rng)
        selected += [
            _bare(frame, group, {"round": current.number, "selected_by": "noise"}) for frame in noisy
        ]
    write_frames(current.path / SELECTED, selected)
    facts: Facts = {"selected": len(selected), "of": len(frames), "rules": rules}
    if selected and len(places) == len(frames):
        facts["note"] = "all sampled frames were chosen: the bound separates nothing; add a size, or raise it"
    return facts


def _known(previous: Round, committee: Committee) -> GraphDataset:
    """The structures that a round was trained on."""
    store = GraphStore.open(previous.path / "graphs" / "train")
    return GraphDataset(store, store.structure_rows(), dtype=committee.dtype, labels=())


def label(place: Workplace, current: Round) -> Facts:
    """Label the selected structures; those in the store are not computed again."""
    return label_chosen(
        place.config.labeling,
        current.path / SELECTED,
        store=str(place.output / STORE),
        folder=current.path / "labels",
        pools=place.pools,
    )


def train_round(place: Workplace, current: Round, previous: Round | None, files: Sequence[str]) -> Facts:
    """Train the committee on all labels so far.

    Args:
        place: The loop.
        current: Its round, whose folder is that of the training.
        previous: The last round that has a committee, if there is one.
        files: Files of labels.
    """
    config = place.config
    run = config.potential.model_copy(
        update={
            "train": (*config.potential.labeled_files, *(DataFile(path=file) for file in files)),
            "members": config.members,
            **(_carried_on(config, previous) if previous else {}),
        }
    )
    if config.source is not None and (previous is None or config.later_start == "source"):
        run = run.model_copy(update={"start": _started(config, current, run.train)})
    if previous is None and config.members.split == "inherited":  # there is nothing to inherit yet
        run = run.model_copy(update={"members": config.members.model_copy(update={"split": "random"})})
    try:
        metrics = train_committee(run, current.path, observer=place.observer, jobs=place.jobs)
    except TrainingError as error:
        return {"bad": str(error)}
    best = current.path / MEMBERS / str(metrics["best"]) / "splits.json"
    write_text(current.path / SPLIT, best.read_text())
    return {"structures": _num_structures(current), "best": metrics["best"], "errors": _errors(metrics)}


def measure(place: Workplace, current: Round) -> Facts:
    """Measure the property by which the loop converges, with the same seeds in every round."""
    return _works(place, _committee_engine(current), current.path / "property")


def measure_reference(place: Workplace) -> Facts:
    """The same by the reference method."""
    return _works(place, place.config.labeling.method, place.output / "reference")


def judge(goal: GoalConfig, current: Round) -> Facts:
    """How far the properties of a round's committee are from their values."""
    found = judged(GNNPotCalculator(current.path, default_dtype="float64"), goal, goal.of)
    known = {"deviation": found.deviation} if math.isfinite(found.deviation) else {}
    return {**known, "parts": dict(found.parts), "failures": dict(found.failures)}


def _works(place: Workplace, engine: EngineConfig, folder: Path) -> Facts:
    config = place.config
    assert config.converge is not None
    assert config.work_sampler is not None
    values, troubles = list[float](), list[str]()
    for seed in range(config.converge.seeds):
        settings = SampleConfig(
            structures=config.structures, sampler=config.work_sampler, calculator=engine, seed=seed
        )
        try:
            summary = sample(settings, folder / f"seed-{seed}", resume=True)
        except DataError as error:
            return {"values": [], "bad": str(error)}
        values.append(float(np.mean(summary["activation_energies"])))
        troubles += [run["failure"] for run in summary["runs"] if run["failure"]]
    facts: Facts = {"values": values, "mean": float(np.mean(values))}
    if troubles:
        facts["bad"] = f"{len(troubles)} steered runs did not come to their end, the first: {troubles[0]}"
    return facts


def _carried_on(config: LearnConfig, previous: Round) -> dict[str, Any]:
    """What a round takes over from the one before: the split, and weights of a warm start."""
    training = type(config.potential.training).model_validate(config.later_training)
    changes: dict[str, Any] = {"training": training}
    members = previous.path / MEMBERS / "{member}"
    if config.members.split == "inherited":
        assert isinstance(config.potential.validation, SplitConfig)
        warm = config.later_start == "warm"
        split = members / "splits.json" if warm else previous.path / SPLIT
        update = {"inherit": str(split), "frames": None}
        changes["validation"] = config.potential.validation.model_copy(update=update)
        if warm:
            changes["start"] = str(members / MODEL_FILE)
    return changes


def _started(config: LearnConfig, current: Round, files: Sequence[DataFile]) -> str:
    """The source, carried to the elements of the loop, as the start of each member."""
    assert config.source is not None
    labeled = list(read_frames(files, config.potential.keys, needed=("energy",)))
    elements = sorted({symbol for atoms in labeled for symbol in atoms.symbols})
    folder, count = current.path / "start", config.members.count
    carry_source(config.source, config, elements=elements, folder=folder, labeled=labeled, count=count)
    return str(folder / MEMBER)


def _first_engine(place: Workplace, current: Round) -> EngineConfig:
    """What the first structures are sampled on: as is said, or the source, or the reference method."""
    config, initial = place.config, place.config.first
    assert initial is not None
    if initial.calculator is not None:
        return initial.calculator
    if config.source is None:
        return config.labeling.method
    structures = initial.structures or config.structures
    elements = sorted({symbol for atoms in structures.structures() for symbol in atoms.symbols})
    files = carry_source(config.source, config, elements=elements, folder=current.path / "carried")
    return TeacherConfig(model=tuple(files))


def _committee_engine(current: Round) -> TeacherConfig:
    return TeacherConfig(model=(current.path,))


def _committee(current: Round) -> Committee:
    committee = load_model(current.path)
    assert isinstance(committee, Committee)
    return committee


def _sampled(current: Round) -> list[Atoms]:
    return list(read_extxyz(current.path / RUNS / FRAMES))


def _bare(atoms: Atoms, group: str, info: Facts) -> Atoms:
    """A structure to label, with its group and why it was chosen."""
    frame = bare_structure(atoms)
    frame.info = {"group": group, **info}
    return frame


def labels_file(current: Round) -> str:
    """The file of a round's labels."""
    return str(current.path / "labels" / LABELS)


def _num_structures(current: Round) -> int:
    return len(GraphStore.open(current.path / "graphs" / "train").structure_rows())


def _errors(metrics: Facts) -> dict[str, float]:
    """Mean over the members of their validation RMSE (meV/atom, meV/Å)."""
    found = {}
    for name in ("energy", "forces"):
        values = [one["splits"]["validation"][name] for one in metrics["members"]]
        if all(values):
            found[name] = float(np.mean([value["rmse"] for value in values]))
    return found
