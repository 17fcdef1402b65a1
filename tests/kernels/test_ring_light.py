"""The light of a sample by distance from the beam, against the same written plainly."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cxlsfind.kernels.ring_light import LightPlaces, LightTables, fill_light

Q = np.arange(0.0, 30.01, 0.001)
SLICES = 0.5 * (np.array(np.polynomial.legendre.leggauss(3)) + np.array([[1.0], [0.0]]))
WAVE, NEAREST, UNIT = 0.8, 0.02, 0.004


def scattering(q: float, kind: int) -> float:
    """Return smooth curves that are easily told apart."""
    return (math.exp(-0.1 * q * q), 1.0 / (1.0 + q), 0.01 * math.exp(-q))[kind]


def tables() -> LightTables:
    """Return the curves, tabulated."""
    values = [np.array([scattering(q, kind) for q in Q]) for kind in range(3)]
    return LightTables(
        *(np.stack([v, np.gradient(v, 0.001)]) for v in values), 0.001, WAVE, NEAREST
    )


def naive(
    radius: float,
    clen: float,
    wave_number: float,
    amounts: np.ndarray,
    absorbs: tuple[float, float],
    heights: np.ndarray,
) -> float:
    """Return the logarithm of the light of one pixel by plain trigonometry."""

    def seen(kind: int, distance: float) -> float:
        angle = math.atan2(radius, distance)
        q = 2.0 * wave_number * math.sin(0.5 * angle)
        return scattering(q, kind) * math.cos(angle) ** 3 * (1.0 + math.cos(angle) ** 2) / 2.0

    water, buffer, air = amounts
    length = min(air, (1.0 - NEAREST) * clen)
    total = water * seen(0, clen) + buffer * seen(1, clen)
    for place, weight in SLICES.T:
        left = clen - place * length
        total += weight * length * (clen / left) ** 2 * seen(2, left)
    angle = math.atan2(radius, clen)
    q = 2.0 * wave_number * math.sin(0.5 * angle)
    way = (absorbs[0] * (water + buffer) + absorbs[1] * clen) / math.cos(angle)
    waves = sum(h * math.cos((k + 1) * WAVE * q) for k, h in enumerate(heights))
    return math.log(total) - way + waves


@pytest.mark.parametrize("air", [0.0, 0.01, 0.5])
def test_light_is_that_of_plain_trigonometry(air: float) -> None:
    """So are the derivatives, where the air ends before the detector and where it reaches it."""
    generator = np.random.default_rng(int(1000 * air))
    radius = np.append(0.0, generator.uniform(0.001, 0.2, 9))
    n = 4
    clen, wave_number = generator.uniform(0.05, 0.4, n), generator.uniform(2.0, 8.0, n)
    amounts = np.column_stack([*generator.uniform(1e-5, 1e-3, (2, n)), np.full(n, air)])
    slopes = generator.uniform(0.5, 2.0, (n, 3))
    absorbs = generator.uniform(0.0, 500.0, n), generator.uniform(0.0, 2.0, n)
    heights = generator.normal(0.0, 0.1, (n, 5))
    logarithm, slope = np.empty((n, 10)), np.empty((n, 10, 9))
    places = LightPlaces(clen, wave_number, amounts, slopes, *absorbs, heights, UNIT)
    fill_light(radius, places, tables(), SLICES, logarithm, slope)
    for p in range(n):
        own = absorbs[0][p], absorbs[1][p]
        for r in range(len(radius)):

            def at(change: np.ndarray, p: int = p, r: int = r, own: tuple = own) -> float:
                length = clen[p] * math.exp(change[0])
                more = heights[p] + UNIT * change[4:]
                sample = amounts[p] + slopes[p] * change[1:4]
                return naive(radius[r], length, wave_number[p], sample, own, more)

            assert logarithm[p, r] == pytest.approx(at(np.zeros(9)), abs=1e-6)
            for which in range(9):
                step = np.zeros(9)
                step[which] = 1e-8 if 1 <= which <= 3 else 1e-4
                if which == 3 and air >= (1.0 - NEAREST) * clen[p]:
                    assert slope[p, r, which] == 0.0
                    continue
                expected = (at(step) - at(-step)) / (2.0 * step[which])
                assert slope[p, r, which] == pytest.approx(expected, rel=2e-3, abs=1e-4)
