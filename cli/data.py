"""Look at, divide, join and convert files of labeled structures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

data = typer.Typer(
    no_args_is_help=True, help="Look at, divide, join and convert files of labeled structures."
)
_Files = Annotated[list[str], typer.Argument(help="Files of structures; data.xyz@::4 takes some.")]
_Keys = Annotated[
    list[str] | None,
    typer.Option("--keys", "-k", metavar="NAME=VALUE", help="Where labels are, e.g. energy=dft_energy."),
]


@data.command()
def info(
    files: _Files,
    keys: _Keys = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell what is in the files: structures, elements, labels, groups, distances."""
    from gnnpot.cli.tables import print_notes

    from gnnpot.data.keys import label_keys
    from gnnpot.data.reading import read_frames
    from gnnpot.data.survey import Survey

    survey = Survey.of(read_frames(files, label_keys(keys or []), needed=()))
    if as_json:
        typer.echo(json.dumps(survey.as_dict()))
    else:
        print_notes(survey.in_words())


@data.command()
def split(
    files: _Files,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for train.xyz, …, splits.json.")],
    test: Annotated[float, typer.Option(min=0, max=1, help="Share to test on; 0 for none.")] = 0.1,
    validation: Annotated[float, typer.Option(min=0, max=1, help="Share to validate on; 0 for none.")] = 0.0,
    by: Annotated[
        Literal["stratified", "random", "grouped"],
        typer.Option(help="The same share of every group, of all together, or whole groups."),
    ] = "stratified",
    seed: Annotated[int, typer.Option(help="Another one gives another split.")] = 0,
    keys: _Keys = None,
) -> None:
    """Divide structures into files to train on, to validate on and to test on, which share none."""
    from gnnpot.cli.tables import print_notes

    from gnnpot.data.arrangement import divided, write_parts
    from gnnpot.data.keys import label_keys
    from gnnpot.data.reading import read_frames
    from gnnpot.data.split import SplitConfig
    from gnnpot.errors import ConfigError

    shares = {"test": test, "validation": validation}
    if not any(shares.values()) or sum(shares.values()) >= 1:
        raise ConfigError(f"expected shares above 0 and below 1 together, got {test} and {validation}; mend")
    frames = list(read_frames(files, label_keys(keys or []), needed=()))
    splits = {name: SplitConfig(fraction=share, by=by) for name, share in shares.items() if share}
    parts = divided(frames, splits, seed=seed)
    written = write_parts(output, parts, seed=seed)
    print_notes({name: f"{len(parts[name]):,} structures in {path}" for name, path in written.items()})


@data.command()
def merge(
    files: _Files,
    output: Annotated[Path, typer.Option("--output", "-o", help="New file; extended XYZ or .traj.")],
    keys: _Keys = None,
) -> None:
    """Join files; a structure that comes twice with the same labels is written once."""
    from gnnpot.cli.tables import print_notes

    from gnnpot.data.arrangement import without_repeats
    from gnnpot.data.keys import label_keys
    from gnnpot.data.reading import read_frames
    from gnnpot.data.writing import write_labeled

    repeats: list[str] = []
    frames = list(without_repeats(read_frames(files, label_keys(keys or []), needed=()), repeats.append))
    count = write_labeled(output, frames)
    notes: dict[str, object] = {"structures": f"{count:,} in {output}"}
    if repeats:
        notes["left out"] = f"{len(repeats):,} that came before, first {repeats[0]}"
    if any(atoms.info["label_keys"] for atoms in frames):
        notes["next"] = f"gnnpot validate {output}"
    print_notes(notes)


@data.command()
def convert(
    file: Annotated[str, typer.Argument(help="Anything that ASE reads; data.xyz@::4 takes some frames.")],
    output: Annotated[Path, typer.Argument(help="New file; extended XYZ or .traj by its suffix.")],
    keys: _Keys = None,
) -> None:
    """Write structures in another format, with labels in eV, eV/Å and eV/Å³ under ASE's names."""
    from gnnpot.cli.tables import print_notes

    from gnnpot.data.keys import label_keys
    from gnnpot.data.reading import read_frames
    from gnnpot.data.writing import write_labeled

    count = write_labeled(output, read_frames([file], label_keys(keys or []), needed=()))
    print_notes({"structures": f"{count:,} in {output}"})
