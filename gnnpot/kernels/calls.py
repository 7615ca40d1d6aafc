"""Calls of compiled loops, on the threads of torch's own operations.

To wake a thread of another pool takes longer than many a loop, and torch's own threads, which still wait for
work after the operation before, would keep it from its processor.  So these take a share of the items each:
arguments are written as the machine code of a loop expects them, and OpenMP calls it without Python.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from struct import Struct
from typing import Any, NamedTuple

import torch
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from torch import Tensor

_GRAIN = 4  # fewest items for a thread of its own
_LARGE = 1 << 14  # elements of all arrays for which other threads are worth calling
_FLUSH = 0x8040  # bits of the control register: tiny results, and tiny arguments, are zeros
_WORD = ir.IntType(64)
_RETURNED = (0, -2)  # what numba's functions give that ended well, the second where they return nothing
_NUMBERS = {int: types.int64, float: types.float64}
_ELEMENTS = {
    torch.float32: types.float32, torch.float64: types.float64, torch.int64: types.int64,
    torch.int32: types.int32, torch.uint8: types.uint8, torch.bool: types.boolean,
}  # fmt: skip


class Call:
    """``loop(begin, end, …)`` over all items, once or again and again on the same memory.

    Args:
        loop: A compiled function that writes to the items ``begin … end`` only.
        count: Number of items.
        arguments: Further arguments; tensors are passed as arrays on the same memory.
    """

    __slots__ = ("_count", "_entry", "_threads", "_words", "arguments", "loop")

    def __init__(self, loop: Any, count: int, arguments: Sequence[Tensor | int | float]) -> None:
        kinds: list[Any] = []
        words: list[int | float] = []
        elements = 0
        for part in arguments:
            if isinstance(part, Tensor):
                size, number, strides = part.itemsize, part.numel(), part.stride()
                kinds += (part.dtype, len(strides), "C" if part.is_contiguous() else _layout(part))
                words += (0, 0, number, size, part.data_ptr(), *part.shape)
                for step in strides:
                    words.append(step * size)
                elements += number
            else:
                kinds.append(type(part))
                words.append(part)
        self._entry = entry = _entry(loop, tuple(kinds))
        self._words = entry.pack(entry.address, count, *words)
        self.loop, self.arguments, self._count = loop, arguments, count  # the arguments keep the memory
        threads = torch.get_num_threads()
        self._threads = 1 if elements < _LARGE else max(1, min(threads, count // _GRAIN))

    def on(self, arguments: Sequence[Tensor | int | float]) -> Call:
        """The same with other arguments."""
        return Call(self.loop, self._count, arguments)

    def __call__(self) -> None:
        """Run the loop.

        Raises:
            RuntimeError: No memory was left inside the loop, or it was compiled with bounds checked
                (``NUMBA_BOUNDSCHECK=1``) and met an index outside an array.
        """
        if self._threads == 1:
            self._entry.run(self._words, 0, self._count)
        else:
            self._run_on_threads()
        if _failed.value:
            _failed.value = 0
            name = self.loop.py_func.__name__
            raise RuntimeError(f"expected {name} to end, got an index outside an array, or no memory left")

    def _run_on_threads(self) -> None:
        fork = _fork()
        if fork is not None:
            fork(self._entry.share, self._words, self._threads, 0)
            return
        bounds = [self._count * part // self._threads for part in range(self._threads + 1)]
        any(_pool(self._threads).map(self._entry.run, [self._words] * self._threads, bounds, bounds[1:]))


class _Entry(NamedTuple):
    """A loop for arguments of certain types.

    Args:
        address: Address of its machine code.
        pack: Writes words: the address, the number of items, the arguments.
        run: ``(words, begin, end)`` runs the loop.
        share: Address of ``(words)``, which runs it on the share of the thread that calls.
    """

    address: int
    pack: Callable[..., bytes]
    run: Callable[[bytes, int, int], None]
    share: int


@cache
def _entry(loop: Any, kinds: tuple[Any, ...]) -> _Entry:
    signature = types.int64, types.int64, *_types(kinds)
    loop.compile(signature)
    compiled = loop.overloads[signature]
    function = compiled.fndesc
    kind = compiled.target_context.call_conv.get_function_type(function.restype, function.argtypes)
    codes = "".join("d" if isinstance(part, ir.DoubleType) else "q" for part in kind.args[4:])
    address = compiled.library.get_pointer_to_function(function.llvm_func_name)
    return _Entry(address, Struct("qq" + codes).pack, *_trampolines(codes))


def _types(kinds: Sequence[Any]) -> Iterator[Any]:
    rest = iter(kinds)
    for kind in rest:
        if kind in _NUMBERS:
            yield _NUMBERS[kind]
        else:
            dimensions, layout = next(rest), next(rest)
            yield types.Array(_ELEMENTS[kind], dimensions, layout)


def _layout(tensor: Tensor) -> str:
    """Of what is not contiguous, whether its columns are, in numba's letters."""
    return "F" if tensor.ndim == 2 and tensor.stride() == (1, len(tensor)) else "A"


