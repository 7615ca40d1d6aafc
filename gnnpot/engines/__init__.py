"""Reference methods by name: from a section of a configuration to an ASE calculator."""

from __future__ import annotations

from pathlib import Path

from ase.calculators.calculator import Calculator

from gnnpot.engines.base import ENGINES as ENGINES
from gnnpot.engines.base import Engine as Engine
from gnnpot.engines.base import EngineConfig as EngineConfig
from gnnpot.engines.base import engine_of as engine_of
from gnnpot.engines.espresso import EspressoConfig as EspressoConfig
from gnnpot.engines.imported import ImportedConfig as ImportedConfig
from gnnpot.engines.imported import TeacherConfig as TeacherConfig
from gnnpot.engines.lammps import EamConfig as EamConfig
from gnnpot.engines.lammps import LammpsConfig as LammpsConfig
from gnnpot.engines.openkim import KimConfig as KimConfig
from gnnpot.engines.sparrow import SparrowConfig as SparrowConfig
from gnnpot.engines.stillinger_weber import StillingerWeberConfig as StillingerWeberConfig
from gnnpot.engines.xtb import XtbConfig as XtbConfig


def calculator_from(config: EngineConfig, folder: Path = Path()) -> Calculator:
    """The calculator that a section describes.

    Args:
        config: Such as ``ENGINES["stillinger-weber"](preset="Si-1985")``; ``engine_of`` makes one of a
            dictionary.
        folder: Folder for the files of the calculator, if it writes any.

    Raises:
        EngineError: The program is not installed, or a file is missing.
    """
    return config.calculator(folder)
