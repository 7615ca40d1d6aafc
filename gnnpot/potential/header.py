"""The header of a model file, which is read without torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field, PositiveFloat, ValidationError
from safetensors import SafetensorError, safe_open

from gnnpot.config.base import Section
from gnnpot.errors import ModelFileError, one_line, shortened
from gnnpot.potential.folder import single_file
from gnnpot.system.documents import parse_json

FORMAT = 3
UNITS = {"energy": "eV", "length": "Å", "forces": "eV/Å", "stress": "eV/Å³"}
KEY = "gnnpot"  # of the JSON document in the metadata
_LENGTH = 8  # bytes of the length of the header
_DTYPES = {  # names of safetensors and of torch
    "F64": "torch.float64", "F32": "torch.float32", "F16": "torch.float16", "BF16": "torch.bfloat16",
    "I64": "torch.int64", "I32": "torch.int32", "I16": "torch.int16", "I8": "torch.int8",
    "U8": "torch.uint8", "BOOL": "torch.bool", "C64": "torch.complex64",
}  # fmt: skip
FreeAtomEnergy = Literal["reference", "network"]


class RawTensor(NamedTuple):
    """A tensor as a file holds it.

    Attributes:
        dtype: Type, as torch calls it.
        shape: Shape.
        data: Its bytes.
    """

    dtype: str
    shape: tuple[int, ...]
    data: bytes | memoryview


class RepulsionHeader(Section):
    """The short-range repulsion of a potential."""

    kind: Literal["zbl"] = "zbl"
    reach: float


class ModelHeader(Section):
    """Header of a model file.

    Args:
        kind: Kind of the file.
        format: Version of the file format.  In the first two the network's energy of an atom counts whole;
            reference energies of the second are those of free atoms nevertheless.
        model: Kind and hyperparameters of the model.
        reference_energies: Energy of each element (eV), that of the free atom unless ``free_atoms`` is
            ``network``.
        free_atoms: What gives the energy of a free atom: its reference energy, or the network as well.
        scale: Unit of the model's output (eV).
        repulsion: Short-range repulsion, or None without one.
        units: Units of the results; a file with other units is refused.
        dtype: Type of the weights.
        provenance: Version, data, metrics: whatever JSON the writer knew.
        checksum: SHA-256 over all of the above and the tensors.
    """

    kind: Literal["gnnpot potential"] = "gnnpot potential"
    format: int = FORMAT
    model: dict[str, Any]
    reference_energies: dict[str, float]
    free_atoms: FreeAtomEnergy = "reference"
    scale: PositiveFloat
    repulsion: RepulsionHeader | None
    units: dict[str, str] = UNITS
    dtype: str
    provenance: dict[str, Any] = Field(default_factory=dict)
    checksum: str = ""


def read_header(path: str | Path) -> ModelHeader:
    """Read the header of a model file; the tensors are neither read nor checked.

    Raises:
        ModelFileError: There is no whole model file of a format that this version knows.
    """
    path = single_file(path)
    with _opened(path) as file:
        return _header(_document(file, path), path)


def read_whole(path: str | Path) -> tuple[ModelHeader, bytes]:
    """Read a model file whose content is what was written: its header, and all of it.

    Raises:
        ModelFileError: There is no whole model file, or it was changed since it was written.
    """
    path = single_file(path)
    with _opened(path) as file:
        document = _document(file, path)
        content = path.read_bytes()
    header = _header(document, path)
    if checksum_of(document, _raw_tensors(content)) != header.checksum:
        raise ModelFileError(f"expected {path} as it was written, got a changed file; get a fresh copy")
    return header, content


def checksum_of(document: Mapping[str, Any], tensors: Mapping[str, RawTensor]) -> str:
    """SHA-256 over the JSON document, but for its own checksum, and the tensors with their names."""
    values = {name: value for name, value in document.items() if name != "checksum"}
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
    for name in sorted(tensors):
        dtype, shape, data = tensors[name]
        digest.update(f"{name} {dtype} {shape}".encode())
        digest.update(data)
    return digest.hexdigest()


def _raw_tensors(content: bytes) -> dict[str, RawTensor]:
    """The tensors in a whole file of safetensors: its length, its header in JSON, and their bytes."""
    begin = _LENGTH + int.from_bytes(content[:_LENGTH], "little")
    entries = json.loads(content[_LENGTH:begin])
    return {
        name: RawTensor(
            _DTYPES.get(entry["dtype"], entry["dtype"]),
            tuple(entry["shape"]),
            memoryview(content)[begin + entry["data_offsets"][0] : begin + entry["data_offsets"][1]],
        )
        for name, entry in entries.items()
        if name != "__metadata__"
    }


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if not path.is_file():
        raise ModelFileError(f"expected a model file, got {path}, which is no file; check the path")
    try:
        with safe_open(path, framework="np") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise ModelFileError(
            f"expected a whole model file, got {path} ({one_line_of(error)}), which is cut off or not ours; "
            "get a fresh copy"
        ) from error


def _document(file: Any, path: str | Path) -> dict[str, Any]:
    """The JSON document of a file of ours."""
    text = (file.metadata() or {}).get(KEY)
    if text is None:
        raise ModelFileError(
            f"expected a model file of gnnpot, got {path}, which another program wrote; give one of ours"
        )
    try:
        document = parse_json(text)
        version = document["format"]
        if type(version) is not int:
            raise TypeError(f"format {shortened(version)}")
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFileError(
            f"expected a header that tells its format, got {path} ({one_line_of(error)}); get a fresh copy"
        ) from error
    if version < 1:
        raise ModelFileError(
            f"expected a model file of format 1 to {FORMAT}, got {path} of format {version}; get a fresh copy"
        )
    if version > FORMAT:
        raise ModelFileError(
            f"expected a model file of format {FORMAT} at most, got {path} of format {version}, made by a "
            "newer gnnpot; update gnnpot"
        )
    return document


def _header(document: dict[str, Any], path: str | Path) -> ModelHeader:
    try:
        header = ModelHeader.model_validate(document)
    except ValidationError as error:
        raise ModelFileError(
            f"expected a whole header, got {path}: {one_line_of(error)}; get a fresh copy"
        ) from error
    if header.units != UNITS:
        expected, got = (
            ", ".join(f"{name} in {u}" for name, u in units.items()) for units in (UNITS, header.units)
        )
        raise ModelFileError(f"expected {expected}, got {path} with {got or 'no units'}; convert the model")
    return header


def one_line_of(error: Exception) -> str:
    """What is wrong, in one line."""
    if isinstance(error, ValidationError):
        faults = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        return shortened(", ".join(faults), str)
    return shortened(one_line(error), str)
