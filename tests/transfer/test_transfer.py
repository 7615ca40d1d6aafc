"""Carrying a potential: laws for every model, what is trained, and stages."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from potentials import SCALE, SMALL, small_potential
from structures import silicon
from torch import nn

from gnnpot.errors import ConfigError
from gnnpot.graph.graph import AtomicGraph
from gnnpot.models import MODELS
from gnnpot.models.axes import ROWS
from gnnpot.models.base import AtomicEnergyModel, ModelConfig
from gnnpot.potential.model_file import load_potential, save_potential
from gnnpot.potential.potential import Potential
from gnnpot.training.config import TrainingConfig
from gnnpot.training.low_rank import add_low_rank, merged
from gnnpot.training.parameter_groups import Tuning, group_plans
from gnnpot.training.run import train
from gnnpot.training.run_config import RunConfig
from gnnpot.transfer.config import TransferConfig
from gnnpot.transfer.element_map import resolve_element_map
from gnnpot.transfer.run import transfer
from gnnpot.transfer.start import fitted_energy_scale, fitted_length_scale, golden_section
from gnnpot.transfer.weights import carried

DEMO = Path(str(files("gnnpot.configs"))) / "silicon-demo.xyz"
KINDS = [*MODELS, "ani shared"]


def potential_of(kind: str, elements: tuple[str, ...]) -> Potential:
    """Random weights, all at work, without repulsion and reference energies."""
    kind, _, networks = kind.partition(" ")
    changes = {"networks": networks} if networks else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        config = MODELS[kind].Config(cutoff=4.0, elements=elements, **{**SMALL[kind], **changes})
        model = MODELS[kind](config).double()
        with torch.no_grad():
            for parameter in model.parameters():
                if not parameter.any():
                    parameter.normal_(std=0.3)
            if kind == "ani":
                model.mean.uniform_(0.0, 1.0)
                model.deviation.uniform_(0.5, 2.0)
    return Potential(model, dict.fromkeys(elements, 0.0), scale=SCALE[kind])


@torch.no_grad()
def energy(potential: Potential, atoms: Atoms) -> float:
    return potential(AtomicGraph.from_ase(atoms, potential.cutoff, torch.float64)).energy.item()


def renamed(atoms: Atoms, symbols: str) -> Atoms:
    """The structure with these symbols over and over."""
    copy = atoms.copy()
    copy.symbols[:] = (symbols.split() * len(atoms))[: len(atoms)]
    return copy


def mapped(text: dict[str, str], source: str, target: str) -> Any:
    return resolve_element_map(text, source=source.split(), target=target.split())


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


def test_scales_are_found_that_made_the_labels():
    source = potential_of("schnet", ("Si",))
    truth = carried(source, mapped({}, "Si", "Ge"), length_scale=1.1, energy_scale=0.7)
    frames = []
    for seed in range(2):
        atoms = renamed(silicon(seed=seed), "Ge")
        atoms.set_cell(1.1 * atoms.cell, scale_atoms=True)
        graph = AtomicGraph.from_ase(atoms, truth.cutoff, torch.float64)
        with torch.no_grad():
            prediction = truth(graph)
        atoms.calc = SinglePointCalculator(
            atoms, forces=prediction.forces.numpy(), stress=prediction.stress.numpy()[0]
        )
        frames.append(atoms)
    start = carried(source, mapped({}, "Si", "Ge"))
    assert fitted_length_scale(start, frames) == pytest.approx(1.1, abs=2e-4)
    right = carried(source, mapped({}, "Si", "Ge"), length_scale=1.1)
    assert fitted_energy_scale(right, frames) == pytest.approx(0.7, rel=1e-9)


def test_a_crystal_without_forces_is_fitted_to_its_stress():
    source = potential_of("schnet", ("Si",))
    truth = carried(source, mapped({}, "Si", "Ge"), length_scale=1.1, energy_scale=0.7)
    atoms = bulk("Ge", "diamond", 5.5, cubic=True)
    with torch.no_grad():
        prediction = truth(AtomicGraph.from_ase(atoms, truth.cutoff, torch.float64))
    assert prediction.forces.abs().max() < 1e-9
    assert prediction.stress.abs().max() > 1e-3
    noisy = np.random.default_rng(0).normal(0.0, 1e-5, (len(atoms), 3))
    atoms.calc = SinglePointCalculator(atoms, forces=noisy, stress=prediction.stress.numpy()[0])
    right = carried(source, mapped({}, "Si", "Ge"), length_scale=1.1)
    assert fitted_energy_scale(right, [atoms]) == pytest.approx(0.7, rel=1e-6)
    atoms.calc = SinglePointCalculator(atoms, forces=noisy, stress=1e-6 * np.eye(3))
    assert fitted_energy_scale(right, [atoms]) == 1.0


def test_golden_section_finds_the_minimum():
    assert golden_section(lambda x: (x - 0.3) ** 2, -1.0, 1.0) == pytest.approx(0.3, abs=1e-4)


def test_rates_fall_from_output_to_input_and_factors_multiply():
    model = potential_of("schnet", ("Si",)).model
    plans = group_plans(model, TrainingConfig(layer_decay=0.5, rates={"first": 0.1}, freeze=("last",)))
    assert [plan.factor for plan in plans] == pytest.approx([0.0125, 0.25, 0.5, 1.0])
    assert plans[-1].state(1e-3) == "frozen"
    assert plans[0].state(1e-3) == "learning rate 1.25e-05"
    assert sum(plan.num_parameters for plan in plans) == model.num_parameters


def test_optimizers_follow_the_rates():
    model = potential_of("schnet", ("Si",)).model
    training = TrainingConfig(rates={"embedding": 0.1}, freeze=("interaction 1",))
    tuning = Tuning(model, training)
    (optimizer,) = training.optimizer.optimizers(model, tuning.factor)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert rates[id(model.embedding.weight)] == pytest.approx(1e-4)
    assert rates[id(model.readout[0].weight)] == pytest.approx(1e-3)
    assert id(model.interactions[0].source.weight) not in rates


@pytest.mark.parametrize("key", ["freeze", "unfreeze", "rates"])
def test_an_unknown_group_is_refused_with_the_nearest(key):
    value: Any = ("interacton 1",) if key == "freeze" else {"interacton 1": 1}
    with pytest.raises(ConfigError, match=rf"training.{key} has it; did you mean 'interaction 1'"):
        group_plans(potential_of("schnet", ("Si",)).model, TrainingConfig(**{key: value}))


def test_freezing_everything_is_refused():
    model = potential_of("ani", ("Si",)).model
    for freeze, unfreeze in ((("layer 1", "layer 2", "layer 3"), {}), (("layer 1", "layer 2"), {"last": 3})):
        with pytest.raises(ConfigError, match="expected a group that trains from the first epoch"):
            group_plans(model, TrainingConfig(freeze=freeze, unfreeze=unfreeze))


def test_the_anchor_is_the_mean_squared_distance_from_the_start():
    model = potential_of("schnet", ("Si",)).model
    tuning = Tuning(model, TrainingConfig(anchor=2.0, freeze=("embedding", "interaction 1", "interaction 2")))
    assert tuning.penalty().item() == 0.0
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5)
    assert tuning.penalty().item() == pytest.approx(2.0 * 0.25)


def test_low_rank_updates_start_at_zero_and_merge_into_plain_weights():
    network = nn.Sequential(nn.Linear(20, 30), nn.Tanh(), nn.Linear(30, 1)).double()
    x = torch.randn(4, 20, dtype=torch.float64)
    before = network(x)
    changed = add_low_rank([network[0], network[2]], 2)
    assert changed == [network[0]]  # the update of the last would be larger than its weight
    assert torch.equal(network(x), before)
    with torch.no_grad():
        network[0].parametrizations.weight[0].second.normal_()
    plain = merged(network)
    assert [name for name, _ in plain.named_parameters()] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    torch.testing.assert_close(plain(x), network(x))
    assert network[0].weight.requires_grad
    assert (
        np.linalg.matrix_rank((plain[0].weight - network[0].parametrizations.weight.original).detach()) == 2
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("source") / "silicon.safetensors"
    save_potential(small_potential("schnet"), path)
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Germanium: some of the demo structures with other names."""
    frames = [renamed(atoms, "Ge") for atoms in read(DEMO, "30:54:2")]
    for atoms, original in zip(frames, read(DEMO, "30:54:2"), strict=True):
        atoms.calc = SinglePointCalculator(atoms, **original.calc.results)
    path = tmp_path_factory.mktemp("data") / "germanium.xyz"
    write(path, frames)
    return path


