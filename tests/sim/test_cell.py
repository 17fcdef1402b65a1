"""Cells: volume, spacings and the files that give them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cxlsfind.errors import InputError
from cxlsfind.sim.crystals.cell import UnitCell, read_cell


def test_volume_of_proteinase_k():
    assert UnitCell(67.288, 67.288, 106.582).volume_m3 == pytest.approx(4.8257e-25, rel=1e-4)


def test_spacings_of_a_monoclinic_cell():
    """Against the textbook formula for monoclinic cells, unique axis b."""
    a, b, c, beta = 40.0, 55.0, 70.0, 104.0
    q = UnitCell(a, b, c, beta=beta).reciprocal @ np.array([3, -2, 5])
    sine, cosine = math.sin(math.radians(beta)), math.cos(math.radians(beta))
    expected = (
        3**2 / a**2 + 2**2 * sine**2 / b**2 + 5**2 / c**2 - 2 * 3 * 5 * cosine / (a * c)
    ) / sine**2
    assert np.linalg.norm(q) * 1e-10 == pytest.approx(math.sqrt(expected))


def test_reciprocal_volume_is_the_inverse():
    cell = UnitCell(30.0, 45.0, 62.0, 81.0, 97.0, 112.0)
    assert np.linalg.det(cell.reciprocal) == pytest.approx(1 / cell.volume_m3)


@pytest.mark.parametrize(
    "numbers", [(0, 1, 1), (50, 50, math.nan), (50, 50, 50, 90, 90, 190), (9, 9, 9, 20, 20, 120)]
)
def test_impossible_cells_are_refused(numbers):
    with pytest.raises(InputError, match="impossible"):
        UnitCell(*numbers)


CELL_FILE = """CrystFEL unit cell file version 1.0

lattice_type = hexagonal
unique_axis = c

a = 6.69 nm
b = 66.9 A
c = 40.8 A
al = 90 deg
be = 90.00 deg
ga = 120 deg
"""


def test_crystfels_cell_file(tmp_path):
    (tmp_path / "a.cell").write_text(CELL_FILE)
    cell = read_cell(tmp_path / "a.cell")
    assert (cell.a, cell.b, cell.c) == pytest.approx((66.9, 66.9, 40.8))
    assert cell.gamma == 120


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CELL_FILE.replace("c = 40.8 A", ""), "gives no c"),
        (CELL_FILE.replace("40.8 A", "40.8 bananas"), "no number with a unit"),
        (CELL_FILE.replace("66.9 A", "66..9 A"), "no number with a unit"),
        ("\x00\xff", "gives no a"),
    ],
)
def test_bad_cell_files(tmp_path, text, message):
    (tmp_path / "a.cell").write_text(text)
    with pytest.raises(InputError, match=message):
        read_cell(tmp_path / "a.cell")


def test_missing_cell_file(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_cell(tmp_path / "none.cell")
