"""Sums over rings and sectors against loops over pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cxlsfind.kernels.sectors import add_places, clip_sectors, fit_of_rings, sum_sectors


@pytest.mark.parametrize("seed", range(3))
def test_sums_against_a_loop(seed: int) -> None:
    """Once as they are, once with values above the cap of their ring counting as the cap."""
    rng = np.random.default_rng(seed)
    n_pixels, n_rings, n_sectors = 3000, 17, 5
    usable = rng.random(n_pixels) < 0.8
    values = (rng.poisson(3.0, n_pixels) * usable).astype(np.uint32)
    ring = np.where(usable, rng.integers(0, n_rings, n_pixels), -1).astype(np.int32)
    sector = rng.integers(0, n_sectors, n_pixels).astype(np.uint8)
    caps = rng.integers(0, 7, n_rings).astype(np.uint32)
    sums, clipped = np.zeros((2, n_sectors, n_rings))
    for pixel in np.flatnonzero(usable):
        place = sector[pixel], ring[pixel]
        sums[place] += int(values[pixel])
        clipped[place] += min(int(values[pixel]), int(caps[ring[pixel]]))
    found = np.zeros((n_sectors, n_rings))
    sum_sectors(values, ring, sector, found)
    np.testing.assert_array_equal(found, sums)
    clip_sectors(values, caps, ring, sector, found)
    np.testing.assert_array_equal(found, clipped)


@pytest.mark.parametrize("number", [0, 1, 300])
def test_places_against_a_loop(number: int) -> None:
    """Every place counts, once more where it comes again."""
    rng = np.random.default_rng(number)
    ring, sector = (
        rng.integers(0, 9, 500).astype(np.int32),
        rng.integers(0, 4, 500).astype(np.uint8),
    )
    places = rng.integers(0, 500, number).astype(np.int32)
    sums = np.ones((4, 9))
    for place in places.tolist():
        sums[sector[place], ring[place]] += 0.25
    found = np.ones((4, 9))
    add_places(places, 0.25, ring, sector, found)
    np.testing.assert_array_equal(found, sums)


@pytest.mark.parametrize("offset", [(0.0, 0.0), (3.2, -1.4), (-11.0, 6.0), (40.0, 0.0)])
def test_fit_against_the_formula(offset: tuple[float, float]) -> None:
    """Rings that a sector does not reach get nothing from it."""
    rng = np.random.default_rng(5)
    n_sectors, n_rings = 8, 30
    sums = rng.poisson(4.0, (n_sectors, n_rings)).astype(float)
    weights = rng.uniform(0.0, 20.0, (n_sectors, n_rings))
    angle = rng.uniform(0.0, 2.0 * math.pi, n_sectors)
    found = fit_of_rings(sums, weights, np.cos(angle), np.sin(angle), *offset)
    photons, expected = np.zeros(n_rings), np.zeros(n_rings)
    for number in range(n_sectors):
        step = round(offset[0] * math.cos(angle[number]) + offset[1] * math.sin(angle[number]))
        for ring in range(n_rings):
            if 0 <= ring + step < n_rings:
                photons[ring] += sums[number, ring + step]
                expected[ring] += weights[number, ring + step]
    lit = (photons > 0) & (expected > 0)
    photons, expected = photons[lit], expected[lit]
    gain = photons * np.log(photons / expected) - photons + expected
    assert found == pytest.approx(gain.sum())
