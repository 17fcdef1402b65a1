"""Simulated frames: determinism, means, hits and blanks, refused settings."""

from __future__ import annotations

import numpy as np
import pytest

from cxlsfind.errors import UsageError
from cxlsfind.sim.frames import FrameSettings, FrameSimulator


def test_a_frame_depends_on_seed_and_number_alone(tiny_detector):
    settings = FrameSettings(tiny_detector, seed=5)
    forward = [FrameSimulator(settings, 3).frame(n) for n in (0, 1, 2)]
    again = FrameSimulator(settings, 3).frame(2)
    np.testing.assert_array_equal(forward[2].counts, again.counts)
    np.testing.assert_array_equal(forward[2].spots, again.spots)
    assert (forward[0].counts != forward[1].counts).any()
    other = FrameSimulator(FrameSettings(tiny_detector, seed=6), 3).frame(2)
    assert (other.counts != again.counts).any()


@pytest.mark.parametrize("background", [0.05, 2.0])
def test_background_has_the_mean_asked_for(tiny_detector, background):
    """Photons drawn one by one (0.05) and pixel by pixel (2.0)."""
    settings = FrameSettings(tiny_detector, background=background, hit_fraction=0)
    simulator = FrameSimulator(settings, 200)
    counts = np.stack([simulator.frame(n).counts for n in range(200)])
    measured = counts[:, simulator.usable].mean()
    sigma = np.sqrt(background / counts[:, simulator.usable].size)
    assert abs(measured - background) < 5 * sigma
    assert not counts[:, ~simulator.usable].any()
    # Each pixel has its own mean: the pixels' means scatter as Poisson, no more.
    expected = simulator.background[simulator.usable]
    chi2 = (counts[:, simulator.usable].mean(axis=0) - expected) ** 2 * 200 / expected
    assert abs(chi2.mean() - 1) < 0.1


def test_hits_are_the_share_asked_for_and_alone_have_spots(tiny_detector):
    settings = FrameSettings(tiny_detector, hit_fraction=0.25, spots=30)
    simulator = FrameSimulator(settings, 16)
    frames = [simulator.frame(number) for number in range(16)]
    assert sum(frame.is_hit for frame in frames) == 4
    assert all(len(frame.spots) > 0 for frame in frames if frame.is_hit)
    assert all(len(frame.spots) == 0 for frame in frames if not frame.is_hit)


def test_spots_bring_their_photons_and_know_their_background(tiny_detector):
    settings = FrameSettings(
        tiny_detector, background=0.01, spots=3, photons=1000, hit_fraction=1, dead_fraction=0
    )
    simulator = FrameSimulator(settings, 20)
    for number in range(20):
        frame = simulator.frame(number)
        inside = [s for s in frame.spots if 4 < s["fs"] % 70 < 60 and 4 < s["ss"] % 38 < 28]
        for spot in inside:
            fs, ss = int(spot["fs"]), int(spot["ss"])
            near = frame.counts[ss - 3 : ss + 4, fs - 3 : fs + 4].sum()
            assert near >= spot["photons"] - 5 * np.sqrt(spot["photons"]) - 1
            assert spot["background"] == np.float32(simulator.background[ss, fs])


@pytest.mark.parametrize(
    ("name", "value"),
    [("background", -1.0), ("sigma_px", 0.0), ("hit_fraction", 1.5), ("clen_m", 0.0)],
)
def test_numbers_without_a_meaning_are_refused(tiny_detector, name, value):
    with pytest.raises(UsageError, match=name):
        FrameSettings(tiny_detector, **{name: value})


def test_no_background_at_all_is_possible(tiny_detector):
    settings = FrameSettings(tiny_detector, background=0.0, hit_fraction=0)
    assert FrameSimulator(settings, 1).frame(0).counts.sum() == 0
