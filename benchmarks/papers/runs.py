"""What the papers' programs share: labels, trainings and properties that go on where they were."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from gnnpot.benchmark.subsets import write_frames
from gnnpot.commands.progress import TrainingDisplay
from gnnpot.data.structure import bare_structure
from gnnpot.engines import calculator_from
from gnnpot.engines.words import engine_from_word
from gnnpot.properties.config import PropertiesConfig
from gnnpot.properties.run import properties
from gnnpot.training.run import train
from gnnpot.training.run_config import RunConfig

NICKEL = "kim:model=EAM_Dynamo_ZhangAshcraftMendelev_2016_NiNb__MO_047308317761_000"
ALUMINUM = "kim:model=EAM_Dynamo_MendelevKramerBecker_2008_Al__MO_106969701023_005"


def labeled(frames: Iterable[Atoms], method: str, group: str) -> list[Atoms]:
    """Copies of structures with energy, forces and stress of a method."""
    calculator = calculator_from(engine_from_word(method))
    found = []
    for frame in frames:
        atoms = bare_structure(frame)
        atoms.calc = calculator
        values = {
            "energy": atoms.get_potential_energy(),
            "forces": atoms.get_forces(),
            "stress": atoms.get_stress(),
        }
        atoms.calc = SinglePointCalculator(atoms, **values)
        atoms.info["group"] = group
        found.append(atoms)
    return found


def kept(frames: Sequence[Atoms], path: Path) -> Path:
    """A file with these structures and labels."""
    write_frames(frames, path)
    return path


def trained(values: Mapping[str, Any], folder: Path) -> Path:
    """Train, or take the run that is there; gives its folder."""
    config = RunConfig.from_dict(dict(values), source="the training")
    with TrainingDisplay() as display:
        train(config, folder, resume=True, observer=display)
    return folder


def judged(
    models: Mapping[str, Path],
    structure: str,
    folder: Path,
    *,
    only: Sequence[str],
    reference: str | None = None,
    settings: Sequence[str] = (),
) -> dict[str, Any]:
    """Properties of several models by their names, and of a reference method."""
    words = [*settings, *([f"store={folder.parent / 'reference.db'}"] if reference else [])]
    config = PropertiesConfig.from_words(
        [str(path) for path in models.values()], structure, reference=reference, only=only, settings=words
    )
    summary = properties(config, folder, resume=True)
    found = dict(zip(models, summary["models"].values(), strict=True))
    return {**found, **({} if summary["reference"] is None else {"reference": summary["reference"]})}
