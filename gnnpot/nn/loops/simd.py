"""Vector instructions in compiled loops.

A compiler makes them of a loop over channels only where it can prove much about memory, and best where the
loop is long.  Here a loop says itself that it takes ``WIDTH`` neighboring elements at a time; where a
processor has narrower registers the compiler takes several.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, overload, register_model

WIDTH = 16  # elements of a vector
_FLAGS = ("contract", "nsz")


class Vector(types.Type):
    """``WIDTH`` numbers of one type."""

    def __init__(self, dtype: Any) -> None:
        super().__init__(name=f"Vector({dtype})")
        self.dtype = dtype


@register_model(Vector)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        element = manager.lookup(vector.dtype).get_value_type()
        super().__init__(manager, vector, ir.VectorType(element, WIDTH))


@intrinsic
def load(typing: Any, array: Any, place: Any) -> Any:
    """The elements of a contiguous array from the index ``place`` on."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointer = _pointer(context, builder, signature, values)
        return builder.load(pointer, align=array.dtype.bitwidth // 8)

    return Vector(array.dtype)(array, place), generate


@intrinsic
def item(typing: Any, array: Any, place: Any) -> Any:
    """The element at an index of which no part is negative."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load(_address(context, builder, signature.args, values))

    return array.dtype(array, place), generate


@intrinsic
def store(typing: Any, array: Any, place: Any, vector: Any) -> Any:
    """Write a vector there."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointer = _pointer(context, builder, signature, values)
        builder.store(values[2], pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, place, vector), generate


@intrinsic
def transpose_square(typing: Any, source: Any, place: Any, target: Any, other_place: Any) -> Any:
    """Write the square of ``WIDTH`` rows and columns from ``place`` on transposed to another matrix."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        def vectors(first: int) -> list[Any]:
            kinds, parts = signature.args[first : first + 2], values[first : first + 2]
            start = _address(context, builder, kinds, parts)
            stride = context.make_array(kinds[0])(context, builder, parts[0]).strides
            step = builder.extract_value(stride, 0)
            offsets = [builder.mul(step, step.type(row)) for row in range(WIDTH)]
            pointers = [cgutils.pointer_add(builder, start, offset) for offset in offsets]
            return [_as_vector(context, builder, kinds[0], pointer) for pointer in pointers]

        align = source.dtype.bitwidth // 8
        rows = [builder.load(pointer, align=align) for pointer in vectors(0)]
        low = [half for index in range(WIDTH // 2) for half in (index, index + WIDTH)]
        masks = [
            ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [index + shift for index in low])
            for shift in (0, WIDTH // 2)
        ]
        half = WIDTH // 2
        for _ in range(WIDTH.bit_length() - 1):  # each turn interleaves the first half with the second
            rows = [
                builder.shuffle_vector(rows[index], rows[index + half], mask)
                for index in range(half)
                for mask in masks
            ]
        for row, pointer in zip(rows, vectors(2), strict=True):
            builder.store(row, pointer, align=align)
        return context.get_dummy_value()

    return types.void(source, place, target, other_place), generate


@intrinsic
def spread(typing: Any, number: Any) -> Any:
    """A vector of one number."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = context.get_value_type(signature.return_type)
        single = builder.insert_element(ir.Constant(kind, ir.Undefined), values[0], ir.IntType(32)(0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
        return builder.shuffle_vector(single, ir.Constant(kind, ir.Undefined), mask)

    return Vector(number)(number), generate


@intrinsic
def total(typing: Any, vector: Any) -> Any:
    """Sum of the elements of a vector."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        element = context.get_value_type(vector.dtype)
        name = f"llvm.vector.reduce.fadd.v{WIDTH}f{vector.dtype.bitwidth}"
        kind = ir.FunctionType(element, [element, values[0].type])
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        return builder.call(function, [ir.Constant(element, 0.0), values[0]], fastmath=("reassoc",))

    return vector.dtype(vector), generate


@intrinsic
def _add(typing: Any, one: Any, other: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.fadd(*values, flags=_FLAGS)

    return one(one, other), generate


@intrinsic
def _multiply(typing: Any, one: Any, other: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.fmul(*values, flags=_FLAGS)

    return one(one, other), generate


@overload(operator.add)
def _sum(one, other):
    if isinstance(one, Vector) and isinstance(other, Vector):
        return lambda one, other: _add(one, other)
    return None


@overload(operator.mul)
def _product(one, other):
    if isinstance(one, Vector) and isinstance(other, Vector):
        return lambda one, other: _multiply(one, other)
    if isinstance(one, types.Float) and isinstance(other, Vector):
        return lambda one, other: _multiply(spread(one), other)
    return None


def _address(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    array, place = kinds[:2]
    struct = context.make_array(array)(context, builder, values[0])
    indices = [
        context.cast(builder, index, kind, types.intp)
        for index, kind in zip(cgutils.unpack_tuple(builder, values[1]), place, strict=True)
    ]
    return cgutils.get_item_pointer(context, builder, array, struct, indices)


def _pointer(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    start = _address(context, builder, signature.args, values)
    return _as_vector(context, builder, signature.args[0], start)


def _as_vector(context: Any, builder: Any, array: Any, pointer: Any) -> Any:
    vector = ir.VectorType(context.get_value_type(array.dtype), WIDTH)
    return builder.bitcast(pointer, vector.as_pointer())
