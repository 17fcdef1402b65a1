"""The one decorator of all kernels."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any, Final, Literal, ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")

#: Compiled kernels are kept between runs unless this says otherwise (a read-only installation).
_CACHE = os.environ.get("CXLSFIND_NUMBA_CACHE", "1") != "0"

#: What Numba looks for to multiply matrices.
_BLAS: Final = "scipy.linalg.cython_blas"


def _leave_out_blas() -> None:
    """Have Numba's functions of arrays loaded without the linear algebra of SciPy.

    No kernel multiplies matrices, and SciPy's part takes as long to load as all of Numba.
    """
    modules: dict[str, Any] = sys.modules
    if _BLAS in modules:
        return
    modules[_BLAS] = None  # to import it now is an error, which Numba takes for an answer
    try:
        importlib.import_module("numba.np.arraymath")
    finally:
        del modules[_BLAS]


_leave_out_blas()


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function with Numba: it runs without the interpreter's lock, on one thread.

    Floating-point arithmetic is that of the source, in its order: results do not depend on the
    compiler's mood, and NaN and infinities mean what they say. Division by zero gives infinity.
    """
    return _compile(function, inline="never")


def kernel_part(function: Callable[P, R]) -> Callable[P, R]:
    """Do the same, and have the function written out wherever a kernel calls it.

    For what is called for every pixel, takes arrays, and is too large for the compiler to do that
    by itself: a call hands over seven numbers per array, and counts its references.
    """
    return _compile(function, inline="always")


def _compile(function: Callable[P, R], inline: Literal["never", "always"]) -> Callable[P, R]:
    compiled: Callable[P, R]
    try:
        compiled = numba.njit(nogil=True, cache=_CACHE, error_model="numpy", inline=inline)(
            function
        )
    except RuntimeError:
        # There is no folder that Numba could write to, as with an installation that belongs to
        # somebody else and no home: every run then compiles for itself.
        compiled = numba.njit(nogil=True, error_model="numpy", inline=inline)(function)
    return compiled
