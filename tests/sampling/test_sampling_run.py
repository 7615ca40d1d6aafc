"""`gnnpot sample`: files as frames come, going on after a kill, mistakes in one line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import ase.calculators.emt
import numpy as np
import pytest
import yaml
from ase.io import read

from gnnpot.errors import ConfigError, DataError, OutputError
from gnnpot.sampling import BiasedSamples, SampleConfig, sample, trajectory

READY = sorted((Path(str(files("gnnpot.configs"))) / "sampling").glob("*.yaml"))
EMT = {"kind": "ase", "calculator_class": "ase.calculators.emt.EMT"}
COPPER = {"element": "Cu", "crystal": "fcc", "lattice_constant": 3.6, "repeats": 2}
MESH = {
    "enthalpy": {"first": -5, "last": 20, "nodes": 30},
    "order": {"first": -5, "last": 35, "nodes": 20},
    "coldest": 100,
}
SAMPLERS: dict[str, dict[str, Any]] = {
    "md": {"temperatures": [300, 600], "steps": 60, "interval": 10},
    "momt": {
        **{"temperature": 600, "order": {"crystal": "fcc", "repeats": 2}, "mesh": MESH},
        **{"steps": 60, "interval": 10, "update_interval": 5},
    },
    "steered": {"between": [0, 3], "steps": 60, "interval": 10},
    "deformation": {"components": ["lx", "xy"], "steps": 60, "interval": 10},
    "strain": {"strains": {"xx": [-0.01, 0, 0.01], "xy": [0.02, 0.03]}},
    "noise": {"copies": 6},
}


def settings(kind: str, **changes: Any) -> dict[str, Any]:
    given = {"structures": COPPER, "calculator": EMT, "sampler": {"kind": kind, **SAMPLERS[kind]}}
    return {**given, **changes}


def config_of(kind: str, **changes: Any) -> SampleConfig:
    return SampleConfig.model_validate(settings(kind, **changes))


@pytest.fixture
def command(command):
    """Run a command; gives exit code, stdout, and the lines of stderr."""

    def run(*words: object) -> tuple[int, str, list[str]]:
        code, out, err = command(*words)
        return code, out, err.splitlines()

    return run


@pytest.fixture
def refused(command, tmp_path):
    """Sample with a changed configuration, which must be refused in one line; gives the line."""

    def run(kind: str, *words: str, **changes: Any) -> str:
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(settings(kind, **changes)))
        code, out, lines = command("sample", path, *words, "--output", tmp_path / "samples")
        assert (code, out, len(lines)) == (2, "", 1), lines
        assert not (tmp_path / "samples").exists()
        return lines[0]

    return run


@pytest.mark.parametrize("path", READY, ids=lambda path: path.stem)
def test_a_ready_configuration_parses(path):
    config = SampleConfig.from_yaml(path)
    assert SampleConfig.model_validate(config.model_dump(mode="json")) == config


def test_every_sampler_that_moves_has_a_ready_configuration():
    assert {"md", "momt", "steered", "deformation"} <= {path.stem for path in READY}


@pytest.mark.parametrize("kind", SAMPLERS)
@pytest.mark.parametrize("noted_every", [0.0, 1e9])
def test_a_stopped_run_goes_on_without_losing_or_repeating(kind, noted_every, tmp_path, monkeypatch):
    monkeypatch.setattr(trajectory, "_PAUSE", noted_every)
    monkeypatch.setattr(trajectory, "_SHARE", 0)
    config = config_of(kind)
    sample(config, tmp_path / "whole")

    class Killed(BaseException):
        pass

    def stop(frames: int, share: float | None) -> None:
        if frames == 4:
            raise Killed

    with pytest.raises(Killed):
        sample(config, tmp_path / "torn", watch=stop)
    with (tmp_path / "torn" / "frames.xyz").open("a") as file:
        file.write('32\nLattice="7.2 0.0 0.0 0.0 7.2 0.0 0.0 0.0 7.2" Properties=spec')
    summary = sample(config, tmp_path / "torn", resume=True)
    for name in ("frames.xyz", "log.csv"):
        assert (tmp_path / "torn" / name).read_text() == (tmp_path / "whole" / name).read_text()
    assert summary["frames"] == len(read(tmp_path / "torn" / "frames.xyz", ":"))


@pytest.mark.parametrize("kind", ["md", "momt", "steered"])
@pytest.mark.parametrize("number", [1, 2, 5])
def test_a_run_that_is_stopped_between_frames_goes_on(kind, number, tmp_path, monkeypatch):
    monkeypatch.setattr(trajectory, "_PAUSE", 0.0)
    monkeypatch.setattr(trajectory, "_SHARE", 0)
    values = settings(kind)
    values["sampler"] |= {"equilibration": 30, "interval": 25, "steps": 50}
    config = SampleConfig.model_validate(values)
    sample(config, tmp_path / "whole")

    class Killed(BaseException):
        pass

    notes, note = [], trajectory.FrameWriter.note

    def stop(self, state) -> None:
        note(self, state)
        notes.append(self.count)
        if len(notes) == number:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(trajectory.FrameWriter, "note", stop)
        with pytest.raises(Killed):
            sample(config, tmp_path / "torn")
    assert notes[0] == 0  # before the first frame
    sample(config, tmp_path / "torn", resume=True)
    for name in ("frames.xyz", "log.csv"):
        assert (tmp_path / "torn" / name).read_text() == (tmp_path / "whole" / name).read_text()


def test_dynamics_tell_which_share_of_their_steps_is_done(tmp_path):
    values, told = settings("md"), []
    values["sampler"] |= {"equilibration": 30, "interval": 25, "steps": 50}
    config = SampleConfig.model_validate(values)
    summary = sample(config, tmp_path / "run", watch=lambda *what: told.append(what))
    frames, shares = zip(*told, strict=True)
    assert frames[-1] == summary["frames"]
    assert shares[-1] == 1.0
    assert sorted(shares) == list(shares)
    assert len(set(shares)) > summary["frames"]  # between frames, too


def test_two_runs_do_not_write_into_one_folder(tmp_path):
    config = config_of("md")
    said = []

    def second(frames: int, share: float | None) -> None:
        with pytest.raises(OutputError) as refused:
            sample(config, tmp_path / "run", resume=True)
        said.append(str(refused.value))

    sample(config, tmp_path / "run", watch=second)
    assert "for one run alone" in said[0]
    sample(config, tmp_path / "run", resume=True)


@pytest.mark.parametrize("call", [3, 40])
@pytest.mark.parametrize("error", ["RuntimeError", "KeyError", "OSError", "Exception"])
def test_an_engine_that_fails_ends_its_own_run_alone(call, error, tmp_path):
    values = settings("md")
    arguments = {"error": error, "call": call}
    values["calculator"] = {
        "kind": "ase",
        "calculator_class": "faulty_engines.FailingOnce",
        "arguments": arguments,
    }
    summary = sample(SampleConfig.model_validate(values), tmp_path / "run")
    failures = [run["failure"] for run in summary["runs"]]
    assert sum(error in failure for failure in failures) == 1
    assert any(not failure for failure in failures)
    assert summary["frames"] > 0


def test_a_killed_process_goes_on(tmp_path):
    words = ["sampler.steps=400", "sampler.temperatures=300"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings("md")))
    output = tmp_path / "samples"
    arguments = ["sample", str(tmp_path / "config.yaml"), *words, "--output", str(output)]
    program = "import sys; from gnnpot.cli import main; sys.argv[0] = 'gnnpot'; main()"
    process = subprocess.Popen([sys.executable, "-c", program, *arguments], stderr=subprocess.DEVNULL)
    while process.poll() is None and not (output / "state.json").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    config = SampleConfig.from_yaml(tmp_path / "config.yaml", words)
    sample(config, output, resume=True)
    steps = [atoms.info["step"] for atoms in read(output / "frames.xyz", ":")]
    assert steps == [*range(10, 401, 10)]


def test_frames_tell_their_origin_and_carry_labels_only_if_asked(tmp_path):
    for labels, expected in (("drop", False), ("keep", True)):
        sample(config_of("md", labels=labels), tmp_path / labels)
        frames = read(tmp_path / labels / "frames.xyz", ":")
        assert all((atoms.calc is not None) == expected for atoms in frames)
        assert frames[-1].info["sampler"] == "md"
        assert frames[-1].info["temperature"] == 600
        assert (frames[-1].info["seed"], frames[-1].info["run"], frames[-1].info["step"]) == (0, 1, 60)


def test_labels_of_a_reference_method_are_kept_and_the_next_command_is_named(tmp_path, command):
    settings = config_of("md")
    assert settings.keeps_labels
    trained = {"kind": "gnnpot", "model": ["model.safetensors"]}
    assert not SampleConfig.model_validate({**settings.model_dump(), "calculator": trained}).keeps_labels
    (tmp_path / "md.yaml").write_text(settings.as_yaml())
    code, out, _ = command("sample", tmp_path / "md.yaml", "--output", tmp_path / "run")
    assert (code, out.split()[-4:-1]) == (0, ["next", "gnnpot", "validate"])
    assert read(tmp_path / "run" / "frames.xyz").calc is not None


def test_labels_of_momt_are_those_without_bias(tmp_path):
    sample(config_of("momt", labels="keep"), tmp_path / "run")
    frame = read(tmp_path / "run" / "frames.xyz", -1)
    energy, forces = frame.get_potential_energy(), frame.get_forces()
    frame.calc = ase.calculators.emt.EMT()
    assert energy == pytest.approx(frame.get_potential_energy(), abs=1e-5)
    np.testing.assert_allclose(forces, frame.get_forces(), atol=1e-5)
    assert {"enthalpy", "order", "bias", "effective_temperature"} <= set(frame.info)
    frames = read(tmp_path / "run" / "frames.xyz", ":")
    samples = BiasedSamples.of(frames)
    np.testing.assert_allclose(samples.orders, [atoms.info["order"] for atoms in frames])
    np.testing.assert_allclose(
        samples.energies + 6.24e-7 * samples.volumes, [atoms.info["enthalpy"] for atoms in frames], atol=1e-5
    )
    frames[1].calc = None
    with pytest.raises(DataError, match="labels: keep"):
        BiasedSamples.of(frames)
    assert (tmp_path / "run" / "momt.svg").exists()
    assert (tmp_path / "run" / "bias.json").exists()


@pytest.mark.parametrize("kind", ["md", "momt", "steered"])
def test_kept_energies_are_those_that_the_forces_derive_from(kind, tmp_path):
    smeared = EMT | {"calculator_class": "faulty_engines.Smeared"}
    sample(config_of(kind, labels="keep", calculator=smeared), tmp_path / "run")
    frame = read(tmp_path / "run" / "frames.xyz", -1)
    energy = frame.get_potential_energy()
    frame.calc = ase.calculators.emt.EMT()
    assert energy == pytest.approx(frame.get_potential_energy(), abs=1e-5)


def test_the_summary_tells_activation_energies_of_steered_runs(tmp_path):
    values = settings("steered")
    values["sampler"]["repetitions"] = 2
    summary = sample(SampleConfig.model_validate(values), tmp_path / "run")
    first, second = summary["activation_energies"]
    assert first != second
    assert min(first, second) > 0
    assert (tmp_path / "run" / "steered.svg").exists()
    header, *rows = (tmp_path / "run" / "log.csv").read_text().splitlines()
    assert header == "run,step,spring_target,distance,force,work,potential_energy"
    assert len(rows) == 2 * 60


def test_structures_come_from_files_too(tmp_path):
    config = config_of("noise", structures="gnnpot:silicon-demo.xyz", calculator=None)
    summary = sample(config, tmp_path / "run")
    frames = read(tmp_path / "run" / "frames.xyz", ":")
    assert summary["frames"] == len(frames) == 6 * (1 + frames[-1].info["seed"])


def test_the_command_prints_one_json_object(command, tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings("noise")))
    code, out, _ = command("sample", tmp_path / "config.yaml", "-o", tmp_path / "run", "--json")
    assert code == 0
    assert json.loads(out)["frames"] == 6
    code, out, _ = command("sample", tmp_path / "config.yaml", "-o", tmp_path / "again")
    assert (code, "frames.xyz" in out) == (0, True)


def test_a_folder_is_not_written_over_and_resumes_its_own_run_only(tmp_path):
    sample(config_of("noise"), tmp_path / "run")
    with pytest.raises(OutputError, match=r"expected a new folder, got .* with config.yaml; use --resume"):
        sample(config_of("noise"), tmp_path / "run")
    with pytest.raises(ConfigError, match="got other values of seed"):
        sample(config_of("noise", seed=1), tmp_path / "run", resume=True)
    assert sample(config_of("noise"), tmp_path / "nothing", resume=True)["frames"] == 6


def test_a_trajectory_that_was_cut_by_someone_else_is_refused(tmp_path):
    sample(config_of("noise"), tmp_path / "run")
    (tmp_path / "run" / "frames.xyz").write_text("")
    with pytest.raises(DataError, match="it was changed"):
        sample(config_of("noise"), tmp_path / "run", resume=True)


def test_a_run_without_any_frame_is_a_mistake(tmp_path):
    values = settings("md")
    values["sampler"] |= {"temperatures": 300, "timestep": 500.0}
    with pytest.raises(DataError, match=r"got none \(run 0: "):
        sample(SampleConfig.model_validate(values), tmp_path / "run")


def test_an_element_to_rename_that_no_structure_has(tmp_path):
    values = settings("noise") | {"sampler": {"kind": "scaling", "elements": {"Sn": "Ge"}}}
    with pytest.raises(DataError, match="expected Sn in structure 1"):
        sample(SampleConfig.model_validate(values), tmp_path / "run")


def test_mistakes_are_one_line(refused):
    said = refused("md", "sampler.temperatures=-3")
    assert "expected a number above 0" in said
    assert "got -3" in said
    assert "expected a whole number above 0, got 0" in refused("md", "sampler.steps=0")
    assert "two different atoms" in refused("steered", "sampler.between=[2, 2]")
    assert "did you mean 'steered'" in refused("md", "sampler.kind=steerd")
    assert "did you mean 'lx'" in refused("deformation", "sampler.components=[lxx]")
    assert "knows its elements" in refused("md", "structures.element=Si")
    assert "did you mean 'interval'" in refused("md", "sampler.intervall=3")
    assert "expected a calculator for md" in refused("md", calculator=None)
    silicon = {"kind": "stillinger-weber", "preset": "Si-1985"}
    assert "expected elements of Si for stillinger-weber" in refused("md", calculator=silicon)
    assert "expected 108 atoms for (3, 3, 3) cells of fcc, got 32" in refused(
        "momt", "sampler.order.repeats=3"
    )
    water = {"molecule": "H2O"}
    assert "give it a cell" in refused("md", "sampler.ensemble={kind: npt-isotropic}", structures=water)
    assert "give it a cell" in refused("deformation", structures=water)
    assert "ASE knows" in refused("md", structures={"molecule": "watr"})
    assert "write its symbol" in refused("md", "structures.element=Cuu")
    assert "nowhere.xyz" in refused("noise", structures="nowhere.xyz")
    ramp = ["sampler.ensemble={kind: nve}", "sampler.temperatures={first: 300, last: 900}"]
    assert "expected constant temperatures for nve" in refused("md", *ramp)
    assert "expected an interval of at most" in refused("md", "sampler.interval=100000")
    assert "finite" in refused("md", "sampler.timestep=.inf")
    assert "expected labels: drop for noise" in refused("noise", "labels=keep")
    assert "no element is called 'Gx'" in refused("noise", "sampler={kind: scaling, elements: {Cu: Gx}}")
    assert "structures" in refused("md", "structures=3")
    assert "expected atoms apart to start from" in refused("md", "structures.lattice_constant=0.5")
