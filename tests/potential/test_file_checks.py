"""Model files that nobody of ours wrote, signed or not, end in one line, soon and in little memory."""

from __future__ import annotations

import json
import struct
import time

import pytest
import torch
from potentials import SMALL, small_potential
from safetensors import safe_open
from safetensors.torch import save_file

from gnnpot.errors import ModelFileError
from gnnpot.potential.header import read_header
from gnnpot.potential.model_file import checksum, load_potential, save_potential


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "model.safetensors"
    save_potential(small_potential(dtype=torch.float32), path)
    return path


def parts(path):
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["gnnpot"]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def forge(path, document, tensors):
    """Write a file with a good checksum over other contents."""
    document = {**document, "checksum": checksum(document, tensors)}
    save_file(tensors, path, metadata={"gnnpot": json.dumps(document)})


def refused(path) -> str:
    begun = time.process_time()
    with pytest.raises(ModelFileError) as caught:
        load_potential(path)
    said = str(caught.value)
    assert time.process_time() - begun < 5
    assert "\n" not in said
    assert len(said) < 800
    return said


@pytest.mark.parametrize(
    "text",
    ['{"format":1e999}', "[" * 100_000, '{"format": true}', '{"format": 1.5}', '{"format": "1"}', "{" * 9],
)
def test_a_header_of_junk_is_one_line(path, text):
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"]["gnnpot"] = text
    words = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(words)) + words + data[8 + size :])
    with pytest.raises(ModelFileError, match="expected a header that tells its format"):
        read_header(path)
    refused(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(path, value):
    document, tensors = parts(path)
    name = sorted(tensors)[0]
    tensors[name].view(-1)[0] = value
    forge(path, document, tensors)
    assert f"expected finite numbers, got NaN or infinity in tensor {name}" in refused(path)


@pytest.mark.parametrize(
    ("kind", "ending", "value", "said"),
    [
        ("schnet", "weight", 1e30, "expected numbers up to 1e+15, got larger ones in tensor "),
        ("ani", "deviation", 0.0, "expected standard deviations above 0, got others in tensor deviation"),
        ("ani", "shifts", 1e30, "expected numbers up to 1e+15, got larger ones in tensor constant/"),
    ],
)
def test_numbers_that_make_forces_infinite_are_refused(kind, ending, value, said, tmp_path):
    path = tmp_path / "model.safetensors"
    save_potential(small_potential(kind, dtype=torch.float32), path)
    document, tensors = parts(path)
    name = next(name for name in sorted(tensors) if name.endswith(ending))
    tensors[name].view(-1)[0] = value
    forge(path, document, tensors)
    assert said in refused(path)


@pytest.mark.parametrize("dtype", [torch.int32, torch.float16, torch.bfloat16, torch.bool, torch.complex64])
def test_weights_of_other_numbers_are_refused(path, dtype):
    document, tensors = parts(path)
    name = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
    tensors[name] = tensors[name].to(dtype)
    forge(path, document, tensors)
    assert str(dtype).removeprefix("torch.") in refused(path)


def test_weights_of_two_precisions_are_refused(path):
    document, tensors = parts(path)
    name = next(name for name in sorted(tensors) if name.endswith("weight"))
    tensors[name] = tensors[name].double()
    forge(path, document, tensors)
    assert f"expected tensor {name} of float32, got float64" in refused(path)


@pytest.mark.parametrize("kind", sorted(SMALL))
@pytest.mark.parametrize("size", [10**30, 1e30, 2_000_000, 40_000])
def test_hyperparameters_of_a_giant_are_refused_before_one_is_built(kind, size, tmp_path):
    path = tmp_path / "model.safetensors"
    save_potential(small_potential(kind, dtype=torch.float32), path)
    document, tensors = parts(path)
    name = {"ani": "hidden", "dimenet++": "output_channels", "nequip": "radial_hidden"}.get(kind, "channels")
    listed = isinstance(document["model"][name], list)
    document["model"][name] = [size, size] if listed else size
    forge(path, document, tensors)
    refused(path)


@pytest.mark.parametrize("name", ["model", "reference_energies", "scale", "repulsion", "dtype"])
@pytest.mark.parametrize("value", [{}, [], None, "x", -1, {"reach": 1e30}, {"Xx": 1.0}, {"kind": "schnet"}])
def test_a_part_of_the_header_that_makes_no_sense_is_one_line_or_harmless(path, name, value):
    document, tensors = parts(path)
    document[name] = value
    forge(path, document, tensors)
    try:
        potential = load_potential(path)
    except ModelFileError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert (name, value) in [("repulsion", None), ("repulsion", {"reach": 1e30})]
        assert potential.elements == ("Si",)
