"""Which ring and which count: one small number for every pixel with photons, many at once.

Raw memory as in :mod:`cxlsfind.kernels._memory`: nothing checks bounds.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from llvmlite import ir
from llvmlite.binding import llvm_version_info
from numba.core import cgutils

from cxlsfind.kernels._memory import FEATURES, load, machine_code, store

#: Whether the machine moves chosen elements of a vector together with one instruction, and the
#: compiler knows how. Elsewhere that is done one by one, and slower than without vectors.
HAS_COMPRESS: Final = llvm_version_info >= (20,) and "+avx512vbmi2" in FEATURES

#: Pixels of a word; the most keys that one call writes.
LANES: Final = 64

_WORD: Final = ir.IntType(64)
_KEY: Final = ir.IntType(16)
_KEYS: Final = ir.VectorType(_KEY, LANES)
_HALF: Final = ir.VectorType(_KEY, LANES // 2)


def _splat(builder: Any, value: Any) -> Any:
    nothing = ir.Constant(ir.VectorType(value.type, LANES), ir.Undefined)
    first = builder.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(first, nothing, lanes)


def _flags(builder: Any, bits: Any) -> Any:
    """Return the bits of an integer as a vector of truth values."""
    return builder.bitcast(bits, ir.VectorType(ir.IntType(1), bits.type.width))


def _compress(builder: Any, values: Any, keep: Any) -> Any:
    """Return a vector that begins with the elements for which ``keep`` has a bit."""
    flags = _flags(builder, keep)
    kind = ir.FunctionType(values.type, [values.type, flags.type, values.type])
    name = f"llvm.experimental.vector.compress.v{values.type.count}i{values.type.element.width}"
    function = builder.module.declare_intrinsic(name, (), kind)
    return builder.call(function, [values, flags, ir.Constant(values.type, ir.Undefined)])


def _lanes(builder: Any, vector: Any, first: int) -> Any:
    """Return the half of a vector that begins with an element."""
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES // 2), list(range(first, first + 32)))
    return builder.shuffle_vector(vector, vector, lanes)


def _behind(builder: Any, target: Any, listed: Any) -> Any:
    """Return the address behind as many keys as an integer has bits."""
    n_keys = builder.ctpop(listed)
    n_keys = n_keys if listed.type == _WORD else builder.zext(n_keys, _WORD)
    return builder.add(target, builder.shl(n_keys, ir.Constant(_WORD, 1)))


def _emit_list_few(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
    steps, base, chosen, target = arguments
    kept = _compress(builder, load(builder, steps, ir.VectorType(ir.IntType(8), LANES)), chosen)
    rings = builder.zext(_lanes(builder, kept, 0), _HALF)
    base = _lanes(builder, _splat(builder, builder.trunc(base, _KEY)), 0)
    store(builder, builder.add(rings, base), target)
    return _behind(builder, target, chosen)


def _emit_list_keys(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
    steps, base, planes, stride, n_planes, mask, n_rings, target = arguments
    with builder.goto_entry_block():
        keys, some, every = (builder.alloca(kind) for kind in (_KEYS, _WORD, _WORD))
        weight = builder.alloca(_KEYS)
    rings = builder.zext(load(builder, steps, ir.VectorType(ir.IntType(8), LANES)), _KEYS)
    builder.store(builder.add(rings, _splat(builder, builder.trunc(base, _KEY))), keys)
    builder.store(_splat(builder, builder.trunc(n_rings, _KEY)), weight)
    builder.store(ir.Constant(_WORD, 0), some)
    builder.store(mask, every)
    with cgutils.for_range(builder, n_planes) as loop:
        bits = load(builder, builder.add(planes, builder.mul(loop.index, stride)), _WORD)
        builder.store(builder.or_(builder.load(some), bits), some)
        builder.store(builder.and_(builder.load(every), bits), every)
        now = builder.load(weight)
        more = builder.select(_flags(builder, bits), now, ir.Constant(_KEYS, [0] * LANES))
        builder.store(builder.add(builder.load(keys), more), keys)
        builder.store(builder.add(now, now), weight)
    keep = builder.and_(builder.load(some), mask)
    keep = builder.and_(keep, builder.not_(builder.load(every)))
    done = builder.load(keys)
    for first in (0, LANES // 2):
        chosen = builder.trunc(
            builder.lshr(keep, ir.Constant(_WORD, first)), ir.IntType(LANES // 2)
        )
        store(builder, _compress(builder, _lanes(builder, done, first), chosen), target)
        target = _behind(builder, target, chosen)
    return target


@machine_code(_emit_list_few)
def list_few(steps: np.uint64, base: np.uint64, chosen: np.uint64, target: np.uint64) -> np.uint64:
    """List the rings of up to 32 pixels of a word, plus a number.

    Parameters
    ----------
    steps, base
        Address of how far each pixel is from the lowest ring, 64 bytes; that ring, plus the number.
    chosen
        The pixels.
    target
        As in :func:`list_keys`; and so is what is returned.
    """
    raise NotImplementedError


@machine_code(_emit_list_keys)
def list_keys(
    steps: np.uint64,
    base: np.uint64,
    planes: np.uint64,
    stride: np.uint64,
    n_planes: np.uint64,
    mask: np.uint64,
    n_rings: np.uint64,
    target: np.uint64,
) -> np.uint64:
    """List ring + count * ``n_rings`` of the pixels of a word that have photons.

    Pixels with all bits set are left out.

    Parameters
    ----------
    steps, base
        Address of how far each pixel is from the lowest ring, 64 bytes, and that ring.
    planes, stride, n_planes
        Address of the word in the first plane, and how far it is to the next, bytes.
    mask
        Pixels that count.
    target
        Address of the result, two bytes for a pixel: the numbers are below 65536. There must be
        room for ``LANES``, whatever their number.

    Returns
    -------
    The address behind the result.
    """
    raise NotImplementedError
