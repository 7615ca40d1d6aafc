"""Where samplers start."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from ase import Atoms
from ase.build import bulk, molecule
from pydantic import BeforeValidator, Discriminator, Field, PositiveFloat, PositiveInt, Tag

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
                length = self.lattice_constant
                yield _named(
                    random_alloy(self.crystal, self.repeats, rng, lattice_constant=length), self.crystal
                )
            return
        if self.copies > 1:
            raise ConfigError(
                f"expected copies of a random alloy such as Cu3Au:fcc, got {self.copies} of {self.crystal}, "
                "which has one arrangement; leave copies out"
            )
        yield _named(
            crystal(self.crystal, lattice_constant=self.lattice_constant) * self.repeats, self.crystal
        )


class MoleculeConfig(Section):
    """A molecule that ASE knows by name.

    Args:
        molecule: Name, as in ``ase.build.molecule``.
    """

    molecule: str

    def structures(self) -> Iterator[Atoms]:
        """The molecule."""
        try:
            yield _named(molecule(self.molecule), self.molecule)
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


def as_section(value: Any) -> Any:
    """A path, the name of a crystal (``NiAl:B2``), or a list of such as the section that it stands for."""
    if isinstance(value, str):
        return {"crystal": value} if _is_name(value) else {"files": [value]}
    if isinstance(value, dict):
        _check_kind(value)
    if not isinstance(value, list | tuple):
        return value
    in_files = all(isinstance(one, str | Path) and not _is_name(str(one)) for one in value)
    return {"files": value} if in_files else {"several": value}


def _check_kind(value: dict[Any, Any]) -> None:
    """Refuse keys of two kinds, as are left where one key of a file is replaced.

    Raises:
        ValueError: With what to write.
    """
    first, *others = [key for key in ("element", "molecule", "files", "several") if key in value] or [""]
    if others:
        raise ValueError(
            f"expected structures of one kind, got {others[0]} beside {first}; replace the whole section, as "
            f"structures={{{others[0]}: {value[others[0]]}}}"
        )


def _is_name(word: str) -> bool:
    return _CRYSTAL.fullmatch(word) is not None and not Path(word).exists()


def _kind_of(value: Any) -> str:
    keys = value if isinstance(value, dict) else getattr(type(value), "model_fields", {})
    if "element" in keys:
        return "a crystal of one element"
    known = {"molecule": "a molecule", "crystal": "a crystal", "several": "several"}
    return next((kind for key, kind in known.items() if key in keys), "in files")


_Part = (
    Annotated[CrystalConfig, Tag("a crystal of one element")]
    | Annotated[NamedCrystalConfig, Tag("a crystal")]
    | Annotated[MoleculeConfig, Tag("a molecule")]
    | Annotated[FilesConfig, Tag("in files")]
)
_Told = str | CrystalConfig | NamedCrystalConfig | MoleculeConfig | FilesConfig


class SeveralConfig(Section):
    """Structures of several kinds, one after another: ``[Ni3Al:L1_2, NiAl:B2, frames.xyz]``.

    Args:
        several: Files, crystals by name, or sections of these.
    """

    several: tuple[
        Annotated[_Part, Discriminator(_kind_of), BeforeValidator(as_section, json_schema_input_type=_Told)],
        ...,
    ] = Field(min_length=1)

    def content_hash(self) -> str:
        """SHA-256 of what the files among them hold.

        Raises:
            DataError: A file is not there.
        """
        return text_hash(
            " ".join(part.content_hash() for part in self.several if isinstance(part, FilesConfig))
        )

    def structures(self) -> Iterator[Atoms]:
        """The structures of each, one after another."""
        return chain.from_iterable(part.structures() for part in self.several)


StructuresSection = Annotated[
    _Part | Annotated[SeveralConfig, Tag("several")],
    Discriminator(_kind_of),
    BeforeValidator(as_section, json_schema_input_type=_Told | tuple[_Told, ...]),
]


def _named(atoms: Atoms, group: str) -> Atoms:
    """The structure with a group, by which errors are told apart."""
    atoms.info["group"] = group
    return atoms


def _hash_of(path: Path) -> str:
    try:
        return file_hash(path)
    except OSError as error:
        raise DataError(
            f"expected a file of structures, got {path} ({error.strerror}); check the path"
        ) from error
