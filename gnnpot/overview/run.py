"""``gnnpot report``: read folders, judge their models on the same data, write the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from gnnpot.data.keys import LabelKeys
from gnnpot.data.reading import read_frames
from gnnpot.errors import ModelFileError, OutputError
from gnnpot.evaluation.evaluation import Evaluation, evaluate
from gnnpot.overview.page import write_overview
from gnnpot.overview.results import results_in
from gnnpot.potential.committee import load_model
from gnnpot.potential.folder import member_files
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
    """Put runs, transfers, benchmarks and folders of properties on one page, with its figures as files.

    Args:
        folders: Of results.
        path: The page, with its figures beside it in ``NAME-figures``; one that is there is refused.
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
    models = [one for one in found if one.metrics and _has_model(one.path)] if data else []
    for one in models:
        potential = load_model(one.path, device=choose_device(device))
        frames = read_frames(data, keys or LabelKeys())
        evaluations[one.name] = evaluate(potential, frames, advance=advance)
    make_folder(path.parent)
    write_overview(found, path, evaluations)


def _has_model(folder: Path) -> bool:
    """Whether a folder holds a potential, or a committee."""
    try:
        return bool(member_files(folder))
    except ModelFileError:
        return False
