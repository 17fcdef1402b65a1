"""Data types of pixels: which can be read, and 64-bit integers that must fit into 32."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from cxlsfind.errors import FrameError, InputError


def check_type(dtype: np.dtype[np.generic], place: str) -> str:
    """Return the type of pixels in the byte order of this machine, as ``numpy.dtype.str``.

    Raises
    ------
    InputError
        These are no real numbers of up to 64 bits.
    """
    if dtype.kind in "iuf" and dtype.itemsize <= 8:
        return str(np.dtype(f"{dtype.kind}{dtype.itemsize}").str)
    raise InputError(
        f"{place} has pixels of type {_describe(dtype)}; "
        "integers or floating-point numbers of up to 64 bits are expected"
    )


def frame_type(dtypes: Iterable[str]) -> np.dtype[np.generic]:
    """Return the type that holds the pixels of all slabs; half precision becomes single."""
    common = np.result_type(*(np.dtype(name) for name in dtypes))
    return np.result_type(common, np.float32) if common.kind == "f" else common


def delivered_type(dtype: np.dtype[np.generic]) -> np.dtype[np.generic]:
    """Return the type in which frames of this type are delivered: integers have 32 bits at most."""
    return np.dtype(f"{dtype.kind}4") if dtype.kind in "iu" and dtype.itemsize > 4 else dtype


def narrow(frame: npt.NDArray[np.integer], out: npt.NDArray[np.integer]) -> None:
    """Convert 64-bit integers to 32 bits.

    The largest and the smallest 64-bit number mark pixels, as in data of fewer bits, and become
    the largest and the smallest 32-bit number.

    Parameters
    ----------
    frame
        uint64 or int64.
    out
        uint32 or int32, of the same shape; overwritten.

    Raises
    ------
    FrameError
        A value does not fit.
    """
    wide, limits = np.iinfo(frame.dtype), np.iinfo(out.dtype)
    np.copyto(out, np.clip(frame, limits.min, limits.max), casting="unsafe")
    bad = (frame != out) & (frame != wide.max) & (frame != wide.min)
    if bad.any():
        value = frame[bad].flat[0]
        raise FrameError(
            f"{int(bad.sum())} pixels, the first of them {value}, do not fit into 32 bits"
        )


def _describe(dtype: np.dtype[np.generic]) -> str:
    if dtype.names is not None:
        return "compound"
    names = {"c": "complex number", "b": "bool", "O": "text or references", "S": "text"}
    return names.get(dtype.kind, str(dtype))
