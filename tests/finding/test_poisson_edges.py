"""Spots on the edges of panels."""

from __future__ import annotations

import numpy as np

from cxlsfind.finding.poisson.finder import PoissonFinder
from cxlsfind.finding.poisson.settings import PoissonSettings


def test_peaks_lie_inside_their_panel(two_panels, to_frame):
    """The middle of a cut spot may be beyond the edge; the peak is not, nor in the next panel."""
    rng = np.random.default_rng(2)
    ss, fs = np.mgrid[:40, :64]
    mean = np.full((40, 64), 0.02)
    for row, column in ((5, 29.3), (12, 29.9), (19, 30.4), (26, -0.8), (33, 63.9), (-0.7, 50)):
        mean += 60.0 * np.exp(-((ss - row) ** 2 + (fs - column) ** 2) / (2 * 0.7**2))
    geometry, layout, usable = two_panels.geometry, two_panels.layout, two_panels.usable
    finder = PoissonFinder(PoissonSettings(), geometry, layout, usable)
    frames = [to_frame(rng.poisson(mean)) for _ in range(10)]
    peaks = np.concatenate([result.peaks for result in finder.find_block(frames).frames])
    assert len(peaks) >= 60
    n_at_edge = 0
    for number, panel in enumerate(geometry.panels):
        here = peaks[peaks["panel"] == number]
        for axis, low, high in (
            ("fs", panel.min_fs, panel.max_fs + 1),
            ("ss", panel.min_ss, panel.max_ss + 1),
        ):
            place = (here[axis] - 0.5).astype(np.float32) + np.float32(0.5)  # as in tables
            assert (place >= low).all()
            assert (place < high).all()
            n_at_edge += np.count_nonzero((place < low + 0.02) | (place > high - 0.02))
    assert n_at_edge > 5
