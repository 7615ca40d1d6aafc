"""Notice that the tensors of a module have changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from torch import Tensor, nn


class _Seen(NamedTuple):
    tensor: Tensor
    memory: Tensor  # shares the memory that it had, which nobody else gets while this lives
    address: int
    version: int


class WeightState:
    """The parameters and buffers of a module as they were when last looked at.

    A change is another tensor in their place (``load_state_dict(assign=True)``, a new ``scale``), other
    memory (``.data =``, another dtype or device), or a higher count of torch's (optimizers, anything in
    place).  Writing into the memory behind torch's back (in place on ``.data``, through NumPy) goes
    unnoticed: ``torch.autograd.graph.increment_version`` tells of it.

    Args:
        module: Module to watch; its submodules and what they are made of may change.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self._places: list[tuple[dict[str, Any], str, Any]] = []
        self._seen: list[_Seen | None] = []

    def __reduce__(self) -> tuple[Any, ...]:
        return WeightState, (self.module,)

    def is_same(self) -> bool:
        """Whether all is as it was when :meth:`look` was last called."""
        if not self._places:
            return False
        for (owner, name, child), seen in zip(self._places, self._seen, strict=True):
            now = owner.get(name)
            if seen is None:
                if now is not child:
                    return False
            elif (
                now is not seen.tensor
                or now._version != seen.version
                or now.data_ptr() != seen.address  # the version goes on after ``.data =`` as before
            ):
                return False
        return True

    def look(self) -> None:
        """Take the present state for that to compare with."""
        self._places = list(_places(self.module))
        self._seen = [
            _Seen(thing, thing.detach(), thing.data_ptr(), thing._version)
            if isinstance(thing, Tensor)
            else None
            for _, _, thing in self._places
        ]


def _places(module: nn.Module) -> Iterator[tuple[dict[str, Any], str, Any]]:
    """Where each tensor and each submodule is kept, and what is there."""
    for owner in (module._parameters, module._buffers, module._modules):
        for name, thing in owner.items():
            yield owner, name, thing
    for child in module.children():
        yield from _places(child)
