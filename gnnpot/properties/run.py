"""Properties of several models in a folder: each result is kept as it comes."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.io import read
from ase.io.extxyz import write_extxyz

from gnnpot.config.base import Section
from gnnpot.engines import EngineConfig, calculator_from
from gnnpot.errors import OutputError, one_line
from gnnpot.labeling.store.store import LabelStore
from gnnpot.labeling.stored_calculator import StoredCalculator
from gnnpot.properties.calculation import FAILURES, plain
from gnnpot.properties.catalog import NO_REST, PROPERTIES, PropertyName
from gnnpot.properties.config import REFERENCE, PropertiesConfig
from gnnpot.properties.relaxation import Relaxation
from gnnpot.properties.report import FIGURES, REPORT, write_report
from gnnpot.properties.rest import at_rest
from gnnpot.properties.targets import given_values
from gnnpot.properties.watch import Watch
from gnnpot.sampling.crystals import structure
from gnnpot.system.documents import read_json
from gnnpot.system.files import atomic_write, make_folder, write_text
from gnnpot.system.run_folder import RunFolder
from gnnpot.version import __version__

Observe = Callable[[str, float], None]  # of what is computed, and the share that is done

RESULTS, SUMMARY = "results", "properties.json"
_RELAXED = "relaxed.xyz"
_JUDGES = ("certificate", "stability")  # of models, not of the reference


class Subject:
    """A model or the reference: what computes, and the folder of its results.

    Args:
        name: In tables.
        engine: The method.
        folder: Of the run; results go to a folder in it.
        store: Where labels are kept, of a reference.
    """

    def __init__(
        self, name: str, engine: EngineConfig, folder: Path, store: LabelStore | None = None
    ) -> None:
        self.name, self.engine = name, engine
        self.folder = folder / RESULTS / (REFERENCE if store else re.sub(r"[^\w.+-]+", "-", name))
        self._store = store
        self._scratch = folder / "calculator"
        precise = engine.model_copy(update={"dtype": "float64"}) if engine.kind == "gnnpot" else engine
        self._calculator = (
            StoredCalculator(engine, store, self._scratch)
            if store
            else calculator_from(precise, self._scratch)
        )

    def calculator(self, name: PropertyName) -> Calculator:
        """For one property; many steps of dynamics are made in the precision of the model, past the store."""
        if PROPERTIES[name].is_motion and (self._store or self.engine.kind == "gnnpot"):
            return calculator_from(self.engine, self._scratch)
        return self._calculator


def properties(
    config: PropertiesConfig,
    output: Path,
    *,
    resume: bool = False,
    observe: Observe = lambda what, share: None,
) -> dict[str, Any]:
    """Compute what ``config`` says into the folder ``output``.

    A property that cannot be computed is a failure with its reason, and the others go on.

    Args:
        config: Models, structure, properties, reference.
        output: Folder; every result is written there as it is done.
        resume: Take results that are there, but for failures.
        observe: Told what is computed now, and which share is done.

    Returns:
        ``structure``; ``models`` with numbers by name of model, property and quantity; ``reference`` likewise
        or None; ``units`` by property and quantity.

    Raises:
        ConfigError: The configuration, or the folder's one, does not fit.
        DataError: The structure cannot be read.
        EngineError: A method is not installed.
        OutputError: The folder cannot be written to.
    """
    atoms, inputs = structure(config.structure), config.inputs()
    given = None if config.reference_values is None else given_values(config.reference_values)
    folder = RunFolder(output, "properties run", files=(SUMMARY, RESULTS, REPORT, FIGURES))
    with folder.held(resume=resume):
        config.check_same(folder)
        folder.check_inputs(inputs)
        subjects = [Subject(name, engine, folder.path) for name, engine in config.models.items()]
        folder.begin(config.as_yaml(), inputs)
        if config.reference is not None:
            store = LabelStore(config.store or folder.path / "reference.db")
            subjects.append(Subject(REFERENCE, config.reference, folder.path, store))
        found: dict[str, dict[str, Any]] = {}
        for place, subject in enumerate(subjects):

            def watch(what: str, share: float, place: int = place, name: str = subject.name) -> None:
                observe(f"{name}: {what}", (place + share) / len(subjects))

            found[subject.name] = _all_of(subject, atoms, config, watch)
        reference = found.pop(REFERENCE, None) if config.reference is not None else given
        summary = {
            "structure": config.structure,
            "models": found,
            "reference": reference,
            "units": {name: dict(PROPERTIES[name].units) for name in config.only},
        }
        write_text(folder.path / SUMMARY, json.dumps(summary, indent=1, allow_nan=False) + "\n")
        write_report(summary, folder.path, _facts(config, summary))
    return summary


def _facts(config: PropertiesConfig, summary: Mapping[str, Any]) -> dict[str, str]:
    """For the page: which method is behind each name."""
    methods = dict(config.models) | ({} if config.reference is None else {REFERENCE: config.reference})
    named = {
        name: ", ".join(
            f"{key}: {', '.join(map(str, value)) if isinstance(value, list) else value}"
            for key, value in one.model_dump(mode="json").items()
            if value
        )
        for name, one in methods.items()
    }
    if config.reference_values is not None:
        named[REFERENCE] = f"values of {config.reference_values}"
    every = [*summary["models"].values(), summary["reference"] or {}]
    seconds = sum(one.get("seconds", 0.0) for results in every for one in results.values())
    return {**named, "computed in": f"{seconds:.0f} s", "gnnpot": __version__}


def as_told(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What ``--json`` prints: of a single model its properties stand at the top, ``elastic`` and others.

    Args:
        summary: Of :func:`properties`.
    """
    models = summary["models"]
    own = dict(next(iter(models.values()))) if len(models) == 1 else {"models": models}
    rest = {name: summary[name] for name in ("structure", "reference", "units")}
    return {**own, **rest}


