"""Sums over rows and columns of bit planes, eight words (512 pixels) at once, for kernels.

Bit k of 512 numbers lies in eight words of plane k. Three numbers at a time are added: bits of
the same weight leave a bit of their own and a carry (a full adder), and the carries a bit more.
As in :mod:`~cxlsfind.kernels._memory` arguments are uint64, addresses mostly, and nothing checks
bounds.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba.core import cgutils

from cxlsfind.kernels._memory import _OCTET, _WORD, load, machine_code, store

_NOTHING: Final = ir.Constant(_OCTET, [0] * 8)
_ALL: Final = ir.Constant(_OCTET, [-1] * 8)
_ONE: Final = ir.Constant(_OCTET, [1] * 8)
_TOP: Final = ir.Constant(_OCTET, [63] * 8)
_SHORTS: Final = ir.VectorType(ir.IntType(16), 8)


def _add(builder: Any, a: Any, b: Any, c: Any) -> tuple[Any, Any]:
    """Add three bits: return the sum's own bit, and the carry."""
    either = builder.xor(a, b)
    carry = builder.or_(builder.and_(a, b), builder.and_(c, either))
    return builder.xor(either, c), carry


class _Adder:
    """Adds three numbers, from the lowest bits on."""

    def __init__(self, builder: Any) -> None:
        self._builder = builder
        with builder.goto_entry_block():
            self._carries = builder.alloca(_OCTET), builder.alloca(_OCTET)
        for carry in self._carries:
            builder.store(_NOTHING, carry)

    def add(self, a: Any, b: Any, c: Any) -> Any:
        """Return the next bit of the sum."""
        builder = self._builder
        first, second = (builder.load(carry) for carry in self._carries)
        own, after = _add(builder, a, b, c)
        result, ripple = _add(builder, own, first, second)
        builder.store(after, self._carries[0])
        builder.store(ripple, self._carries[1])
        return result

    def rest(self) -> tuple[Any, Any]:
        """Return the last two bits of the sum."""
        builder = self._builder
        first, second = (builder.load(carry) for carry in self._carries)
        return builder.xor(first, second), builder.and_(first, second)


def _emit_rows(_: Any, builder: Any, __: Any, arguments: Any) -> None:
    source, stride, row, n_planes, target, target_stride, full = arguments
    adder = _Adder(builder)
    with builder.goto_entry_block():
        every = [builder.alloca(_OCTET) for _ in range(3)]
    for one in every:
        builder.store(_ALL, one)
    with cgutils.for_range(builder, n_planes) as loop:
        here = builder.add(source, builder.mul(loop.index, stride))
        lines = [
            load(builder, place) for place in (builder.sub(here, row), here, builder.add(here, row))
        ]
        for one, line in zip(every, lines, strict=True):
            builder.store(builder.and_(builder.load(one), line), one)
        result = adder.add(*lines)
        store(builder, result, builder.add(target, builder.mul(loop.index, target_stride)))
    above = builder.add(target, builder.mul(n_planes, target_stride))
    low, high = adder.rest()
    store(builder, low, above)
    store(builder, high, builder.add(above, target_stride))
    a, b, c = (builder.load(one) for one in every)
    store(builder, builder.or_(builder.or_(a, b), c), full)


def _neighbours(builder: Any, address: Any) -> tuple[Any, Any, Any]:
    """Return the pixels to the left of those at an address, these, and those to the right."""
    eight = ir.Constant(_WORD, 8)
    line = load(builder, address)
    before = load(builder, builder.sub(address, eight))
    after = load(builder, builder.add(address, eight))
    left = builder.or_(builder.shl(line, _ONE), builder.lshr(before, _TOP))
    right = builder.or_(builder.lshr(line, _ONE), builder.shl(after, _TOP))
    return left, line, right


def _emit_columns(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
    source, stride, n_planes, needs, full, sums, found = arguments
    wanted = builder.zext(load(builder, needs, _SHORTS), _OCTET)
    adder = _Adder(builder)
    with builder.goto_entry_block():
        enough = builder.alloca(_OCTET)
    builder.store(_ALL, enough)

    def settle(bit: Any, number: Any) -> None:
        store(builder, bit, builder.add(sums, builder.mul(number, stride)))
        places = _NOTHING
        for lane in range(8):
            places = builder.insert_element(places, number, ir.Constant(ir.IntType(32), lane))
        asked = builder.and_(builder.lshr(wanted, places), _ONE)
        asked = builder.sub(_NOTHING, asked)
        # From the lowest bit on: a higher one outweighs all before it.
        so_far = builder.load(enough)
        more = builder.and_(builder.or_(bit, so_far), builder.not_(asked))
        builder.store(builder.or_(builder.and_(bit, so_far), more), enough)

    with cgutils.for_range(builder, n_planes) as loop:
        place = builder.add(source, builder.mul(loop.index, stride))
        settle(adder.add(*_neighbours(builder, place)), loop.index)
    width = n_planes
    for bit in adder.rest():
        settle(bit, width)
        width = builder.add(width, ir.Constant(_WORD, 1))
    places = _NOTHING
    for lane in range(8):
        places = builder.insert_element(places, width, ir.Constant(ir.IntType(32), lane))
    # A box cannot hold what its planes cannot count.
    possible = builder.icmp_unsigned("==", builder.lshr(wanted, places), _NOTHING)
    result = builder.and_(builder.load(enough), builder.sext(possible, _OCTET))
    for line in _neighbours(builder, full):
        result = builder.or_(result, line)
    store(builder, result, found)
    some = ir.Constant(_WORD, 0)
    for lane in range(8):
        word = builder.extract_element(result, ir.Constant(ir.IntType(32), lane))
        some = builder.or_(some, word)
    return some


@machine_code(_emit_rows)
def add_rows(
    source: np.uint64,
    stride: np.uint64,
    row: np.uint64,
    n_planes: np.uint64,
    target: np.uint64,
    target_stride: np.uint64,
    full: np.uint64,
) -> None:
    """Add to 512 counts those of the rows above and below.

    Parameters
    ----------
    source, stride
        Their lowest plane; bytes from plane to plane.
    row
        Bytes from row to row.
    target, target_stride
        Result, of two planes more.
    full
        Result: bits where any of the three counts has all bits set.
    """


@machine_code(_emit_columns)
def add_columns(
    source: np.uint64,
    stride: np.uint64,
    n_planes: np.uint64,
    needs: np.uint64,
    full: np.uint64,
    sums: np.uint64,
    found: np.uint64,
) -> np.uint64:
    """Add to 512 counts those to the left and to the right, and compare with what words ask.

    Parameters
    ----------
    source, stride, n_planes
        Their lowest plane, with a word before and after; bytes from plane to plane, also of the
        result; and number of planes.
    needs
        What each of the eight words asks, as uint16.
    full
        Bits of pixels that qualify for their neighbours and themselves, whatever is asked.
    sums
        Result, of two planes more.
    found
        Result: the pixels that qualify.

    Returns
    -------
    Not zero if there are any.
    """
    raise NotImplementedError
