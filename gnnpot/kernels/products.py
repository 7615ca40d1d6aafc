"""Products of matrices in tiles that fit into the wide registers of a processor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba.core import cgutils, types
from numba.extending import intrinsic, overload

from gnnpot.kernels.compiled import compiled, compiled_inside
from gnnpot.kernels.pointers import WIDTH, address, multiplied_sum, spread_element, vector_at
from gnnpot.kernels.simd import load, matrix, store, total, transpose_square

WIDE = bool(get_host_cpu_features().get("avx512f"))  # whether there are 32 registers of 64 bytes
_VECTORS = 4 if WIDE else 1  # of 4-byte numbers, side by side in a tile
_ROWS = 256  # of the product that are made at once, so that they stay in the cache
_DEPTH = 256  # rows of the second matrix, likewise


@compiled
def multiply(begin, end, a, b, start, out):
    """Write ``start``, one row or all, and the product of a and b; columns are a multiple of ``WIDTH``.

    Instead of b there may be its panels.
    """
    depth = a.shape[1]
    for first_row in range(begin, end, _ROWS):
        last_row = min(end, first_row + _ROWS)
        _add_panels(first_row, last_row, a, b, start, out, 0, min(depth, _DEPTH))
        for first in range(_DEPTH, depth, _DEPTH):
            _add_panels(first_row, last_row, a, b, out, out, first, min(depth, first + _DEPTH))


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

    ``step`` is 0 if ``start`` has one row only; ``place`` is the column of b that ``column`` is.
    """

    @intrinsic
    def tile(
        typing: Any, a: Any, b: Any, start: Any, out: Any,
        row: Any, step: Any, column: Any, place: Any, first: Any, last: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            *matrices, row, step, column, own_column, first, last = values
            a, b, start, out = zip(signature.args[:4], matrices, strict=True)
            number = row.type
            rows = [builder.add(row, number(r)) for r in range(height)]
            align = a[0].dtype.bitwidth // 8
            offsets = [number(c * WIDTH * align) for c in range(width)]

            def at(array: Any, *place: Any) -> Any:
                return address(context, builder, array[0], array[1], place)

            def vectors(pointer: Any) -> list[Any]:
                parts = (cgutils.pointer_add(builder, pointer, offset) for offset in offsets)
                return [vector_at(context, builder, b[0], part) for part in parts]

            def stride(array: Any, axis: int) -> Any:
                strides = context.make_array(array[0])(context, builder, array[1]).strides
                return builder.extract_value(strides, axis)

            places = [place for r in rows for place in vectors(at(out, r, column))]
            own = [place for r in rows for place in vectors(at(start, builder.mul(step, r), column))]
            before = [builder.load(place, align=align) for place in own]
            starts = [*(at(a, r, first) for r in rows), at(b, first, own_column)]
            steps = [stride(a, 1)] * height + [stride(b, 0)]

            def go_on(state: list[Any]) -> list[Any]:
                *pointers, row_of_b = state[: len(starts)]
                loaded = [builder.load(part, align=align) for part in vectors(row_of_b)]
                factors = [spread_element(builder, builder.load(part), loaded[0].type) for part in pointers]
                pairs = [(factor, part) for factor in factors for part in loaded]
                sums = zip(state[len(starts) :], pairs, strict=True)
                moved = zip(state[: len(starts)], steps, strict=True)
                return [
                    *(cgutils.pointer_add(builder, *parts) for parts in moved),
                    *(multiplied_sum(builder, part, *pair) for part, pair in sums),
                ]

            after = _repeated(builder, builder.sub(last, first), go_on, [*starts, *before])[len(starts) :]
            for vector, place in zip(after, places, strict=True):
                builder.store(vector, place, align=align)
            return context.get_dummy_value()

        return types.void(a, b, start, out, row, step, column, place, first, last), generate

    return tile


def _repeated(
    builder: Any, count: Any, step: Callable[[list[Any]], list[Any]], state: list[Any]
) -> list[Any]:
    """What becomes of values in ``count`` steps, of which two go together."""

    def joined(before: tuple[list[Any], Any], after: tuple[list[Any], Any]) -> list[Any]:
        phis = [builder.phi(value.type) for value in before[0]]
        for values, block in (before, after):
            for phi, value in zip(phis, values, strict=True):
                phi.add_incoming(value, block)
        return phis

    number, entry = count.type, builder.block
    with builder.if_then(builder.trunc(count, ir.IntType(1))):
        after_one = step(state), builder.block
    state = joined((state, entry), after_one)
    twos, entry = builder.lshr(count, number(1)), builder.block
    with builder.if_then(builder.icmp_signed(">", twos, number(0))):
        before, body = builder.block, builder.append_basic_block("steps")
        builder.branch(body)
        builder.position_at_end(body)
        left, *phis = (builder.phi(value.type) for value in (twos, *state))
        after = step(step(phis))
        fewer = builder.sub(left, number(1))
        for phi, old, new in zip([left, *phis], [twos, *state], [fewer, *after], strict=True):
            phi.add_incoming(old, before)
            phi.add_incoming(new, body)
        end = builder.append_basic_block("end")
        builder.cbranch(builder.icmp_signed(">", fewer, number(0)), body, end)
        builder.position_at_end(end)
    return joined((state, entry), (after, end))


def _panel(width: int) -> Callable[..., None]:
    """Products with ``width`` vectors of columns of b."""
    most = 6 if width > 1 or not WIDE else 12  # sums enough to wait for none, and not to leave registers
    many, two, one = (_tile(height, width) for height in (most, 2, 1))

    def panel(begin, end, a, b, start, out, column, place, first, last):
        row, step = begin, int(len(start) > 1)
        while row + most <= end:
            many(a, b, start, out, row, step, column, place, first, last)
            row += most
        while row + 2 <= end:
            two(a, b, start, out, row, step, column, place, first, last)
            row += 2
        if row < end:
            one(a, b, start, out, row, step, column, place, first, last)

    return compiled_inside(panel)


_panel_of_four, _panel_of_two, _panel_of_one = (_panel(width) for width in (4, 2, 1))


@compiled
def _add_panels(begin, end, a, b, start, out, first, last):
    column = 0
    while column < out.shape[1]:
        width = _width(out, column)
        panel, place = _columns(b, a.shape[1], column, width)
        if width == 4 * WIDTH:
            _panel_of_four(begin, end, a, panel, start, out, column, place, first, last)
        elif width == 2 * WIDTH:
            _panel_of_two(begin, end, a, panel, start, out, column, place, first, last)
        else:
            _panel_of_one(begin, end, a, panel, start, out, column, place, first, last)
        column += width


@compiled
def panels(weight, out, turned):
    """Write a matrix and its transpose panel by panel: rows of some columns lie one after the other in each.

    So what a tile reads of a panel fills the cache, of which rows that lie further apart share some lines.
    """
    rows, columns = weight.shape
    column = 0
    while column < columns:
        width = _width(weight, column)
        panel, _ = _columns(out, rows, column, width)
        for row in range(rows):
            for c in range(0, width, WIDTH):
                store(panel, (row, c), load(weight, (row, column + c)))
        column += width
    column = 0
    while column < rows:
        width = _width(weight.T, column)
        panel, _ = _columns(turned, columns, column, width)
        for row in range(0, columns, WIDTH):
            for c in range(0, width, WIDTH):
                transpose_square(weight, (column + c, row), panel, (row, c))
        column += width


@compiled
def _width(values, column):
    """Number of columns of a panel that begins at one."""
    fitting = min((values.shape[1] - column) // WIDTH, _VECTORS * 4 // values.itemsize)
    return 4 * WIDTH if fitting >= 4 else 2 * WIDTH if fitting >= 2 else WIDTH


def _columns(b: Any, depth: Any, column: Any, width: Any) -> Any:
    """A matrix with these columns of b, or their panel, and the number of the first one in it."""
    raise NotImplementedError("for compiled loops alone")


@overload(_columns)
def _of_columns(b, depth, column, width):
    if b.ndim == 2:
        return lambda b, depth, column, width: (b, column)
    return lambda b, depth, column, width: (matrix(b, column * depth, depth, width), 0)
