"""Types of pixels are checked and, where too wide, made narrower without loss."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxlsfind.errors import FrameError, InputError
from cxlsfind.io.dtypes import check_type, delivered_type, frame_type, narrow


def test_check_type():
    """Byte order becomes that of this machine; what is no number is refused."""
    assert check_type(np.dtype(">u2"), "here") == np.dtype("u2").str
    with pytest.raises(InputError, match=r"^here has pixels of type complex number; integers"):
        check_type(np.dtype("c8"), "here")


def test_long_double_is_refused():
    """More than 64 bits are more than anything downstream can hold."""
    with pytest.raises(InputError, match="of type"):
        check_type(np.dtype("longdouble"), "here")


@pytest.mark.parametrize(
    ("names", "common"), [(["u2", "i2"], "i4"), (["u1", "f2"], "f4"), (["u4", "i4"], "i8")]
)
def test_frame_type(names, common):
    """All pixels fit."""
    assert frame_type(names) == np.dtype(common)


def test_delivered_type():
    """Only wide integers change."""
    assert [delivered_type(np.dtype(t)).str[1:] for t in ("u8", "i8", "f8", "u2")] == [
        "u4", "i4", "f8", "u2",
    ]  # fmt: skip


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1))
def test_narrow_keeps_what_fits(values):
    """All 32-bit values survive."""
    wide = np.array(values, np.int64)
    out = np.empty(len(values), np.int32)
    narrow(wide, out)
    assert out.tolist() == values


@given(st.integers(2**32, 2**64 - 2))
def test_narrow_refuses_the_rest(value):
    """Any other value is an error that names it."""
    out = np.empty(2, np.uint32)
    with pytest.raises(FrameError, match=str(value)):
        narrow(np.array([1, value], np.uint64), out)
