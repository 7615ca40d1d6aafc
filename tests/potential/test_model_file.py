"""The model file: exact, whole, and without code."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from potentials import SMALL, small_potential
from safetensors import safe_open
from safetensors.torch import save_file
from structures import rattled_crystal

from gnnpot import __version__
from gnnpot.errors import DeviceError, ModelFileError
from gnnpot.graph.graph import AtomicGraph
from gnnpot.potential.header import read_header
from gnnpot.potential.model_file import checksum, load_potential, save_potential

DATA = Path(__file__).parent


@torch.no_grad()
def predict(potential, atoms):
    return potential(AtomicGraph.from_ase(atoms, potential.cutoff, potential.dtype))


def assert_same_bits(left, right):
    for one, other in zip(left, right, strict=True):
        assert one.dtype == other.dtype
        assert one.numpy().tobytes() == other.numpy().tobytes()


@pytest.fixture
def path(tmp_path):
    """A good model file."""
    path = tmp_path / "model.safetensors"
    save_potential(small_potential(dtype=torch.float32), path, provenance={"seed": 1})
    return path


def parts(path):
    """Document and tensors of a file."""
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["gnnpot"]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def forge(path, document, tensors):
    """Write a file with a good checksum over other contents."""
    document = {**document, "checksum": checksum(document, tensors)}
    save_file(tensors, path, metadata={"gnnpot": json.dumps(document)})


def fault(path):
    """The one line that loading gives."""
    with pytest.raises(ModelFileError) as caught:
        load_potential(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert message.startswith("expected ")
    return message


@pytest.mark.parametrize("kind", sorted(SMALL))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_loaded_potential_is_the_saved_one_to_the_last_bit(kind, dtype, tmp_path):
    potential = small_potential(kind, dtype=dtype)
    save_potential(potential, tmp_path / "model.safetensors")
    loaded = load_potential(tmp_path / "model.safetensors")
    assert loaded.model.config == potential.model.config
    assert_same_bits(predict(loaded, rattled_crystal()), predict(potential, rattled_crystal()))


@pytest.mark.parametrize("kind", sorted(SMALL))
def test_what_a_potential_went_through_before_is_kept_too(kind, tmp_path):
    potential = small_potential(kind, dtype=torch.float32)
    potential.model.double()  # its constants keep the rounding of float32
    save_potential(potential, tmp_path / "model.safetensors")
    torch.set_default_dtype(torch.float64)
    try:
        loaded = load_potential(tmp_path / "model.safetensors")
    finally:
        torch.set_default_dtype(torch.float32)
    assert_same_bits(predict(loaded, rattled_crystal()), predict(potential, rattled_crystal()))


def test_a_potential_without_repulsion_stays_without(tmp_path):
    potential = small_potential()
    potential.repulsion = None
    save_potential(potential, tmp_path / "model.safetensors")
    assert load_potential(tmp_path / "model.safetensors").repulsion is None


def test_a_potential_loads_in_another_precision(path):
    single, double = load_potential(path), load_potential(path, dtype=torch.float64)
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    assert double.reference_energies.dtype == single.reference_energies.dtype == torch.float64
    expected, got = predict(single, rattled_crystal()), predict(double, rattled_crystal())
    torch.testing.assert_close(got.forces.float(), expected.forces, atol=1e-4, rtol=1e-4)


def test_loading_draws_no_random_numbers(path):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    load_potential(path)
    assert torch.equal(torch.rand(2), expected)


def test_the_header_says_what_the_file_holds(path):
    header = read_header(path)
    assert header.format == 3
    assert header.model["kind"] == "schnet"
    assert header.model["elements"] == ["Si"]
    assert header.reference_energies == {"Si": -100.0}
    assert header.repulsion.reach == 0.8
    assert header.units["stress"] == "eV/Å³"
    assert header.dtype == "float32"
    count = load_potential(path).model.num_parameters
    assert header.provenance == {"gnnpot": __version__, "parameters": count, "seed": 1}


@pytest.mark.parametrize("kind", ["ani", "dimenet", "nequip", "schnet"])
@pytest.mark.parametrize("version", [1, 2])
def test_a_file_of_an_old_format_predicts_what_it_did(version, kind, tmp_path):
    """Written when the format was new; they are never written again."""
    name = DATA / f"format-{version}" / f"format-{version}-{kind}"
    potential = load_potential(name.with_suffix(".safetensors"), dtype=torch.float64)
    save_potential(potential, tmp_path / "again.safetensors")
    expected = json.loads(name.with_suffix(".json").read_text())
    atoms = Atoms(expected["numbers"], expected["positions"], cell=expected["cell"], pbc=True)
    for one in (potential, load_potential(tmp_path / "again.safetensors")):
        prediction = predict(one, atoms)
        assert prediction.energy.item() == pytest.approx(expected["energy"], abs=1e-9)
        np.testing.assert_allclose(prediction.forces, expected["forces"], atol=1e-9)
        np.testing.assert_allclose(prediction.stress[0], expected["stress"], atol=1e-9)
        for symbol, energy in expected.get("free_atoms", {}).items():
            assert predict(one, Atoms(symbol)).energy.item() == pytest.approx(energy, abs=1e-9)


def test_a_missing_file_is_told(tmp_path):
    assert "is no file" in fault(tmp_path / "model.safetensors")
    assert "without model.safetensors" in fault(tmp_path)


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_told(path, kept):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    assert "cut off" in fault(path)


def test_a_file_of_another_program_is_told(path):
    path.write_bytes(b"not a model " * 1000)
    assert "not ours" in fault(path)
    save_file({"weight": torch.zeros(3)}, path, metadata={"format": "pt"})
    assert "another program" in fault(path)


def test_a_pickle_is_refused_and_not_run(path, tmp_path):
    class Attack:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "run",))

    path.write_bytes(pickle.dumps(Attack()))
    assert "not ours" in fault(path)
    torch.save({"model": torch.zeros(3)}, path)
    assert "not ours" in fault(path)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("version", [0, -1])
def test_a_format_that_never_was_is_refused(path, version):
    document, tensors = parts(path)
    forge(path, {**document, "format": version}, tensors)
    assert f"expected a model file of format 1 to 3, got {path} of format {version}" in fault(path)


@pytest.mark.parametrize("units", [{"energy": "kcal/mol"}, {}])
def test_other_units_are_refused(path, units):
    document, tensors = parts(path)
    forge(path, {**document, "units": units and {**document["units"], **units}}, tensors)
    assert "expected energy in eV, length in Å, forces in eV/Å, stress in eV/Å³, got " in fault(path)
    assert (" with energy in kcal/mol, length" if units else " with no units") in fault(path)


def test_a_file_of_a_newer_format_asks_for_an_update(path):
    document, tensors = parts(path)
    forge(path, {**document, "format": 4, "what_later_versions_know": 1}, tensors)
    assert "format 4, made by a newer gnnpot; update gnnpot" in fault(path)
    with pytest.raises(ModelFileError, match="newer gnnpot"):
        read_header(path)


@pytest.mark.parametrize("place", [0.999, 0.9, 0.7])
def test_one_changed_bit_of_a_tensor_is_told(path, place):
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)
    assert "changed file" in fault(path)


def test_a_changed_header_is_told(path):
    document, tensors = parts(path)
    document["reference_energies"]["Si"] += 1.0
    save_file(tensors, path, metadata={"gnnpot": json.dumps(document)})
    assert "changed file" in fault(path)


def test_missing_and_misshapen_tensors_are_told(path):
    document, tensors = parts(path)
    name = "readout.0.weight"
    forge(path, document, {key: value for key, value in tensors.items() if key != name})
    assert f"expected tensor {name} of shape [8, 16], got none" in fault(path)
    forge(path, document, {**tensors, name: torch.zeros(8, 3)})
    assert f"expected tensor {name} of shape [8, 16], got [8, 3]" in fault(path)
    forge(path, document, {**tensors, "more": torch.zeros(2)})
    assert "expected tensor more of shape none, got [2]" in fault(path)


def test_an_unknown_model_is_told_with_the_nearest(path):
    document, tensors = parts(path)
    forge(path, {**document, "model": {**document["model"], "kind": "schnett"}}, tensors)
    assert "'schnett'; did you mean 'schnet'?" in fault(path)
    forge(path, {**document, "model": {**document["model"], "chanels": 3}}, tensors)
    assert "chanels: Extra inputs are not permitted" in fault(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "x"}', '{"format": 1}'])
def test_a_header_that_is_not_whole_is_told(path, text):
    _, tensors = parts(path)
    save_file(tensors, path, metadata={"gnnpot": text})
    assert "header" in fault(path)


def test_a_device_that_is_not_there_is_told(path):
    with pytest.raises(DeviceError, match=r"got 'cuda:99'; choose one, or auto$"):
        load_potential(path, device="cuda:99")


FULL_DISK = """
import resource, sys
from gnnpot.potential.model_file import load_potential, save_potential
from gnnpot.errors import OutputError
potential = load_potential(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    save_potential(potential, sys.argv[1])
except OutputError as error:
    print(error)
"""


def test_when_the_disk_is_full_the_previous_model_survives(path):
    before = path.read_bytes()
    assert len(before) > 4096
    command = [sys.executable, "-W", "ignore", "-c", FULL_DISK, str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    assert told.stdout.startswith(f"expected to write {path}, got an error")
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
