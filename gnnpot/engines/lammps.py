"""Any pair style of LAMMPS, and embedded-atom files.

Daw and Baskes, Phys. Rev. B 29, 6443 (1984); Finnis and Sinclair, Philos. Mag. A 50, 45 (1984).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, Self

from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.data import atomic_numbers
from pydantic import field_validator, model_validator

from gnnpot.engines.base import ENGINES, EngineConfig, existing, with_contents
from gnnpot.engines.simulation import LammpsCalculator, lammps_module, shipped_potentials
from gnnpot.errors import EngineError, LabelingError
from gnnpot.system.files import file_hash

_STYLES = {"setfl": "eam/alloy", "fs": "eam/fs", "funcfl": "eam"}
_FILE = re.compile(r"(?=.*[A-Za-z])[\w~./+-]*[./][\w~./+-]*")  # a word with a letter and a dot or slash


@ENGINES.register("lammps")
class LammpsConfig(EngineConfig):
    """Any pair style, in metal units.

    Args:
        pair_style: Arguments of the command ``pair_style``.
        pair_coeff: Arguments of ``pair_coeff``, one line each; files by path, or by their name alone if
            they come with LAMMPS.
        types: Symbol of each atom type.
        atom_style: ``charge`` for styles that need charges.
        charges: Charge of each element (e), with ``atom_style: charge``.
        commands: Further lines, after the coefficients.
    """

    kind: Literal["lammps"] = "lammps"
    pair_style: str
    pair_coeff: tuple[str, ...]
    types: tuple[str, ...]
    atom_style: Literal["atomic", "charge"] = "atomic"
    charges: dict[str, float] | None = None
    commands: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _charges_where_needed(self) -> Self:
        needed = self.atom_style == "charge" and not any("qeq" in line for line in self.commands)
        if (needed and set(self.charges or {}) != set(self.types)) or (self.charges and not needed):
            raise ValueError(
                f"expected charges of {', '.join(self.types)} with atom_style: charge and no qeq command, "
                f"got {self.charges or 'none'}; give charges: {{{self.types[0]}: 0.0, …}}, or leave them out"
            )
        return self

    @field_validator("pair_coeff", mode="before", json_schema_input_type=str | tuple[str, ...])
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("types")
    @classmethod
    def _symbols(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [symbol for symbol in value if symbol not in atomic_numbers]:
            raise ValueError(f"expected symbols of elements, got {unknown}; use e.g. [Ni, Nb]")
        return value

    def calculator(self, folder: Path) -> Calculator:
        """Build the calculator."""
        lammps_module()
        coefficients = [
            "pair_coeff " + " ".join(str(word) for word in self._words(line)) for line in self.pair_coeff
        ]
        made = LammpsCalculator(
            [f"pair_style {self.pair_style}", *coefficients, *self.commands],
            self.types,
            self.atom_style,
            charges=self.charges,
        )
        made.start()
        return made

    def elements(self) -> frozenset[str]:
        """Symbols that the method knows."""
        return frozenset(self.types)

    def identity(self) -> dict[str, Any]:
        """Everything that decides the results, for the hash of the method."""
        lines = [
            " ".join(file_hash(word) if isinstance(word, Path) else word for word in self._words(line))
            for line in self.pair_coeff
        ]
        settings = self.model_dump(exclude_none=True)
        texts = {"pair_style": self.pair_style, "pair_coeff": lines, "commands": self.commands}
        return settings | with_contents(texts)

    def _words(self, line: str) -> list[str | Path]:
        """The words of a line, files as paths; styles of a hybrid and numbers may look like files."""
        styles = self.pair_style.split()
        return [
            _found(word) if _FILE.fullmatch(word) and word not in styles and not _is_number(word) else word
            for word in line.split()
        ]


@ENGINES.register("eam")
class EamConfig(EngineConfig):
    """A file of an embedded-atom potential: setfl, Finnis-Sinclair or funcfl.

    LAMMPS needs a fifth of matscipy's time for 32 atoms and has the energies of the atoms; the results
    agree to the last digits.

    Args:
        file: Path, or the name alone of a file that comes with LAMMPS.
        format: ``setfl`` (*.eam.alloy), ``fs`` (*.eam.fs), ``funcfl`` (*.eam); by the name if None.
        program: Program that evaluates the potential.
    """

    runtime = frozenset({"program"})

    kind: Literal["eam"] = "eam"
    file: Path
    format: Literal["setfl", "fs", "funcfl"] | None = None
    program: Literal["lammps", "matscipy"] = "lammps"

    def calculator(self, folder: Path) -> Calculator:
        """Build the calculator."""
        style, symbols, path = self._style(), self._symbols(), self._path()
        if self.program == "matscipy":
            from matscipy.calculators.eam import EAM

            return EAM(str(path), kind=style)
        lammps_module()
        coefficients = f"pair_coeff * * {path}" + ("" if style == "eam" else " " + " ".join(symbols))
        return LammpsCalculator([f"pair_style {style}", coefficients], symbols)

    def elements(self) -> frozenset[str]:
        """Symbols that the method knows."""
        return frozenset(self._symbols())

    def check(self, atoms: Atoms, known: frozenset[str] | None, origin: str) -> None:
        """Check that the method can treat a structure."""
        super().check(atoms, known, origin)
        if self.program == "matscipy" and atoms.cell.rank < 3:
            raise LabelingError(
                f"expected a cell for matscipy in {origin}, got none; give the structure a box, or use "
                "program: lammps"
            )

    def identity(self) -> dict[str, Any]:
        """Everything that decides the results, for the hash of the method."""
        return {"kind": self.kind, "format": self._style(), "file": file_hash(self._path())}

    def _path(self) -> Path:
        found = _found(str(self.file)) if self.program == "lammps" else existing(self.file, "an EAM file")
        return Path(found)

    def _style(self) -> str:
        if self.format is not None:
            return _STYLES[self.format]
        name = self.file.name.lower()
        return "eam/fs" if name.endswith(".fs") else "eam" if name.endswith(".eam") else "eam/alloy"

    def _symbols(self) -> tuple[str, ...]:
        path = self._path()
        lines = path.read_text(errors="replace").splitlines()
        try:
            if self._style() == "eam":
                number = int(lines[1].split()[0])
                return (next(s for s, z in atomic_numbers.items() if z == number),)
            count, *symbols = lines[3].split()
            if len(symbols) != int(count) or any(symbol not in atomic_numbers for symbol in symbols):
                raise ValueError(lines[3])
        except (IndexError, ValueError, StopIteration) as error:
            raise EngineError(
                f"expected an EAM file in format {self._style()}, got something else at {path}; "
                "check the file, or set method.format"
            ) from error
        return tuple(symbols)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _found(word: str) -> Path:
    """The file that a word names: by its path, or among those that come with LAMMPS."""
    path = Path(word).expanduser()
    shipped = shipped_potentials()
    if not path.is_file() and shipped is not None and (shipped / word).is_file():
        return shipped / word
    return existing(path, "a potential file")
