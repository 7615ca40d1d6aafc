"""Label structures by a reference method."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def label(
    config: Annotated[Path, typer.Argument(help="YAML file: method, structures, where to run.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value, e.g. running.workers=2")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the results.")] = Path("labels"),
    store: Annotated[
        str | None, typer.Option(help="Label store: file or postgresql://…; without, labels.db in OUTPUT.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would run, and how long as the first few tell.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Compute those again that failed before.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Label structures by a reference method; what is in the store is not computed again."""
    from gnnpot.cli.label_tables import LabelingDisplay, print_labeling, print_preview
    from gnnpot.cli.stopping import stoppable

    from gnnpot.errors import LabelingError
    from gnnpot.labeling.config import LabelConfig
    from gnnpot.labeling.run import label_files, preview

    settings = LabelConfig.from_yaml(config, [*(overrides or []), *([f"store={store}"] if store else [])])
    if dry_run:
        figures, show = preview(settings, output, retry_failed=retry_failed), print_preview
    else:
        with stoppable(output, "the labels so far", "the same command goes on"), LabelingDisplay() as display:
            figures = label_files(settings, output, retry_failed=retry_failed, observe=display.show)
        show = print_labeling
    if as_json:
        import json

        typer.echo(json.dumps(figures))
    else:
        show(figures)
    failures = [] if dry_run else figures["failures"]
    if failures and not figures["written"]:
        raise LabelingError(
            f"expected labels, got none: all {len(failures)} structures failed; mend the cause and use "
            "--retry-failed"
        )
