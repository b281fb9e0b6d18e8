"""Compiled: many candles in one instruction. Leaf module: importing it imports Numba.

Written as vectors because the compiler, which may not reorder arithmetic here, takes such loops one candle after
the other. Each lane computes what one candle would, operation by operation, so numbers are the same to the bit;
for processors without such vectors LLVM writes several instructions.

An answer in bits speaks of element `row + i` in bit i. Nothing checks here that an array goes on for as many
elements as are read or written from `row` on: whoever calls does.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

WIDE = 8  # prices at once
WORD = 64  # flags or targets at once

BIT, BYTE, POSITION, INTEGER, DOUBLE = (
    ir.IntType(1),
    ir.IntType(8),
    ir.IntType(32),
    ir.IntType(64),
    ir.DoubleType(),
)
Code = tuple[Any, Any]  # Numba's signature of a call, and what writes its code


def _written(code: Callable[..., Code]) -> Any:
    """Called from compiled code with all but the first argument."""
    return intrinsic(code)


@_written
def touching(typing: Any, low: Any, high: Any, row: Any, floor: Any, ceiling: Any) -> Code:
    """Bits: a low at or below `floor`, or a high at or above `ceiling`; WIDE rows."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lows, highs = (_load(context, builder, signature, arguments, each, 2, WIDE) for each in (0, 1))
        below = builder.fcmp_ordered("<=", lows, _spread(builder, arguments[3]))
        above = builder.fcmp_ordered(">=", highs, _spread(builder, arguments[4]))
        return _bits(builder, builder.or_(below, above))

    return types.uint64(low, high, row, floor, ceiling), code


@_written
def worths(
    typing: Any,
    close: Any,
    row: Any,
    many: Any,
    cash: Any,
    quantity: Any,
    peak: Any,
    alarm: Any,
    equity: Any,
    keep: Any,
) -> Code:
    """cash + quantity * close of WIDE rows, written to `equity` where `keep` is set.

    Of the first `many`: bits, above `peak` or not above `alarm`; and the lowest, which holds where no bit is set.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, _, many, cash, quantity, peak, alarm, _, keep = arguments
        closes = _load(context, builder, signature, arguments, 0, 1, WIDE)
        worth = builder.fadd(_spread(builder, cash), builder.fmul(_spread(builder, quantity), closes))
        with builder.if_then(keep):
            _store(context, builder, signature, arguments, 7, 1, worth)
        rising = builder.fcmp_ordered(">", worth, _spread(builder, peak))
        falling = builder.fcmp_ordered("<=", worth, _spread(builder, alarm))
        numbers = ir.Constant(ir.VectorType(INTEGER, WIDE), list(range(WIDE)))
        asked = builder.icmp_signed("<", numbers, _spread(builder, many))
        beyond = _bits(builder, builder.and_(builder.or_(rising, falling), asked))
        others = _spread(builder, ir.Constant(DOUBLE, float("inf")))
        lowest = _lowest(builder, builder.select(asked, worth, others))
        return context.make_tuple(builder, signature.return_type, [beyond, lowest])

    found = types.Tuple((types.uint64, types.float64))  # type: ignore[no-untyped-call]
    return found(close, row, many, cash, quantity, peak, alarm, equity, keep), code


@_written
def put(typing: Any, array: Any, row: Any, value: Any) -> Code:
    """`value` into WIDE rows."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _store(context, builder, signature, arguments, 0, 1, _spread(builder, arguments[2]))
        return context.get_dummy_value()

    return types.void(array, row, value), code


@_written
def flagged(typing: Any, flags: Any, row: Any) -> Code:
    """Bits: the flag is set; WORD of them."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        loaded = _load(context, builder, signature, arguments, 0, 1, WORD)
        return _bits(builder, builder.icmp_unsigned("!=", loaded, ir.Constant(loaded.type, None)))

    return types.uint64(flags, row), code


@_written
def known(typing: Any, numbers: Any, row: Any) -> Code:
    """Bits: the number is not NaN; WORD of them."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        loaded = _load(context, builder, signature, arguments, 0, 1, WORD)
        return _bits(builder, builder.fcmp_ordered("ord", loaded, loaded))

    return types.uint64(numbers, row), code


