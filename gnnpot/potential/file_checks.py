"""What the tensors and hyperparameters of a model file must keep, whoever wrote and signed it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import get_ident
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from gnnpot.errors import ModelFileError, shortened

_DTYPES = (torch.float32, torch.float64)
_LARGEST = 1e15  # products of two such numbers are finite in float32
_SLACK = 100_000  # elements that a model may make beside what it keeps, and numbers that are no widths


def check_tensors(tensors: Mapping[str, Tensor]) -> None:
    """Refuse weights with which no energy can be computed.

    Raises:
        ModelFileError: A tensor holds NaN, infinity or a number beyond measure, numbers of another
            precision, or a deviation that is not positive.
    """
    for name, tensor in tensors.items():
        word = shortened(name, str)
        if tensor.is_complex() or (tensor.is_floating_point() and tensor.dtype not in _DTYPES):
            raise ModelFileError(f"expected float32 or float64, got tensor {word} of {_named(tensor)}")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ModelFileError(f"expected finite numbers, got NaN or infinity in tensor {word}")
        if tensor.is_floating_point() and bool((tensor.abs() > _LARGEST).any()):
            raise ModelFileError(f"expected numbers up to {_LARGEST:g}, got larger ones in tensor {word}")
        if name.endswith("deviation") and not bool((tensor > 0).all()):
            raise ModelFileError(f"expected standard deviations above 0, got others in tensor {word}")


def check_same_kinds(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], dtype: str) -> None:
    """Refuse integers in place of real numbers, and weights of another precision than the header says.

    Args:
        found: Tensors of a file.
        expected: The state of a model that was just built.
        dtype: Name of the precision in the header.

    Raises:
        ModelFileError: Naming the first tensor that differs.
    """
    for name, tensor in expected.items():
        kind = dtype if tensor.is_floating_point() else _named(tensor)
        if _named(found[name]) != kind:
            raise ModelFileError(
                f"expected tensor {name} of {shortened(kind, str)}, got {_named(found[name])}"
            )


def check_constant(name: str, constant: Tensor, buffer: Tensor) -> None:
    """Check that a constant of a file holds numbers of the kind that the model computes with.

    Raises:
        ModelFileError: The tensor holds integers, or numbers of another precision.
    """
    known = (torch.float32, torch.float64) if buffer.is_floating_point() else (buffer.dtype,)
    if constant.dtype not in known:
        raise ModelFileError(f"expected constant {name} of {_named(buffer)}, got {_named(constant)}")


def check_sizes(hyperparameters: Any, tensors: Mapping[str, Tensor], name: str = "model") -> None:
    """Refuse hyperparameters of a far larger model than the tensors are, before one is built.

    Raises:
        ModelFileError: Naming the first.
    """
    most = _SLACK + sum(tensor.numel() for tensor in tensors.values())
    if isinstance(hyperparameters, Mapping):
        for key, value in hyperparameters.items():
            check_sizes(value, tensors, f"{name}.{key}")
    elif isinstance(hyperparameters, list | tuple):
        for value in hyperparameters:
            check_sizes(value, tensors, name)
    elif isinstance(hyperparameters, int | float) and not abs(hyperparameters) <= most:
        raise ModelFileError(f"expected a model as large as its tensors, got {name}={hyperparameters:g}")


@contextmanager
def bounded_construction(tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """Stop the construction of a model that grows far beyond the tensors of its file.

    Raises:
        ModelFileError: The model grows beyond that.
    """
    most, made, thread = _SLACK + 4 * sum(tensor.numel() for tensor in tensors.values()), 0, get_ident()

    def count(module: nn.Module, name: str, parameter: Tensor | None) -> None:
        nonlocal made
        if get_ident() == thread and parameter is not None:
            made += parameter.numel()
            if made > most:
                raise ModelFileError("expected a model as large as its tensors, got hyperparameters of more")

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()


def _named(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
