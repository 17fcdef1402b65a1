"""Single machine instructions on 64-bit words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


def _count_ones(typing_context: Any, word: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


def _lowest_one(typing_context: Any, word: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


#: Number of bits that are set in a uint64, as int64; for kernels.
count_ones = cast(Callable[[Any], int], intrinsic(_count_ones))

#: Place of the lowest bit that is set in a uint64, as int64; 64 for zero; for kernels.
lowest_one = cast(Callable[[Any], int], intrinsic(_lowest_one))
