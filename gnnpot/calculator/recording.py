"""Repeat a computation on the memory of its first run.

A step of dynamics of a small structure is hundreds of short operations, and most of its time goes into
finding them and their memory.  As long as the neighbor list lasts, the next step is the same operations on
other numbers: they are recorded once and then repeated with their results in place, without automatic
differentiation, views, or what does not depend on the positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Set
from copy import copy
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from gnnpot.graph.graph import AtomicGraph
from gnnpot.kernels.dispatch import recorded_by

_PATIENCE = 3  # calls on one list before it is worth a recording
_MOST_PAIRS = 4096  # beyond which a recording would save little time
_MOST_MEMORY = 1 << 29  # bytes of a recording, in which nothing is freed
_INPUTS = ("pair_vectors", "positions", "cell")
_EMPTY = {"aten::empty", "aten::empty_like", "aten::empty_strided", "aten::new_empty"}
_ZEROS = {"aten::zeros", "aten::zeros_like", "aten::new_zeros"}
_DECIDING = {  # what a program branches on, or as many rows as the numbers say
    "aten::_local_scalar_dense", "aten::_unique2", "aten::bincount", "aten::equal", "aten::masked_select",
    "aten::nonzero", "aten::repeat_interleave", "aten::unique_dim",
}  # fmt: skip

Step = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class Replay:
    """A function of a graph that is recorded where it is called with one neighbor list again and again.

    Recordings are trusted once the first gave, bit by bit, what the function gives at other positions; a
    function that cannot be recorded, or gave something else, is called ever after.  Tensors in results belong
    to the recording: the next call overwrites them.

    Args:
        function: Function of a graph that has ``pair_vectors``; its result cannot be differentiated.  Where
            anything else that it depends on changes, call :meth:`forget`.
    """

    def __init__(self, function: Callable[[AtomicGraph], Any]) -> None:
        self.function = function
        self._trusted, self._refused = False, False
        self._edges: Tensor | None = None  # of the list that is being used
        self._calls = 0
        self._recording: _Recording | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Replay, (self.function,)

    def __call__(self, graph: AtomicGraph) -> Any:
        """What the function says of ``graph``."""
        if self._refused or graph.edge_index.is_cuda or graph.edge_index.shape[1] > 2 * _MOST_PAIRS:
            return self.function(graph)
        if self._edges is not graph.edge_index:
            self.forget()
            self._edges = graph.edge_index
        self._calls += 1
        if self._recording is None and self._calls < _PATIENCE:
            return self.function(graph)
        try:
            return self._recorded(graph)
        except _CannotRecordError:
            self._refused, self._recording = True, None
            return self.function(graph)

    def forget(self) -> None:
        """Drop the recording, which another may follow."""
        self._edges, self._calls, self._recording = None, 0, None

    def _recorded(self, graph: AtomicGraph) -> Any:
        if self._recording is None:
            self._recording = _Recording(self.function, graph)
            return self._recording.result
        self._recording.run(graph)
        if not self._trusted:
            if not _identical(self._recording.result, self.function(graph)):
                raise _CannotRecordError
            self._trusted = True
        return self._recording.result


class _CannotRecordError(Exception):
    """The steps of the computation depend on its numbers, or need too much memory."""


class _Recording:
    """The steps that lead from positions to a result, on memory of their own."""

    def __init__(self, function: Callable[[AtomicGraph], Any], graph: AtomicGraph) -> None:
        own = copy(graph)
        for name in _INPUTS:
            own[name] = graph[name].clone()
        self.inputs = {name: own[name].detach() for name in _INPUTS}
        recorder = _Recorder(self.inputs.values())
        with recorded_by(recorder), recorder:
            self.result = function(own)
        steps = [step for step, is_needed in recorder.steps if is_needed()]
        sizes = {_place(part): part.untyped_storage().nbytes() for step in steps for part in _operands(step)}
        if sum(sizes.values()) > _MOST_MEMORY:
            raise _CannotRecordError
        kept = {_place(tensor) for tensor in _tensors([self.inputs, self.result])}
        self.steps = _on_shared_memory(steps, recorder.changing - kept)

    def run(self, graph: AtomicGraph) -> None:
        """Repeat the steps at the positions of ``graph``."""
        with torch.no_grad():
            for name, values in self.inputs.items():
                values.copy_(graph[name])
            for call, arguments, settings in self.steps:
                call(*arguments, **settings)


class _Recorder(TorchDispatchMode):
    """Writes down the operations whose results depend on the inputs.

    Which those are is followed by the memory that tensors lie in.
    """

    def __init__(self, inputs: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.steps: list[tuple[Step, Callable[[], bool]]] = []
        self.changing = {_place(tensor) for tensor in inputs}
        self._blank: set[int] = set()  # made to be written to

    def __torch_dispatch__(
        self, operation: Any, types: Any, arguments: Any = (), settings: Any = None
    ) -> Any:
        settings = settings or {}
        result = operation(*arguments, **settings)
        name, is_mutable = _traits(operation)
        written = [_place(tensor) for tensor in _tensors(result)]
        read = {_place(tensor) for tensor in _tensors((arguments, settings))}
        is_new = not is_mutable and not read.issuperset(written)  # views lie where they lay
        if is_new:  # maybe where something lay that is gone
            self.changing.difference_update(written)
            self._blank.difference_update(written)
        if name in _EMPTY or name in _ZEROS:
            (place,) = written
            self._blank.add(place)
            if name in _ZEROS:
                self._add((Tensor.zero_, (result.detach(),), {}), lambda: place in self.changing)
            return result
        if read.isdisjoint(self.changing):
            self._blank.difference_update(read if is_mutable else ())
            return result
        if name in _DECIDING or (name == "aten::index" and _has_mask(arguments[1])):
            raise _CannotRecordError
        if is_mutable:
            self.changing.add(_place(arguments[0]))
            self._add((operation._op, _plain(arguments), _plain(settings)))
        elif is_new:
            self.changing.update(written)
            step = (operation._op, _plain(arguments), _plain(settings))
            self._add(_in_place(operation, step, _plain(result)))
        return result

    def loop(self, call: Any) -> None:
        """Write down a call of a compiled loop; what was made without values is what it writes."""
        places = {_place(tensor) for tensor in _tensors(call.arguments)}
        if places & self.changing:
            self.changing.update(places & self._blank)
            self._add((call, (), {}))
        self._blank -= places

    def whole(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """Run a function and write it down as one step, whatever it does inside."""
        with _disable_current_modes(), recorded_by(None):
            result = function(*arguments)
        written = _tensors(result)
        self.changing.update(_place(tensor) for tensor in written)
        self._add((_copied, (function, _plain(arguments), {}, [tensor.detach() for tensor in written]), {}))
        return result

    def _add(self, step: Step, is_needed: Callable[[], bool] = lambda: True) -> None:
        self.steps.append((step, is_needed))


def _on_shared_memory(steps: Sequence[Step], places: Set[int]) -> list[Step]:
    """The steps with what lies in these places on memory that earlier ones left, as it is in the cache."""
    parts = [[part for part in _operands(step) if _place(part) in places] for step in steps]
    last = {_place(part): number for number, used in enumerate(parts) for part in used}
    rooms: dict[int, Tensor] = {}
    free: list[Tensor] = []

    def moved(tensor: Tensor) -> Tensor:
        room = rooms.get(_place(tensor))
        if room is None:
            return tensor
        form = tensor.storage_offset(), tensor.shape, tensor.stride()
        return torch.empty(0, dtype=tensor.dtype).set_(room.untyped_storage(), *form)

    result = []
    for number, (step, used) in enumerate(zip(steps, parts, strict=True)):
        for part in used:
            if _place(part) not in rooms:
                rooms[_place(part)] = _room(part.untyped_storage().nbytes(), free)
        result.append(_mapped(step, moved))
        free += [rooms[place] for place in {_place(part) for part in used} if last[place] == number]
    return result


def _room(size: int, free: list[Tensor]) -> Tensor:
    """Memory of at least ``size`` bytes: the smallest that is free, or new."""
    fitting = [number for number, room in enumerate(free) if len(room) >= size]
    if fitting:
        return free.pop(min(fitting, key=lambda number: len(free[number])))
    return torch.empty(size, dtype=torch.uint8)


def _operands(step: Step) -> list[Tensor]:
    """What a step reads and writes."""
    call, arguments, settings = step
    return _tensors([getattr(call, "arguments", ()), arguments, settings])


def _in_place(operation: Any, step: Step, result: Any) -> Step:
    """The step with its result written to where it was before."""
    call, arguments, settings = step
    match operation._schema.name:
        case "aten::_to_copy":
            return Tensor.copy_, (result, arguments[0]), {}
        case "aten::ones_like":
            return Tensor.fill_, (result, 1), {}
        case "aten::full_like":
            return Tensor.fill_, (result, arguments[1]), {}
    variant = _out_variant(operation)
    if variant is None:
        return _copied, (call, arguments, settings, _tensors(result)), {}
    call, name = variant
    return call, arguments, {**settings, name: result}


@cache
def _out_variant(operation: Any) -> tuple[Callable[..., Any], str] | None:
    """The form of an operation that writes to a given tensor, and the name of that argument."""
    inputs = [(argument.name, str(argument.type)) for argument in operation._schema.arguments]
    for name in operation.overloadpacket.overloads():
        variant = getattr(operation.overloadpacket, name)
        arguments = variant._schema.arguments
        outs = [argument.name for argument in arguments if argument.is_out]
        others = [(argument.name, str(argument.type)) for argument in arguments if not argument.is_out]
        if len(outs) == 1 and others == inputs:
            return variant._op, outs[0]
    return None


def _copied(
    call: Callable[..., Any], arguments: tuple[Any, ...], settings: dict[str, Any], outs: Sequence[Tensor]
) -> None:
    for out, values in zip(outs, _tensors(call(*arguments, **settings)), strict=True):
        out.copy_(values)


@cache
def _traits(operation: Any) -> tuple[str, bool]:
    """Its name, and whether it writes to its arguments."""
    return operation._schema.name, operation._schema.is_mutable


def _tensors(values: Any) -> list[Tensor]:
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, dict):
        values = values.values()
    elif not isinstance(values, list | tuple):
        return []
    return [tensor for part in values for tensor in _tensors(part)]


def _plain(values: Any) -> Any:
    """The same memory without automatic differentiation."""
    return _mapped(values, Tensor.detach)


def _mapped(values: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same with other tensors, of compiled loops, too."""
    if isinstance(values, Tensor):
        return change(values)
    if isinstance(values, dict):
        return {name: _mapped(part, change) for name, part in values.items()}
    if isinstance(values, list | tuple):
        return type(values)(_mapped(part, change) for part in values)
    return values.on(_mapped(values.arguments, change)) if hasattr(values, "on") else values


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _has_mask(indices: Any) -> bool:
    return any(index.dtype in (torch.bool, torch.uint8) for index in _tensors(indices))


def _identical(one: Any, other: Any) -> bool:
    pairs = zip(_tensors(one), _tensors(other), strict=True)
    return all(
        torch.equal(a.nan_to_num(), b.nan_to_num()) and torch.equal(a.isnan(), b.isnan()) for a, b in pairs
    )
