"""Vector instructions in compiled loops.

A compiler makes them of a loop over channels only where it can prove much about memory, and best where the
loop is long.  Here a loop says itself that it takes ``WIDTH`` neighboring elements at a time; where a
processor has narrower registers the compiler takes several.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, overload, register_model
from numba.np.arrayobj import populate_array

from gnnpot.kernels.pointers import (
    FLAGS,
    address,
    element_at,
    place_of,
    spread_element,
    vector_at,
    vector_pointer,
)
from gnnpot.kernels.pointers import WIDTH as WIDTH

_LAYOUT = {32: (23, 127), 64: (52, 1023)}  # bits of the mantissa, and what is added to the exponent


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
        pointer = vector_pointer(context, builder, signature, values)
        return builder.load(pointer, align=array.dtype.bitwidth // 8)

    return Vector(array.dtype)(array, place), generate


@intrinsic
def item(typing: Any, array: Any, place: Any) -> Any:
    """The element at an index of which no part is negative."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load(element_at(context, builder, signature, values))

    return array.dtype(array, place), generate


@intrinsic
def store(typing: Any, array: Any, place: Any, vector: Any) -> Any:
    """Write a vector there."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointer = vector_pointer(context, builder, signature, values)
        builder.store(values[2], pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, place, vector), generate


@intrinsic
def matrix(typing: Any, array: Any, start: Any, rows: Any, columns: Any) -> Any:
    """The elements of a contiguous array from number ``start`` on, as a matrix on the same memory.

    It does not own that: the array has to outlive it.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        base = context.make_array(array)(context, builder, values[0]).data
        out = context.make_array(signature.return_type)(context, builder)
        size = context.get_constant(types.intp, array.dtype.bitwidth // 8)
        _, start, rows, columns = values
        populate_array(
            out,
            data=builder.gep(base, [start]),
            shape=[rows, columns],
            strides=[builder.mul(columns, size), size],
            itemsize=size,
            meminfo=None,
        )
        return out._getvalue()

    numbers = [types.intp] * 3
    return types.Array(array.dtype, 2, "C")(array, *numbers), generate


@intrinsic
def fetch(typing: Any, array: Any, place: Any) -> Any:
    """Have the elements from an index on brought to the cache, for a vector that is loaded later."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        indices, number = place_of(context, builder, signature, values, 1), ir.IntType(32)
        pointer = address(context, builder, array, values[0], indices, is_read=False)
        place, nothing = ir.IntType(8).as_pointer(), ir.VoidType()
        kind = ir.FunctionType(nothing, [place, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [builder.bitcast(pointer, place), number(0), number(2), number(1)])
        return context.get_dummy_value()

    return types.void(array, place), generate


@intrinsic
def transpose_square(typing: Any, source: Any, place: Any, target: Any, other_place: Any) -> Any:
    """Write the square of ``WIDTH`` rows and columns from ``place`` on transposed to another matrix."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        def vectors(first: int) -> list[Any]:
            array, start = signature.args[first], element_at(context, builder, signature, values, first)
            strides = context.make_array(array)(context, builder, values[first]).strides
            step = builder.extract_value(strides, 0)
            offsets = [builder.mul(step, step.type(row)) for row in range(WIDTH)]
            pointers = [cgutils.pointer_add(builder, start, offset) for offset in offsets]
            return [vector_at(context, builder, array, pointer) for pointer in pointers]

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
        return spread_element(builder, values[0], context.get_value_type(signature.return_type))

    return Vector(number)(number), generate


@intrinsic
def filled(typing: Any, vector: Any, number: Any) -> Any:
    """A vector of one number, of the type of another vector."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        element = context.cast(builder, values[1], number, vector.dtype)
        return spread_element(builder, element, values[0].type)

    return vector(vector, number), generate


@intrinsic
def chosen(typing: Any, vector: Any, one: Any, other: Any) -> Any:
    """Elements of ``one`` where those of a vector are positive, else of the other."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        zeros = ir.Constant(values[0].type, [0.0] * WIDTH)
        return builder.select(builder.fcmp_ordered(">", values[0], zeros), *values[1:])

    return one(vector, one, other), generate


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


def _operation(name: str) -> Any:
    """The instruction ``name`` on two vectors."""

    @intrinsic
    def operation(typing: Any, one: Any, other: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return getattr(builder, name)(*values, flags=FLAGS)

        return one(one, other), generate

    return operation


_add, _subtract, _multiply, _divide = (_operation(name) for name in ("fadd", "fsub", "fmul", "fdiv"))


@intrinsic
def _negative(typing: Any, vector: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.fneg(*values)

    return vector(vector), generate


@intrinsic
def _two_to_the(typing: Any, shifted: Any) -> Any:
    """Two to the power of the integers in the last bits of a vector of floating-point numbers."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        bits = shifted.dtype.bitwidth
        mantissa, bias = _LAYOUT[bits]
        kind = ir.VectorType(ir.IntType(bits), WIDTH)
        exponent = builder.add(builder.bitcast(values[0], kind), ir.Constant(kind, [bias] * WIDTH))
        exponent = builder.shl(exponent, ir.Constant(kind, [mantissa] * WIDTH))
        return builder.bitcast(exponent, values[0].type)

    return shifted(shifted), generate


@intrinsic
def _limited(typing: Any, vector: Any, least: Any, most: Any) -> Any:
    """Elements within bounds, and what is no number."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        value, low, high = values
        value = builder.select(builder.fcmp_ordered("<", value, low), low, value)
        return builder.select(builder.fcmp_ordered(">", value, high), high, value)

    return vector(vector, least, most), generate


def exp(x: Any) -> Any:
    """Exponential function of a vector; beyond the range of its numbers that of the bound."""
    raise NotImplementedError("for compiled loops alone")


@overload(exp)
def _exp(x):
    number: Any = {32: np.float32, 64: np.float64}[x.dtype.bitwidth]
    mantissa, bias = _LAYOUT[x.dtype.bitwidth]
    shift = number(1.5 * 2.0**mantissa)  # after it the last bits of a number are its integer part
    last, per_e = number((bias - 1) * math.log(2.0)), number(1 / math.log(2.0))
    high = number(round(math.log(2.0) * 2**9) / 2**9)  # times an integer without an error
    low = number(math.log(2.0) - float(high))
    terms = tuple(number(1 / math.factorial(power)) for power in reversed(range(8 if mantissa < 24 else 14)))

    def exponential(x):
        x = _limited(x, spread(-last), spread(last))
        shifted = x * spread(per_e) + spread(shift)
        whole = shifted - spread(shift)
        rest = x - whole * spread(high) - whole * spread(low)
        result = spread(terms[0])
        for term in terms[1:]:
            result = result * rest + spread(term)
        return result * _two_to_the(shifted)

    return exponential


@overload(operator.add)
def _sum(one, other):
    if isinstance(one, Vector) and isinstance(other, Vector):
        return lambda one, other: _add(one, other)
    return None


@overload(operator.sub)
def _difference(one, other):
    if isinstance(one, Vector) and isinstance(other, Vector):
        return lambda one, other: _subtract(one, other)
    return None


@overload(operator.mul)
def _product(one, other):
    if isinstance(one, Vector) and isinstance(other, Vector):
        return lambda one, other: _multiply(one, other)
    if isinstance(one, types.Float) and isinstance(other, Vector):
        return lambda one, other: _multiply(spread(one), other)
    return None


@overload(operator.neg)
def _opposite(x):
    return (lambda x: _negative(x)) if isinstance(x, Vector) else None


@overload(operator.truediv)
def _quotient(one, other):
    if isinstance(one, Vector) and isinstance(other, Vector):
        return lambda one, other: _divide(one, other)
    return None
