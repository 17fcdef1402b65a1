"""Where directions meet panels, against the geometry as CrystFEL has it."""

from __future__ import annotations

import numpy as np
import pytest

from cxlsfind.geometry.crystfel import parse_geometry
from cxlsfind.geometry.layout import build_layout, slab_key
from cxlsfind.geometry.maps import inverse_d
from cxlsfind.kernels.sim_panels import find_pixel
from cxlsfind.sim.panels import (
    PixelTables,
    beam_position,
    farthest_tangent,
    land,
    panel_grid,
    shift_to,
)

#: Two panels in one array: one turned and tilted, with larger pixels and farther away.
TEXT = """clen = 0.12
photon_energy = 8000
res = 13333.3
adu_per_photon = 1
a/min_fs = 0
a/max_fs = 99
a/min_ss = 0
a/max_ss = 59
a/corner_x = -60.25
a/corner_y = -10.5
a/fs = x
a/ss = y
b/min_fs = 0
b/max_fs = 99
b/min_ss = 60
b/max_ss = 139
b/res = 10000
b/corner_x = 10.2
b/corner_y = 85.7
b/coffset = 0.003
b/fs = -0.02x +0.999y +0.04z
b/ss = -0.998x -0.021y +0.05z
"""


@pytest.fixture(scope="module")
def geometry():
    """Return the geometry of two panels."""
    return parse_geometry(TEXT, file="two.geom")


@pytest.fixture(scope="module")
def grid(geometry):
    """Return its panels in space, shifted."""
    return panel_grid(geometry.panels, (140, 100), 0.12, (1e-4, -2e-4))


@pytest.mark.parametrize("number", [0, 1])
def test_places_come_back(geometry, grid, number):
    """A pixel's place by CrystFEL's rules, seen from the sample, lands on that pixel."""
    panel = geometry.panels[number]
    rng = np.random.default_rng(number)
    fs = rng.uniform(panel.min_fs, panel.max_fs + 1, 50)
    ss = rng.uniform(panel.min_ss, panel.max_ss + 1, 50)
    steps = fs - panel.min_fs, ss - panel.min_ss
    x, y, z = (
        (start + steps[0] * panel.fs[axis] + steps[1] * panel.ss[axis]) / panel.res
        for axis, start in enumerate((panel.corner_x, panel.corner_y, 0.0))
    )
    directions = np.column_stack([x + 1e-4, y - 2e-4, z + 0.12 + panel.coffset])
    landing = land(grid, directions)
    own = landing.panel == number
    assert own.mean() > 0.9  # panels may hide each other
    np.testing.assert_allclose(landing.fs[own], steps[0][landing.row[own]], atol=1e-9)
    np.testing.assert_allclose(landing.ss[own], steps[1][landing.row[own]], atol=1e-9)
    # The same pixels' 1/d, from the other half of the project.
    expected = inverse_d(
        geometry, number, fs, ss, wavelength_m=1.5e-10, clen_m=0.12, shift_m=(1e-4, -2e-4)
    )
    two_theta = np.arctan2(np.hypot(directions[:, 0], directions[:, 1]), directions[:, 2])
    np.testing.assert_allclose(2e-9 * np.sin(two_theta / 2) / 1.5e-10, expected, rtol=1e-12)


def test_pixels_of_directions_are_those_of_the_flat_array(geometry, grid):
    tables = PixelTables(grid, 140 * 100)
    layout = build_layout(geometry, {slab_key(geometry.panels[0]): (140, 100)})
    assert len(layout.slabs) == 1
    rng = np.random.default_rng(3)
    found = set()
    for _ in range(300):
        fs, ss = rng.uniform(0, 100), rng.uniform(0, 60)
        x, y, z = grid.matrix[0] @ (fs, ss, 1.0)
        pixel = find_pixel(grid, x / z, y / z)
        assert pixel == int(ss) * 100 + int(fs)
        found.add(int(tables.panel_of[pixel]))
    assert found == {0}
    assert find_pixel(grid, 10.0, 10.0) == -1


def test_tables_cover_every_pixel_once(grid):
    tables = PixelTables(grid, 140 * 100)
    assert tables.tile_pixels.sum() == 140 * 100
    assert (np.bincount(tables.panel_of) == [6000, 8000]).all()


def test_the_farthest_corner_is_the_farthest_pixel(grid):
    rng = np.random.default_rng(0)
    most = 0.0
    for matrix, (_, _, width, height) in zip(grid.matrix, grid.window, strict=True):
        places = np.stack(
            [rng.uniform(0, width, 4000), rng.uniform(0, height, 4000), np.ones(4000)]
        )
        x, y, z = matrix @ places
        most = max(most, np.max(np.hypot(x, y) / z))
    assert most <= farthest_tangent(grid) < 1.02 * most


def test_the_beam_is_put_where_it_is_wanted(geometry):
    shift = shift_to(geometry.panels[0], (33.25, 41.5))
    moved = panel_grid(geometry.panels, (140, 100), 0.12, shift)
    assert beam_position(moved) == pytest.approx((33.25, 41.5))
    assert shift_to(geometry.panels[0], None) == (0, 0)
