"""Which steps of a run of VASP did not converge."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, iterparse

from ase import Atoms
from ase.io.formats import open_with_compression

UNCONVERGED = "unconverged"  # in info: the electronic steps ran out


def with_convergence(frames: Iterable[Atoms], path: Path) -> Iterator[Atoms]:
    """The steps of a ``vasprun.xml``, those marked whose electronic steps ran out."""
    for atoms, unconverged in zip_longest(frames, unconverged_steps(path)):
        if atoms is None:  # ASE leaves a step out that was cut off
            return
        if unconverged:
            atoms.info[UNCONVERGED] = True
        yield atoms


def unconverged_steps(path: Path) -> Iterator[bool]:
    """For each ionic step whether it took all of NELM electronic steps and still changed by EDIFF or more."""
    most, tolerance = None, 0.0
    with open_with_compression(str(path), "rb") as file:
        try:
            for _, element in iterparse(file):
                if element.tag == "parameters":
                    most, tolerance = _number(element, "NELM"), _number(element, "EDIFF") or 0.0
                elif element.tag == "calculation":
                    yield most is not None and _ran_out(element, most, tolerance)
                    element.clear()
        except ParseError:  # cut off, as a run that still goes on is
            return


def _ran_out(step: Element, most: float, tolerance: float) -> bool:
    energies = [float(entry.text or "nan") for entry in step.findall("scstep/energy/i[@name='e_fr_energy']")]
    return 1 < len(energies) >= most and not abs(energies[-1] - energies[-2]) < tolerance


def _number(parameters: Element, name: str) -> float | None:
    found = parameters.find(f".//i[@name='{name}']")
    return None if found is None or not found.text else float(found.text)
