"""Sharp rings of the background, and the flags of peaks on them."""

from __future__ import annotations

import numpy as np
import pytest

from cxlsfind.finding.poisson.finder import PoissonFinder
from cxlsfind.finding.poisson.settings import PoissonResult, PoissonSettings
from cxlsfind.records import PeakFlag

SIDE = 500


def find(
    one_panel,
    to_frame,
    mean: np.ndarray,
    n_frames: int,
    seed: int,
    strengths: np.ndarray | None = None,
) -> tuple[PoissonResult, ...]:
    """Return what the finder says of frames of a mean, plus so many times two rings of ice."""
    geometry, layout = one_panel(SIDE)
    usable = np.ones(SIDE * SIDE, np.bool_)
    finder = PoissonFinder(PoissonSettings(), geometry, layout, usable)
    rng = np.random.default_rng(seed)
    means = [mean] * n_frames
    if strengths is not None:
        means = [mean + strength * ice() for strength in strengths]
    return finder.find_block([to_frame(rng.poisson(each)) for each in means]).frames


def ice() -> np.ndarray:
    return sum(np.exp(-0.5 * ((radius() - at) / 1.5) ** 2) for at in (95, 140))


def radius() -> np.ndarray:
    ss, fs = np.mgrid[0:SIDE, 0:SIDE] + 0.5
    return np.hypot(ss - SIDE / 2, fs - SIDE / 2)


def water(level: float) -> np.ndarray:
    return level * (1.0 + 3.0 * np.exp(-0.5 * ((radius() - 180) / 40) ** 2))


@pytest.mark.parametrize(("level", "n_frames"), [(0.01, 64), (0.1, 16), (1.0, 16)])
def test_ice_is_told_from_water(one_panel, to_frame, level: float, n_frames: int) -> None:
    """Two thin rings are found where they are; the wide ring of water is none."""
    ice = sum(np.exp(-0.5 * ((radius() - at) / 1.5) ** 2) for at in (95, 140))
    rings = find(one_panel, to_frame, water(level) + 2.0 * level * ice, n_frames, 1)[0].rings
    assert [ring.radius_px for ring in rings] == pytest.approx([95, 140], abs=1.5)
    for ring in rings:
        assert ring.first <= ring.radius_px <= ring.last + 1
        assert 0.3 < ring.excess < 2.5
    assert find(one_panel, to_frame, water(level), n_frames, 2)[0].rings == ()


def test_spots_on_a_ring_are_flagged(one_panel, to_frame) -> None:
    """Of two spots one lies on the ring; spots alone make no ring."""
    mean = water(0.05)
    spots = np.zeros_like(mean)
    for row, column in ((250, 345), (310, 250)):
        spots[row - 1 : row + 2, column - 1 : column + 2] = np.outer([1, 2, 1], [1, 2, 1])
    on_ring = mean + 0.1 * np.exp(-0.5 * ((radius() - 95) / 1.5) ** 2)
    for result in find(one_panel, to_frame, on_ring + 20 * spots, 24, 3):
        first, second = sorted(result.peaks[:2], key=lambda peak: peak["ss"])
        assert first["flags"] & PeakFlag.RING
        assert not second["flags"] & PeakFlag.RING
    assert find(one_panel, to_frame, mean + 20 * spots, 24, 4)[0].rings == ()


def test_ice_that_comes_and_goes(one_panel, to_frame) -> None:
    """A frame with five times the ice of the others has no more false peaks than they have."""
    strengths = np.full(32, 0.1)
    strengths[5], strengths[11], strengths[20] = 0.5, 0.0, 0.3
    results = find(one_panel, to_frame, water(0.05), 32, 5, strengths)
    assert len(results[0].rings) == 2
    # One is expected in a frame; blind to the change there are dozens where there is more ice.
    for number in (5, 20):
        assert results[number].n_peaks <= 5
        assert not results[number].is_hit
    assert sum(result.n_peaks for result in results) <= 55
    # Where there is none, spots on the ring's place are found as anywhere.
    mean = water(0.05)
    spots = np.zeros_like(mean)
    spots[249:252, 344:347] = np.outer([1, 2, 1], [1, 2, 1])
    found = find(one_panel, to_frame, mean + 1.5 * spots, 32, 6, strengths)
    near = [
        (np.hypot(r.peaks["fs"] - 345.5, r.peaks["ss"] - 250.5)[: r.n_peaks] < 2).any()
        for r in found
    ]
    assert near[11]
