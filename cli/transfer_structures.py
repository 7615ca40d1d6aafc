"""Rename the elements of structures and scale them, ready to be labeled."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def transfer_structures(
    source: Annotated[Path, typer.Argument(help="File of structures.")],
    target: Annotated[Path, typer.Argument(help="New extended XYZ file.")],
    element_map: Annotated[
        str, typer.Option("--map", metavar="OLD=NEW,...", help="New elements, e.g. Ni=Al.")
    ] = "",
    scale: Annotated[
        str, typer.Option(help="Factor of all lengths: 1.15, or target/source as in 4.05/3.52.")
    ] = "1",
) -> None:
    """Rename elements and scale cells and positions; labels are dropped, for they hold no longer."""
    from gnnpot.cli.tables import print_notes

    from gnnpot.sampling.substitution import parse_scale, transfer_file
    from gnnpot.transferring.element_map import parse_element_map

    count = transfer_file(source, target, names=parse_element_map(element_map), scale=parse_scale(scale))
    print_notes({"structures": count, "file": target})
