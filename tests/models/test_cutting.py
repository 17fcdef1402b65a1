"""Patches are cut where their panel is, whatever the layout."""

from __future__ import annotations

import numpy as np
import pytest

from cxlsfind.geometry.crystfel import parse_geometry
from cxlsfind.geometry.layout import Layout, build_layout, slab_key
from cxlsfind.geometry.maps import rings
from cxlsfind.geometry.model import Geometry
from cxlsfind.models.cutting import Candidates, FrameArrays, patch_backgrounds, patch_pixels
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
def geometry() -> Geometry:
    """Return two panels of one array, the right one first and lower."""
    return parse_geometry(TEXT, file="two.geom")


@pytest.fixture
def layout(geometry: Geometry) -> Layout:
    """Return their layout."""
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


def test_backgrounds_follow_the_profile_and_the_peak(geometry: Geometry, layout: Layout) -> None:
    """The profile's shape around each frame's centre, with what the finder saw in the middle."""
    peak = peak_at(1, 10.5, 12.5)
    peak["background"] = 0.6
    profile = np.linspace(0.1, 4.0, 60)
    arrays = FrameArrays(geometry, layout, np.ones(layout.n_pixels, np.bool_), (2e-4, -1e-4))
    frames = [
        Candidates(peak[:0], profile[:30], (0.0, 0.0)),
        Candidates(peak, profile, (0.0, 0.0)),
        Candidates(peak, profile[:50], (3.0, 1.5)),
        Candidates(peak, profile * 0.0, (0.0, 0.0)),
    ]
    pixels = patch_pixels(np.concatenate([peak, peak, peak]), layout)
    level = patch_backgrounds(pixels, frames, arrays)
    assert (level > 0).all()
    for number, offset_m in enumerate([(0.0, 0.0), (3e-4, 1.5e-4)]):
        shift = 2e-4 - offset_m[0], -1e-4 - offset_m[1]
        around = profile[rings(geometry, layout, shift)[pixels.pixel[number]]]
        np.testing.assert_allclose(level[number], around * 0.6 / around[5, 5], rtol=1e-5)
