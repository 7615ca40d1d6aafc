"""Low2High on nickel, from labels of an embedded-atom potential: elastic constants beside the paper's.

``python benchmarks/papers/low2high.py DATA`` trains the shipped configuration ``low2high`` in its two stages
on the set of the paper (extended XYZ), computes lattice and elastic constants at the paper's strain of ±10 %
and at a small one, by the potential and by the method that made the labels, and prints a table beside the
paper's Table 4.  ``--variant`` leaves something out: ``no-stress`` the stress in both losses (the paper's
Table S3), ``no-deformed`` the deformed cells (its Table 2); ``strained`` adds 24 cells under strains of up to
12 %, which the set lacks and the paper's strain asks about.  A line tells the error of the stress of deformed
cells (its Figure 6).  Killed runs go on where they were.  ``--epochs`` and ``--every`` cut the work, and
the table says how far.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from runs import kept, labeled

from gnnpot.benchmark.subsets import write_frames
from gnnpot.commands.progress import TrainingDisplay
from gnnpot.config.base import shipped_config
from gnnpot.data.keys import LabelKeys
from gnnpot.data.reading import read_frames
from gnnpot.evaluation.evaluation import evaluate
from gnnpot.potential.folder import MODEL_FILE
from gnnpot.potential.model_file import load_potential
from gnnpot.properties.config import PropertiesConfig
from gnnpot.properties.run import properties
from gnnpot.sampling.deformation import StrainConfig
from gnnpot.sampling.structures import CrystalConfig
from gnnpot.transferring.config import TransferConfig
from gnnpot.transferring.run import transfer

DEFORMED = "deform"  # group of the cells that were strained and not moved by dynamics
EAM = "kim:model=EAM_Dynamo_ZhangAshcraftMendelev_2016_NiNb__MO_047308317761_000"
PAPER_STRAIN, SMALL_STRAIN = 0.1, 0.005
QUANTITIES = ("C11", "C12", "C44", "C_prime")
# Jung, Tables 4, S3 and 2 (GPa, Å), and the mean absolute error of the stress in Figure 6 (MPa)
REFERENCE = {"a": 3.516, "C11": 214.4, "C12": 158.9, "C44": 124.9, "C_prime": 27.7}
POTENTIALS = {
    "whole": {"a": 3.515, "C11": 192.9, "C12": 154.3, "C44": 122.1, "C_prime": 19.3},
    "no-stress": {"a": 3.527, "C11": 204.3, "C12": 189.6, "C44": 124.4, "C_prime": 7.34},
    "no-deformed": {"a": 3.511, "C11": 219.2, "C12": 202.6, "C44": 133.3, "C_prime": 8.3},
}
STRESS_OF_DEFORMED = {"whole": 16.1, "no-deformed": 521.0}
STRAINS = tuple(sign * size for size in (0.03, 0.06, 0.09, 0.12) for sign in (1, -1))


def trained(given: argparse.Namespace) -> dict[str, Any]:
    """Train both stages, or take the run that is there; gives the content of ``transfer.json``."""
    first, second = given.epochs
    no_stress = ("stages.0.loss.stress=0", "stages.1.loss.stress=0", "stages.1.select_by=forces")
    train = [f"{_structures(given)}@::{given.every}"]
    if given.variant == "strained":
        train.append(str(_strained(given)))
    overrides = [
        f"train={json.dumps(train)}",
        f"training.max_epochs={first}",
        f"stages.1.max_epochs={second}",
        *(no_stress if given.variant == "no-stress" else ()),
        *given.set,
    ]
    config = TransferConfig.from_yaml(shipped_config("low2high"), overrides)
    with TrainingDisplay() as display:
        return transfer(config, given.output / "potential", resume=True, observer=display)


def _structures(given: argparse.Namespace) -> Path:
    """The file to train on."""
    if given.variant != "no-deformed":
        return given.data
    path = given.output / "momt.traj"
    frames = read_frames([str(given.data)], LabelKeys())
    write_frames([frame for frame in frames if frame.info["group"] != DEFORMED], path)
    return path


def _strained(given: argparse.Namespace) -> Path:
    """A file of crystals under strains along x, in xy, and of the volume, their atoms slightly moved."""
    crystal = CrystalConfig(element="Ni", crystal="fcc", lattice_constant=REFERENCE["a"], repeats=2)
    config = StrainConfig(strains=dict.fromkeys(("xx", "xy", "volume"), STRAINS), rattle=0.02)
    frames = config.sampler(None)(crystal.structures(), np.random.default_rng(0))
    return kept(labeled(frames, given.reference, "strained"), given.output / "strained.traj")


def stress_of_deformed(given: argparse.Namespace) -> float:
    """Mean absolute error of the stress of the deformed cells (MPa)."""
    frames = [
        frame for frame in read_frames([str(given.data)], LabelKeys()) if frame.info["group"] == DEFORMED
    ]
    potential = load_potential(given.output / "potential" / MODEL_FILE)
    return float(evaluate(potential, frames).metrics()["stress"]["mae"])


def constants(given: argparse.Namespace, strain: float) -> dict[str, dict[str, float]]:
    """Lattice constant (Å) and elastic constants (GPa) of the potential and of the reference."""
    config = PropertiesConfig.from_words(
        [str(given.output / "potential")],
        "Ni:fcc",
        reference=given.reference,
        only=["relaxation", "elastic"],
        settings=[f"elastic.strain={strain}", f"store={given.output / 'reference.db'}"],
    )
    summary = properties(config, given.output / f"strain-{strain:g}", resume=True)
    (model,) = summary["models"].values()
    named = {"potential": model, "reference": summary["reference"]}
    return {
        name: {
            "a": found["relaxation"]["a"],
            **{key: found["elastic"].get(key, float("nan")) for key in QUANTITIES},
        }
        for name, found in named.items()
    }


def table(result: dict[str, Any]) -> str:
    """Ours beside the paper's, errors in percent."""
    lines = [f"{'':13s}" + "".join(f"{name:>22s}" for name in ("a (Å)", *QUANTITIES))]
    for title, found in result["strains"].items():
        reference = found["reference"]
        for name in ("reference", "potential"):
            cells = [
                f"{value:.3f}"
                + (f" ({100 * (value / reference[key] - 1):+.1f} %)" if name != "reference" else "")
                for key, value in found[name].items()
            ]
            lines.append(f"{title:>5s} {name[:7]:7s}" + "".join(f"{cell:>22s}" for cell in cells))
    return "\n".join(lines)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, default=Path("low2high"))
    parser.add_argument("--reference", default=EAM, help="the method of the labels")
    parser.add_argument("--epochs", type=int, nargs=2, default=(200, 120), help="of the two stages")
    parser.add_argument("--every", type=int, default=1, help="take each so many-th structure")
    parser.add_argument("--variant", choices=[*POTENTIALS, "strained"], default="whole")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="of the configuration")
    given = parser.parse_args()
    torch.set_num_threads(1)
    errors = trained(given)["transferred"]
    strains = {f"{100 * strain:g} %": constants(given, strain) for strain in (PAPER_STRAIN, SMALL_STRAIN)}
    paper_potential = POTENTIALS.get(given.variant, POTENTIALS["whole"])
    result = {
        "epochs": list(given.epochs),
        "every": given.every,
        "variant": given.variant,
        "errors": {name: errors[name] for name in ("energy", "forces", "stress")},
        "stress_of_deformed": stress_of_deformed(given),
        "strains": {
            "paper": {"reference": REFERENCE, "potential": paper_potential},
            **strains,
        },
    }
    (given.output / "low2high.json").write_text(json.dumps(result, indent=1) + "\n")
    print(f"{given.variant}: each {given.every}. structure, {given.epochs[0]} and {given.epochs[1]} epochs")
    print(table(result))
    paper = STRESS_OF_DEFORMED.get(given.variant)
    told = "" if paper is None else f" (paper {paper:g})"
    print(f"MAE of the stress of deformed cells: {result['stress_of_deformed']:.1f} MPa{told}")


if __name__ == "__main__":
    main()