@_written
def equal(typing: Any, numbers: Any, row: Any, other_row: Any) -> Code:
    """Bits: the number equals the one as far from `other_row`; WORD of them."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        left, right = (_load(context, builder, signature, arguments, 0, each, WORD) for each in (1, 2))
        return _bits(builder, builder.fcmp_ordered("==", left, right))

    return types.uint64(numbers, row, other_row), code


@_written
def first_bit(typing: Any, bits: Any) -> Code:
    """Number of the lowest bit that is set; of none, 64."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(BIT, 0))

    return types.int64(types.uint64), code


@_written
def bits_set(typing: Any, bits: Any) -> Code:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), code


@_written
def borrowed(typing: Any, array: Any) -> Code:
    """The same array without its owner: nothing counts its users any more, and whoever called keeps it alive.

    Every part of the kernel that is handed an array would count itself in and out, in one atomic operation each.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        view.meminfo = ir.Constant(view.meminfo.type, None)
        view.parent = ir.Constant(view.parent.type, None)
        return view._getvalue()

    return array(array), code


@_written
def soon(typing: Any, array: Any, row: Any) -> Code:
    """Asks memory for the place of `row`, which need not exist, and does not wait."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = builder.bitcast(_place(context, builder, signature, arguments, 0, 1), BYTE.as_pointer())
        kinds = [place.type, POSITION, POSITION, POSITION]
        fetch = builder.module.declare_intrinsic(
            "llvm.prefetch", [place.type], ir.FunctionType(ir.VoidType(), kinds)
        )
        builder.call(
            fetch, [place, *(ir.Constant(POSITION, how) for how in (0, 3, 1))]
        )  # to read, to keep, data
        return context.get_dummy_value()

    return types.void(array, row), code


def _place(context: Any, builder: Any, signature: Any, arguments: Any, array: int, row: int) -> Any:
    view = context.make_array(signature.args[array])(context, builder, arguments[array])
    return builder.gep(view.data, [arguments[row]])


def _load(
    context: Any, builder: Any, signature: Any, arguments: Any, array: int, row: int, width: int
) -> Any:
    """`width` elements of the array in argument `array` from the row in argument `row` on."""
    place = _place(context, builder, signature, arguments, array, row)
    element = BYTE if signature.args[array].dtype == types.boolean else DOUBLE
    loaded = builder.load(builder.bitcast(place, ir.VectorType(element, width).as_pointer()))
    loaded.align = 1 if element is BYTE else 8  # of one element, not of the vector
    return loaded


def _store(
    context: Any, builder: Any, signature: Any, arguments: Any, array: int, row: int, values: Any
) -> None:
    place = _place(context, builder, signature, arguments, array, row)
    builder.store(values, builder.bitcast(place, values.type.as_pointer()), align=8)


def _spread(builder: Any, value: Any) -> Any:
    """`value` in every lane."""
    kind = ir.VectorType(value.type, WIDE)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(POSITION, 0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(POSITION, WIDE), [0] * WIDE))


def _bits(builder: Any, truths: Any) -> Any:
    number = builder.bitcast(truths, ir.IntType(truths.type.count))
    return number if truths.type.count == WORD else builder.zext(number, INTEGER)


def _lowest(builder: Any, values: Any) -> Any:
    """One half against the other until one is left."""
    width = WIDE
    while width > 1:
        width //= 2
        parts = (list(range(begin, begin + width)) for begin in (0, width))
        left, right = (
            builder.shuffle_vector(values, values, ir.Constant(ir.VectorType(POSITION, width), part))
            for part in parts
        )
        values = builder.select(builder.fcmp_ordered("<", left, right), left, right)
    return builder.extract_element(values, ir.Constant(POSITION, 0))