@cache
def _trampolines(codes: str) -> tuple[Callable[[bytes, int, int], None], int]:
    """What calls a loop as numba does, with all of its words after the first two as arguments.

    Integers and pointers are passed alike.  Where a tensor stands in the words are an owner of its memory and
    a parent, neither of which there is, size, bytes of an element, address, shape, and strides in bytes.
    """
    pointer, nothing = _WORD.as_pointer(), ir.VoidType()
    arguments = [ir.DoubleType() if code == "d" else _WORD for code in codes]
    loop = ir.FunctionType(ir.IntType(32), [pointer, pointer, _WORD, _WORD, *arguments])
    module = ir.Module()
    run = ir.Function(module, ir.FunctionType(nothing, [pointer, _WORD, _WORD]), "run")
    builder = ir.IRBuilder(run.append_basic_block())
    words, begin, end = run.args
    places = [builder.gep(words, [_WORD(place)]) for place in range(len(codes) + 2)]
    typed = [
        builder.bitcast(place, kind.as_pointer()) for place, kind in zip(places[2:], arguments, strict=True)
    ]
    result, error = (builder.alloca(_WORD) for _ in range(2))
    code = builder.inttoptr(builder.load(places[0]), loop.as_pointer())
    with _tiny_as_zero(builder):
        status = builder.call(code, [result, error, begin, end, *map(builder.load, typed)])
    well = [builder.icmp_signed("==", status, status.type(number)) for number in _RETURNED]
    with builder.if_then(builder.not_(builder.or_(*well)), likely=False):
        address = _WORD(ctypes.addressof(_failed))
        builder.store(_WORD(1), builder.inttoptr(address, pointer))
    builder.ret_void()
    if _fork() is not None:
        share = ir.Function(module, ir.FunctionType(nothing, [pointer]), "share")
        builder = ir.IRBuilder(share.append_basic_block())
        number, threads = (_asked(builder, name) for name in ("omp_get_thread_num", "omp_get_num_threads"))
        count = builder.load(builder.gep(share.args[0], [_WORD(1)]))
        bounds = [
            builder.sdiv(builder.mul(count, part), threads)
            for part in (number, builder.add(number, _WORD(1)))
        ]
        builder.call(run, [*share.args, *bounds])
        builder.ret_void()
    machine = binding.Target.from_default_triple().create_target_machine()
    engine = binding.create_mcjit_compiler(binding.parse_assembly(str(module)), machine)
    engine.finalize_object()
    _engines.append(engine)
    kind = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_int64, ctypes.c_int64)
    return kind(engine.get_function_address("run")), engine.get_function_address("share")


@contextmanager
def _tiny_as_zero(builder: Any) -> Iterator[None]:
    """Have a processor of x86 take and give zeros instead of numbers too small for all of their digits.

    Sums of derivatives do not miss these, but Intel's processors take a hundred times as long for them, and
    layers have many where their activation is saturated.
    """
    if platform.machine() not in ("x86_64", "AMD64"):
        yield
        return
    number, pointer = ir.IntType(32), ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [pointer])
    read, write = (
        cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.sse.{name}mxcsr")
        for name in ("st", "ld")
    )
    before, inside = (builder.alloca(number) for _ in range(2))
    builder.call(read, [builder.bitcast(before, pointer)])
    builder.store(builder.or_(builder.load(before), number(_FLUSH)), inside)
    builder.call(write, [builder.bitcast(inside, pointer)])
    yield
    builder.call(write, [builder.bitcast(before, pointer)])


_engines: list[Any] = []  # own the machine code
_failed = ctypes.c_int64(0)  # set by a loop that did not end well


def _asked(builder: Any, name: str) -> Any:
    """What a function of OpenMP without arguments says."""
    address = ctypes.cast(getattr(_openmp(), name), ctypes.c_void_p).value
    kind = ir.FunctionType(ir.IntType(32), [])
    return builder.sext(builder.call(builder.inttoptr(_WORD(address), kind.as_pointer()), []), _WORD)


@cache
def _fork() -> Callable[[int, bytes, int, int], None] | None:
    """``(function, its argument, threads, 0)`` has torch's threads call a function, where they are GNU's."""
    fork = getattr(_openmp(), "GOMP_parallel", None)
    if fork is not None:
        fork.argtypes, fork.restype = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint, ctypes.c_uint], None
    return fork


@cache
def _openmp() -> Any:
    """The library of torch, through which those that it needs are found."""
    library = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    return ctypes.CDLL(str(library)) if library.exists() else None


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="gnnpot")
