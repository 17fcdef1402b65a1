"""Counters that roll over leave holes in bright spots; nothing else does."""

from __future__ import annotations

import numpy as np
import pytest

from cxlsfind.finding.photons import normalise
from cxlsfind.finding.rollover import count_rolled_over

ROW, COLUMN = np.mgrid[:40, :64]


def spot(row: float, column: float, photons: float, width: float = 1.3) -> np.ndarray:
    """Return the expected photons of a spot, [ss, fs]."""
    profile = np.exp(-((ROW - row) ** 2 + (COLUMN - column) ** 2) / (2 * width**2))
    return photons * profile / profile.sum()


@pytest.fixture
def count(two_panels):
    """Return a function that counts the pixels of 8-bit counts [ss, fs] that rolled over."""

    def count_in(counts: np.ndarray) -> int:
        raw = counts.astype(np.uint8).ravel()
        panels = two_panels.geometry, two_panels.layout
        return count_rolled_over(normalise(raw, two_panels.usable, *panels, 9000.0), panels[1])

    return count_in


def test_rolled_over(count):
    """The middle of a spot that is far brighter than its surroundings reads little."""
    counts = np.rint(spot(20.0, 10.0, 3000.0))
    assert counts.max() == 283
    assert count(counts % 256) == 1
    assert count(counts % 256 + np.rint(spot(8.0, 45.0, 3000.0)) % 256) == 2


def test_not_rolled_over(count):
    """Spots that just fit, saturated spots, crowds, edges and noise are in order."""
    rng = np.random.default_rng(3)
    saturated = np.minimum(rng.poisson(spot(20.0, 10.0, 20000.0)), 255)
    assert count(saturated) == 0
    crowd = spot(20.0, 10.0, 2000.0) + spot(24.0, 11.0, 2000.0) + spot(21.0, 14.0, 2000.0)
    assert count(np.minimum(rng.poisson(crowd), 255)) == 0
    assert count(rng.poisson(150.0, (40, 64)).clip(0, 255)) == 0
    notched = np.full((40, 64), 250)
    notched[10:12, 63] = 1  # two neighbours each; the next pixel in memory is none
    notched[20:22, 0] = 1
    assert count(notched) == 0


def test_dead_pixel(count):
    """A pixel that never counts is no sign of it."""
    counts = np.rint(spot(20.0, 10.0, 2000.0))
    counts[20, 10] = 0
    assert count(counts) == 0
