"""Small geometry files for the tests of this package."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cxlsfind.geometry.crystfel import parse_geometry
from cxlsfind.geometry.model import Geometry

TOP = """photon_energy = 9000 eV
clen = 0.1 m
res = 10000
adu_per_photon = 1
"""
PANEL = """p0/min_fs = 0
p0/max_fs = 9
p0/min_ss = 0
p0/max_ss = 19
p0/corner_x = -5
p0/corner_y = -10
p0/fs = x
p0/ss = y
"""
SECOND = """p1/min_fs = 10
p1/max_fs = 19
p1/min_ss = 0
p1/max_ss = 19
p1/corner_x = 40.5
p1/corner_y = -10
p1/fs = y
p1/ss = -x
p1/coffset = 0.01
"""


@pytest.fixture
def top() -> str:
    """Return the lines before the panels (lines 1 to 4)."""
    return TOP


@pytest.fixture
def panel() -> str:
    """Return the lines of panel p0, 10 x 20 pixels (lines 5 to 12)."""
    return PANEL


@pytest.fixture
def parse() -> Callable[..., Geometry]:
    """Return a function that reads one good panel with lines before it and after it."""

    def parse_lines(*after: str, before: str = "") -> Geometry:
        text = TOP + before + PANEL + "".join(f"{line}\n" for line in after)
        return parse_geometry(text, file="a.geom")

    return parse_lines


@pytest.fixture
def two_panels() -> Geometry:
    """Return two panels side by side in the data, the second one moved and turned."""
    return parse_geometry(TOP + PANEL + SECOND, file="a.geom")
