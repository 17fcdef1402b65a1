"""Numbers as a C program reads them.

CrystFEL hands most values of a geometry file to ``atof`` and friends, which skip leading blanks,
read the longest prefix that is a number and turn everything else into zero. A reader that is to
see what CrystFEL sees has to do the same. Sources: ISO C17 7.22.1, and the conversions of
x86-64 where the standard leaves the result open (a float outside an int's range).
"""

from __future__ import annotations

import math
import re
from typing import Final, NamedTuple

import numpy as np

INT32_MIN: Final = -(2**31)
_INT64_MIN: Final = -(2**63)
_INT64_MAX: Final = 2**63 - 1
_UINT64_MAX: Final = 2**64 - 1
_ENOUGH_DIGITS: Final = 20  # of the largest 64-bit number; longer ones are out of range

#: The one NaN that parsed records hold: tuples compare equal when they hold the same object.
NAN: Final = math.nan

_FLOAT = re.compile(
    r"[ \t\n\v\f\r]*(?P<sign>[+-]?)(?:"
    r"(?P<inf>inf(?:inity)?)|(?P<nan>nan(?:\([0-9a-z_]*\))?)"
    r"|(?P<hex>0x(?:[0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)(?:p[+-]?[0-9]+)?)"
    r"|(?P<dec>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?))",
    re.IGNORECASE | re.ASCII,
)
_INTEGER = re.compile(r"[ \t\n\v\f\r]*(?P<sign>[+-]?)0*(?P<digits>[0-9]+)", re.ASCII)


class Number(NamedTuple):
    """What ``strtod`` makes of a text.

    Parameters
    ----------
    value
        The number; zero when there is none.
    found
        Whether the text starts with a number.
    complete
        Whether nothing follows the number. An empty text is complete: zero characters were read.
    """

    value: float
    found: bool
    complete: bool


class Integer(NamedTuple):
    """What ``strtol`` or ``strtoul`` makes of a text; fields as in :class:`Number`."""

    value: int
    found: bool
    complete: bool


def strtod(text: str) -> Number:
    """Read a float, as ``strtod`` does."""
    match = _FLOAT.match(text)
    if match is None:
        return Number(0.0, found=False, complete=not text)
    if match["inf"]:
        value = math.inf
    elif match["nan"]:
        value = NAN
    elif match["hex"]:
        value = _from_hex(match["hex"])
    else:
        value = float(match["dec"])
    if match["sign"] == "-" and not match["nan"]:
        value = -value
    return Number(value, found=True, complete=match.end() == len(text))


def _from_hex(text: str) -> float:
    try:
        return float.fromhex(text)
    except OverflowError:
        return math.inf


def strtol(text: str) -> Integer:
    """Read a signed 64-bit integer, as ``strtol`` with base 10 does; out of range saturates."""
    number = _unbounded_integer(text)
    return number._replace(value=min(max(number.value, _INT64_MIN), _INT64_MAX))


def strtoul(text: str) -> Integer:
    """Read an unsigned 64-bit integer, as ``strtoul`` with base 10 does.

    A minus sign wraps the number round; out of range, whatever the sign, gives the largest one.
    """
    number = _unbounded_integer(text)
    in_range = abs(number.value) <= _UINT64_MAX
    return number._replace(value=number.value % (_UINT64_MAX + 1) if in_range else _UINT64_MAX)


def _unbounded_integer(text: str) -> Integer:
    match = _INTEGER.match(text)
    if match is None:
        return Integer(0, found=False, complete=not text)
    # Python refuses to convert very long numbers; the first digits are enough to see the excess.
    digits = match["digits"]
    value = int(digits[: _ENOUGH_DIGITS + 1])
    if match["sign"] == "-":
        value = -value
    return Integer(value, found=True, complete=match.end() == len(text))


def wrap_int32(value: int) -> int:
    """Return the low 32 bits of an integer as a signed number."""
    return (value + 2**31) % 2**32 - 2**31


def truncate_int32(value: float) -> int:
    """Convert a double to ``int`` as x86-64 does: towards zero, INT_MIN outside the range."""
    if -(2.0**31) < value < 2.0**31:
        return int(value)
    return INT32_MIN


def truncate_uint32(value: float) -> int:
    """Convert a double to ``unsigned int`` as x86-64 does: by way of a 64-bit integer."""
    if -(2.0**63) <= value < 2.0**63:
        return int(value) % 2**32
    return 0


def through_float32(value: float) -> float:
    """Return the value after a stop in a single-precision variable."""
    with np.errstate(over="ignore"):
        return float(np.float32(value))


def divide(numerator: float, denominator: float) -> float:
    """Divide as C does, where a zero divisor gives an infinity or NaN."""
    if denominator:
        return numerator / denominator
    if not numerator or math.isnan(numerator) or math.isnan(denominator):
        return NAN
    return math.copysign(math.inf, numerator) * math.copysign(1.0, denominator)
