"""Every conversion factor in the package, and the units in which errors are told.

Inside the library: eV, Å, eV/Å, eV/Å³, u, K, fs.  Multiply a value in the named unit by its factor to
get the library's unit; divide to show one.  CODATA 2018 values.
"""

from __future__ import annotations

meV = 1e-3  # noqa: N816
Hartree = 27.211386245988
Ry = Hartree / 2
kcal_per_mol = 0.0433641042
kJ_per_mol = kcal_per_mol / 4.184  # noqa: N816
Bohr = 0.529177210903
GPa = 1 / 160.21766208
MPa = GPa / 1000
kBar = GPa / 10  # noqa: N816
EV_ANGSTROM = 14.399645478  # e²/(4πε₀), eV·Å
ERROR_UNITS = {"energy": "meV/atom", "forces": "meV/Å", "stress": "MPa"}
