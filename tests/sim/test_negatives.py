"""What is no crystal: as often as asked, where its lines are, with their photons."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cxlsfind.errors import UsageError
from cxlsfind.sim.background.profile import Sample
from cxlsfind.sim.negatives import Negative, NegativeSettings, draw_impostors

SAMPLE = Sample(3e8, 7000.0, 0.15, 1e-4)


def draw(number, **shares):
    settings = NegativeSettings(**shares)
    return [
        draw_impostors(np.random.default_rng(k), settings, SAMPLE, 1.0, 0.75) for k in range(number)
    ]


def test_each_kind_comes_as_often_as_asked():
    drawn = draw(400, ice_rings=0.3, ice_spots=0.2, salt=0.1, peg=0.5)
    for kind, share in (
        (Negative.ICE_RING, 0.3),
        (Negative.ICE_SPOTS, 0.2),
        (Negative.SALT, 0.1),
        (Negative.PEG, 0.5),
    ):
        found = np.mean([kind in one.kinds for one in drawn])
        assert found == pytest.approx(share, abs=4 * math.sqrt(share / 400))
        for one in drawn:
            if kind is Negative.ICE_RING:
                assert bool(one.powders) == (kind in one.kinds)


def test_nothing_is_drawn_unasked():
    (nothing,) = draw(1)
    assert nothing.kinds == Negative(0)
    assert not len(nothing.photons)
    assert nothing.powders == ()


def test_ice_spots_lie_on_the_lines_of_ice():
    wavelength = 12398.42 / 7000
    lines = np.array([3.895, 3.661, 3.438, 2.667, 2.248, 2.068, 1.947, 1.916, 1.882])
    for one in draw(20, ice_spots=1.0):
        tangent = np.hypot(one.directions[:, 0], one.directions[:, 1])
        d = wavelength / (2 * np.sin(0.5 * np.arctan(tangent)))
        nearest = np.abs(d[:, None] / lines - 1).min(axis=1)
        assert (nearest < 0.02).all()


def test_ice_spots_bring_as_many_photons_as_rings_on_average():
    """Between the amounts of ice and of crystallites, against the integral of the smooth rings."""
    drawn = draw(300, ice_spots=1.0)
    ratios = [one.photons.sum() for one in drawn]
    rings = draw(300, ice_rings=1.0)
    tangent = np.linspace(0.3, 1.4, 20_001)
    smooth = []
    for one in rings[:60]:
        sample = Sample(3e8, 7000.0, 0.15, 0.0, powders=one.powders)
        # In the polarisation along x the mean of the factor over the ring is that of none.
        left = 1 - 0.5 * tangent**2 / (1 + tangent**2)
        loss = SAMPLE.transmission(tangent)
        ring = sample.density(tangent) * left * loss
        smooth.append(np.trapezoid(ring * 2 * math.pi * tangent, tangent))
    assert np.mean(ratios) == pytest.approx(np.mean(smooth), rel=0.35)


def test_salt_makes_few_strong_spots():
    drawn = draw(200, salt=1.0)
    numbers = np.array([len(one.photons) for one in drawn])
    assert numbers.min() >= 1
    assert numbers.mean() == pytest.approx(4, abs=0.5)
    assert np.median(np.concatenate([one.photons for one in drawn])) > 500


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_shares_without_a_meaning(share):
    with pytest.raises(UsageError, match="salt"):
        NegativeSettings(salt=share)
