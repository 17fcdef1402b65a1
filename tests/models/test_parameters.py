"""Photon energy and camera length: found where photons tell them, refused where they do not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cxlsfind.errors import UsageError
from cxlsfind.models.parameters import Header, estimate_parameters
from cxlsfind.models.ring_fit import RingProfile
from cxlsfind.training.ring_draws import (
    EXPOSURE,
    PIXEL_M,
    RADIUS_PX,
    Background,
    draw_anywhere,
    draw_background,
)


def make_profile(
    generator: np.random.Generator, energy_ev: float, clen_m: float, photons: float
) -> RingProfile:
    """Draw photons of a random sample on an EIGER's rings."""
    return draw_background(generator, energy_ev, clen_m).draw(generator, photons)


def test_nearest_kev_and_cm_of_a_run() -> None:
    """A thousand frames at 0.15 m: the nearest keV and cm, with sane errors."""
    found = estimate_parameters(make_profile(np.random.default_rng(1), 7000, 0.15, 1e8))
    assert found is not None
    assert abs(found.photon_energy_ev - 7000) < 3 * found.sigma_energy_ev < 600
    assert abs(found.clen_m - 0.15) < min(0.005, 3 * found.sigma_clen_m)
    assert abs(found.ring_scale - math.log(0.15 / 7000)) < 3 * found.sigma_ring_scale < 0.03
    assert found.misfit == pytest.approx(1.0, abs=0.4)
    assert found.correlation > 0.7
    low95, low68, high68, high95 = found.energy_interval_ev
    assert low95 < low68 < found.photon_energy_ev < high68 < high95
    assert found.is_clen_identified


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
    assert not found.is_in_conflict


def test_headers_that_disagree_are_noticed() -> None:
    """A header 10 % off in distance is many standard deviations away."""
    profile = make_profile(np.random.default_rng(5), 7000, 0.15, 1e7)
    found = estimate_parameters(profile, energy=Header(7000, 20), clen=Header(0.165, 0.0005))
    assert found is not None
    assert found.conflict < -5.0
    assert found.is_in_conflict


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
        found = estimate_parameters(
            make_profile(generator, energy, clen, 10 ** generator.uniform(6, 8))
        )
        assert found is not None
        pulls.append((found.photon_energy_ev - energy) / found.sigma_energy_ev)
    # The sum of eight squares is between 1.3 and 22 with 99 % probability.
    assert 1.3 < sum(pull**2 for pull in pulls) < 22.0


def test_a_run_is_known_as_well_as_can_be() -> None:
    """With very many photons, what is said is the Cramer-Rao bound of the family."""
    background = Background(7000, 0.15, 0.0, 1e-4, 2e-5, 5e-3, True, (0.0,) * 6)
    found = estimate_parameters(background.draw(np.random.default_rng(9), 1e8))
    assert found is not None
    bound = background.bound(1e8)
    assert found.sigma_energy_ev == pytest.approx(bound.energy_ev, rel=0.2)
    assert found.sigma_clen_m == pytest.approx(bound.clen_m, rel=0.2)


def test_many_photons_do_not_lead_astray() -> None:
    """A background at which a search with all photons from the start ends at 20 keV."""
    generator = np.random.default_rng((101, 150, 100000000, 64))
    energy = generator.uniform(6000.0, 8000.0)
    found = estimate_parameters(make_profile(generator, energy, 0.15, 1e8))
    assert found is not None
    assert found.misfit < 1.5
    assert abs(found.photon_energy_ev - energy) < 4 * found.sigma_energy_ev


@pytest.mark.parametrize("number", [90, 92])
def test_short_distances(number: int) -> None:
    """At 5 cm few photons look surer than they are, and the fit's rings are wide for water's."""
    generator = np.random.default_rng((77, 4, 100000000, number))
    background = draw_anywhere(generator)
    found = estimate_parameters(background.draw(generator, 1e8))
    assert found is not None
    assert found.misfit < 2.0
    assert abs(found.photon_energy_ev - background.energy_ev) < 4 * found.sigma_energy_ev
    assert abs(found.clen_m - background.clen_m) < 4 * found.sigma_clen_m


def test_more_air_than_usual() -> None:
    """Five times the longest usual way through air is no obstacle."""
    background = Background(7000, 0.15, 0.0, 1e-4, 2e-5, 0.05, True, (0.0,) * 6)
    found = estimate_parameters(background.draw(np.random.default_rng(10), 1e8))
    assert found is not None
    assert found.misfit < 1.5
    assert abs(found.photon_energy_ev - 7000) < 4 * found.sigma_energy_ev < 1200


def test_rings_that_are_binned_differently_say_the_same() -> None:
    """Two rings in one, with the mean radius of their pixels, change nothing that matters."""
    fine = make_profile(np.random.default_rng(11), 7000, 0.15, 1e7)
    pairs = len(RADIUS_PX) // 2
    both = [a[: 2 * pairs].reshape(pairs, 2) for a in (RADIUS_PX * PIXEL_M * EXPOSURE, EXPOSURE)]
    radius = both[0].sum(axis=1) / both[1].sum(axis=1)
    photons = fine.photons[: 2 * pairs].reshape(pairs, 2).sum(axis=1)
    coarse = estimate_parameters(RingProfile(radius, photons, both[1].sum(axis=1)))
    found = estimate_parameters(fine)
    assert found is not None
    assert coarse is not None
    apart = coarse.photon_energy_ev - found.photon_energy_ev
    assert abs(apart) < 0.5 * found.sigma_energy_ev


def test_columns_of_a_profile_must_match() -> None:
    """Rings, photons and pixels belong together."""
    with pytest.raises(UsageError, match="columns"):
        RingProfile(np.ones(4), np.ones(5), np.ones(4))
