"""Pixel arrays of the simulated detectors against the published ones."""

from __future__ import annotations

import numpy as np
import pytest

from cxlsfind.sim.detector import DETECTORS, MASK_DEAD, MASK_GAP


@pytest.mark.parametrize(
    ("name", "shape"),
    [("Eiger4M", (2162, 2068)), ("Eiger1M", (1062, 1028)), ("Eiger500K", (512, 1028))],
)
def test_shape_is_that_of_the_real_detector(name, shape):
    assert DETECTORS[name].shape == shape


def test_gaps_of_the_4m_lie_where_dectris_has_them():
    detector = DETECTORS["Eiger4M"]
    assert detector.gap_ranges(0) == ((512, 549), (1062, 1099), (1612, 1649))
    assert detector.gap_ranges(1) == ((1028, 1039),)


def test_mask_holds_the_gaps_and_the_dead_pixels(tiny_detector):
    mask = tiny_detector.pixel_mask(0.01, seed=3)
    assert mask.dtype == np.uint32
    assert (mask[32:38, :] & MASK_GAP).all()
    assert (mask[:, 64:70] & MASK_GAP).all()
    assert not (mask[:32, :64] & MASK_GAP).any()
    n_dead = np.count_nonzero(mask & MASK_DEAD)
    assert 0.8 * 0.01 * mask.size < n_dead <= round(0.01 * mask.size)
    np.testing.assert_array_equal(mask, tiny_detector.pixel_mask(0.01, seed=3))
