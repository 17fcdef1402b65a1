"""Patches are cut where their panel is, whatever the layout."""

from __future__ import annotations

import numpy as np
import pytest

from cxlsfind.geometry.crystfel import parse_geometry
from cxlsfind.geometry.layout import Layout, build_layout, slab_key
from cxlsfind.models.cutting import patch_backgrounds, patch_pixels
from cxlsfind.records import PEAK_DTYPE

SHAPE = (30, 40)

TEXT = """\
photon_energy = 9000 eV
adu_per_photon = 1
clen = 0.1
res = 10000
data = /data
dim0 = %
dim1 = ss
dim2 = fs
right/min_fs = 22
right/max_fs = 39
right/min_ss = 3
right/max_ss = 29
right/corner_x = 0
right/corner_y = 0
right/fs = x
right/ss = y
left/min_fs = 0
left/max_fs = 21
left/min_ss = 0
left/max_ss = 29
left/corner_x = -22
left/corner_y = 0
left/fs = x
left/ss = y
"""


@pytest.fixture
def layout() -> Layout:
    """Two panels of one array, the right one first and lower."""
    geometry = parse_geometry(TEXT, file="two.geom")
    return build_layout(geometry, {slab_key(panel): SHAPE for panel in geometry.panels})


def peak_at(panel: int, fs: float, ss: float) -> np.ndarray:
    peaks = np.zeros(1, PEAK_DTYPE)
    peaks["panel"], peaks["fs"], peaks["ss"] = panel, fs, ss
    return peaks


def test_pixels_around_a_peak(layout: Layout) -> None:
    """In the middle of a panel, the 11 x 11 pixels around the one that holds the peak."""
    pixels = patch_pixels(peak_at(1, 10.7, 12.2), layout)
    rows, columns = np.divmod(pixels.pixel[0], SHAPE[1])
    np.testing.assert_array_equal(rows[:, 0], np.arange(7, 18))
    np.testing.assert_array_equal(columns[0], np.arange(5, 16))
    assert pixels.inside.all()


def test_patches_end_at_their_panel(layout: Layout) -> None:
    """Pixels of another panel, and of none, are outside."""
    pixels = patch_pixels(peak_at(0, 23.5, 4.5), layout)
    rows, columns = np.divmod(pixels.pixel[0], SHAPE[1])
    assert pixels.inside[0, 5, 5]
    assert (rows[5, 5], columns[5, 5]) == (4, 23)
    # Four columns and four rows are beyond the corner at (22, 3).
    assert pixels.inside[0].sum() == 7 * 7
    assert rows.min() >= 3
    assert columns.min() >= 22
    assert len(patch_pixels(np.zeros(0, PEAK_DTYPE), layout).pixel) == 0


def test_backgrounds_follow_the_profile_and_the_peak(layout: Layout) -> None:
    """The profile's shape, with what the finder saw under the peak in the middle."""
    peak = peak_at(1, 10.5, 12.5)
    peak["background"] = 0.6
    bins = np.tile(np.arange(SHAPE[1], dtype=np.int32), SHAPE[0])
    profile = np.linspace(0.1, 4.0, SHAPE[1])
    pixels = patch_pixels(peak, layout)
    profiles = np.stack([profile * 7.0, profile])
    second = np.ones(1, np.int64)
    level = patch_backgrounds(pixels, peak, profiles, second, bins)
    assert level[0, 5, 5] == pytest.approx(0.6)
    np.testing.assert_allclose(level[0, 0, 10] / level[0, 0, 0], profile[15] / profile[5], 1e-5)
    nowhere = patch_backgrounds(pixels, peak, 0.0 * profiles, second, bins - 100)
    assert (nowhere > 0).all()
