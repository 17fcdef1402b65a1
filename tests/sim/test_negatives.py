"""What is no crystal: as often as asked, where its lines are, with their photons."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cxlsfind.errors import UsageError
from cxlsfind.sim.background.profile import Sample
from cxlsfind.sim.crystals.salts import load_salt
from cxlsfind.sim.detector import Detector
from cxlsfind.sim.negatives import Negative, NegativeSettings, draw_impostors
from cxlsfind.sim.patterns import PatternSettings, PatternSimulator

SAMPLE = Sample(3e8, 7000.0, 0.15, 1e-4)


def draw(number, **shares):
    settings = NegativeSettings(**shares)
    return [
        draw_impostors(np.random.default_rng(k), settings, SAMPLE, 1.0, 5e-6) for k in range(number)
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


def test_grains_of_a_kind():
    """One salt a frame, of those that there may be; some frames have many grains."""
    drawn = draw(200, salt=1.0, salts=("NaCl", "KH2PO4"))
    assert {one.salt for one in drawn} == {"NaCl", "KH2PO4"}
    number = np.array([len(one.grains) for one in drawn])
    assert number.min() >= 1
    assert np.median(number) == pytest.approx(math.sqrt(1 * 100), rel=0.3)
    sizes = np.array([grain.size_m for one in drawn for grain in one.grains])
    assert 1e-6 <= sizes.min() < 1.1e-6 < 45e-6 < sizes.max() <= 50e-6
    # Turned anyhow: an axis of the crystals points anywhere.
    axis = np.array([grain.rotation[:, 0] for one in drawn for grain in one.grains])
    np.testing.assert_allclose(axis.mean(axis=0), 0.0, atol=5 / math.sqrt(3 * len(axis)))


@pytest.mark.parametrize("name", ["NaCl", "KH2PO4", "CaSO4.2H2O"])
def test_spots_of_salt_lie_at_its_spacings(name):
    """Where spots land, against the spacings of the cell by Bragg's law."""
    a, b, c, beta = {
        "NaCl": (5.6402, 5.6402, 5.6402, 90.0),
        "KH2PO4": (7.4521, 7.4521, 6.974, 90.0),
        "CaSO4.2H2O": (5.679, 15.202, 6.522, 118.43),
    }[name]
    h, k, m = np.mgrid[-8:9, -16:17, -8:9].reshape(3, -1)
    sine = math.sin(math.radians(beta))
    cross = 2 * h * m * math.cos(math.radians(beta)) / (a * c)
    inverse = ((h / a) ** 2 + (m / c) ** 2 - cross) / sine**2 + (k / b) ** 2
    spacings = 1 / np.sqrt(np.unique(np.round(inverse[inverse > 0], 8)))
    simulator = PatternSimulator(
        PatternSettings(
            Detector("square", "square", (1, 1), (1100, 1100)),
            load_salt("NaCl"),
            photon_energy_ev=12000.0,
            clen_m=0.1,
            photons=1e11,
            bandwidth=4e-3,
            divergence_rad=1e-4,
            beam_spread=0.0,
            negatives=NegativeSettings(salt=1.0, salts=(name,)),
            seed=4,
        )
    )
    found = []
    for number in range(24):
        pattern = simulator.frame(number, with_crystal=False)
        bright = pattern.impostors.index[pattern.impostors.value > 100.0]
        row, column = np.divmod(bright, simulator.settings.detector.shape[1])
        middle = pattern.centre_px
        off = np.hypot(column + 0.5 - middle[0], row + 0.5 - middle[1]) * 75e-6 / 0.1
        found += (12398.42 / 12000.0 / (2 * np.sin(0.5 * np.arctan(off)))).tolist()
    assert len(found) > 30
    assert max(found) < spacings.max() * 1.02
    # Blurred by a pixel or two at 20 mm from the beam: half a percent.
    near = np.abs(np.log(np.array(found)[:, None] / spacings)).min(axis=1)
    assert np.median(near) < 0.003
    assert (near < 0.01).mean() > 0.97


def test_unknown_salts():
    with pytest.raises(UsageError, match="expected some of NaCl"):
        NegativeSettings(salts=("NaCl", "pepper"))


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_shares_without_a_meaning(share):
    with pytest.raises(UsageError, match="salt"):
        NegativeSettings(salt=share)
