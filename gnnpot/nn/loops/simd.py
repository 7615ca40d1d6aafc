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
        return builder.load(_address(context, builder, signature, values))

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


def _address(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    array, place = signature.args[:2]
    struct = context.make_array(array)(context, builder, values[0])
    indices = [
        context.cast(builder, index, kind, types.intp)
        for index, kind in zip(cgutils.unpack_tuple(builder, values[1]), place, strict=True)
    ]
    return cgutils.get_item_pointer(context, builder, array, struct, indices)


def _pointer(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    array, pointer = signature.args[0], _address(context, builder, signature, values)
    vector = ir.VectorType(context.get_value_type(array.dtype), WIDTH)
    return builder.bitcast(pointer, vector.as_pointer())
