"""What is in a model file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gnnpot.commands.display import clock
from gnnpot.units import ERROR_UNITS

if TYPE_CHECKING:
    from gnnpot.potential.header import ModelHeader


def info(
    model: Annotated[Path, typer.Argument(help="A model file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
) -> None:
    """Tell what is in a model file, and that it is whole."""
    from gnnpot.potential.header import read_whole

    header, _ = read_whole(model)
    parameters = header.provenance.pop("parameters", None) or _counted(model)
    if as_json:
        typer.echo(
            json.dumps({**header.model_dump(mode="json"), "parameters": parameters}, ensure_ascii=False)
        )
        return
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in _rows(header, parameters):
        table.add_row(name, text)
    Console(highlight=False).print(Panel(table, title=str(model), title_align="left", expand=False))


def _rows(header: ModelHeader, parameters: int) -> Iterator[tuple[str, str]]:
    """Names and texts of the table."""
    model = dict(header.model)
    yield "model", f"{model.pop('kind')}, {parameters:,} parameters in {header.dtype}"
    yield "elements", ", ".join(model.pop("elements"))
    yield "cutoff", f"{model.pop('cutoff'):g} {header.units['length']}"
    yield "sizes", ", ".join(f"{name} {_text(value)}" for name, value in model.items())
    energies = ", ".join(f"{symbol} {energy:.6f}" for symbol, energy in header.reference_energies.items())
    provenance = dict(header.provenance)
    source = provenance.pop("reference_energies_source", "source unknown")
    yield "reference energies", f"{energies} {header.units['energy']} ({source})"
    yield "unit of the output", f"{header.scale:.6g} {header.units['energy']}"
    yield "repulsion", "none" if header.repulsion is None else f"{header.repulsion.kind} to {_reach(header)}"
    yield "gives", ", ".join(f"{name} in {unit}" for name, unit in header.units.items() if name != "length")
    yield from _training(provenance)
    for name, value in provenance.items():
        if not isinstance(value, dict):  # the whole configuration of the run is for --json
            yield name.replace("_", " "), _text(value)
    yield "file format", f"{header.format}, sha256 {header.checksum[:16]}…"


def _training(provenance: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """How the model came about, and its errors; takes what it tells out of ``provenance``."""
    best, errors = provenance.pop("metrics", {}), provenance.pop("errors", {})
    words = []
    if "num_train" in provenance:
        words.append(f"on {provenance.pop('num_train'):,} structures")
    if "num_validation" in provenance:
        words.append(f"{provenance.pop('num_validation'):,} more chose the epoch")
    if "epoch" in best:
        after = f" after {clock(best['seconds'])}" if "seconds" in best else ""
        words.append(f"the best was {best['epoch']:g}{after}")
    if "date" in provenance:
        words.append(f"finished {datetime.fromisoformat(provenance.pop('date')):%Y-%m-%d %H:%M %Z}")
    if words:
        yield "trained", "; ".join(words)
    for split, found in errors.items():
        yield f"errors, {split}", _mean_errors(found)
    if not errors:
        yield from _errors_of_the_epoch(best)


def _mean_errors(found: Mapping[str, Any]) -> str:
    """Mean absolute errors in words."""
    errors = [f"{name} {found[name]['mae']:.4g} {unit}" for name, unit in ERROR_UNITS.items() if found[name]]
    return f"{', '.join(errors)} (MAE of {found['num_structures']:,} structures)"


def _errors_of_the_epoch(best: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The errors by which the model was chosen, a row for each set of structures."""
    for split in ("train", "validation"):
        errors = [
            f"{name} {best[key]:.4g} {unit}"
            for name, unit in ERROR_UNITS.items()
            if (key := f"{split}_{name}_rmse") in best
        ]
        if errors:
            yield f"{split} RMSE", ", ".join(errors)


def _reach(header: ModelHeader) -> str:
    assert header.repulsion is not None
    return f"{header.repulsion.reach:g} of the sum of two covalent radii"


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(_text(part) for part in value) if len(value) < 9 else f"({len(value)} values)"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _counted(model: Path) -> int:
    """Number of parameters of a model in a file of an older version, which does not tell it."""
    from gnnpot.potential.model_file import load_potential

    return int(load_potential(model).model.num_parameters)
