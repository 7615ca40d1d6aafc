"""Structures of one material turned into those of another: elements renamed, lengths scaled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ase import Atoms
from ase.data import atomic_numbers
from ase.io.extxyz import write_extxyz

from gnnpot.config.registry import nearest
from gnnpot.data.reading import read_frames
from gnnpot.errors import ConfigError, OutputError
from gnnpot.system.files import atomic_write


def transferred(atoms: Atoms, *, names: Mapping[str, str], scale: float) -> Atoms:
    """Copy a structure with renamed elements and scaled lengths, without labels.

    Args:
        atoms: Any structure.
        names: New symbol by old one; other symbols stay.
        scale: Factor of all lengths.
    """
    symbols = [names.get(symbol, symbol) for symbol in atoms.symbols]
    copy = Atoms(symbols, scale * atoms.positions, cell=scale * atoms.cell.array, pbc=atoms.pbc)
    copy.info["transferred_from"] = str(atoms.info.get("origin", atoms.symbols))
    if group := atoms.info.get("group"):
        copy.info["group"] = group
    return copy


def check_symbols(names: Mapping[str, str]) -> None:
    """Check that all names are symbols of elements.

    Raises:
        ConfigError: A name is not a symbol.
    """
    for symbol in (*names, *names.values()):
        if symbol not in atomic_numbers or symbol == "X":
            raise ConfigError(f"no element is called {symbol!r}; {nearest(symbol, atomic_numbers)}")


def transfer_file(source: Path, target: Path, *, names: Mapping[str, str], scale: float) -> int:
    """Write the structures of ``source`` as those of another material, and return their number.

    Args:
        source: Any file of structures.
        target: New extended XYZ file.
        names: New symbol by old one.
        scale: Factor of all lengths.

    Raises:
        ConfigError: A name is not an element, or no structure contains it.
        DataError: The source holds no structures.
        OutputError: The target exists, or cannot be written.
    """
    target = Path(target)
    if target.exists():
        raise OutputError(f"expected a new file, got {target}, which is there; choose another name")
    check_symbols(names)
    present: set[str] = set()
    frames = []
    for atoms in read_frames([source], needed=()):
        present.update(atoms.symbols)
        frames.append(transferred(atoms, names=names, scale=scale))
    if absent := set(names) - present:
        raise ConfigError(
            f"expected elements of {source} ({', '.join(sorted(present))}) on the left of the map, got "
            f"{', '.join(sorted(absent))}; the map is OLD=NEW"
        )
    with atomic_write(target) as aside, aside.open("w", encoding="utf-8") as file:
        write_extxyz(file, frames)
    return len(frames)


def parse_scale(text: str) -> float:
    """Parse a scale factor such as ``1.15`` or ``4.05/3.52``.

    Raises:
        ConfigError: The text is not a number or ratio above zero.
    """
    above, slash, below = text.partition("/")
    try:
        scale = float(above) / (float(below) if slash else 1.0)
    except (ValueError, ZeroDivisionError):
        scale = float("nan")
    if not 0 < scale < float("inf"):
        raise ConfigError(f"expected a scale above 0, as 1.15 or 4.05/3.52, got {text!r}; change --scale")
    return scale
