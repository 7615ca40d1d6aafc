"""Products of matrices in tiles that fit into the wide registers of a processor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite.binding import get_host_cpu_features
from numba import njit
from numba.core import cgutils, types
from numba.extending import intrinsic

from gnnpot.nn.loops.compiled import compiled
from gnnpot.nn.loops.simd import (
    WIDTH,
    address,
    load,
    multiplied_sum,
    spread_element,
    total,
    vector_at,
)

WIDE = bool(get_host_cpu_features().get("avx512f"))  # whether there are 32 registers of 64 bytes
_VECTORS = 4 if WIDE else 1  # of 4-byte numbers, side by side in a tile
_ROWS = 256  # of the product that are made at once, so that they stay in the cache
_DEPTH = 256  # rows of the second matrix, likewise


@compiled
def multiply(begin, end, a, b, start, out):
    """Write ``start``, one row or all, and the product of a and b; columns are a multiple of ``WIDTH``."""
    for first_row in range(begin, end, _ROWS):
        last_row = min(end, first_row + _ROWS)
        _add_panels(first_row, last_row, a, b, start, out, 0, min(len(b), _DEPTH))
        for first in range(_DEPTH, len(b), _DEPTH):
            _add_panels(first_row, last_row, a, b, out, out, first, min(len(b), first + _DEPTH))


@compiled
def multiply_each(begin, end, a, b, start, out):
    """The same for several matrices."""
    for number in range(len(out)):
        multiply(begin, end, a[number], b[number], start, out[number])


@compiled
def multiply_thin(begin, end, a, b, out):
    """Write sums a_mik b_mjk over k, for few j; the number of k is a multiple of ``WIDTH``."""
    for number in range(len(out)):
        for row in range(begin, end):
            for column in range(out.shape[2]):
                result = load(a, (number, row, 0)) * load(b, (number, column, 0))
                for k in range(WIDTH, a.shape[2], WIDTH):
                    result = result + load(a, (number, row, k)) * load(b, (number, column, k))
                out[number, row, column] = total(result)


def _tile(height: int, width: int) -> Callable[..., None]:
    """What writes to ``height`` rows and ``width`` vectors of columns: ``start`` and products with rows of b.

    ``step`` is 0 if ``start`` has one row only.
    """

    @intrinsic
    def tile(
        typing: Any,
        a: Any,
        b: Any,
        start: Any,
        out: Any,
        row: Any,
        step: Any,
        column: Any,
        first: Any,
        last: Any,
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            *matrices, row, step, column, first, last = values
            a, b, start, out = zip(signature.args[:4], matrices, strict=True)
            number = row.type
            rows = [builder.add(row, number(r)) for r in range(height)]
            columns = [builder.add(column, number(c * WIDTH)) for c in range(width)]

            def at(array: Any, *place: Any) -> Any:
                return address(context, builder, array[0], array[1], place)

            def stride(array: Any, axis: int) -> Any:
                strides = context.make_array(array[0])(context, builder, array[1]).strides
                return builder.extract_value(strides, axis)

            align = a[0].dtype.bitwidth // 8
            places = [vector_at(context, builder, out[0], at(out, r, c)) for r in rows for c in columns]
            own = [at(start, builder.mul(step, r), c) for r in rows for c in columns]
            before = [builder.load(vector_at(context, builder, start[0], part), align=align) for part in own]
            starts = [*(at(a, r, first) for r in rows), at(b, first, column)]
            steps = [stride(a, 1)] * height + [stride(b, 0)]
            entry, body, end = builder.block, *(builder.append_basic_block(f"tile.{part}") for part in "be")
            builder.branch(body)
            builder.position_at_end(body)

            index = builder.phi(number)
            pointers = [builder.phi(pointer.type) for pointer in starts]
            sums = [builder.phi(vector.type) for vector in before]
            offsets = [number(c * WIDTH * align) for c in range(width)]
            below = [cgutils.pointer_add(builder, pointers[-1], offset) for offset in offsets]
            loaded = [builder.load(vector_at(context, builder, b[0], part), align=align) for part in below]
            factors = [spread_element(builder, builder.load(part), loaded[0].type) for part in pointers[:-1]]
            products = [(factor, part) for factor in factors for part in loaded]
            after = [multiplied_sum(builder, part, *pair) for part, pair in zip(sums, products, strict=True)]
            moved = [cgutils.pointer_add(builder, *parts) for parts in zip(pointers, steps, strict=True)]
            following = builder.add(index, number(1))
            for phi, old, new in zip(
                [index, *pointers, *sums], [first, *starts, *before], [following, *moved, *after], strict=True
            ):
                phi.add_incoming(old, entry)
                phi.add_incoming(new, body)
            builder.cbranch(builder.icmp_signed("<", following, last), body, end)
            builder.position_at_end(end)
            for vector, place in zip(after, places, strict=True):
                builder.store(vector, place, align=align)
            return context.get_dummy_value()

        return types.void(a, b, start, out, row, step, column, first, last), generate

    return tile


def _panel(width: int) -> Callable[..., None]:
    """Products with ``width`` vectors of columns of b."""
    most = 6 if width > 1 or not WIDE else 12  # sums enough to wait for none, and not to leave registers
    many, two, one = (_tile(height, width) for height in (most, 2, 1))

    def panel(begin, end, a, b, start, out, column, first, last):
        row, step = begin, int(len(start) > 1)
        while row + most <= end:
            many(a, b, start, out, row, step, column, first, last)
            row += most
        while row + 2 <= end:
            two(a, b, start, out, row, step, column, first, last)
            row += 2
        if row < end:
            one(a, b, start, out, row, step, column, first, last)

    return njit(nogil=True, error_model="numpy")(panel)


_panel_of_four, _panel_of_two, _panel_of_one = (_panel(width) for width in (4, 2, 1))


@compiled
def _add_panels(begin, end, a, b, start, out, first, last):
    column = 0
    while column < out.shape[1]:
        fitting = min((out.shape[1] - column) // WIDTH, _VECTORS * 4 // out.itemsize)
        if fitting >= 4:
            _panel_of_four(begin, end, a, b, start, out, column, first, last)
            column += 4 * WIDTH
        elif fitting >= 2:
            _panel_of_two(begin, end, a, b, start, out, column, first, last)
            column += 2 * WIDTH
        else:
            _panel_of_one(begin, end, a, b, start, out, column, first, last)
            column += WIDTH
