"""The phases that a composition may form, in the order of their energies."""

from __future__ import annotations

from ase import Atoms
from ase.calculators.calculator import Calculator

from gnnpot.errors import PropertyError
from gnnpot.properties.relaxation import PhaseOrder, RelaxationConfig, phase_order
from gnnpot.sampling.crystals import crystal, fitting_prototypes, structure


class PhasesConfig(RelaxationConfig):
    """Which phases, and how far they relax.

    Args:
        structures: Crystals (``NiAl:B2``) and files with one structure, beside the prototypes that fit the
            composition.
    """

    structures: tuple[str, ...] = ()


def phases(calculator: Calculator, atoms: Atoms, *, config: PhasesConfig | None = None) -> PhaseOrder:
    """Relax the known crystals of the composition of ``atoms``, and the structures that are given.

    Raises:
        PropertyError: There is no phase, none relaxes, or a given one has another composition.
        ConfigError: A given one is no crystal and no file.
        DataError: A file holds no structure, or several.
    """
    config = config or PhasesConfig()
    found = {name: crystal(name) for name in fitting_prototypes(atoms)}
    for word in config.structures:
        found[word] = structure(word)
        if _composition(found[word]) != _composition(atoms):
            raise PropertyError(
                f"expected phases of the composition {_composition(atoms)}, got {word} of "
                f"{_composition(found[word])}; leave it out, or compute its properties by themselves"
            )
    if not found:
        raise PropertyError(
            f"expected a composition of known crystals for phases, got {atoms.symbols}; name "
            "phases.structures, or leave phases out"
        )
    order = phase_order(calculator, found, config=config)
    if not order.phases:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in order.not_relaxed.items())
        raise PropertyError(f"expected a crystal of {atoms.symbols} that relaxes, got none ({reasons})")
    return order


def _composition(atoms: Atoms) -> str:
    return str(atoms.symbols.formula.reduce()[0].format("hill"))
