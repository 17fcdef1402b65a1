"""Integrated intensities of stills against closed formulas, computed here from scratch."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cxlsfind.sim.beam import Beam
from cxlsfind.sim.bragg import draw_lattices
from cxlsfind.sim.crystals.catalogue import load_crystal
from cxlsfind.sim.crystals.salts import load_salt
from cxlsfind.sim.detector import DETECTORS
from cxlsfind.sim.laue import Lattice, LaueCamera
from cxlsfind.sim.patterns import PatternSettings
from cxlsfind.sim.spectrum import gaussian, top_hat

WAVELENGTH = 1.23984198e-6 / 7000
ELECTRON_RADIUS = 2.8179403e-15


@pytest.fixture(scope="module")
def crystal():
    """Return proteinase K to 2.6 angstrom."""
    return load_crystal(d_min_m=2.6e-10)


def make_beam(bandwidth=0.01, *, radius=5e-6, polarisation=0.7, divergence=0.0, spectrum=None):
    spectrum = top_hat(bandwidth) if spectrum is None else spectrum
    return Beam(3e8, 7000.0, spectrum, radius, "disc", polarisation, divergence)


def random_lattices(crystal, number, size=200e-6, mosaicity=0.0):
    settings = PatternSettings(DETECTORS["Eiger4M"], crystal)
    rng = np.random.default_rng(4)
    for _ in range(number):
        (lattice,) = draw_lattices(rng, settings)
        yield Lattice(lattice.orientation, size, (0.0, 0.0), mosaicity)


@pytest.mark.parametrize(("bandwidth", "n_frames"), [(0.01, 150), (0.05, 40), (0.001, 1500)])
def test_reflections_in_the_band_are_as_many_as_the_formula_says(crystal, bandwidth, n_frames):
    """n = pi/4 V dlambda / d^4, on average over orientations."""
    camera = LaueCamera(crystal, 1 / 2.65e-10)
    beam = make_beam(bandwidth)
    inverse_d = []
    for lattice in random_lattices(crystal, n_frames):
        found = camera.reflections(lattice, beam)
        in_band = np.abs(found.log_k) < bandwidth / 2
        inverse_d.append(np.linalg.norm(found.q[in_band], axis=1))
    inverse_d = np.concatenate(inverse_d)
    for d in (3.3e-10, 2.8e-10):
        expected = math.pi / 4 * crystal.cell.volume_m3 * bandwidth * WAVELENGTH / d**4
        number = np.count_nonzero(inverse_d < 1 / d)
        assert number > 2500
        assert number / n_frames == pytest.approx(expected, rel=0.03)


def test_photons_of_single_reflections_are_those_of_the_laue_formula(crystal):
    """N = r_e^2 Phi V_x |F|^2 P lambda^3 / (V_c^2 2 delta sin^2 theta), term by term."""
    bandwidth, size, fraction = 0.01, 5e-6, 0.7
    beam = make_beam(bandwidth, polarisation=fraction)
    intensity = dict(zip(map(tuple, crystal.hkl.tolist()), crystal.intensity, strict=True))
    camera = LaueCamera(crystal, 1 / 2.65e-10)
    checked = 0
    for lattice in random_lattices(crystal, 3, size):
        found = camera.reflections(lattice, beam)
        for i in np.flatnonzero(np.abs(found.log_k) < 0.3 * bandwidth):
            hkl = tuple(found.hkl[i].tolist())
            square = intensity.get(hkl, intensity.get(tuple(-x for x in hkl)))
            h, k, l = hkl  # noqa: E741
            a, c = 67.288e-10, 106.582e-10
            d = 1 / math.sqrt((h * h + k * k) / a**2 + l * l / c**2)
            # The wavelength that this node reflects, from Bragg's law in vectors.
            q = found.q[i]
            wavelength = -2 * q[2] / (q @ q)
            sine = wavelength / (2 * d)
            direction = q * wavelength + (0, 0, 1)
            assert np.linalg.norm(direction) == pytest.approx(1, abs=1e-9)
            left = 1 - fraction * direction[0] ** 2 - (1 - fraction) * direction[1] ** 2
            flux_density = 3e8 / (math.pi * (5e-6) ** 2)
            volume_cell = a * a * c
            expected = (
                ELECTRON_RADIUS**2 * flux_density * size**3 * square * left * wavelength**3
            ) / (volume_cell**2 * 2 * bandwidth * sine**2)
            assert found.photons[i] == pytest.approx(expected, rel=0.01)
            checked += 1
    assert checked > 150


def test_blur_moves_photons_between_reflections_but_keeps_their_sum(crystal):
    """A crystal with mosaic blocks in a divergent beam: on average the same photons in all."""
    camera = LaueCamera(crystal, 1 / 2.7e-10)
    sums = []
    for mosaicity, divergence in ((0.0, 0.0), (2e-3, 2e-3)):
        beam = make_beam(divergence=divergence)
        total = 0.0
        for lattice in random_lattices(crystal, 250, 200e-6, mosaicity):
            found = camera.reflections(lattice, beam)
            d = 1e10 / np.linalg.norm(found.q, axis=1)
            chosen = (d < 4.0) & (d > 2.8)
            total += np.minimum(found.photons[chosen], np.inf).sum()
        sums.append(total)
    assert sums[1] / sums[0] == pytest.approx(1, abs=0.05)


def test_divergence_acts_like_a_band(crystal):
    """One mrad of angle is cot(theta) times as much of the wavelength: 0.56 % at 5 angstrom."""
    camera = LaueCamera(crystal, 1 / 2.65e-10)
    (lattice,) = random_lattices(crystal, 1)
    found = camera.reflections(lattice, make_beam(0.05, divergence=1e-3))
    d = 1e10 / np.linalg.norm(found.q, axis=1)
    fwhm = found.sigma * 2.3548
    for spacing, expected in ((10, 0.011), (5, 0.0056), (3, 0.0032)):
        near = np.argmin(np.abs(d - spacing))
        # Also the place in the band moves theta, by up to half of it.
        assert fwhm[near] == pytest.approx(expected * d[near] / spacing, rel=0.05)


def test_a_gaussian_spectrum_gives_as_many_photons(crystal):
    camera = LaueCamera(crystal, 1 / 2.7e-10)
    totals = []
    for spectrum in (top_hat(0.02), gaussian(0.02)):
        beam = make_beam(spectrum=spectrum)
        lattices = random_lattices(crystal, 200)
        totals.append(sum(camera.reflections(one, beam).photons.sum() for one in lattices))
    assert totals[1] / totals[0] == pytest.approx(1, abs=0.05)


def test_a_small_beam_lights_a_part_of_a_large_crystal():
    beam = make_beam(radius=2e-6)
    area = math.pi * (2e-6) ** 2
    inside = beam.dose(40e-6, (0.0, 0.0))
    assert inside == pytest.approx(3e8 / area * area * 40e-6, rel=0.15)
    half = beam.dose(40e-6, (20e-6, 0.0))
    assert half == pytest.approx(inside / 2, rel=0.1)
    assert beam.dose(4e-6, (30e-6, 0.0)) == 0
    small = beam.dose(0.5e-6, (0.0, 0.0))
    assert small == pytest.approx(3e8 / area * (0.5e-6) ** 3)


def test_a_gaussian_beam_has_half_its_peak_at_its_radius():
    beam = Beam(1e9, 7000.0, top_hat(0.01), 5e-6, "gaussian", 1.0, 0.0)
    ratio = beam.dose(0.1e-6, (5e-6, 0.0)) / beam.dose(0.1e-6, (0.0, 0.0))
    assert ratio == pytest.approx(0.5, rel=1e-3)
    assert beam.dose(80e-6, (0.0, 0.0)) == pytest.approx(1e9 * 80e-6, rel=0.02)


def test_only_what_may_diffract_does():
    """However blurred: a lattice vector across the beam is half a scattering angle away from it."""
    crystal = load_salt("NaCl")
    camera, beam = LaueCamera(crystal, 1 / 2e-10), make_beam(0.01, divergence=1e-3)
    found = 0
    for lattice in random_lattices(crystal, 400, size=10e-6, mosaicity=0.01):
        reflections = camera.reflections(lattice, beam)
        length = np.linalg.norm(reflections.q, axis=1)
        # Angle of q with the plane across the beam, over that of a reflection of this wavelength.
        angle = np.arcsin(-reflections.q[:, 2] / length)
        bragg = np.arcsin(length * WAVELENGTH / 2)
        spread = np.hypot(0.01, 1e-3) / 2.355
        assert (np.abs(angle - bragg) < 6 * spread + 0.006 * np.tan(bragg)).all()
        found += len(length)
    assert found > 20
