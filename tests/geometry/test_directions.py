"""Direction vectors of panels."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxlsfind.geometry.directions import format_direction, parse_direction


@pytest.mark.parametrize(
    ("text", "vector"),
    [
        ("x", (1, 0, 0)),
        ("-y", (0, -1, 0)),
        ("+z", (0, 0, 1)),
        ("-0.0057x +0.99y +0.001z", (-0.0057, 0.99, 0.001)),
        ("- 1 . 5 x", (-1.5, 0, 0)),
        ("x+x - 0.5x", (1.5, 0, 0)),
        (".5x1.y", (0, 0.5, 0)),
        ("1.0xy", (0, 1, 0)),
        ("xyz", (0, 0, 0)),
        ("0x10y", (0, 16, 0)),
        ("1.2.3x", (1.2, 0, 0)),
        ("-.x", (0, 0, 0)),
        ("1" * 400 + "x", (math.inf, 0, 0)),
    ],
)
def test_accepted(text: str, vector: tuple[float, float, float]) -> None:
    """Numbers as CrystFEL gives them, for odd texts too."""
    assert parse_direction(text).vector == vector


@pytest.mark.parametrize("text", ["x+1.0xy", "0x10y", "xx"])
def test_letters_in_a_number_are_noted(text: str) -> None:
    """Such a coefficient is accepted, but hardly meant."""
    assert "is not a number" in parse_direction(text).problem


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "--x",
        "1",
        "x5",
        "1x+",
        "1+x2",
        "1e-3x",
        "X",
        "x\t+y",
        "1,5x",
        "x/2",
        "x+\xa0y",
        "\u0665x",
    ],
)
def test_refused(text: str) -> None:
    """Plain decimals, lower case, and a component in every term."""
    direction = parse_direction(text)
    assert direction.vector is None
    assert direction.problem


coefficients = st.floats(allow_nan=False, allow_infinity=False) | st.just(-math.inf)


@given(st.tuples(coefficients, coefficients, coefficients))
def test_round_trip(vector: tuple[float, float, float]) -> None:
    """A written vector reads back as the same numbers, without scientific notation."""
    text = format_direction(vector)
    assert "e" not in text
    assert parse_direction(text) == (vector, "")
