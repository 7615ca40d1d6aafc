"""Errors of a trained potential on labeled structures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ase import Atoms

    from gnnpot.data.keys import LabelKeys
    from gnnpot.evaluation.evaluation import Evaluation


def evaluate(
    model: Annotated[Path, typer.Argument(help="A model file, or the folder of a training.")],
    data: Annotated[list[str], typer.Argument(help="Files of labeled structures.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for metrics, predictions, report.")
    ] = None,
    keys: Annotated[
        list[str] | None,
        typer.Option("--keys", "-k", metavar="NAME=VALUE", help="Where labels are, e.g. energy=dft_energy."),
    ] = None,
    device: Annotated[
        str, typer.Option(help="cpu, cuda, cuda:1, …; auto takes a GPU if there is one.")
    ] = "auto",
    batch_atoms: Annotated[
        int, typer.Option(min=1, help="Structures are predicted together up to this many atoms.")
    ] = 512,
    as_json: Annotated[bool, typer.Option("--json", help="Print the metrics as JSON.")] = False,
) -> None:
    """Give the errors of a potential on labeled structures."""
    from gnnpot.cli.starting import importing
    from gnnpot.cli.tables import print_metrics, print_notes

    with importing():
        from gnnpot.commands.display import counting
        from gnnpot.data.keys import label_keys
        from gnnpot.data.reading import read_frames
        from gnnpot.evaluation.evaluation import evaluate as errors_on
        from gnnpot.evaluation.folder import evaluation_folder, write_evaluation
        from gnnpot.evaluation.predictions import keeping
        from gnnpot.potential.committee import load_model
        from gnnpot.potential.last_layer import with_kept_uncertainty
        from gnnpot.system.devices import choose_device

    if output is not None:
        evaluation_folder(output).check_new()
    potential = load_model(model, device=choose_device(device))
    read_as = label_keys(keys or [])
    judged: list[Atoms] = []
    with counting("evaluating") as advance:
        frames = keeping(read_frames(data, read_as), None if output is None else judged)
        kept = with_kept_uncertainty(model, potential)
        evaluation = errors_on(kept, frames, batch_atoms=batch_atoms, advance=advance)
    metrics, notes = evaluation.metrics(), _notes(evaluation, model, read_as)
    if output is not None:
        notes["report"] = write_evaluation(
            evaluation, output, potential=potential, model=model, data=data, frames=judged
        )
    if as_json:
        typer.echo(json.dumps(metrics))
        return
    print_metrics(metrics, title=f"Errors of {model}")
    if notes:
        print_notes(notes)


def _notes(evaluation: Evaluation, model: Path, keys: LabelKeys) -> dict[str, object]:
    """What the errors do not tell."""
    from gnnpot.evaluation.free_atoms import free_atoms_in_words
    from gnnpot.evaluation.stress_labels import other_stress_offset
    from gnnpot.potential.folder import member_files

    notes = dict[str, object]()
    if evaluation.num_isolated:
        notes["isolated atoms left out"] = evaluation.num_isolated
    if evaluation.free_atoms:
        notes["errors of free atoms"] = free_atoms_in_words(evaluation.free_atoms)
    if offset := other_stress_offset(member_files(model)[0], keys):
        notes["stress labels of the training"] = offset
    return notes
