"""The water ring of plain frames: round, and where water has it."""

from __future__ import annotations

import numpy as np

from cxlsfind.sim.water import water_background


def test_background_is_round_and_peaks_on_the_ring(tiny_detector):
    background = water_background(tiny_detector, 7000.0, 0.005)
    np.testing.assert_allclose(background, background[::-1, ::-1])
    assert background.shape == tiny_detector.shape
    # q = 2.01 per angstrom at 7 keV is 2 theta = 32.9 degrees: 43 px away at 5 mm.
    row = background[35, 67:]
    assert abs(int(np.argmax(row)) - 43) <= 4
