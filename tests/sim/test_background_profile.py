"""Water, air and rings in absolute photons, against published numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cxlsfind.errors import UsageError
from cxlsfind.kernels.sim_photons import Streak
from cxlsfind.sim.background.air import air_attenuation
from cxlsfind.sim.background.frame import FrameBackground, profile_photons
from cxlsfind.sim.background.profile import Sample, round_profile
from cxlsfind.sim.background.rings import POWDERS, powder_form_factor
from cxlsfind.sim.background.settings import BackgroundSettings
from cxlsfind.sim.background.water import water_attenuation, water_compton, water_form_factor
from cxlsfind.sim.detector import Detector
from cxlsfind.sim.panels import PixelTables, farthest_tangent, panel_grid
from cxlsfind.sim.readout import Readout, ReadoutSettings

PIXEL = 75e-6

#: Coherent photons per pixel of 0.1 mm of water, 3e8 photons polarised along x, EIGER2 4M centred:
#: energy, camera length, mean, and the unit in which that is rounded.
TABLE = [
    (6000, 0.15, 0.0150, 1e-4),
    (7000, 0.15, 0.0255, 1e-4),
    (8000, 0.15, 0.0361, 1e-4),
    (6000, 0.25, 0.0034, 1e-4),
    (7000, 0.25, 0.0042, 1e-4),
    (8000, 0.25, 0.0054, 1e-4),
    (6000, 0.35, 0.0017, 1e-4),
    (7000, 0.35, 0.0019, 1e-4),
    (8000, 0.35, 0.0021, 1e-4),
]

#: An EIGER2 4M without gaps: the table knows none.
WHOLE = Detector("whole", "", (1, 1), module_shape=(2162, 2068), gap=(0, 0))

#: Compton scattering of a water molecule (xraylib), electrons squared, at q per angstrom.
COMPTON = ((0, 0.25, 0.5, 1, 1.5, 2, 2.5, 3), (0, 0.08, 0.31, 1.13, 2.20, 3.31, 4.31, 5.16))


@pytest.fixture(scope="module")
def perfect():
    """Return it without flaws."""
    settings = ReadoutSettings(flat_field=0.0, dead_fraction=0.0, frame_time_s=1e-9)
    return Readout(WHOLE, settings, (1034.0, 1081.0), 0)


def expected_image(readout, sample, polarisation=1.0):
    """Return the simulator's expected image, [ss, fs]."""
    detector = WHOLE
    grid = panel_grid(detector.panels, detector.shape, sample.clen_m, (0.0, 0.0))
    reach = farthest_tangent(grid)
    profile = round_profile(sample, polarisation, reach, 0.5 * PIXEL / sample.clen_m)
    tables = PixelTables(grid, detector.shape[0] * detector.shape[1])
    background = FrameBackground(profile, Streak(0, 0, 1, 1), grid, tables, readout)
    return background.image().reshape(detector.shape).astype(np.float64)


def pixel_angles(clen):
    """Return x, y (metres) and the cosine of twice theta of every pixel's centre."""
    ss, fs = np.indices((2162, 2068)) + 0.5
    x, y = (fs - 1034) * PIXEL, (ss - 1081) * PIXEL
    return x, y, clen / np.sqrt(x**2 + y**2 + clen**2)


def compton_image(energy, clen):
    """Return the photons of Compton scattering alone, by the formula, with nothing of ours."""
    x, _, cosine = pixel_angles(clen)
    wavelength = 12398.42 / energy
    q = 4 * math.pi / wavelength * np.sqrt((1 - cosine) / 2)
    square = np.interp(q, *COMPTON)
    attenuation = {6000: 24.6, 7000: 15.5, 8000: 10.4}[energy] * 100
    left = np.exp(-attenuation * 100e-6 * (1 + 1 / cosine) / 2)
    solid_angle = PIXEL**2 * cosine**3 / clen**2
    polarisation = 1 - (x / clen * cosine) ** 2
    return 7.95e3 * square * left * solid_angle * polarisation


@pytest.mark.parametrize(("energy", "clen", "mean", "unit"), TABLE)
def test_water_has_the_mean_of_the_table(perfect, energy, clen, mean, unit):
    """The table is of coherent scattering; the Compton part is taken off by its own formula."""
    image = expected_image(perfect, Sample(3e8, energy, clen, 100e-6))
    coherent = (image - compton_image(energy, clen)).mean()
    assert coherent == pytest.approx(mean, rel=0.02, abs=unit / 2)


