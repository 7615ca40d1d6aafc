"""Low2High on nickel, from labels of an embedded-atom potential: elastic constants beside the paper's.

``python benchmarks/papers/low2high.py DATA`` trains the shipped configuration ``low2high`` in its two stages
on the set of the paper (extended XYZ), computes lattice and elastic constants at the paper's strain of ±10 %
and at a small one, by the potential and by the method that made the labels, and prints a table beside the
paper's Table 4.  Killed runs go on where they were.  ``--epochs`` and ``--every`` cut the work, and the
table says how far.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from gnnpot.commands.progress import TrainingDisplay
from gnnpot.config.base import shipped_config
from gnnpot.properties.config import PropertiesConfig
from gnnpot.properties.run import properties
from gnnpot.transferring.config import TransferConfig
from gnnpot.transferring.run import transfer

EAM = "kim:model=EAM_Dynamo_ZhangAshcraftMendelev_2016_NiNb__MO_047308317761_000"
PAPER_STRAIN, SMALL_STRAIN = 0.1, 0.005
QUANTITIES = ("C11", "C12", "C44", "C_prime")
# Jung et al., Tables 2 and 4 (GPa, Å): the reference, and the potential trained on it with deformed cells
PAPER = {
    "reference": {"a": 3.516, "C11": 214.4, "C12": 158.9, "C44": 124.9, "C_prime": 27.7},
    "potential": {"a": 3.515, "C11": 192.9, "C12": 154.3, "C44": 122.1, "C_prime": 19.3},
}


def trained(given: argparse.Namespace) -> dict[str, Any]:
    """Train both stages, or take the run that is there; gives the content of ``transfer.json``."""
    first, second = given.epochs
    overrides = [
        f"train={given.data}@::{given.every}",
        f"training.max_epochs={first}",
        f"stages.1.max_epochs={second}",
        *given.set,
    ]
    config = TransferConfig.from_yaml(shipped_config("low2high"), overrides)
    with TrainingDisplay() as display:
        return transfer(config, given.output / "potential", resume=True, observer=display)


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
    lines = [f"{'':12s}" + "".join(f"{name:>22s}" for name in ("a (Å)", *QUANTITIES))]
    for title, found in result["strains"].items():
        reference = found["reference"]
        for name in ("reference", "potential"):
            cells = [
                f"{value:.3f}"
                + (f" ({100 * (value / reference[key] - 1):+.1f} %)" if name != "reference" else "")
                for key, value in found[name].items()
            ]
            lines.append(f"{title:>5s} {name[:6]:6s}" + "".join(f"{cell:>22s}" for cell in cells))
    return "\n".join(lines)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, default=Path("low2high"))
    parser.add_argument("--reference", default=EAM, help="the method of the labels")
    parser.add_argument("--epochs", type=int, nargs=2, default=(200, 120), help="of the two stages")
    parser.add_argument("--every", type=int, default=1, help="take each so many-th structure")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="of the configuration")
    given = parser.parse_args()
    torch.set_num_threads(1)
    errors = trained(given)["transferred"]
    strains = {f"{100 * strain:g} %": constants(given, strain) for strain in (PAPER_STRAIN, SMALL_STRAIN)}
    result = {
        "epochs": list(given.epochs),
        "every": given.every,
        "errors": {name: errors[name] for name in ("energy", "forces", "stress")},
        "strains": {"paper": PAPER, **strains},
    }
    (given.output / "low2high.json").write_text(json.dumps(result, indent=1) + "\n")
    print(f"each {given.every}. structure, {given.epochs[0]} and {given.epochs[1]} epochs")
    print(table(result))


if __name__ == "__main__":
    main()
