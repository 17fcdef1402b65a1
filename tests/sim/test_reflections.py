"""Lists of reflections: complete to their resolution, and symmetric."""

from __future__ import annotations

import numpy as np
import pytest

from cxlsfind.sim.crystals.cell import UnitCell
from cxlsfind.sim.crystals.reflections import (
    complete,
    half_sphere,
    inverse_d,
    is_upper,
    representatives,
)
from cxlsfind.sim.crystals.symmetry import point_group, symmetry_group

CELL = UnitCell(50.0, 62.0, 71.0, 85.0, 94.0, 107.0)


def test_half_a_sphere_holds_half_the_nodes():
    hkl = half_sphere(CELL, 3e-10)
    expected = 2 / 3 * np.pi * CELL.volume_m3 / (3e-10) ** 3
    assert len(hkl) == pytest.approx(expected, rel=0.01)
    assert is_upper(hkl).all()
    assert len(np.unique(np.concatenate([hkl, -hkl]), axis=0)) == 2 * len(hkl)
    d = inverse_d(CELL, hkl)
    assert (np.diff(d) >= -1e-8 * d[1:]).all()
    assert d[-1] <= 1 / 3e-10


def test_equivalent_reflections_get_one_intensity():
    cell = UnitCell(50.0, 50.0, 80.0)
    group = symmetry_group(("-x,-y,z+1/2", "-y+1/2,x+1/2,z+3/4", "y,x,-z"))
    hkl = half_sphere(cell, 4e-10)
    hkl = hkl[~group.absent(hkl)]
    _, first = np.unique(representatives(hkl, group), return_index=True)
    values = np.random.default_rng(0).exponential(1e4, len(first))
    crystal = complete(cell, group, hkl[first], values, 4e-10, "test", "test")
    assert len(crystal.hkl) == len(hkl)
    table = dict(zip(map(tuple, crystal.hkl.tolist()), crystal.intensity, strict=True))
    for h, k, l in crystal.hkl[::50].tolist():  # noqa: E741
        for other in ((k, h, l), (-k, h, l), (-h, -k, l), (h, -k, -l)):
            pair = other if other in table else tuple(-i for i in other)
            assert table[pair] == table[h, k, l]


def test_missing_reflections_are_zero_and_repeated_ones_averaged():
    group = point_group("1")
    crystal = complete(
        CELL, group, np.array([[1, 2, 3], [-1, -2, -3]]), np.array([10.0, 20.0]), 9e-10, "a", "b"
    )
    is_known = (crystal.hkl == (1, 2, 3)).all(axis=1)
    assert crystal.intensity[is_known] == [15.0]
    assert (crystal.intensity[~is_known] == 0).all()


def test_cut_to_a_resolution():
    crystal = complete(
        CELL, point_group("1"), np.array([[1, 2, 3]]), np.array([1.0]), 3e-10, "a", "b"
    )
    shorter = crystal.to_resolution(5e-10)
    np.testing.assert_array_equal(shorter.hkl, half_sphere(CELL, 5e-10))
    assert shorter.d_min_m == pytest.approx(5e-10, rel=0.02)
    assert crystal.to_resolution(1e-7).d_min_m == np.inf
