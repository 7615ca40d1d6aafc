"""Make structures by strain and noise, label them with a reference method, and divide them for training."""

from gnnpot import label, sample

strained = sample(
    structures={"element": "Ni", "crystal": "fcc", "lattice_constant": 3.52},
    sampler={"kind": "noise", "amplitude": 0.05, "copies": 12},
    output="samples",
)
print(f"{len(strained.frames)} structures in {strained.path}")

labels = label(
    method={"kind": "ase", "calculator_class": "ase.calculators.emt.EMT"},
    structures=strained.frames,
    output="labels",
)
print(f"{labels.summary['written']} labels in {labels.path}")
print(labels.frames[0].get_potential_energy(), "eV")
