"""The reading of one photon, told from the scatter of the values."""

from __future__ import annotations

import numpy as np
import pytest

from cxlsfind.finding.gains import estimate_gain

SIZE = 300 * 300


def draw(mean: float, seed: int) -> np.ndarray:
    """Return photons with some spots, a slope and hot pixels."""
    generator = np.random.default_rng(seed)
    photons = generator.poisson(mean * np.linspace(0.5, 1.5, SIZE))
    photons[generator.choice(SIZE, 40, replace=False)] += 50
    return photons


@pytest.mark.parametrize("mean", [0.001, 0.02, 0.3, 3.0, 10.0])
def test_counts_have_no_gain(mean: float) -> None:
    """Photons read one each, whatever the background, spots and slopes."""
    assert estimate_gain(draw(mean, 1).astype(np.uint16), np.ones(SIZE, np.bool_)) == 1.0


@pytest.mark.parametrize("mean", [0.02, 0.3, 3.0, 10.0])
@pytest.mark.parametrize("gain", [2, 3, 100])
def test_multiples_are_found(mean: float, gain: int) -> None:
    """Whole gains are exact, marks at the top of the type and masked pixels aside."""
    raw = (gain * draw(mean, 2)).astype(np.uint16)
    usable = np.ones(SIZE, np.bool_)
    raw[:3000] = 65535
    raw[3000:6000] = 1
    usable[3000:6000] = False
    assert estimate_gain(raw, usable) == gain


@pytest.mark.parametrize("gain", [2.4, 37.6])
def test_other_gains_are_near(gain: float) -> None:
    """A gain that is no whole number is found to a few percent, where values are rounded."""
    raw = np.rint(gain * draw(0.3, 3)).astype(np.int32)
    assert estimate_gain(raw, np.ones(SIZE, np.bool_)) == pytest.approx(gain, rel=0.1)


def test_few_pixels_tell_nothing() -> None:
    """Dark frames, and frames of a few bright pixels, are left as they are."""
    usable = np.ones(SIZE, np.bool_)
    assert estimate_gain(np.zeros(SIZE, np.uint16), usable) == 1.0
    raw = np.zeros(SIZE, np.uint16)
    raw[::4000] = 700
    assert estimate_gain(raw, usable) == 1.0


def test_pulses_that_pixels_miss_are_no_gain() -> None:
    """With few pulses per frame counts scatter less than photons; that is no gain below one."""
    generator = np.random.default_rng(4)
    raw = generator.binomial(2, 0.4, SIZE).astype(np.uint16)
    assert estimate_gain(raw, np.ones(SIZE, np.bool_)) == 1.0
