"""Where samplers start."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase import Atoms
from ase.build import bulk, molecule
from pydantic import Field, PositiveFloat, PositiveInt

from gnnpot.config.base import Section
from gnnpot.data.files import data_paths
from gnnpot.data.reading import read_frames
from gnnpot.errors import ConfigError, DataError
from gnnpot.sampling.crystals import crystal, is_alloy, random_alloy
from gnnpot.system.files import file_hash, text_hash

_CRYSTAL = re.compile(r"(?:[A-Z][a-z]?\d*)+(?::\w+)?")

Repeats = PositiveInt | tuple[PositiveInt, PositiveInt, PositiveInt]


class CrystalConfig(Section):
    """A perfect crystal of one element in repeated conventional cells.

    Args:
        element: Symbol.
        crystal: Kind.
        lattice_constant: Lattice constant (Å).
        repeats: Conventional cells along each vector.
    """

    element: str
    crystal: Literal["fcc", "bcc", "sc", "diamond"]
    lattice_constant: PositiveFloat
    repeats: Repeats = 1

    def structures(self) -> Iterator[Atoms]:
        """The crystal."""
        try:
            cell = bulk(self.element, self.crystal, a=self.lattice_constant, cubic=True)
        except (KeyError, ValueError) as error:
            raise ConfigError(f"expected an element, got {self.element!r}; write its symbol") from error
        repeated = cell * self.repeats
        yield Atoms(repeated.numbers, repeated.positions, cell=repeated.cell, pbc=True)


class NamedCrystalConfig(Section):
    """A perfect crystal by its formula and structure, or random alloys on the sites of one.

    Args:
        crystal: ``Ni``, ``Ni:bcc``, ``NiAl:B2``, ``Ni3Al:L1_2``, ``NaCl:rocksalt``, ``CaF2:fluorite``, …;
            several elements on the lattice of one are a random alloy: ``Cu3Au:fcc``.
        lattice_constant: Å; by default that of ASE's table, else of covalent radii.
        repeats: Conventional cells along each vector.
        copies: Arrangements of a random alloy.
        seed: Seed of the arrangements.
    """

    crystal: str
    lattice_constant: PositiveFloat | None = None
    repeats: Repeats = 1
    copies: PositiveInt = 1
    seed: int = Field(default=0, ge=0)

    def structures(self) -> Iterator[Atoms]:
        """The crystal, or the alloys one after another."""
        if is_alloy(self.crystal):
            rng = np.random.default_rng(self.seed)
            for _ in range(self.copies):
                yield random_alloy(self.crystal, self.repeats, rng, lattice_constant=self.lattice_constant)
            return
        yield crystal(self.crystal, lattice_constant=self.lattice_constant) * self.repeats


class MoleculeConfig(Section):
    """A molecule that ASE knows by name.

    Args:
        molecule: Name, as in ``ase.build.molecule``.
    """

    molecule: str

    def structures(self) -> Iterator[Atoms]:
        """The molecule."""
        try:
            yield molecule(self.molecule)
        except (KeyError, NotImplementedError, ValueError) as error:
            raise ConfigError(
                f"expected a molecule that ASE knows, got {self.molecule!r}; name a file of structures"
            ) from error


class FilesConfig(Section):
    """Structures in files.

    Args:
        files: Paths of the files; ``gnnpot:NAME`` comes with the package.
        every: Take each ``every``-th structure.
        repeats: Cells along each vector.
    """

    files: tuple[str, ...] = Field(min_length=1)
    every: PositiveInt = 1
    repeats: Repeats = 1

    def content_hash(self) -> str:
        """SHA-256 of what the files hold, one after another.

        Raises:
            DataError: A file is not there.
        """
        return text_hash(" ".join(map(_hash_of, data_paths(self.files))))

    def structures(self) -> Iterator[Atoms]:
        """The structures, one after another; a missing file is told of at once."""
        frames = read_frames(self.files, needed=())
        first = list(islice(frames, 1))
        return (self._repeated(atoms) for atoms in islice(chain(first, frames), 0, None, self.every))

    def _repeated(self, atoms: Atoms) -> Atoms:
        repeated = atoms * self.repeats
        repeated.info = dict(atoms.info)
        return repeated


def _hash_of(path: Path) -> str:
    try:
        return file_hash(path)
    except OSError as error:
        raise DataError(
            f"expected a file of structures, got {path} ({error.strerror}); check the path"
        ) from error


def as_section(value: Any) -> Any:
    """A path, several, or the name of a crystal (``NiAl:B2``) as the section that it stands for."""
    if isinstance(value, str):
        named = _CRYSTAL.fullmatch(value) and not Path(value).exists()
        return {"crystal": value} if named else {"files": [value]}
    return {"files": value} if isinstance(value, list | tuple) else value
