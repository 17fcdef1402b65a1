"""The template agrees with measurements and with plain geometry."""

from __future__ import annotations

import numpy as np
import pytest

from cxlsfind.models.water import (
    Tabulated,
    air_attenuation,
    air_scattering,
    directions,
    water_attenuation,
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


def test_directions() -> None:
    """7 keV at 0.15 m: the edge of an EIGER2 4M is at 1.68, its corner at 2.24 per angstrom."""
    found = directions(np.array([0.0, 1034 * 75e-6, 1496 * 75e-6]), 0.15, 7000.0)
    np.testing.assert_allclose(found.q, [0.0, 1.68, 2.24], atol=0.02)


def test_pixel_factor_falls_with_the_angle() -> None:
    """Solid angle and polarisation at 45 degrees: 2^-1.5 * 3/4; q by the plain formula."""
    found = directions(np.array([0.0, 0.1]), 0.1, 12398.42)
    np.testing.assert_allclose(found.factor, [1.0, 2**-1.5 * 0.75])
    np.testing.assert_allclose(found.secant, [1.0, 2**0.5])
    np.testing.assert_allclose(found.q, [0.0, 4 * np.pi * np.sin(np.pi / 8)], rtol=1e-6)


def test_attenuation() -> None:
    """Water takes a third of 8 keV photons in 0.4 mm; air a quarter in 0.25 m; 4 keV far more."""
    energy = np.array([4000.0, 8000.0])
    np.testing.assert_allclose(water_attenuation(energy), [8278.0, 1037.0])
    np.testing.assert_allclose(air_attenuation(energy), [9.385, 1.1955], rtol=1e-3)


def test_a_table_is_the_function() -> None:
    """Looked up or computed, water scatters the same, to the end and beyond."""
    q = np.random.default_rng(1).uniform(0.0, 30.0, 1000)
    found = Tabulated(water_scattering)(np.append(q, 40.0))
    np.testing.assert_allclose(found[:-1], water_scattering(q), rtol=1e-5)
    np.testing.assert_allclose(found[-1], water_scattering(np.array([30.0]))[0], rtol=1e-9)
    assert air_scattering(np.array([0.0]))[0] == pytest.approx(208.6)
