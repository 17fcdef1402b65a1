"""Sixteen numbers at once, for kernels: components of a score, and pixels of a word.

As in :mod:`~cxlsfind.kernels._memory` arguments are uint64, addresses mostly, and nothing checks
bounds.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba.core import cgutils

from cxlsfind.kernels._memory import _WORD, load, machine_code, store

_SINGLE: Final = ir.FloatType()
_SIXTEEN: Final = ir.VectorType(_SINGLE, 16)
_FLAGS: Final = ir.VectorType(ir.IntType(1), 16)
_LANES: Final = ir.VectorType(_WORD, 16)
_INTEGERS: Final = ir.VectorType(ir.IntType(32), 16)

#: What is this far below the largest of some logarithms adds nothing in single precision.
_NOTHING: Final = -17.0

#: Powers of two between -1/2 and 1/2: coefficients of the series, exact to single precision.
_SERIES: Final = [math.log(2.0) ** k / math.factorial(k) for k in range(8)]

#: Adding this, and taking it away, rounds a small number of single precision to a whole one.
_ROUNDS: Final = 1.5 * 2.0**23


def _fill(builder: Any, value: Any, kind: Any) -> Any:
    vector = ir.Constant(kind, ir.Undefined)
    for lane in range(16):
        vector = builder.insert_element(vector, value, ir.Constant(ir.IntType(32), lane))
    return vector


def _load_some(builder: Any, address: Any, flags: Any) -> Any:
    """Load those of sixteen numbers that have a flag; the memory of the others is not touched."""
    pointer = builder.inttoptr(address, _SIXTEEN.as_pointer())
    declare: Any = cgutils.get_or_insert_function
    function = declare(
        builder.module,
        ir.FunctionType(_SIXTEEN, [pointer.type, ir.IntType(32), _FLAGS, _SIXTEEN]),
        "llvm.masked.load.v16f32.p0v16f32",
    )
    align = ir.Constant(ir.IntType(32), 4)
    return builder.call(function, [pointer, align, flags, ir.Constant(_SIXTEEN, [0.0] * 16)])


def _emit_weigh(_: Any, builder: Any, __: Any, arguments: Any) -> None:
    rows, weights, number, n_components, sums = arguments
    lanes = ir.Constant(_LANES, list(range(16)))
    flags = builder.icmp_unsigned("<", lanes, _fill(builder, n_components, _LANES))
    with builder.goto_entry_block():
        total = builder.alloca(_SIXTEEN)
    builder.store(load(builder, sums, _SIXTEEN), total)
    with cgutils.for_range(builder, number) as loop:
        eight, four = ir.Constant(_WORD, 8), ir.Constant(_WORD, 4)
        row = load(builder, builder.add(rows, builder.mul(loop.index, eight)), _WORD)
        at = builder.add(weights, builder.mul(loop.index, four))
        weight = _fill(builder, load(builder, at, _SINGLE), _SIXTEEN)
        product = builder.fmul(weight, _load_some(builder, row, flags))
        builder.store(builder.fadd(builder.load(total), product), total)
    store(builder, builder.load(total), sums)


@machine_code(_emit_weigh)
def add_weighted(
    rows: np.uint64,
    weights: np.uint64,
    number: np.uint64,
    n_components: np.uint64,
    sums: np.uint64,
) -> None:
    """Add rows of at most sixteen numbers, each times its weight, to sums, one after the other.

    Parameters
    ----------
    rows, weights
        Addresses of a list of addresses, and of as many weights, float32.
    number
        Number of rows.
    n_components
        Numbers of a row, float32; above sixteen, only the first sixteen are added.
    sums
        Sixteen sums, float32; those without a number stay as they are, if they are finite.
    """


def _all(value: float) -> Any:
    return ir.Constant(_SIXTEEN, [value] * 16)


def _exponential(builder: Any, power: Any) -> Any:
    """Return the exponentials of sixteen numbers, none above zero."""
    counts = builder.fcmp_ordered(">", power, _all(_NOTHING))
    power = builder.select(counts, power, _all(0.0))
    twos = builder.fmul(power, _all(1.0 / math.log(2.0)))
    whole = builder.fsub(builder.fadd(twos, _all(_ROUNDS)), _all(_ROUNDS))
    part = builder.fsub(twos, whole)
    value = _all(_SERIES[-1])
    for coefficient in reversed(_SERIES[:-1]):
        value = builder.fadd(builder.fmul(value, part), _all(coefficient))
    exponent = builder.add(builder.fptosi(whole, _INTEGERS), ir.Constant(_INTEGERS, [127] * 16))
    scale = builder.bitcast(builder.shl(exponent, ir.Constant(_INTEGERS, [23] * 16)), _SIXTEEN)
    return builder.select(counts, builder.fmul(value, scale), _all(0.0))


def _emit_exponentials(_: Any, builder: Any, __: Any, arguments: Any) -> None:
    logs, number, target = arguments
    with builder.goto_entry_block():
        kept = builder.alloca(_SIXTEEN)
    row_bytes = ir.Constant(_WORD, 64)
    builder.store(load(builder, logs, _SIXTEEN), kept)
    with cgutils.for_range(builder, number) as loop:
        here = load(builder, builder.add(logs, builder.mul(loop.index, row_bytes)), _SIXTEEN)
        so_far = builder.load(kept)
        builder.store(builder.select(builder.fcmp_ordered(">", here, so_far), here, so_far), kept)
    largest = builder.load(kept)
    builder.store(_all(0.0), kept)
    with cgutils.for_range(builder, number) as loop:
        here = load(builder, builder.add(logs, builder.mul(loop.index, row_bytes)), _SIXTEEN)
        each = _exponential(builder, builder.fsub(here, largest))
        builder.store(builder.fadd(builder.load(kept), each), kept)
    store(builder, largest, target)
    store(builder, builder.load(kept), builder.add(target, row_bytes))


@machine_code(_emit_exponentials)
def add_exponentials(logs: np.uint64, number: np.uint64, target: np.uint64) -> None:
    """Find the largest of some numbers, and the sum of their exponentials as seen from it.

    That is done for sixteen columns of numbers at once.

    Parameters
    ----------
    logs, number
        Address of the numbers, float32, sixteen columns wide, and number of rows.
    target
        Result: sixteen largest numbers, and as many sums of exponentials of the differences from
        them; float32.
    """


def _emit_spread(_: Any, builder: Any, __: Any, arguments: Any) -> None:
    planes, n_planes, number, counts = arguments
    lanes, one = ir.Constant(_LANES, list(range(16))), ir.Constant(_LANES, [1] * 16)
    with builder.goto_entry_block():
        value = builder.alloca(_LANES)
    sixteen = ir.Constant(_WORD, 16)
    n_runs = builder.udiv(builder.add(number, ir.Constant(_WORD, 15)), sixteen)
    with cgutils.for_range(builder, n_runs) as run:
        start = builder.mul(run.index, sixteen)
        places = builder.add(lanes, _fill(builder, start, _LANES))
        builder.store(ir.Constant(_LANES, [0] * 16), value)
        with cgutils.for_range(builder, n_planes) as loop:
            at = builder.add(planes, builder.mul(loop.index, ir.Constant(_WORD, 8)))
            plane = _fill(builder, load(builder, at, _WORD), _LANES)
            bit = builder.and_(builder.lshr(plane, places), one)
            bit = builder.shl(bit, _fill(builder, loop.index, _LANES))
            builder.store(builder.or_(builder.load(value), bit), value)
        short = builder.trunc(builder.load(value), ir.VectorType(ir.IntType(32), 16))
        to = builder.add(counts, builder.mul(start, ir.Constant(_WORD, 4)))
        store(builder, builder.sitofp(short, _SIXTEEN), to)


@machine_code(_emit_spread)
def spread_counts(
    planes: np.uint64, n_planes: np.uint64, number: np.uint64, counts: np.uint64
) -> None:
    """Write out the numbers of at most 64 pixels that are held as bit planes.

    Parameters
    ----------
    planes, n_planes
        Address of a word per plane, and their number, at most 16.
    number
        Number of pixels.
    counts
        Result, float32; there is room for a multiple of sixteen.
    """


def _emit_spread_word(_: Any, builder: Any, __: Any, arguments: Any) -> None:
    planes, stride, n_planes, target = arguments
    half = ir.IntType(32)
    halves = ir.VectorType(half, 16)
    with builder.goto_entry_block():
        values = [builder.alloca(halves) for _ in range(4)]
    for value in values:
        builder.store(ir.Constant(halves, [0] * 16), value)
    with cgutils.for_range(builder, n_planes) as loop:
        plane = load(builder, builder.add(planes, builder.mul(loop.index, stride)), _WORD)
        up = _fill(builder, builder.trunc(loop.index, half), halves)
        for number, value in enumerate(values):
            part = builder.lshr(plane, ir.Constant(_WORD, 16 * number))
            bits = _fill(builder, builder.trunc(part, half), halves)
            bits = builder.lshr(bits, ir.Constant(halves, list(range(16))))
            bits = builder.shl(builder.and_(bits, ir.Constant(halves, [1] * 16)), up)
            builder.store(builder.or_(builder.load(value), bits), value)
    for number, value in enumerate(values):
        store(builder, builder.load(value), builder.add(target, ir.Constant(_WORD, 64 * number)))


@machine_code(_emit_spread_word)
def spread_word(
    planes: np.uint64, stride: np.uint64, n_planes: np.uint64, target: np.uint64
) -> None:
    """Write out the numbers of the 64 pixels of a word.

    Parameters
    ----------
    planes, stride, n_planes
        Address of the word in the first plane, bytes from plane to plane, and number of planes.
    target
        Result, uint32.
    """
