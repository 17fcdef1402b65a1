"""The water ring against the published curve and against the detector's symmetry."""

from __future__ import annotations

import numpy as np
import pytest

from cxlsfind.sim.water import water_background, water_form_factor


@pytest.mark.parametrize(
    ("q", "expected"), [(0.0, 6.5), (1.0, 7.9), (2.0, 55.6), (2.5, 43.5), (3.0, 34.3), (3.6, 14.5)]
)
def test_form_factor_follows_the_measured_curve(q, expected):
    """Points of Hura et al. (2003) and Clark et al. (2010), electrons squared per molecule."""
    assert water_form_factor(np.array([q]))[0] == pytest.approx(expected, rel=0.02)


def test_background_is_round_and_peaks_on_the_ring(tiny_detector):
    background = water_background(tiny_detector, 7000.0, 0.005)
    np.testing.assert_allclose(background, background[::-1, ::-1])
    assert background.shape == tiny_detector.shape
    # q = 2.01 per angstrom at 7 keV is 2 theta = 32.9 degrees: 43 px away at 5 mm.
    row = background[35, 67:]
    assert abs(int(np.argmax(row)) - 43) <= 4