def settings(source: Path | None, data: Path, **changes: Any) -> TransferConfig:
    training = {
        "optimizer": {"learning_rate": 0.01}, "max_epochs": 2, "batch_size": 5, "dtype": "float64",
        "ema_decay": 0.9, "loss": {"energy": 1.0, "forces": 1.0}, **changes.pop("training", {}),
    }  # fmt: skip
    values = {"train": str(data), "validation": {"frames": 3}, "training": training, **changes}
    if source is not None:
        values["source"] = str(source)
    return TransferConfig.from_dict(values, source="test")


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_potential(path).model.state_dict()


def test_the_untuned_start_is_scored_with_fitted_reference_energies(source, data, tmp_path):
    result = transfer(settings(source, data), tmp_path / "run")
    written = json.loads((tmp_path / "run" / "transfer.json").read_text())
    assert written == json.loads(json.dumps(result))
    untuned = load_potential(tmp_path / "run" / "untuned.safetensors")
    frames = read(data, ":")
    left = [(atoms.get_potential_energy() - energy(untuned, atoms)) / len(atoms) for atoms in frames]
    assert result["baseline"]["num_structures"] == 3
    assert abs(np.mean(left)) < np.std(left)  # nothing constant is left
    assert result["map"] == {"Ge": "Si"}
    assert result["transferred"]["forces"]["rmse"] < result["baseline"]["forces"]["rmse"]
    names = {"config.yaml", "model.safetensors", "metrics.json", "splits.json", "last.ckpt", "report.html"}
    assert names <= {path.name for path in (tmp_path / "run").iterdir()}
    assert "before training" in (tmp_path / "run" / "report.html").read_text()


