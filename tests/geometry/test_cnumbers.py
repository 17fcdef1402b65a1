"""Numbers are read and converted as the C library and x86-64 do."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxlsfind.geometry import cnumbers


@pytest.mark.parametrize(
    ("text", "value", "found", "complete"),
    [
        ("5", 5.0, True, True),
        ("5 mm", 5.0, True, False),
        (" \t\v+5.", 5.0, True, True),
        ("-.5e1x", -5.0, True, False),
        ("1e", 1.0, True, False),
        ("1e400", math.inf, True, True),
        ("-1e-400", -0.0, True, True),
        ("0x1F", 31.0, True, True),
        ("0x1p-3", 0.125, True, True),
        ("0x", 0.0, True, False),
        ("0x1p99999", math.inf, True, True),
        ("0x.8", 0.5, True, True),
        ("INFinity", math.inf, True, True),
        ("-infinit", -math.inf, True, False),
        ("1_0", 1.0, True, False),
        ("\u0665", 0.0, False, False),
        ("", 0.0, False, True),
        (" ", 0.0, False, False),
        ("abc", 0.0, False, False),
        (".", 0.0, False, False),
        ("+-5", 0.0, False, False),
        ("1" * 100_000, math.inf, True, True),
    ],
)
def test_strtod(text: str, value: float, found: bool, complete: bool) -> None:
    """The longest prefix that is a number counts."""
    number = cnumbers.strtod(text)
    assert number == (value, found, complete)
    assert math.copysign(1.0, number.value) == math.copysign(1.0, value)


@pytest.mark.parametrize("text", ["nan", "-NaN", "nan(123abc)"])
def test_strtod_of_nan(text: str) -> None:
    """NaN may carry a payload, and is always the same object."""
    number = cnumbers.strtod(text)
    assert number.value is cnumbers.NAN
    assert number.complete


@given(st.floats(allow_nan=False))
def test_strtod_reads_what_repr_writes(value: float) -> None:
    """No digit is lost."""
    assert cnumbers.strtod(repr(value)) == (value, True, True)


@pytest.mark.parametrize(
    ("text", "signed", "unsigned"),
    [
        ("12", 12, 12),
        (" -3", -3, 2**64 - 3),
        ("0010", 10, 10),
        ("9223372036854775808", 2**63 - 1, 2**63),
        ("-9223372036854775809", -(2**63), 2**64 - 2**63 - 1),
        ("99999999999999999999", 2**63 - 1, 2**64 - 1),
        ("-99999999999999999999", -(2**63), 2**64 - 1),
        ("7" * 10_000, 2**63 - 1, 2**64 - 1),
        ("1.5", 1, 1),
        ("x", 0, 0),
    ],
)
def test_integers(text: str, signed: int, unsigned: int) -> None:
    """Signed numbers saturate, unsigned ones wrap at a minus sign and saturate beyond 64 bits."""
    assert cnumbers.strtol(text).value == signed
    assert cnumbers.strtoul(text).value == unsigned
    assert cnumbers.strtol(text).complete == (text not in {"1.5", "x"})


@pytest.mark.parametrize(
    ("value", "as_int", "as_unsigned"),
    [
        (1.9, 1, 1),
        (-1.9, -1, 2**32 - 1),
        (2.0**31, -(2**31), 2**31),
        (-(2.0**31), -(2**31), 2**31),
        (2.0**32 + 1, -(2**31), 1),
        (1e30, -(2**31), 0),
        (math.inf, -(2**31), 0),
        (-math.inf, -(2**31), 0),
        (math.nan, -(2**31), 0),
    ],
)
def test_conversions(value: float, as_int: int, as_unsigned: int) -> None:
    """Floats out of range become what the processor makes of them."""
    assert cnumbers.truncate_int32(value) == as_int
    assert cnumbers.truncate_uint32(value) == as_unsigned


def test_wrap_and_single_precision() -> None:
    """32-bit numbers wrap round, single precision rounds and overflows to infinity."""
    assert cnumbers.wrap_int32(2**31) == -(2**31)
    assert cnumbers.wrap_int32(-(2**31) - 1) == 2**31 - 1
    assert cnumbers.through_float32(16777217.0) == 16777216.0
    assert cnumbers.through_float32(1e300) == math.inf


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected"),
    [(1.0, 4.0, 0.25), (1.0, 0.0, math.inf), (1.0, -0.0, -math.inf), (-2.0, 0.0, -math.inf)],
)
def test_division(numerator: float, denominator: float, expected: float) -> None:
    """Division by zero gives an infinity."""
    assert cnumbers.divide(numerator, denominator) == expected


def test_division_without_result() -> None:
    """Zero by zero, and anything by NaN, is NaN."""
    assert math.isnan(cnumbers.divide(0.0, 0.0))
    assert math.isnan(cnumbers.divide(1.0, math.nan))
