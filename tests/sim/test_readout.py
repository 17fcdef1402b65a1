"""Photon counters: pulses, shared charge, bad pixels, shadows, tracks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from cxlsfind.errors import UsageError
from cxlsfind.sim.detector import DETECTORS
from cxlsfind.sim.readout import Readout, ReadoutSettings


def make_readout(detector, **settings):
    return Readout(
        detector, ReadoutSettings(**{"flat_field": 0.0, **settings}), detector.beam_centre, 3
    )


@pytest.fixture
def flat():
    """Return a detector without gaps."""
    return DETECTORS["Eiger500K"]


@pytest.mark.parametrize(("pulses", "mean"), [(1, 0.5), (10, 5.0), (10, 30.0), (1000, 100.0)])
def test_counts_are_binomial_in_the_pulses(flat, pulses, mean):
    """n trials of chance 1 - exp(-mu / n): mean, variance and the share of the ceiling."""
    readout = make_readout(flat, pulses=pulses, dead_fraction=0.0)
    photons = np.random.default_rng(0).poisson(mean, readout.usable.size).astype(np.uint32)
    counts = readout.count(photons, 5, 0)
    law = binom(pulses, -math.expm1(-mean / pulses))
    n = counts.size
    assert counts.mean() == pytest.approx(law.mean(), abs=5 * law.std() / math.sqrt(n))
    assert counts.var() == pytest.approx(law.var(), rel=0.02)
    assert counts.max() <= pulses
    assert np.mean(counts == 1) == pytest.approx(law.pmf(1), abs=0.003)


def test_losses_to_pulses_are_those_of_the_table(flat):
    """4.8, 21, 37 and 68 % at 0.1, 0.5, 1 and 3 photons per pixel and pulse."""
    readout = make_readout(flat, pulses=10, dead_fraction=0.0)
    rng = np.random.default_rng(2)
    for ratio, loss in ((0.1, 0.048), (0.5, 0.21), (1.0, 0.37), (3.0, 0.68)):
        photons = rng.poisson(10 * ratio, readout.usable.size).astype(np.uint32)
        counts = readout.count(photons.copy(), 1, 0)
        assert 1 - counts.sum() / photons.sum() == pytest.approx(loss, abs=0.005)


def test_a_continuous_beam_loses_nothing(flat):
    readout = make_readout(flat, pulses=0, dead_fraction=0.0)
    photons = np.full(readout.usable.size, 5000, np.uint32)
    assert (readout.count(photons, 1, 0) == 5000).all()


def test_shared_charge_counts_beside_its_photon(flat):
    readout = make_readout(flat, charge_sharing=0.3, dead_fraction=0.0, pulses=0)
    height, width = flat.shape
    photons = np.zeros((height, width), np.uint32)
    photons[10:-10:10, 10:-10:10] = 20
    before = photons.sum()
    counts = readout.count(photons.ravel().copy(), 1, 0).reshape(height, width)
    extra = counts.astype(int) - photons
    assert extra.sum() == pytest.approx(0.3 * before, rel=0.05)
    beside = sum(np.roll(photons > 0, shift, axis) for axis in (0, 1) for shift in (-1, 1))
    assert not extra[beside == 0].any()
    # No direction is preferred.
    shares = [extra[np.roll(photons > 0, s, a)].sum() for a in (0, 1) for s in (-1, 1)]
    assert max(shares) < 1.2 * min(shares)


def test_shared_charge_stays_on_usable_pixels(tiny_detector):
    readout = make_readout(tiny_detector, charge_sharing=1.0, dead_fraction=0.0, pulses=0)
    photons = readout.usable.astype(np.uint32)
    counts = readout.count(photons, 1, 0)
    assert not counts[~readout.usable].any()


def test_flat_field_scatters_as_asked(flat):
    readout = make_readout(flat, flat_field=0.02, dead_fraction=0.01)
    good = readout.efficiency[readout.usable]
    assert good.mean() == pytest.approx(1, abs=1e-3)
    assert good.std() == pytest.approx(0.02, rel=0.02)
    assert readout.best == good.max()
    assert not readout.efficiency[~readout.usable].any()


def test_the_beam_stop_and_its_arm_shade():
    detector = DETECTORS["Eiger1M"]
    readout = make_readout(detector, beam_stop_px=40.0, holder_px=11.0, dead_fraction=0.0)
    plane = readout.efficiency.reshape(detector.shape)
    fs, ss = (int(x) for x in detector.beam_centre)
    assert plane[ss + 45, fs - 45] == 1
    assert plane[ss + 20, fs - 20] == 0
    assert plane[ss + 300, fs] == 0
    assert plane[ss - 300, fs] == 1
    assert plane[ss + 300, fs + 7] == 1
    # Shaded pixels are not bad ones.
    assert readout.usable[(ss + 300) * detector.shape[1] + fs]


def test_hot_pixels_are_always_the_same(flat):
    readout = make_readout(flat, hot_pixels=30, dead_fraction=0.0)
    dark = [
        readout.count(np.zeros(readout.usable.size, np.uint32), 3, number) for number in range(40)
    ]
    lit = np.flatnonzero(sum(dark))
    assert 20 <= len(lit) <= 30
    again = make_readout(flat, hot_pixels=30, dead_fraction=0.0)
    zeros = np.zeros(readout.usable.size, np.uint32)
    np.testing.assert_array_equal(again.count(zeros, 3, 7), dark[7])


def test_twinkling_pixels_come_and_go(flat):
    readout = make_readout(flat, twinkling_pixels=40, dead_fraction=0.0)
    frames = range(0, 640, 16)
    seen = np.array(
        [readout.count(np.zeros(readout.usable.size, np.uint32), 3, n) > 0 for n in frames]
    )
    bright = seen[:, seen.mean(axis=0) > 0.15]
    assert bright.shape[1] > 10
    assert (bright.mean(axis=0) < 0.7).all()


def test_cosmic_rays_leave_tracks_of_single_counts(flat):
    readout = make_readout(flat, cosmics=3.0, dead_fraction=0.0)
    counts = [
        readout.count(np.zeros(readout.usable.size, np.uint32), 1, number) for number in range(60)
    ]
    assert max(frame.max() for frame in counts) <= 2
    pixels = np.mean([np.count_nonzero(frame) for frame in counts])
    assert 10 < pixels < 60


def test_the_dark_rate_is_dectris_own(flat):
    assert make_readout(flat, frame_time_s=3600.0).dark == pytest.approx(0.07)


@pytest.mark.parametrize(
    "wrong",
    [{"pulses": -1}, {"flat_field": 0.5}, {"charge_sharing": 1.1}, {"frame_time_s": 0.0},
     {"cosmics": math.nan}, {"hot_pixels": -3}],
)  # fmt: skip
def test_numbers_without_a_meaning(wrong):
    with pytest.raises(UsageError):
        ReadoutSettings(**wrong)
