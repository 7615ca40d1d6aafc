"""Density-functional theory by Quantum ESPRESSO's ``pw.x``, one self-consistent calculation a structure.

Giannozzi et al., J. Phys.: Condens. Matter 21, 395502 (2009).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any, Literal, Self

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculationFailed, Calculator, SCFError
from ase.calculators.espresso import Espresso, EspressoProfile
from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from gnnpot import units
from gnnpot.config.registry import nearest
from gnnpot.engines.base import ENGINES, EngineConfig, existing, program
from gnnpot.errors import EngineError
from gnnpot.system.files import file_hash

INSTALL = "apt-get install quantum-espresso quantum-espresso-data libopenblas0-pthread"
_SMEARING = re.compile(r"smearing contrib\. \(-TS\)\s*=\s*(\S+)\s*Ry")
_NAMELISTS = ("control", "system", "electrons", "ions", "cell", "fcp", "rism")
_OURS = {  # keys of pw.x that decide what a label is, or have a setting here
    "calculation": "scf: one calculation a structure",
    "tprnfor": "always true",
    "tstress": "always true",
    "ecutwfc": "method.ecutwfc",
    "ecutrho": "method.ecutrho",
    "smearing": "method.smearing",
    "degauss": "method.degauss",
    "conv_thr": "method.conv_thr",
    "electron_maxstep": "method.max_iterations",
    "mixing_beta": "method.mixing_beta",
}
_RYDBERG = units.Hartree / 2


@ENGINES.register("espresso")
class EspressoConfig(EngineConfig):
    """Settings of ``pw.x``.

    Without ``magnetic_moments`` the calculation is not magnetic, whatever moments a structure carries.

    Args:
        pseudopotentials: File of each element, in ``pseudo_dir``.
        pseudo_dir: Folder of the files.
        ecutwfc: Energy cutoff of the plane waves (Ry).
        ecutrho: Energy cutoff of the density (Ry); four times ``ecutwfc`` if None.
        kpoints: Numbers of points along the three axes; or ``spacing``.
        spacing: Largest distance between points (1/Å, 2π included).
        offset: 1 shifts the mesh by half a step along an axis.
        smearing: Kind of smearing, or None for fixed occupations.
        degauss: Width of the smearing (Ry).
        energy: ``free`` has the forces for derivatives; ``without_entropy`` takes the smearing term off.
        magnetic_moments: Initial moment of each element (Bohr magnetons); None for no magnetism.
        conv_thr: Convergence threshold of the self-consistency (Ry).
        max_iterations: Number of iterations after which a calculation counts as not converged.
        mixing_beta: Fraction of the new density in the mixing.
        input_data: Further entries of pw.x's namelists.
        command: Command that starts the program, e.g. ``mpirun -n 4 pw.x``.
    """

    runtime = frozenset({"command", "pseudo_dir"})
    needs_cell = True

    kind: Literal["espresso"] = "espresso"
    pseudopotentials: dict[str, str]
    pseudo_dir: Path = Path("/usr/share/espresso/pseudo")
    ecutwfc: PositiveFloat
    ecutrho: PositiveFloat | None = None
    kpoints: tuple[PositiveInt, PositiveInt, PositiveInt] | None = None
    spacing: PositiveFloat | None = None
    offset: tuple[Literal[0, 1], Literal[0, 1], Literal[0, 1]] = (0, 0, 0)
    smearing: Literal["gaussian", "methfessel-paxton", "marzari-vanderbilt", "fermi-dirac"] | None = None
    degauss: PositiveFloat | None = None
    energy: Literal["free", "without_entropy"] = "free"
    magnetic_moments: dict[str, float] | None = None
    conv_thr: PositiveFloat = 1e-8
    max_iterations: PositiveInt = 100
    mixing_beta: PositiveFloat = 0.5
    input_data: dict[str, dict[str, Any]] = Field(default={})
    command: str = "pw.x"

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.kpoints is None) == (self.spacing is None):
            raise ValueError("expected kpoints or spacing, got both or none; give one")
        if (self.smearing is None) != (self.degauss is None):
            raise ValueError("expected smearing and degauss together, got one; give both or none")
        if self.energy == "without_entropy" and self.smearing is None:
            raise ValueError("expected a smearing whose entropy can be taken off, got none; use energy: free")
        for symbol in self.magnetic_moments or {}:
            if symbol not in self.pseudopotentials:
                raise ValueError(
                    f"expected moments of {', '.join(self.pseudopotentials)}, got {symbol!r}; mend the symbol"
                )
        return self

    @field_validator("input_data")
    @classmethod
    def _input_beside_ours(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for section, values in value.items():
            if section.lower() not in _NAMELISTS:
                raise ValueError(
                    f"no namelist of pw.x is called {section!r}; {nearest(section.lower(), _NAMELISTS)}"
                )
            for name in values:
                if name.lower() in _OURS:
                    raise ValueError(
                        f"expected other keys than {name}, which is {_OURS[name.lower()]}; leave it out here"
                    )
        return value

    @field_validator("command")
    @classmethod
    def _some_command(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("expected a command such as pw.x")
        return value

    def calculator(self, folder: Path) -> Calculator:
        """Build the calculator."""
        program(self.command, INSTALL)
        self._files()
        profile = EspressoProfile(command=self.command, pseudo_dir=self.pseudo_dir.expanduser().resolve())
        return _SinglePoint(self, profile, folder)

    @property
    def writes_files(self) -> bool:
        """Whether each structure needs a folder of its own."""
        return True

    def elements(self) -> frozenset[str]:
        """Symbols that the method knows."""
        return frozenset(self.pseudopotentials)

    def identity(self) -> dict[str, Any]:
        """Everything that decides the results, for the hash of the method."""
        unit = {} if self.spacing is None else {"spacing_unit": "1/Å with 2π"}  # it once was without
        return super().identity() | {"pseudopotentials": self._files()} | unit

    def namelists(self) -> dict[str, dict[str, Any]]:
        """The input of ``pw.x`` but for structure and k-points."""
        system: dict[str, Any] = {"ecutwfc": self.ecutwfc}
        if self.ecutrho is not None:
            system["ecutrho"] = self.ecutrho
        if self.smearing is not None:
            system |= {"occupations": "smearing", "smearing": self.smearing, "degauss": self.degauss}
        if self.magnetic_moments is not None:
            system["nspin"] = 2
        sections: dict[str, dict[str, Any]] = {
            "control": {"calculation": "scf", "tprnfor": True, "tstress": True, "disk_io": "none"},
            "system": system,
            "electrons": {
                "conv_thr": self.conv_thr,
                "electron_maxstep": self.max_iterations,
                "mixing_beta": self.mixing_beta,
            },
        }
        for name, values in self.input_data.items():
            sections[name.lower()] = sections.get(name.lower(), {}) | values
        return sections

    def _files(self) -> dict[str, str]:
        """The hash of each pseudopotential."""
        folder = self.pseudo_dir.expanduser()
        if not folder.is_dir():
            raise EngineError(f"expected pseudopotentials in {folder}, got no folder; install: {INSTALL}")
        return {
            symbol: file_hash(existing(folder / name, f"the pseudopotential of {symbol}"))
            for symbol, name in self.pseudopotentials.items()
        }


class _SinglePoint(Espresso):
    """ASE's calculator, but magnetic only when asked, and with reasons for what went wrong."""

    def __init__(self, config: EspressoConfig, profile: EspressoProfile, folder: Path) -> None:
        points = (
            {"kpts": config.kpoints, "koffset": config.offset}
            if config.spacing is None
            else {"kspacing": config.spacing / (2 * np.pi), "koffset": config.offset}  # ASE leaves 2π out
        )
        super().__init__(
            profile=profile,
            directory=folder,
            pseudopotentials=config.pseudopotentials,
            input_data=config.namelists(),
            **points,
        )
        self.config = config
        self.results: dict[str, Any] = {}

    def calculate(self, atoms: Atoms, properties: Sequence[str], system_changes: Sequence[str]) -> None:
        """Fill ``results``."""
        bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
        if self.config.magnetic_moments is not None:
            moments = self.config.magnetic_moments
            bare.set_initial_magnetic_moments([moments.get(symbol, 0.0) for symbol in bare.symbols])
        output = self.directory / "espresso.pwo"
        try:
            super().calculate(bare, ["energy", "forces", "stress"], system_changes)
        except CalledProcessError as error:
            raise _failure(output, error) from error
        text = output.read_text(errors="replace")
        if "convergence NOT achieved" in text:
            raise _failure(output, None)
        found = self.results
        kept = ("energy", "free_energy", "forces", "stress", "magmoms")
        self.results = {name: found[name] for name in kept if name in found}
        if self.config.energy == "without_entropy":
            self.results["energy"] -= _entropy_term(text)
            del self.results["free_energy"]  # labels would take it for the energy


def _entropy_term(text: str) -> float:
    """The contribution −TS of the smearing to the energy (eV)."""
    found = _SMEARING.findall(text)
    if not found:
        raise CalculationFailed(
            "expected the smearing term in the output of pw.x, got none; use energy: free"
        )
    return float(found[-1]) * _RYDBERG


def _failure(output: Path, error: CalledProcessError | None) -> Exception:
    text = output.read_text(errors="replace") if output.exists() else ""
    if "convergence NOT achieved" in text:
        steps = re.search(r"NOT achieved after\s+(\d+)", text)
        return SCFError(f"no self-consistency after {steps.group(1) if steps else 'all'} iterations")
    code = error.returncode if error is not None else 0
    how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
    said = re.search(r"%%+\s*\n(.+?)\n\s*%%+", text, re.S)
    reason = f" ({' '.join(said.group(1).split())[:160]})" if said else ""
    return CalculationFailed(f"{output.parent.name}: pw.x {how}{reason}")
