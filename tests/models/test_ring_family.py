"""The family of ring profiles: what the simulation scatters, and its derivatives."""

from __future__ import annotations

import numpy as np
import pytest

from cxlsfind.models.ring_family import (
    AIR_M,
    BUFFER_M,
    LATENTS,
    SHAPE_SIGMA,
    WATER_M,
    Amount,
    Places,
    light,
)
from cxlsfind.training.ring_draws import EXPOSURE, PIXEL_M, RADIUS_PX, draw_background

RADIUS_M = RADIUS_PX * PIXEL_M
LATENT = np.linspace(-7.0, 7.0, 20001)


@pytest.mark.parametrize("ends", [WATER_M, BUFFER_M, AIR_M])
def test_amounts_follow_their_prior(ends: tuple[float, float]) -> None:
    """Of normal latents most amounts are uniform between the ends, a twentieth is above."""
    amount = Amount(ends)
    drawn, _ = amount.of(np.random.default_rng(1).standard_normal(40000))
    assert np.mean(drawn > ends[1]) == pytest.approx(0.05, abs=0.005)
    assert np.mean(drawn < ends[0]) == pytest.approx(0.05 if ends[0] else 0.0, abs=0.005)
    inside = drawn[(drawn > ends[0]) & (drawn < ends[1])]
    shares = np.histogram(inside, 10, ends)[0] / len(inside)
    np.testing.assert_allclose(shares, 0.1, atol=0.01)


@pytest.mark.parametrize("ends", [WATER_M, BUFFER_M, AIR_M])
def test_amounts_are_smooth(ends: tuple[float, float]) -> None:
    """They rise with the latent, reach ten times the high end, and have the slope they say."""
    value, slope = Amount(ends).of(LATENT)
    assert np.all(np.diff(value) >= 0.0)
    assert value[0] >= 0.0
    assert value[-1] > 10 * ends[1]
    usual = np.abs(LATENT) < 3.0
    np.testing.assert_allclose(np.gradient(value, LATENT)[usual], slope[usual], rtol=0.01)


def places(generator: np.random.Generator, number: int) -> Places:
    """Return random places."""
    return Places(
        np.log(generator.uniform(0.08, 0.5, number)),
        np.log(generator.uniform(5000.0, 15000.0, number)),
        generator.random(number) < 0.5,
        generator.standard_normal((number, LATENTS)),
    )


def centred(values: np.ndarray) -> np.ndarray:
    """Return values without their mean over rings: the number of photons means nothing."""
    return values - values.mean(axis=1, keepdims=True)


@pytest.mark.parametrize("which", range(1 + LATENTS))
def test_derivatives(which: int) -> None:
    """They are those of differences."""
    where = places(np.random.default_rng(which), 5)
    step = np.zeros((5, 1 + LATENTS))
    step[:, which] = 2e-4
    ends = [light(RADIUS_M, where.moved(sign * step)).logarithm for sign in (-1.0, 1.0)]
    found = light(RADIUS_M, where).slope[:, :, which]
    np.testing.assert_allclose(centred(found), centred((ends[1] - ends[0]) / 4e-4), atol=1e-3)


@pytest.mark.parametrize("clen", [0.1, 0.15, 0.35])
def test_the_simulation_is_in_the_family(clen: float) -> None:
    """With the latents of a simulated sample, the light is the simulation's to a thousandth."""
    generator = np.random.default_rng(3)
    for _ in range(5):
        background = draw_background(generator, generator.uniform(6000.0, 8000.0), clen)
        amounts = (
            (background.water_m, WATER_M),
            (background.buffer_m, BUFFER_M),
            (background.air_m, AIR_M),
        )
        latent = [
            float(np.interp(value, Amount(ends).of(LATENT)[0], LATENT)) for value, ends in amounts
        ]
        where = Places(
            np.log([clen]),
            np.log([background.energy_ev * (1.0 + background.q_scale)]),
            np.array([background.has_air]),
            np.array([[*latent, *(np.array(background.shape) / SHAPE_SIGMA)]]),
        )
        expected = np.log(background.expected() / EXPOSURE)
        apart = centred(light(RADIUS_M, where).logarithm - expected)
        assert np.abs(apart).max() < 1.5e-3