def _all_of(
    subject: Subject, atoms: Atoms, config: PropertiesConfig, watch: Callable[[str, float], None]
) -> dict[str, Any]:
    """Results or failures by property."""
    make_folder(subject.folder)
    watch(PROPERTIES["relaxation"].noun, 0.0)
    rest = _relaxed(subject, atoms, config)
    found = {"relaxation": rest} if "relaxation" in config.only or "failure" in rest else {}
    left_out = {"relaxation", *(_JUDGES if subject.name == REFERENCE else ())}
    names: list[PropertyName] = [name for name in config.only if name not in left_out]
    for place, name in enumerate(names, start=1):
        share = place / (len(names) + 1)
        watch(PROPERTIES[name].noun, share)
        if "failure" in rest:
            found[name] = {"failure": NO_REST}
            continue

        def part(done: float, share: float = share, name: PropertyName = name) -> None:
            watch(PROPERTIES[name].noun, share + done / (len(names) + 1))

        unfinished = Watch(part, subject.folder / f"{name}.state.json")
        found[name] = _kept_or_computed(
            subject.folder / f"{name}.json",
            partial(_numbers, subject, name, getattr(config, name), unfinished),
        )
        unfinished.done()
    return found


def _numbers(subject: Subject, name: PropertyName, settings: Section, watch: Watch) -> dict[str, Any]:
    """One property of the structure at rest, as plain data."""
    atoms = read(subject.folder / _RELAXED, format="extxyz")
    return PROPERTIES[name].compute(subject.calculator(name), atoms, settings, watch).as_dict()


def _relaxed(subject: Subject, atoms: Atoms, config: PropertiesConfig) -> dict[str, Any]:
    """The relaxation; the structure at rest is in a file then."""

    def compute() -> dict[str, Any]:
        subject.engine.check(atoms, subject.engine.elements(), str(atoms.symbols))
        ended: Relaxation = at_rest(subject.calculator("relaxation"), atoms, config.relaxation)
        if ended.failure:
            return {"failure": ended.failure}
        with atomic_write(subject.folder / _RELAXED) as path, path.open("w", encoding="utf-8") as file:
            write_extxyz(file, [ended.atoms])
        return ended.as_dict()

    return _kept_or_computed(subject.folder / "relaxation.json", compute)


def _kept_or_computed(path: Path, compute: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """The result in a file, or a new one, which is written there."""
    if path.exists():
        try:
            kept = dict(read_json(path))
        except (OSError, ValueError, TypeError) as error:
            raise OutputError(
                f"expected a result in {path}, got {one_line(error)}; remove the file"
            ) from error
        if "failure" not in kept:
            return kept
    begun = time.monotonic()
    try:
        found = plain(dict(compute()))
    except FAILURES as error:
        found = {"failure": one_line(error)}
    found["seconds"] = round(time.monotonic() - begun, 3)
    write_text(path, json.dumps(found, allow_nan=False))
    return found
