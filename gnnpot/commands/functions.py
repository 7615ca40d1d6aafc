"""The functions of ``import gnnpot``, which the command line uses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from ase import Atoms

from gnnpot.commands.inputs import Settings, configuration, is_structures, with_structures, written_structures
from gnnpot.commands.progress import TrainingDisplay
from gnnpot.commands.results import EvaluationResult, StructuresResult, TrainingResult, TransferResult
from gnnpot.data.checks.data_report import DataReport
from gnnpot.data.checks.inspection import inspect
from gnnpot.data.keys import LabelKeys
from gnnpot.data.reading import read_as_found, read_frames, read_memory
from gnnpot.evaluation.evaluation import evaluate as errors_on
from gnnpot.evaluation.folder import evaluation_folder, write_evaluation
from gnnpot.evaluation.predictions import keeping
from gnnpot.labeling.config import LabelConfig
from gnnpot.labeling.export import LABELS
from gnnpot.labeling.run import label_files
from gnnpot.potential.committee import Committee, load_model
from gnnpot.potential.last_layer import with_kept_uncertainty
from gnnpot.potential.potential import Potential
from gnnpot.sampling import SampleConfig
from gnnpot.sampling import sample as run_sampling
from gnnpot.training.fit import Observer
from gnnpot.training.run import train as run_training
from gnnpot.training.run_config import RunConfig
from gnnpot.transferring.config import TransferConfig
from gnnpot.transferring.run import transfer as run_transfer

Model = str | Path | Potential | Committee | Sequence[str | Path | Potential]
Data = str | Path | Iterable[Atoms] | Iterable[str | Path]
_AS_READ = LabelKeys()


def train(
    config: Settings = None,
    output: str | Path = "run",
    *,
    resume: bool = False,
    observer: Observer | None = None,
    jobs: int = 1,
    **sections: Any,
) -> TrainingResult:
    """Train a potential on labeled structures.

    ::

        result = train(model="ani", train=frames, test={"fraction": 0.1}, output="run")
        result.errors, result.potential, result.calculator()

    Args:
        config: A :class:`RunConfig`, its values, or the path of a file.
        output: New folder for the results.
        resume: Go on with the run in the folder, if there is one.
        observer: Receives progress events; by default a bar in a terminal or notebook, lines elsewhere.
        jobs: Members of a committee that are trained at a time.
        **sections: Sections of :class:`RunConfig` in place of those of ``config``: ``model``, ``training``,
            ``train``, ``validation``, ``test``, …; structures as paths or as lists of Atoms.

    Raises:
        GnnpotError: Bad data, configuration, output folder or device, or a loss that is not finite.
    """
    settings, structures = with_structures(RunConfig, config, sections)
    folder = Path(output)
    with _shown(observer) as shown:
        metrics = run_training(
            settings, folder, structures=structures, resume=resume, observer=shown, jobs=jobs
        )
    return TrainingResult(folder, metrics)


def transfer(
    config: Settings = None,
    output: str | Path = "transfer",
    *,
    resume: bool = False,
    compare_scratch: bool = False,
    observer: Observer | None = None,
    **sections: Any,
) -> TransferResult:
    """Carry a trained potential to other elements or another level of theory, and fine-tune it.

    ::

        result = transfer(source="run", map={"Ge": "Si"}, train=frames, output="ge")

    Args:
        config: A :class:`TransferConfig`, its values, or the path of a file.
        output: New folder for the results.
        resume: Go on with the transfer in the folder, if there is one.
        compare_scratch: Also train the same model from scratch.
        observer: Receives progress events; by default a bar in a terminal or notebook, lines elsewhere.
        **sections: Sections of :class:`TransferConfig` in place of those of ``config``.

    Raises:
        GnnpotError: Bad data, configuration, source, output folder or device.
    """
    settings, structures = with_structures(TransferConfig, config, sections)
    folder = Path(output)
    with _shown(observer) as shown:
        found = run_transfer(
            settings,
            folder,
            structures=structures,
            resume=resume,
            compare_scratch=compare_scratch,
            observer=shown,
        )
    return TransferResult(folder, found.get("transferred", {}), found)


def evaluate(
    model: Model,
    data: Data,
    *,
    output: str | Path | None = None,
    keys: LabelKeys = _AS_READ,
    device: str = "auto",
) -> EvaluationResult:
    """Errors of a potential on labeled structures.

    Args:
        model: A potential, its file, the folder of its run, or several of them as a committee.
        data: Structures, or files of structures.
        output: New folder for ``metrics.json``, ``predictions.xyz`` and ``report.html``.
        keys: Names and units of the labels.
        device: ``auto`` is a GPU if there is one, else the CPU.

    Raises:
        DataError: No structure has a label, or one cannot be used.
        ModelFileError: A path leads to no whole model file.
        OutputError: The folder holds results, or cannot be written to.
    """
    if output is not None:
        evaluation_folder(Path(output)).check_new()
    potential = _loaded(model, device)
    judged: list[Atoms] = []
    frames, names = _frames(data, keys)
    if output is not None:
        frames = keeping(frames, judged)
    kept = with_kept_uncertainty(model, potential) if isinstance(model, str | Path) else potential
    evaluation = errors_on(kept, frames)
    if output is not None:
        called = str(model) if isinstance(model, str | Path) else type(potential).__name__
        write_evaluation(
            evaluation, Path(output), potential=potential, model=called, data=names, frames=judged
        )
    return EvaluationResult.of(evaluation)


def validate(data: Data, *, keys: LabelKeys = _AS_READ) -> DataReport:
    """What is in labeled structures, and what would go wrong in training on them.

    Args:
        data: Structures, or files of structures.
        keys: Names and units of the labels.

    Raises:
        DataError: The structures cannot be read.
    """
    return inspect(_frames(data, keys, read=read_as_found)[0], keys)


def sample(
    config: Settings = None, output: str | Path = "samples", *, resume: bool = False, **sections: Any
) -> StructuresResult:
    """Make structures: molecular dynamics, deformation, MOMT, steered dynamics, strain, noise.

    Args:
        config: A :class:`SampleConfig`, its values, or the path of a file.
        output: New folder for the structures.
        resume: Go on with the run in the folder, if there is one.
        **sections: Sections of :class:`SampleConfig` in place of those of ``config``; ``structures`` may be a
            list of Atoms, which is written to the folder.

    Raises:
        GnnpotError: Bad structures, configuration or output folder, or a calculator that fails.
    """
    folder = Path(output)
    settings = configuration(SampleConfig, config, _with_files(sections, folder))
    return StructuresResult(folder / "frames.xyz", run_sampling(settings, folder, resume=resume))


def label(
    config: Settings = None, output: str | Path = "labels", *, retry_failed: bool = False, **sections: Any
) -> StructuresResult:
    """Label structures by a reference method; what is in the store is not computed again.

    Args:
        config: A :class:`LabelConfig`, its values, or the path of a file.
        output: Folder of the results; one of an earlier run goes on.
        retry_failed: Compute those again that failed before.
        **sections: Sections of :class:`LabelConfig` in place of those of ``config``; ``structures`` may be a
            list of Atoms, which is written to the folder.

    Raises:
        GnnpotError: Bad structures, configuration or output folder, or a method that is not installed.
    """
    folder = Path(output)
    settings = configuration(LabelConfig, config, _with_files(sections, folder))
    return StructuresResult(folder / LABELS, label_files(settings, folder, retry_failed=retry_failed))


def _shown(observer: Observer | None) -> AbstractContextManager[Observer]:
    """The observer, or a display for as long as the work goes on."""
    return TrainingDisplay() if observer is None else nullcontext(observer)


def _with_files(sections: dict[str, Any], folder: Path) -> dict[str, Any]:
    if "structures" not in sections:
        return sections
    return {**sections, "structures": written_structures(sections["structures"], folder)}


def _loaded(model: Model, device: str) -> Potential | Committee:
    if isinstance(model, Potential | Committee):
        return model
    if isinstance(model, str | Path):
        return load_model(model, device=device)
    members = [_loaded(one, device) for one in model]
    return Committee([one for one in members if isinstance(one, Potential)])


def _frames(data: Data, keys: LabelKeys, read: Any = read_frames) -> tuple[Iterable[Atoms], list[str]]:
    """Labeled structures from memory or from files, and what they are called."""
    several = [data] if isinstance(data, str | Path | Atoms) else list(data)
    if not is_structures(several):
        return read(several, keys), [str(one) for one in several]
    were_read = all("label_keys" in one.info for one in several if isinstance(one, Atoms))
    return (several if were_read else read_memory(several, keys)), ["structures in memory"]
