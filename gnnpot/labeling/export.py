"""Labels from the store to an extended-XYZ file, which any training reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.extxyz import write_extxyz

from gnnpot.data.structure import bare_structure
from gnnpot.labeling.labeler import unbelievable
from gnnpot.labeling.methods import Method
from gnnpot.labeling.paths import after_jumps
from gnnpot.labeling.running import LabelingPlan
from gnnpot.labeling.store.store import LabelStore
from gnnpot.system.files import atomic_write, write_text

LABELS, FAILURES = "labels.xyz", "failures.json"
_NOT_KEPT = {"label_keys", "origin", "source"}
_SELF_EVIDENT = {"group": "", "energy_weight": 1.0, "forces_weight": 1.0, "stress_weight": 1.0}


def export(
    store: LabelStore, planned: LabelingPlan, folder: Path, *, max_force: float, max_jump: float | None = None
) -> tuple[int, list[dict[str, str]]]:
    """Write ``labels.xyz``, the labeled structures in their order, and ``failures.json``.

    Group and weights of a structure stay with it.

    Args:
        store: Store of the labels.
        planned: The structures.
        folder: Folder to write to.
        max_force: Leave out what has a larger force (eV/Å); a store may have been filled under another limit.
        max_jump: Leave out what lies behind a larger jump of the energy along a path (eV).

    Returns:
        How many structures were written; origin, kind and reason of each that was not.

    Raises:
        OutputError: The folder cannot be written to.
    """
    failures = [
        {"origin": _origin(planned.structures[key]), "kind": failure.kind, "reason": failure.reason}
        for key, failure in store.failures(planned.structures).items()
    ]
    written, origins = 0, [_origin(atoms) for atoms in _with_label(store, planned)]
    behind = set() if max_jump is None else set(after_jumps(list(_labeled(store, planned)), max_jump))
    jumped = f"expected jumps of the energy below {max_jump or 0:g} eV along the path, got one before it"
    with atomic_write(folder / LABELS) as aside, aside.open("w") as file:
        for number, atoms in enumerate(_labeled(store, planned)):
            kind, reason = "force over limit", unbelievable(atoms.calc.results["forces"], max_force)
            if number in behind:
                kind, reason = "energy jump", jumped
            if reason:
                failures.append({"origin": origins[number], "kind": kind, "reason": reason})
            else:
                write_extxyz(file, [atoms])
                written += 1
    write_text(folder / FAILURES, json.dumps(failures, indent=1))
    return written, failures


def _origin(atoms: Atoms) -> str:
    return str(atoms.info.get("origin", atoms.symbols))


def _with_label(store: LabelStore, planned: LabelingPlan) -> list[Atoms]:
    states = store.states(planned.structures)
    return [atoms for key, atoms in zip(planned.keys, planned.frames, strict=True) if states.get(key)]


def _labeled(store: LabelStore, planned: LabelingPlan) -> Iterator[Atoms]:
    states = store.states(planned.structures)
    results = store.results(key for key in planned.keys if states.get(key))
    for atoms, found in zip(_with_label(store, planned), results, strict=True):
        yield _joined(atoms, found, planned.method)


def _joined(atoms: Atoms, results: Mapping[str, Any], method: Method) -> Atoms:
    structure = bare_structure(atoms)
    structure.info = {
        name: value
        for name, value in atoms.info.items()
        if name not in _NOT_KEPT and (name not in _SELF_EVIDENT or value != _SELF_EVIDENT[name])
    }
    structure.info["labeled_by"] = f"{method.name} {method.hash[:12]}"
    structure.calc = SinglePointCalculator(structure, **results)
    return structure
