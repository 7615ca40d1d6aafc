"""Calculators that count, hang, die and babble; workers import them by name."""

from __future__ import annotations

import builtins
import os
import signal
import time
from pathlib import Path
from typing import Any

from ase.calculators.calculator import Calculator, SCFError
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from gnnpot.data.reading import content_hash

CENTER = 0  # the atom whose x says what goes wrong


class Counting(LennardJones):
    """Write down each calculation."""

    def __init__(self, log: str, seconds: float = 0.0) -> None:
        super().__init__(epsilon=0.1, sigma=2.2, rc=4.0)
        self.log, self.seconds = log, seconds

    def calculate(self, atoms: Any = None, *args: Any, **kwargs: Any) -> None:
        super().calculate(atoms, *args, **kwargs)
        time.sleep(self.seconds)
        with open(self.log, "a") as file:
            file.write(f"{content_hash(atoms)} {time.time()} {os.getpid()}\n")


class FailingOnce(EMT):
    """Raise an error of this name at one call."""

    def __init__(self, error: str, call: int) -> None:
        super().__init__()
        self.error, self.call, self.calls = error, call, 0

    def calculate(self, atoms: Any = None, *args: Any, **kwargs: Any) -> None:
        self.calls += 1
        if self.calls == self.call:
            raise getattr(builtins, self.error)("no luck")
        super().calculate(atoms, *args, **kwargs)


class Faulty(LennardJones):
    """Do what the number of atoms says: 1 hangs, 2 dies, 3 does not converge, 4 has a bug, others work."""

    def __init__(self) -> None:
        super().__init__(epsilon=0.1, sigma=2.2, rc=4.0)

    def calculate(self, atoms: Any = None, *args: Any, **kwargs: Any) -> None:
        super().calculate(atoms, *args, **kwargs)
        print("garbage \x00 on stdout" * 100, flush=True)
        os.write(2, b"\xff\xfe garbage on stderr\n")
        match len(atoms):
            case 1:
                time.sleep(1000)
            case 2:
                os.kill(os.getpid(), signal.SIGSEGV)
            case 3:
                raise SCFError("no self-consistency after 7 iterations")
            case 4:
                raise KeyError("a bug of the engine")


class Smeared(EMT):
    """Like density-functional theory of a metal: forces are derivatives of the free energy."""

    def calculate(self, *args: Any, **kwargs: Any) -> None:
        super().calculate(*args, **kwargs)
        self.results["energy"] += 0.1


class InFolder(Calculator):
    """Write a file to its folder, and fail for two atoms."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def __init__(self, directory: str) -> None:
        super().__init__()
        self.folder = Path(directory)

    def calculate(self, atoms: Any = None, *args: Any, **kwargs: Any) -> None:
        super().calculate(atoms, *args, **kwargs)
        (self.folder / "wave.dat").write_text("x")
        if len(atoms) == 2:
            raise SCFError("no self-consistency")
        self.results = {"energy": 0.0, "forces": 0.0 * atoms.positions}


class Scaled(EMT):
    """Like a program: the input, a factor of the energy, lies in a file while it works."""

    def __init__(self, directory: str, factor: float) -> None:
        super().__init__()
        self.input, self.factor = Path(directory) / "input", factor

    def calculate(self, atoms: Any = None, *args: Any, **kwargs: Any) -> None:
        super().calculate(atoms, *args, **kwargs)
        self.input.write_text(str(self.factor))
        time.sleep(0.05)
        self.results["energy"] = self.results["free_energy"] = float(self.input.read_text())


class Mended(LennardJones):
    """Fail until a folder is there, and for two atoms even then."""

    def __init__(self, folder: str) -> None:
        super().__init__(epsilon=0.1, sigma=2.2, rc=4.0)
        self.folder = Path(folder)

    def calculate(self, atoms: Any = None, *args: Any, **kwargs: Any) -> None:
        is_mended = self.folder.is_dir()
        time.sleep(1.0 if is_mended else 0.0)
        if not is_mended or len(atoms) == 2:
            raise SCFError("no self-consistency")
        super().calculate(atoms, *args, **kwargs)
