"""Raw memory for kernels: unaligned loads and stores, and work on eight words at once.

Arguments and results are uint64, addresses mostly. Nothing checks bounds: whoever calls these has
made sure that the memory is there.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.registry import cpu_target
from numba.extending import intrinsic

#: What the machine's processor can do beside its basic instructions, in the compiler's words.
FEATURES: Final = frozenset(cpu_target.target_context.codegen().magic_tuple()[2].split(","))

#: Whether the machine picks 32 bytes in any order with one instruction.
HAS_PERMUTE: Final = {"+avx512vbmi", "+avx512vl"} <= FEATURES

_WORD: Final = ir.IntType(64)
_PAIR: Final = ir.VectorType(_WORD, 2)
_BYTES: Final = ir.VectorType(ir.IntType(8), 32)
#: The compiler cuts these 512 bits to the size of the machine's registers.
_OCTET: Final = ir.VectorType(_WORD, 8)

_U: Final = types.uint64

P = ParamSpec("P")
R = TypeVar("R")
Emit = Callable[..., Any]


def load(builder: Any, address: Any, kind: ir.Type = _OCTET) -> Any:
    """Have a value loaded from any address."""
    return builder.load(builder.inttoptr(address, kind.as_pointer()), align=1)


def store(builder: Any, value: Any, address: Any) -> None:
    """Have a value stored at any address."""
    builder.store(value, builder.inttoptr(address, value.type.as_pointer()), align=1)


def _emit_load(n_bytes: int) -> Emit:
    def emit(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        value = load(builder, arguments[0], ir.IntType(8 * n_bytes))
        return value if n_bytes == 8 else builder.zext(value, _WORD)

    return emit


def _emit_store(_: Any, builder: Any, __: Any, arguments: Any) -> None:
    target, word = arguments
    store(builder, word, target)


def _emit_store_half(_: Any, builder: Any, __: Any, arguments: Any) -> None:
    target, word = arguments
    store(builder, builder.trunc(word, ir.IntType(32)), target)


def _emit_copy(_: Any, builder: Any, __: Any, arguments: Any) -> None:
    target, source = arguments
    store(builder, load(builder, source, _PAIR), target)


def _emit_copy_bytes(_: Any, builder: Any, __: Any, arguments: Any) -> None:
    target, source = arguments
    store(builder, load(builder, source, _BYTES), target)


def _pick(builder: Any, source: Any, order: Any) -> Any:
    kind = ir.FunctionType(_BYTES, [_BYTES, _BYTES])
    permute = builder.module.declare_intrinsic("llvm.x86.avx512.permvar.qi.256", (), kind)
    return builder.call(permute, [load(builder, address, _BYTES) for address in (source, order)])


def _emit_pick(_: Any, builder: Any, __: Any, arguments: Any) -> None:
    target, source, order = arguments
    store(builder, _pick(builder, source, order), target)


def _emit_repeat(_: Any, builder: Any, __: Any, arguments: Any) -> None:
    target, source, order, step, length = arguments
    value = _pick(builder, source, order)
    end = builder.add(target, length)
    with cgutils.for_range_slice(builder, target, end, step, _WORD) as (address, _):
        store(builder, value, address)


def _emit_fill(_: Any, builder: Any, __: Any, arguments: Any) -> None:
    target, word = arguments
    value = ir.Constant(_OCTET, ir.Undefined)
    for lane in range(8):
        value = builder.insert_element(value, word, ir.Constant(ir.IntType(32), lane))
    store(builder, value, target)


def _emit_add(_: Any, builder: Any, __: Any, arguments: Any) -> None:
    target, amount = arguments
    short = builder.trunc(amount, ir.IntType(32))
    store(builder, builder.add(load(builder, target, ir.IntType(32)), short), target)


def _emit_settle(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
    source, stride, n_rows, n_planes, above, mask, target, target_stride = arguments
    nothing = ir.Constant(_OCTET, [0] * 8)
    with builder.goto_entry_block():
        every, over = builder.alloca(_OCTET), builder.alloca(_OCTET)
    usable = load(builder, mask)
    builder.store(usable, every)
    builder.store(nothing, over)
    last = builder.sub(n_rows, ir.Constant(_WORD, 1))

    def row(number: Any) -> Any:
        return load(builder, builder.add(source, builder.mul(number, stride)))

    with cgutils.for_range(builder, n_planes) as loop:
        is_there = builder.icmp_unsigned("<", loop.index, last)
        plane = builder.and_(row(builder.select(is_there, loop.index, last)), usable)
        builder.store(builder.and_(builder.load(every), plane), every)
        store(builder, plane, builder.add(target, builder.mul(loop.index, target_stride)))
    with cgutils.for_range_slice(builder, above, n_rows, ir.Constant(_WORD, 1), _WORD) as (k, _):
        builder.store(builder.or_(builder.load(over), row(k)), over)
    special = builder.and_(builder.load(over), usable)
    special = builder.or_(special, builder.load(every))
    flags = builder.icmp_unsigned("!=", special, nothing)
    return builder.zext(builder.bitcast(flags, ir.IntType(8)), _WORD)


def machine_code(emit: Emit) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Give a function of uint64, for kernels, the code that ``emit`` builds.

    The function itself is never run: it says what it takes, what it gives, and why.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        described = inspect.signature(function)
        result = types.none if described.return_annotation == "None" else types.uint64
        made_of_words = result(*[types.uint64] * len(described.parameters))

        def typing(*_: Any) -> tuple[Any, Emit]:
            return made_of_words, emit

        # Numba calls it with its context, and then with as many arguments as its signature has.
        context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        parameters = [context, *described.parameters.values()]
        typing.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        typing.__name__ = function.__name__
        made: Any = intrinsic(typing)
        return made  # type: ignore[no-any-return]

    return decorate


@machine_code(_emit_load(1))
def load1(address: np.uint64) -> np.uint64:
    """Return the byte at an address."""
    raise NotImplementedError


@machine_code(_emit_load(2))
def load2(address: np.uint64) -> np.uint64:
    """Return the two bytes at an address, the first one lowest."""
    raise NotImplementedError


@machine_code(_emit_load(8))
def load8(address: np.uint64) -> np.uint64:
    """Return the eight bytes at an address, the first one lowest."""
    raise NotImplementedError


@machine_code(_emit_store)
def store8(target: np.uint64, word: np.uint64) -> None:
    """Write a word, its lowest byte first."""


@machine_code(_emit_store_half)
def store4(target: np.uint64, number: np.uint64) -> None:
    """Write a number to four bytes."""


@machine_code(_emit_copy)
def copy16(target: np.uint64, source: np.uint64) -> None:
    """Copy 16 bytes: all are read before any is written."""


@machine_code(_emit_copy_bytes)
def copy32(target: np.uint64, source: np.uint64) -> None:
    """Copy 32 bytes: all are read before any is written."""


@machine_code(_emit_pick)
def pick32(target: np.uint64, source: np.uint64, order: np.uint64) -> None:
    """Write some of 32 bytes; needs ``HAS_PERMUTE``.

    Parameters
    ----------
    source, order
        Addresses of the bytes, and of the 32 numbers of those that are written, a byte each.
    """


@machine_code(_emit_repeat)
def repeat32(
    target: np.uint64, source: np.uint64, order: np.uint64, step: np.uint64, length: np.uint64
) -> None:
    """Do the same again and again.

    Parameters
    ----------
    step, length
        Bytes from one copy to the next, and how many there are to write: each copy that begins
        within ``length`` is whole.
    """


@machine_code(_emit_fill)
def fill64(target: np.uint64, word: np.uint64) -> None:
    """Write a word eight times."""


@machine_code(_emit_add)
def add4(target: np.uint64, amount: np.uint64) -> None:
    """Add to the number in four bytes."""


@machine_code(_emit_settle)
def settle_octet(
    source: np.uint64,
    stride: np.uint64,
    n_rows: np.uint64,
    n_planes: np.uint64,
    above: np.uint64,
    mask: np.uint64,
    target: np.uint64,
    target_stride: np.uint64,
) -> np.uint64:
    """Mask planes, eight words of each, and copy them; tell pixels with further bits, or all.

    Parameters
    ----------
    source, stride, n_rows
        Planes in memory; further ones are equal to the last of these.
    n_planes, above
        Number of planes to copy; the first of those that are too many, ``n_rows`` for none.
    target, target_stride
        Result.

    Returns
    -------
    A bit for each of the eight words that has such pixels under the mask.
    """
    raise NotImplementedError
