"""Photon energy and camera length: found where photons tell them, refused where they do not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cxlsfind.errors import UsageError
from cxlsfind.models.parameters import Header, ParameterPosterior, estimate_parameters
from cxlsfind.models.ring_fit import RingProfile
from cxlsfind.models.water import air_path, pixel_factor, scattering_vector, water_scattering

PIXEL_M = 75e-6


def make_profile(
    generator: np.random.Generator,
    energy_ev: float,
    clen_m: float,
    photons: float,
    *,
    q_scale: float = 1.0,
    salt: float = 0.3,
    air: float = 0.0,
) -> RingProfile:
    """Draw photons of water, some buffer and air on an EIGER's rings."""
    radius_px = np.arange(2, 1490, 6) + 3.0
    corner = np.clip(1.0 - (radius_px - 1035) / 470, 0.01, 1.0)
    exposure = 2 * np.pi * radius_px * 6 * corner
    radius = radius_px * PIXEL_M
    q = q_scale * scattering_vector(radius, clen_m, energy_ev)
    light = water_scattering(q) + 6.5 * salt * np.exp(-0.5 * (q / 0.45) ** 2)
    mean = light * pixel_factor(radius, clen_m)
    mean = mean + air * air_path(radius, np.array(clen_m), np.array(energy_ev), 0.2)
    mean *= exposure
    return RingProfile(
        radius, generator.poisson(photons * mean / mean.sum()).astype(np.float64), exposure
    )


def test_nearest_kev_and_cm_of_a_run() -> None:
    """A thousand frames at 0.15 m: the nearest keV and cm, with sane errors."""
    found = estimate_parameters(make_profile(np.random.default_rng(1), 7000, 0.15, 1e8))
    assert found is not None
    assert abs(found.photon_energy_ev - 7000) < 3 * found.sigma_energy_ev < 600
    assert abs(found.clen_m - 0.15) < 0.005
    assert abs(found.ring_scale - math.log(0.15 / 7000)) < 3 * found.sigma_ring_scale < 0.03
    assert found.misfit == pytest.approx(1.0, abs=0.4)
    assert found.correlation > 0.7
    low95, low68, high68, high95 = found.energy_interval_ev
    assert low95 < low68 < found.photon_energy_ev < high68 < high95


def test_water_says_nothing_at_long_distance() -> None:
    """At 0.35 m the ring is far outside: not identified, with errors that say so."""
    found = estimate_parameters(make_profile(np.random.default_rng(2), 7000, 0.35, 1e7))
    assert found is not None
    assert not found.is_energy_identified
    assert not found.is_clen_identified
    assert found.sigma_energy_ev > 400


def test_no_photons_no_answer() -> None:
    """A few photons are no profile."""
    assert estimate_parameters(make_profile(np.random.default_rng(3), 7000, 0.15, 100)) is None


def test_headers_sharpen_the_answer() -> None:
    """A distance known to 0.5 mm gives the energy to a percent."""
    profile = make_profile(np.random.default_rng(4), 7000, 0.15, 1e6)
    found = estimate_parameters(profile, energy=Header(7050, 500), clen=Header(0.15, 0.0005))
    assert found is not None
    assert abs(found.photon_energy_ev - 7000) < 3 * found.sigma_energy_ev < 300
    assert abs(found.conflict) < 2.5


def test_headers_that_disagree_are_noticed() -> None:
    """A header 10 % off in distance is many standard deviations away."""
    profile = make_profile(np.random.default_rng(5), 7000, 0.15, 1e7)
    found = estimate_parameters(profile, energy=Header(7000, 20), clen=Header(0.165, 0.0005))
    assert found is not None
    assert found.conflict < -5.0


def test_what_the_template_does_not_know_is_not_identified() -> None:
    """A sharp strong ring of something else: a misfit, and no claim."""
    profile = make_profile(np.random.default_rng(6), 7000, 0.15, 1e7)
    photons = profile.photons.copy()
    photons[60:64] *= 3.0
    found = estimate_parameters(RingProfile(profile.radius_m, photons, profile.exposure))
    assert found is not None
    assert found.misfit > 2.0
    assert not found.is_energy_identified
    assert not found.is_clen_identified


def test_errors_hold_what_they_promise() -> None:
    """Over random conditions and template errors, pulls are those of honest errors."""
    generator = np.random.default_rng(7)
    pulls = []
    for _ in range(8):
        energy, clen = generator.uniform(6000, 9000), generator.uniform(0.1, 0.17)
        found: ParameterPosterior | None = estimate_parameters(
            make_profile(
                generator,
                energy,
                clen,
                10 ** generator.uniform(6, 8),
                q_scale=1.0 + generator.normal(0.0, 0.005),
                salt=generator.uniform(0.0, 1.0),
                air=generator.uniform(0.0, 0.5),
            )
        )
        assert found is not None
        pulls.append((found.photon_energy_ev - energy) / found.sigma_energy_ev)
    # The sum of eight squares is below 20 with 99 % probability.
    assert sum(pull**2 for pull in pulls) < 20.0


def test_columns_of_a_profile_must_match() -> None:
    """Rings, photons and pixels belong together."""
    with pytest.raises(UsageError, match="columns"):
        RingProfile(np.ones(4), np.ones(5), np.ones(4))
