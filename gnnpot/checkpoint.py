"""The model file: tensors in safetensors, everything else in one JSON document in its header.

Nothing in the file is run or unpickled.  The class of the model comes from the registry by its name.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from gnnpot import __version__
from gnnpot.errors import GnnpotError, ModelFileError
from gnnpot.files import write_aside
from gnnpot.models import MODELS, build_model
from gnnpot.potential import Potential
from gnnpot.repulsion import ZBLRepulsion

FORMAT = 1
_UNITS = {"energy": "eV", "length": "Å", "forces": "eV/Å", "stress": "eV/Å³"}


class ModelHeader(BaseModel):
    """What a model file says of itself.

    Args:
        format: Version of the file format.
        model: Kind and hyperparameters of the model.
        reference_energies: Energy of the free atom of each element (eV).
        scale: Unit of the model's output (eV).
        repulsion_reach: Of the short-range repulsion, or None without one.
        units: Of the quantities that the potential gives.
        dtype: Of the weights.
        provenance: Version, data, metrics: whatever JSON the writer knew.
        checksum: SHA-256 over all of the above and the tensors.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    model: dict[str, Any]
    reference_energies: dict[str, float]
    scale: float
    repulsion_reach: float | None
    units: dict[str, str] = _UNITS
    dtype: str
    provenance: dict[str, Any] = {}
    checksum: str = ""


def save_potential(potential: Potential, path: Path, *, provenance: dict[str, Any] | None = None) -> None:
    """Write a potential; a file that stood there stays until the new one is whole.

    Args:
        potential: What to write.
        path: Where to, by custom ``model.safetensors``.
        provenance: Where the potential comes from, as plain JSON.

    Raises:
        OutputError: The disk is full, or the folder cannot be written to.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in potential.model.state_dict().items()}
    energies = potential.reference_energies.tolist()
    symbols = potential.elements
    header = ModelHeader(
        model=potential.model.config.model_dump(mode="json"),
        reference_energies={symbol: energies[number] for symbol, number in _numbers(symbols).items()},
        scale=float(potential.scale),
        repulsion_reach=None if potential.repulsion is None else potential.repulsion.reach,
        dtype=str(potential.dtype).removeprefix("torch."),
        provenance={"gnnpot": __version__, **(provenance or {})},
    )
    header = header.model_copy(update={"checksum": _checksum(header, tensors)})
    with write_aside(Path(path)) as aside:
        save_file(tensors, aside, metadata={"gnnpot": header.model_dump_json()})


def read_header(path: Path) -> ModelHeader:
    """What the file says of itself, without its tensors.

    Raises:
        ModelFileError: There is no whole model file of a format that this version knows.
    """
    with _opened(path) as file:
        return _header(file, path)


def load_potential(
    path: Path, *, device: str | torch.device = "cpu", dtype: torch.dtype | None = None
) -> Potential:
    """Read a potential; no code in the file is run.

    Args:
        path: A file of :func:`save_potential`.
        device: Where the potential goes.
        dtype: Of the weights; that of the file if not given.

    Raises:
        ModelFileError: There is no whole model file of a format that this version knows, or it was
            changed since it was written.
    """
    with _opened(path) as file:
        header = _header(file, path)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if _checksum(header, tensors) != header.checksum:
        raise ModelFileError(f"expected {path} as it was written, got a changed file; get a fresh copy")
    try:
        config = MODELS[header.model["kind"]].Config.model_validate(header.model)
        model = build_model(config)
        model.to(getattr(torch, header.dtype)).load_state_dict(tensors)
        repulsion = None if header.repulsion_reach is None else ZBLRepulsion(header.repulsion_reach)
        potential = Potential(model, header.reference_energies, scale=header.scale, repulsion=repulsion)
    except (GnnpotError, ValidationError, KeyError, RuntimeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise ModelFileError(f"expected a model that this gnnpot knows in {path}, got {reason}") from error
    if dtype is not None:
        potential.model.to(dtype)
    return potential.to(device).eval()


def _numbers(symbols: tuple[str, ...]) -> dict[str, int]:
    from ase.data import atomic_numbers

    return {symbol: atomic_numbers[symbol] for symbol in symbols}


def _opened(path: Path) -> Any:
    path = Path(path)
    if not path.is_file():
        raise ModelFileError(f"expected a model file, got {path}, which is not there; check the path")
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise ModelFileError(
            f"expected a whole model file, got {path} ({error}); it is truncated or of another program"
        ) from error


def _header(file: Any, path: Path) -> ModelHeader:
    text = (file.metadata() or {}).get("gnnpot")
    if text is None:
        raise ModelFileError(f"expected a model file of gnnpot, got {path} of another program; give ours")
    try:
        values = json.loads(text)
        version = int(values["format"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFileError(f"expected a header in {path}, got {error}; get a fresh copy") from error
    if version > FORMAT:
        raise ModelFileError(
            f"expected a model file of format {FORMAT} or older, got format {version} in {path}; update gnnpot"
        )
    try:
        return ModelHeader.model_validate(values)
    except ValidationError as error:
        reason = " ".join(str(error).split())
        raise ModelFileError(f"expected a whole header in {path}, got {reason}; get a fresh copy") from error


def _checksum(header: ModelHeader, tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    values = header.model_dump(mode="json", exclude={"checksum"})
    digest.update(json.dumps(values, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(f"{name}{tuple(tensors[name].shape)}{tensors[name].dtype}".encode())
        digest.update(tensors[name].contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
