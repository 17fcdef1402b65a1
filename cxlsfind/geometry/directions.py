"""Direction vectors of panels: ``-0.0057x +0.99y +0.001z``."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from cxlsfind.geometry.cnumbers import strtod
from cxlsfind.geometry.model import Vector

_FORBIDDEN = re.compile(r"[^0-9.+\-xyz ]")
_TERM = re.compile(r"[+-]?[^+-]*")


class Direction(NamedTuple):
    """A parsed direction, or why it is not one.

    Parameters
    ----------
    vector
        (x, y, z); ``None`` when the text is refused.
    problem
        Why the text is refused, or what looks wrong in it; empty when all is well.
    """

    vector: Vector | None
    problem: str = ""


def parse_direction(text: str) -> Direction:
    """Read a direction vector.

    The text is a sum of terms ``[+-][number]{x,y,z}``; blanks count for nothing, repeated
    components add up. CrystFEL knows neither scientific notation nor capital letters here, and
    takes a coefficient with letters inside (``1.0xy``) for the number that it starts with.
    """
    forbidden = _FORBIDDEN.search(text)
    if forbidden is not None:
        return Direction(None, f"character {forbidden[0]!r} (numbers must be plain decimals)")
    packed = text.replace(" ", "")
    components = {"x": 0.0, "y": 0.0, "z": 0.0}
    problem = ""
    for term in _terms(packed):
        symbol = term[-1:]
        if symbol not in components:
            return Direction(None, f"term {term!r} does not end in x, y or z")
        sign = -1.0 if term[0] == "-" else 1.0
        coefficient = term[:-1].lstrip("+-")
        if re.search("[xyz]", coefficient):
            problem = f"coefficient {coefficient!r} is not a number"
        components[symbol] += sign * (strtod(coefficient).value if coefficient else 1.0)
    return Direction((components["x"], components["y"], components["z"]), problem)


def _terms(packed: str) -> list[str]:
    """Split a sum at its signs; an empty sum is one empty term."""
    terms = _TERM.findall(packed)
    return terms[:-1] or [""]  # findall ends with one empty match


def format_direction(vector: Vector) -> str:
    """Write a direction vector, in plain decimals that read back as the same numbers."""
    text = ""
    for value, symbol in zip(vector, "xyz", strict=True):
        if value != 0.0:
            text += f"{' ' if text else ''}{'-' if value < 0 else '+'}{_plain(abs(value))}{symbol}"
    return text or "0x"


def _plain(value: float) -> str:
    if np.isinf(value):
        return "1" + "0" * 309  # too large for a double: reads as infinity
    return np.format_float_positional(value, trim="-")
