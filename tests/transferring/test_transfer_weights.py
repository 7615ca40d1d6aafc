"""Weights that go from one set of elements to another."""

from __future__ import annotations

import pytest
import torch
from structures import silicon
from torch import nn
from transfers import energy, mapped, potential_of, renamed

from gnnpot.errors import ConfigError
from gnnpot.graph.graph import AtomicGraph
from gnnpot.models import MODELS
from gnnpot.models.axes import ROWS
from gnnpot.models.base import AtomicEnergyModel, ModelConfig
from gnnpot.potential.potential import Potential
from gnnpot.transferring.weights import carried

KINDS = [*MODELS, "ani shared"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("source", "target", "origins", "old", "new"),
    [
        ("Si", "Ge", {}, "Si", "Ge"),
        ("Ni", "Al Ni", {"Al": "Ni"}, "Ni", "Al Ni Ni"),
        ("Ni", "Al Ni Cu", {}, "Ni", "Al Cu Ni Ni"),
        ("Ni Al", "Al Ni", {}, "Al Ni Ni", "Al Ni Ni"),  # another order
        ("Ni Al", "Al", {}, "Al", "Al"),
        ("Ni Al", "Al Ni Cu", {"Cu": "Ni"}, "Ni Al Ni", "Ni Al Cu"),
    ],
)
def test_renamed_structures_have_the_energy_of_the_source(kind, source, target, origins, old, new):
    potential = potential_of(kind, tuple(source.split()))
    result = carried(potential, mapped(origins, source, target))
    expected = energy(potential, renamed(silicon(), old))
    assert abs(expected) > 0.1
    assert energy(result, renamed(silicon(), new)) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_energies_at_scaled_lengths_are_those_of_the_source(kind):
    potential, atoms = potential_of(kind, ("Si",)), silicon()
    result = carried(potential, mapped({}, "Si", "Ge"), length_scale=1.07, energy_scale=0.5)
    larger = renamed(atoms, "Ge")
    larger.set_cell(1.07 * atoms.cell, scale_atoms=True)
    assert energy(result, larger) == pytest.approx(0.5 * energy(potential, atoms), rel=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mixture_of_one_element_with_itself_is_that_element(kind):
    potential = potential_of(kind, ("Si", "Sn"))
    result = carried(potential, mapped({"Ge": "0.25*Si+0.75*Si"}, "Si Sn", "Ge"))
    expected = energy(potential, silicon())
    assert energy(result, renamed(silicon(), "Ge")) == pytest.approx(expected, rel=1e-10)


def test_a_weighted_average_mixes_rows_networks_and_pair_blocks():
    source = potential_of("ani", ("Si", "Sn")).model
    model = carried(potential_of("ani", ("Si", "Sn")), mapped({"Ge": "0.25*Si+0.75*Sn"}, "Si Sn", "Ge")).model
    old = [network[0].weight for network in source.networks.networks]
    width = len(source.config.radial_shifts)
    mixed = 0.25 * old[0] + 0.75 * old[1]
    expected = 0.25 * mixed[:, :width] + 0.75 * mixed[:, width : 2 * width]
    torch.testing.assert_close(model.networks.networks[0][0].weight[:, :width], expected)
    first, second, third = mixed[:, 2 * width :].chunk(3, dim=1)  # Si-Si, Si-Sn, Sn-Sn
    expected = 0.0625 * first + 0.375 * second + 0.5625 * third
    torch.testing.assert_close(model.networks.networks[0][0].weight[:, width:], expected)


def test_a_fresh_element_keeps_first_weights():
    potential = potential_of("schnet", ("Si",))
    result = carried(potential, mapped({"Ge": "fresh"}, "Si", "Si Ge"))
    rows = result.model.embedding.weight
    assert torch.equal(rows[0], potential.model.embedding.weight[0])
    assert not torch.allclose(rows[1], rows[0])


def test_a_model_that_hides_its_elements_is_refused():
    class Hidden(AtomicEnergyModel):
        Config = ModelConfig

        def __init__(self, config: ModelConfig) -> None:
            super().__init__(config)
            self.charges = nn.Parameter(torch.ones(len(config.elements)))

        def atomic_energies(self, graph: AtomicGraph) -> torch.Tensor:
            return self.charges[self.element_rows(graph)]

    MODELS._entries["hidden"] = Hidden
    try:
        potential = Potential(Hidden(ModelConfig(kind="hidden", elements=("Si",))), {"Si": 0.0})
        with pytest.raises(ConfigError, match="expected charges of the source to fit"):
            carried(potential, mapped({}, "Si", "Si Ge"))
        Hidden.element_axes = lambda self: {"charges": ROWS}
        assert carried(potential, mapped({}, "Si", "Si Ge")).model.charges.tolist() == [1.0, 1.0]
    finally:
        del MODELS._entries["hidden"]


@pytest.mark.parametrize("kind", KINDS)
def test_groups_hold_every_parameter_once_from_input_to_output(kind):
    model = potential_of(kind, ("Si", "Ge")).model
    groups = model.parameter_groups()
    names = [name for members in groups.values() for name in members]
    assert sorted(names) == sorted(name for name, _ in model.named_parameters())
    first, *_, last = groups
    assert (first, last) == {"ani": ("layer 1", "layer 3"), "ani shared": ("embedding", "layer 3")}.get(
        kind, ("embedding", "readout")
    )