def test_the_ring_is_where_water_has_it(perfect):
    """The mean over each radius peaks where the product of its factors does, within 2 %."""
    energy, clen = 8000, 0.12
    image = expected_image(perfect, Sample(3e8, energy, clen, 100e-6), polarisation=0.5)
    x, y, _ = pixel_angles(clen)
    radius = np.hypot(x, y) / PIXEL
    ring = radius > 500
    bins = (radius[ring] / 4).astype(int)
    profile = np.bincount(bins, image[ring]) / np.maximum(np.bincount(bins), 1)
    found = 4 * (np.argmax(profile) + 0.5)
    # 56.1 electrons squared at q = 2.0 per angstrom; solid angle and polarisation pull it in.
    q = np.linspace(1.5, 2.5, 1001)
    theta = np.arcsin(q * 12398.42 / energy / (4 * math.pi))
    bell = 56.1 * np.exp(-0.5 * ((q - 2.03) / 0.38) ** 2)
    shape = bell * np.cos(2 * theta) ** 3 * (1 + np.cos(2 * theta) ** 2)
    best = clen * math.tan(2 * theta[np.argmax(shape)]) / PIXEL
    assert found == pytest.approx(best, rel=0.02)


@pytest.mark.parametrize(
    ("q", "expected"),
    [(0.0, 6.5), (0.8, 6.8), (1.2, 10.7), (1.6, 30.4), (2.0, 55.6), (2.5, 43.5), (3.0, 34.3),
     (3.4, 19.1), (3.6, 14.5), (4.3, 12.5), (5.5, 7.2), (8.0, 3.3), (9.0, 3.3)],
)  # fmt: skip
def test_water_follows_the_measured_curve(q, expected):
    """Points of Hura et al. (2003) and Clark et al. (2010), electrons squared per molecule."""
    assert water_form_factor(np.array([q]))[0] == pytest.approx(expected, rel=0.035)


def test_compton_scattering_rises_to_all_electrons():
    values = water_compton(np.array([0.0, 0.5, 2.0, 5.0, 20.0, 50.0]))
    np.testing.assert_allclose(values, [0, 0.31, 3.31, 7.21, 10, 10], atol=1e-9)


@pytest.mark.parametrize(
    ("energy", "water", "air"), [(6, 0.78, 0.66), (7, 0.86, 0.77), (8, 0.90, 0.84)]
)
def test_absorption(energy, water, air):
    """What 0.1 mm of water and 15 cm of air let through."""
    assert math.exp(-water_attenuation(energy * 1e3) * 1e-4) == pytest.approx(water, abs=0.006)
    assert math.exp(-air_attenuation(energy * 1e3) * 0.15) == pytest.approx(air, abs=0.006)


@pytest.mark.parametrize(("path", "expected"), [(0.01, 0.027), (0.05, 0.175), (0.1, 0.49)])
def test_air_behind_the_sample(path, expected):
    """Photons per pixel 30 mm from the beam at 0.15 m, 7 keV, 3e8 photons."""
    sample = Sample(3e8, 7000.0, 0.15, 0.0, air_m=path)
    density = sample.density(np.array([0.03 / 0.15]))[0]
    assert density * (PIXEL / 0.15) ** 2 == pytest.approx(expected, rel=0.06)


def test_air_in_the_flight_path_absorbs():
    vacuum = Sample(3e8, 7000.0, 0.25, 1e-4)
    air = Sample(3e8, 7000.0, 0.25, 1e-4, flight_in_air=True)
    tangent = np.array([0.05])
    ratio = air.density(tangent)[0] / vacuum.density(tangent)[0]
    assert ratio == pytest.approx(0.64, abs=0.006)


def test_ice_lines_hold_their_strength_whatever_their_width():
    q = np.linspace(1.3, 2.0, 20_001)
    for width in (0.001, 0.004):
        total = np.trapezoid(powder_form_factor(POWDERS["ice"][:3], width, q), q)
        strength = sum(line.strength for line in POWDERS["ice"][:3])
        assert total == pytest.approx(strength, rel=1e-3)


def test_ice_scatters_as_much_as_its_lattice():
    """First line: 2 pi^2 m F^2 / (V q^2) per cell of four molecules, 1388 square electrons."""
    q = 2 * math.pi / 3.895
    expected = 2 * math.pi**2 * 1388 / (128.2 * q**2) / 4
    assert POWDERS["ice"][0].strength == pytest.approx(expected, rel=1e-3)


def test_materials_add_their_rings():
    bare = Sample(3e8, 7000.0, 0.1, 1e-4)
    kapton = Sample(3e8, 7000.0, 0.1, 1e-4, materials=(("kapton", 25e-6),))
    tangent = np.tan(2 * np.arcsin(np.array([0.405, 0.6]) * 1.7712 / (4 * math.pi)))
    more = kapton.density(tangent) / bare.density(tangent)
    assert more[0] > 2
    assert more[1] < 1.3


def test_all_photons_are_counted_once():
    sample = Sample(1e9, 7000.0, 0.15, 1e-4)
    profile = round_profile(sample, 0.5, 1.0, 1e-4)
    tangent = (np.arange(10_000) + 0.5) * 1e-4
    expected = np.sum(sample.density(tangent) * 2 * math.pi * tangent * 1e-4)
    assert profile_photons(profile) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        {"water_m": -1.0},
        {"spread": math.inf},
        {"mean": -0.1},
        {"materials": (("cheese", 1e-4),)},
        {"materials": (("lcp", -1e-4),)},
    ],
)
def test_numbers_without_a_meaning(wrong):
    with pytest.raises(UsageError):
        BackgroundSettings(**wrong)
