"""The model file: tensors in safetensors, everything else in one JSON document in its metadata.

Nothing in the file is run or unpickled: the class of the model comes from the registry by its name, its
hyperparameters through the config class beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ase import Atoms
from ase.data import atomic_numbers as number_of
from pydantic import ValidationError
from safetensors.torch import load, save
from torch import Tensor

from gnnpot.errors import GnnpotError, ModelFileError
from gnnpot.graph.graph import AtomicGraph
from gnnpot.models import MODEL_CONFIGS, MODELS, AtomicEnergyModel
from gnnpot.potential.file_checks import (
    bounded_construction,
    check_constant,
    check_same_kinds,
    check_sizes,
    check_tensors,
)
from gnnpot.potential.folder import single_file
from gnnpot.potential.header import (
    KEY,
    ModelHeader,
    RawTensor,
    RepulsionHeader,
    checksum_of,
    one_line_of,
    read_header,
    read_whole,
)
from gnnpot.potential.potential import Potential
from gnnpot.potential.repulsion import ZBLRepulsion
from gnnpot.system.devices import choose_device
from gnnpot.system.files import write_bytes
from gnnpot.version import __version__

_SUBTRACTED = 2  # format in which what the network gives free atoms was subtracted from all energies
_CONSTANT = "constant/"  # before the names of tensors that are no state
_UNBUILT = (ArithmeticError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)


def save_potential(potential: Potential, path: str | Path, *, provenance: Mapping[str, Any] = {}) -> None:
    """Write a potential; an existing file is replaced only by a complete one.

    Args:
        potential: Potential to write.
        path: File to write, by convention ``model.safetensors``.
        provenance: Origin of the potential, as plain JSON.

    Raises:
        OutputError: The disk is full, or the folder cannot be written to.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in _tensors(potential.model).items()}
    energies = potential.reference_energies
    header = ModelHeader(
        model=potential.model.config.model_dump(mode="json"),
        reference_energies={symbol: float(energies[number_of[symbol]]) for symbol in potential.elements},
        free_atoms=potential.free_atoms,
        scale=float(potential.scale),
        repulsion=None if potential.repulsion is None else RepulsionHeader(reach=potential.repulsion.reach),
        dtype=str(potential.dtype).removeprefix("torch."),
        provenance={"gnnpot": __version__, "parameters": potential.model.num_parameters, **provenance},
    ).model_dump(mode="json", exclude={"checksum"})
    header["checksum"] = checksum(header, tensors)
    document = json.dumps(header, ensure_ascii=False, allow_nan=False)
    write_bytes(Path(path), save(tensors, metadata={KEY: document}))


def add_provenance(path: str | Path, entries: Mapping[str, Any]) -> None:
    """Tell more of the origin of a potential in its file.

    Raises:
        ModelFileError: There is no whole model file of a format that this version knows.
        OutputError: The disk is full, or the folder cannot be written to.
    """
    provenance = read_header(path).provenance
    save_potential(load_potential(path), path, provenance={**provenance, **entries})


def load_potential(
    path: str | Path, *, device: str | torch.device = "cpu", dtype: torch.dtype | None = None
) -> Potential:
    """Read a potential; no code in the file is run.

    Args:
        path: A file of :func:`save_potential`, or the folder of a run.
        device: Device of the potential; ``auto`` is a GPU if there is one.
        dtype: Type of the weights; by default that of the file.

    Raises:
        DeviceError: The device is not there.
        ModelFileError: There is no whole model file of a format that this version knows, or it was
            changed since it was written.
    """
    path = single_file(path)
    header, content = read_whole(path)
    tensors = {name: tensor.clone() for name, tensor in load(content).items()}
    try:
        potential = _build(header, tensors)
        if dtype is not None:
            potential.model.to(dtype)
        if header.format == _SUBTRACTED:
            _subtract_free_atoms(potential)
    except (GnnpotError, ValidationError, *_UNBUILT) as error:
        raise ModelFileError(
            f"expected a model that this gnnpot knows, got {path}: {one_line_of(error)}; update gnnpot"
        ) from error
    return potential.to(choose_device(str(device))).eval()


def checksum(document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over the JSON document, but for its own checksum, and the tensors with their names."""
    raw = {
        name: RawTensor(
            str(tensor.dtype),
            tuple(tensor.shape),
            tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes(),
        )
        for name, tensor in tensors.items()
    }
    return checksum_of(document, raw)


def _tensors(model: AtomicEnergyModel) -> dict[str, Tensor]:
    """All that the result depends on to the last bit: the state, and constants with their rounding.

    Constants are buffers that no state holds (centers, roots).  They are rounded as the model was built
    and converted, which nobody can tell when it is read.
    """
    state = model.state_dict()
    constants = {
        f"{_CONSTANT}{name}": value
        for name, value in model.named_buffers()
        if name not in state and value.is_floating_point()
    }
    return {**state, **constants}


def _build(header: ModelHeader, tensors: dict[str, Tensor]) -> Potential:
    check_tensors(tensors)
    check_sizes(header.model, tensors)
    with torch.random.fork_rng(devices=[]), bounded_construction(tensors):  # weights are drawn, then replaced
        config = MODEL_CONFIGS[str(header.model.get("kind"))].model_validate(header.model)
        model = MODELS[config.kind](config)
    state = {name: tensor for name, tensor in tensors.items() if not name.startswith(_CONSTANT)}
    shapes = {name: list(tensor.shape) for name, tensor in state.items()}
    expected = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    for name in sorted({*expected, *shapes}):
        want, got = expected.get(name, "none"), shapes.get(name, "none")
        if want != got:
            raise ModelFileError(f"expected tensor {name} of shape {want}, got {got}")
    check_same_kinds(state, model.state_dict(), header.dtype)
    model.load_state_dict(state, assign=True)
    for name, buffer in list(model.named_buffers()):
        constant = tensors.get(f"{_CONSTANT}{name}", buffer)
        check_constant(name, constant, buffer)
        if constant.shape == buffer.shape:  # else a later version computes with other constants
            owner, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(owner), attribute, constant)
    repulsion = None if header.repulsion is None else ZBLRepulsion(header.repulsion.reach)
    free_atoms = header.free_atoms if header.format > _SUBTRACTED else "network"
    references, scale = header.reference_energies, header.scale
    return Potential(model, references, scale=scale, repulsion=repulsion, free_atoms=free_atoms)


@torch.no_grad()
def _subtract_free_atoms(potential: Potential) -> None:
    """Take the network's energies of free atoms off the reference energies."""
    for symbol in potential.elements:
        graph = AtomicGraph.from_ase(Atoms(symbol), potential.cutoff, potential.dtype)
        potential.reference_energies[number_of[symbol]] -= potential.interaction_energies(graph).sum()