STAGES = [
    {"freeze": ["first", "interaction 1"], "anchor": 0.1},
    {"freeze": ["last"], "low_rank": 2, "unfreeze": {"embedding": 1}, "rates": {"interaction 1": 0.5}},
]


@pytest.fixture(scope="module")
def staged(source, data, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("staged") / "run"
    transfer(settings(source, data, stages=STAGES), output)
    return output


def test_frozen_groups_stay_bit_by_bit_and_the_others_move(staged):
    names = ("untuned", "stage-1/model", "stage-2/model")
    start, first, second = (weights(staged / f"{name}.safetensors") for name in names)

    def moved(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> set[str]:
        return {name.rpartition(".")[0].split(".")[0] + (name.split(".")[1] if name[0] == "i" else "")
                for name in one if not torch.equal(one[name], other[name])}  # fmt: skip

    assert moved(start, first) == {"interactions1", "readout"}
    assert moved(first, second) == {"embedding", "interactions0", "interactions1"}
    change = second["interactions.0.update.0.weight"] - first["interactions.0.update.0.weight"]
    assert np.linalg.matrix_rank(change.numpy(), tol=1e-9) == 2
    assert torch.equal(second["readout.0.weight"], weights(staged / "model.safetensors")["readout.0.weight"])


def test_a_late_group_waits_for_its_epoch():
    model = potential_of("schnet", ("Si",)).model
    tuning = Tuning(model, TrainingConfig(unfreeze={"embedding": 2}))
    for epoch in range(3):
        sum(parameter.sum() for parameter in model.parameters()).backward()
        tuning.hold(epoch)
        assert (model.embedding.weight.grad is None) == (epoch < 2)
        assert model.readout[0].weight.grad is not None


@pytest.mark.parametrize("stage", [1, 2])
def test_a_transfer_stopped_in_a_stage_resumes_to_the_same_weights(source, data, staged, tmp_path, stage):
    from gnnpot.training import Observer

    class Stop(Observer):
        seen = 0

        def epoch(self, row: dict[str, float], best: dict[str, float]) -> None:
            self.seen += 1
            if self.seen == 2 * stage - 1:
                raise KeyboardInterrupt

    values = settings(source, data, stages=STAGES)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        transfer(values, tmp_path / "run", observer=Stop())
    transfer(values, tmp_path / "run", resume=True)
    expected, result = weights(staged / "model.safetensors"), weights(tmp_path / "run" / "model.safetensors")
    assert all(torch.equal(expected[name], result[name]) for name in expected)


def test_stages_may_start_from_random_weights(data, tmp_path):
    model = {"kind": "schnet", "cutoff": 4.0, **SMALL["schnet"]}
    stages = [
        {"max_epochs": 1},
        {"max_epochs": 1, "freeze": ["first", "last"], "loss": {"kind": "low2high"}, "select_by": "stress"},
    ]
    result = transfer(settings(None, data, model=model, stages=stages), tmp_path / "run")
    assert (result["baseline"], result["source"]) == (None, None)
    assert [row["origin"] for row in result["groups"][0]] == ["random"] * 4
    assert [row["origin"] for row in result["groups"][1]] == ["stage 1"] * 4
    assert RunConfig.from_yaml(tmp_path / "run" / "stage-1" / "config.yaml").model.elements == ("Ge",)


def test_scratch_is_trained_alike_and_a_worse_transfer_is_said(source, data, tmp_path):
    still = {"max_epochs": 1, "optimizer": {"learning_rate": 1e-9}}
    values = settings(
        source, data, stages=[still, still], lattice_scale=1.3, scratch={"ema_decay": None},
        dynamics={"steps": 20, "temperature": 100.0},
    )  # fmt: skip
    result = transfer(values, tmp_path / "run", compare_scratch=True)
    assert result["scratch"]["num_structures"] == 3
    assert any("worse than trained from scratch" in text for text in result["verdict"])
    assert set(result["stability"]) == {"baseline", "transferred", "scratch"}
    alone = RunConfig.from_yaml(tmp_path / "run" / "scratch" / "config.yaml")
    assert (alone.training.max_epochs, alone.training.ema_decay) == (2, None)
    assert [step["name"] for step in result["steps"]] == ["elements", "lattice scale"]
    page = (tmp_path / "run" / "report.html").read_text()
    assert "worse than trained from scratch" in page


def test_a_carried_model_of_a_training_keeps_its_fits(data, tmp_path):
    """Element-specific statistics of ANI come along; training goes on from them."""
    model = {"kind": "ani", "cutoff": 4.0, **SMALL["ani"]}
    values = settings(None, data, model=model, training={"max_epochs": 1})
    written = values.model_dump(mode="json")
    shared = {name: written[name] for name in RunConfig.model_fields}
    run = RunConfig.from_dict(shared, source="test")
    train(run, tmp_path / "source")
    path = tmp_path / "source" / "model.safetensors"
    metrics = json.loads((tmp_path / "source" / "metrics.json").read_text())
    result = transfer(settings(path, data, training={"max_epochs": 1}), tmp_path / "run")
    assert result["baseline"]["forces"]["rmse"] == pytest.approx(metrics["forces"]["rmse"], rel=1e-9)
