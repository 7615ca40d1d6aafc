"""``gnnpot report``: read folders, judge their models on the same data, write the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from gnnpot.data.keys import LabelKeys
from gnnpot.data.reading import read_frames
from gnnpot.engines.words import MODEL
from gnnpot.errors import OutputError
from gnnpot.evaluation.evaluation import Evaluation, evaluate
from gnnpot.overview.page import write_overview
from gnnpot.overview.results import results_in
from gnnpot.potential.model_file import load_potential
from gnnpot.system.devices import choose_device
from gnnpot.system.files import make_folder


def overview(
    folders: Sequence[Path],
    path: Path,
    *,
    data: Sequence[str] = (),
    keys: LabelKeys | None = None,
    device: str = "auto",
    advance: Callable[[int], None] = lambda structures: None,
) -> None:
    """Put runs, transfers and folders of properties on one page.

    Args:
        folders: Of results.
        path: The page; one that is there is refused.
        data: Files of labeled structures on which every model is judged; may be empty.
        keys: Where their labels are.
        device: Where models run.
        advance: Told how many structures were predicted.

    Raises:
        DataError: A folder holds no results, or the data cannot be used.
        OutputError: The page is there already, or cannot be written.
    """
    if path.exists():
        raise OutputError(f"expected a new page, got {path}, which is there; choose another --output")
    found, evaluations = results_in(folders), dict[str, Evaluation]()
    models = [one for one in found if (one.path / MODEL).exists()] if data else []
    for one in models:
        potential = load_potential(one.path / MODEL, device=choose_device(device))
        frames = read_frames(data, keys or LabelKeys())
        evaluations[one.name] = evaluate(potential, frames, advance=advance)
    make_folder(path.parent)
    write_overview(found, path, evaluations)
