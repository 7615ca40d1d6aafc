"""Building blocks of compiled loops over vectors in LLVM: pointers to elements and vectors, products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

WIDTH = 16  # elements of a vector
FLAGS = ("contract", "nsz")


def address(
    context: Any, builder: Any, array: Any, value: Any, place: Sequence[Any], *, is_read: bool = True
) -> Any:
    """Pointer to an element of an array, in bounds where numba checks them (``NUMBA_BOUNDSCHECK=1``).

    An element that is not ``is_read`` may lie outside.
    """
    struct = context.make_array(array)(context, builder, value)
    is_checked = is_read and context.enable_boundscheck
    return cgutils.get_item_pointer(context, builder, array, struct, list(place), boundscheck=is_checked)


def vector_at(context: Any, builder: Any, array: Any, pointer: Any) -> Any:
    """Pointer to the vector that starts at an element of an array."""
    vector = ir.VectorType(context.get_value_type(array.dtype), WIDTH)
    return builder.bitcast(pointer, vector.as_pointer())


def spread_element(builder: Any, element: Any, vector: Any) -> Any:
    """Vector of one number."""
    undefined = ir.Constant(vector, ir.Undefined)
    single = builder.insert_element(undefined, element, ir.IntType(32)(0))
    return builder.shuffle_vector(
        single, undefined, ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
    )


def multiplied_sum(builder: Any, total: Any, one: Any, other: Any) -> Any:
    """``total + one * other``, rounded once where a processor can."""
    return builder.fadd(total, builder.fmul(one, other, flags=FLAGS), flags=FLAGS)


def place_of(context: Any, builder: Any, signature: Any, values: Any, at: int = 0) -> list[Any]:
    """The indices that an argument holds."""
    numbers = cgutils.unpack_tuple(builder, values[at])
    kinds = signature.args[at]
    return [
        context.cast(builder, index, kind, types.intp) for index, kind in zip(numbers, kinds, strict=True)
    ]


def element_at(context: Any, builder: Any, signature: Any, values: Any, at: int = 0) -> Any:
    """Pointer to the element that two arguments, array and place, tell of."""
    place = place_of(context, builder, signature, values, at + 1)
    return address(context, builder, signature.args[at], values[at], place)


def vector_pointer(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    """Pointer to the vector that two arguments, array and place, tell of; its end is checked, too."""
    array, pointer = signature.args[0], element_at(context, builder, signature, values)
    *rows, first = place_of(context, builder, signature, values, 1)
    last = builder.add(first, first.type(WIDTH - 1))
    address(context, builder, array, values[0], [*rows, last])  # for its check
    return vector_at(context, builder, array, pointer)
