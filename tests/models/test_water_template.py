"""The template agrees with measurements and with plain geometry."""

from __future__ import annotations

import numpy as np
import pytest

from cxlsfind.models.water import (
    air_path,
    air_scattering,
    pixel_factor,
    scattering_vector,
    water_scattering,
)


def test_water_has_its_ring() -> None:
    """6.5 electrons squared in the middle, 56 + 3.4 at 2.05 per angstrom, Compton far out."""
    q = np.array([0.0, 2.05, 1.0, 8.0, 25.0])
    found = water_scattering(q)
    np.testing.assert_allclose(found[:3], [6.5, 59.6, 9.0], rtol=0.02)
    assert 9.0 < found[4] < found[3] < 13.0
    fine = water_scattering(np.linspace(0.0, 12.0, 4000))
    assert np.abs(np.diff(fine)).max() < 0.5


def test_scattering_vector() -> None:
    """7 keV at 0.15 m: the edge of an EIGER2 4M is at 1.68, its corner at 2.24 per angstrom."""
    q = scattering_vector(np.array([0.0, 1034 * 75e-6, 1496 * 75e-6]), 0.15, 7000.0)
    np.testing.assert_allclose(q, [0.0, 1.68, 2.24], atol=0.02)


def test_pixel_factor_falls_with_the_angle() -> None:
    """Solid angle and polarisation at 45 degrees: 2^-1.5 * 3/4."""
    np.testing.assert_allclose(pixel_factor(np.array([0.0, 0.1]), 0.1), [1.0, 2**-1.5 * 0.75])


def test_air_near_the_sample_scatters_like_the_sample() -> None:
    """A short path is the sample's own place; a long one adds wider angles."""
    radius = np.linspace(0.0, 0.11, 20)
    clen, energy = np.array(0.15), np.array(7000.0)
    short = air_path(radius, clen, energy, 1e-6)
    alone = air_scattering(scattering_vector(radius, clen, energy)) * pixel_factor(radius, clen)
    np.testing.assert_allclose(short, alone, rtol=1e-4)
    assert air_path(radius, clen, energy, 0.6)[0] > 1.5 * short[0]
    assert air_scattering(np.array([0.0]))[0] == pytest.approx(6.5)
