"""The template agrees with measurements and with plain geometry."""

from __future__ import annotations

import numpy as np
import pytest

from cxlsfind.models.water import (
    air_attenuation,
    air_scattering,
    water_attenuation,
    water_scattering,
)


def test_water_has_its_ring() -> None:
    """6.5 electrons squared in the middle, 56 + 3.4 at 2.05 per angstrom, 3.3 + Compton far out."""
    q = np.array([0.0, 2.05, 1.0, 8.0, 25.0])
    found = water_scattering(q)
    np.testing.assert_allclose(found[:3], [6.5, 59.6, 9.0], rtol=0.02)
    np.testing.assert_allclose(found[3:], [12.0, 13.3], rtol=0.01)
    fine = water_scattering(np.linspace(0.0, 12.0, 4000))
    assert np.abs(np.diff(fine)).max() < 0.5


def test_attenuation() -> None:
    """Water takes a third of 8 keV photons in 0.4 mm; air a quarter in 0.25 m; 4 keV far more."""
    energy = np.array([4000.0, 8000.0])
    np.testing.assert_allclose(water_attenuation(energy), [8278.0, 1037.0])
    np.testing.assert_allclose(air_attenuation(energy), [9.385, 1.1955], rtol=1e-3)


def test_air_has_its_forward_scattering() -> None:
    """All electrons of a mean molecule, squared, scatter together."""
    assert air_scattering(np.array([0.0]))[0] == pytest.approx(208.6)
