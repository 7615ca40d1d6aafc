"""From structures in memory to a potential, its errors, and a relaxed crystal.

Labels are those of ASE's effective-medium theory; the training is short, so that the script ends in seconds.
"""

from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS

from gnnpot import evaluate, train, validate


def labeled(strain: float, seed: int) -> Atoms:
    """An ordered cell of copper and gold, strained and shaken, with its labels."""
    atoms = bulk("Au", cubic=True, a=3.75 * (1 + strain))
    atoms.symbols[:2] = "Cu"
    atoms.rattle(0.08, seed=seed)
    atoms.calc = EMT()
    atoms.get_stress()
    atoms.calc = SinglePointCalculator(atoms, **atoms.calc.results)
    return atoms


frames = [labeled(0.01 * (number % 5 - 2), seed=number) for number in range(40)]
validate(frames).check()

result = train(
    model={"kind": "schnet", "channels": 16, "num_filters": 16, "num_interactions": 2},
    training={"max_epochs": 12},
    train=frames,
    test={"fraction": 0.2},
    output="copper-gold",
)
print(result.errors)
print(result.potential.elements, f"cutoff {result.potential.cutoff:.1f} Å")

judged = evaluate(result.folder, frames[::4])
print(judged.errors)
judged.figures()["forces"].savefig("copper-gold/forces.png")

crystal = frames[0].copy()
crystal.calc = result.calculator()
BFGS(FrechetCellFilter(crystal), logfile=None).run(fmax=0.05, steps=10)
print(f"lattice constant {crystal.cell.lengths().mean():.3f} Å")
