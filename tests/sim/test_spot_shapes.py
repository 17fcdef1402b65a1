"""Spots against rays traced one by one, and against the numbers of a ruler."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cxlsfind.kernels.sim_spots import Ramp
from cxlsfind.sim.beam import Beam
from cxlsfind.sim.bragg import SpotPainter
from cxlsfind.sim.crystals.catalogue import load_crystal
from cxlsfind.sim.detector import DETECTORS
from cxlsfind.sim.laue import Lattice, LaueCamera
from cxlsfind.sim.panels import panel_grid
from cxlsfind.sim.readout import Readout, ReadoutSettings
from cxlsfind.sim.spectrum import gaussian, top_hat
from cxlsfind.sim.spot_shapes import spot_shapes

FWHM = 2.3548200450309493
WAVELENGTH = 1.2398419843320026e-6 / 7000
DISTANCE, PIXEL = 0.15, 75e-6
CENTRE = np.array([1034.0, 1081.0])


@pytest.fixture(scope="module")
def crystal():
    """Return proteinase K to 3 angstrom."""
    return load_crystal(d_min_m=3e-10)


@pytest.fixture(scope="module")
def readout():
    """Return a flawless detector."""
    settings = ReadoutSettings(flat_field=0.0, dead_fraction=0.0)
    return Readout(DETECTORS["Eiger4M"], settings, (1034.0, 1081.0), 0)


@pytest.fixture(scope="module")
def grid():
    """Return its panel in space."""
    detector = DETECTORS["Eiger4M"]
    return panel_grid(detector.panels, detector.shape, DISTANCE, (0.0, 0.0))


def traced(node, beam, lattice, number=120_000):
    """Return places (fs, ss), px, and weights of rays through random blocks, nodes and angles."""
    rng = np.random.default_rng(1)
    tilt = rng.normal(0, beam.divergence_rad / FWHM, (number, 2))
    incoming = np.column_stack([tilt, np.ones(number)])
    incoming /= np.linalg.norm(incoming, axis=1)[:, None]
    turn = rng.normal(0, lattice.mosaicity_rad / FWHM, (number, 3))
    q = node + np.cross(turn, node)
    q *= np.linalg.norm(node) / np.linalg.norm(q, axis=1)[:, None]
    q += rng.normal(0, 0.886 / lattice.size_m / FWHM, (number, 3))
    wavenumber = -(q**2).sum(axis=1) / (2 * (incoming * q).sum(axis=1))
    relative = np.log(wavenumber * WAVELENGTH)
    weights = np.interp(relative, beam.spectrum.nodes, beam.spectrum.density, left=0.0, right=0.0)
    outgoing = wavenumber[:, None] * incoming + q
    places = outgoing[:, :2] / outgoing[:, 2:] * DISTANCE / PIXEL + CENTRE
    lit = min(lattice.size_m, 2 * beam.radius_m) / PIXEL
    return places + rng.uniform(-0.5, 0.5, (number, 2)) * lit, weights


@pytest.mark.parametrize(
    ("spectrum", "divergence", "mosaicity", "size"),
    [
        (top_hat(0.01), 1e-3, 5e-4, 10e-6),
        (top_hat(0.01), 0.0, 2e-3, 10e-6),
        (gaussian(0.01), 2e-3, 2e-3, 10e-6),
        (top_hat(0.02), 0.0, 0.0, 0.3e-6),
    ],
)
def test_spots_look_like_traced_rays(crystal, readout, grid, spectrum, divergence, mosaicity, size):
    """Centre, width along and across, and the image pixel by pixel."""
    beam = Beam(1e12, 7000.0, spectrum, 5e-6, "disc", 0.5, divergence)
    angle = 0.7
    lattice = Lattice(
        (math.cos(angle), 0.3 * math.sin(angle), 0.0, math.sqrt(0.91) * math.sin(angle)),
        size,
        (0.0, 0.0),
        mosaicity,
    )
    found = LaueCamera(crystal, 1 / 3.1e-10).reflections(lattice, beam)
    # Well inside the band: rays are not to be wasted.
    chosen = (np.abs(found.log_k) < 0.4 * 0.01) & (np.linalg.norm(found.q, axis=1) > 1 / 9e-10)
    found = found.select(np.flatnonzero(chosen)[::6])
    painter = SpotPainter(readout)
    ramp = Ramp(spectrum.nodes, spectrum.density)
    compared = 0
    for i in range(len(found)):
        one = found.select(np.array([i]))
        row, shape = spot_shapes(one, lattice, beam, grid)
        if not len(row) or not readout.usable[_pixel(shape.fs[0], shape.ss[0])]:
            continue
        places, weights = traced(one.q[0], beam, lattice)
        assert weights.mean() == pytest.approx(one.density[0], rel=0.02)
        image = painter.paint([shape], ramp, grid)
        ss, fs = np.divmod(image.index, 2068)
        half = 20
        centre = np.average(places, axis=0, weights=weights)
        if not _is_clear(readout, centre, half):
            continue
        share = image.value / image.value.sum()
        painted = np.array([(fs + 0.5) @ share, (ss + 0.5) @ share])
        np.testing.assert_allclose(painted, centre, atol=0.03)
        listed = np.array([shape.fs[0], shape.ss[0]])
        listed = listed + shape.slope[0] * one.shift[0] * shape.radial[0]
        np.testing.assert_allclose(listed, centre, atol=0.03)
        expected = np.cov(places.T, aweights=weights)
        offset = np.stack([fs + 0.5, ss + 0.5]) - painted[:, None]
        spread = (offset * share) @ offset.T - np.eye(2) / 12
        np.testing.assert_allclose(spread, expected, atol=0.06 * np.trace(expected) + 0.01)
        corner = np.floor(centre).astype(int) - half
        edges = [np.arange(start, start + 2 * half + 2) for start in corner]
        counted, _, _ = np.histogram2d(*places.T, bins=edges, weights=weights / weights.sum())
        smooth = np.zeros_like(counted)
        inside = (np.abs(fs - centre[0]) < half - 1) & (np.abs(ss - centre[1]) < half - 1)
        assert share[inside].sum() > 0.99
        place = fs[inside] - corner[0], ss[inside] - corner[1]
        np.add.at(smooth, place, share[inside])
        assert np.abs(smooth - counted).sum() < 0.08
        compared += 1
    assert compared >= 3


def _pixel(fs, ss):
    inside = 0 <= fs < 2068 and 0 <= ss < 2162
    return int(ss) * 2068 + int(fs) if inside else 512 * 2068


def _is_clear(readout, centre, half):
    fs, ss = np.floor(centre).astype(int)
    if not (half < fs < 2068 - half and half < ss < 2162 - half):
        return False
    window = readout.usable.reshape(2162, 2068)[
        ss - half : ss + half + 1, fs - half : fs + half + 1
    ]
    return bool(window.all())


def test_streaks_have_the_length_of_the_formula(crystal, grid):
    """Mosaic blocks of spread eta draw a spot out by 2 eta L / cos^2 of twice theta."""
    beam = Beam(1e12, 7000.0, top_hat(0.2), 5e-6, "disc", 0.5, 0.0)
    lattice = Lattice((1.0, 0.0, 0.0, 0.0), 50e-6, (0.0, 0.0), 1e-3)
    found = LaueCamera(crystal, 1 / 3.1e-10).reflections(lattice, beam)
    _, shape = spot_shapes(found, lattice, beam, grid)
    row, _ = spot_shapes(found, lattice, beam, grid)
    outgoing = found.q[row] + np.array([0, 0, 1]) * (np.exp(found.log_k[row]) / WAVELENGTH)[:, None]
    cosine = outgoing[:, 2] / np.linalg.norm(outgoing, axis=1)
    expected = 2 * 1e-3 / FWHM * DISTANCE / cosine**2 / PIXEL
    along = np.abs(shape.slope * shape.sigma_k) * np.linalg.norm(shape.radial, axis=1)
    np.testing.assert_allclose(along, expected, rtol=0.01)


@pytest.mark.parametrize(("distance", "expected"), [(0.15, 2.0), (0.25, 3.3), (0.35, 4.7)])
def test_divergence_widens_spots_as_the_distance_says(crystal, distance, expected):
    """One mrad: 2.0, 3.3 and 4.7 px at 0.15, 0.25 and 0.35 m."""
    detector = DETECTORS["Eiger4M"]
    grid = panel_grid(detector.panels, detector.shape, distance, (0.0, 0.0))
    beam = Beam(1e12, 7000.0, top_hat(0.01), 5e-6, "disc", 0.5, 1e-3)
    lattice = Lattice((1.0, 0.0, 0.0, 0.0), 10e-6, (0.0, 0.0), 0.0)
    found = LaueCamera(crystal, 1 / 10e-10).reflections(lattice, beam)
    _, shape = spot_shapes(found, lattice, beam, grid)
    across = shape.sigma_across * FWHM * np.linalg.norm(shape.across, axis=1)
    np.testing.assert_allclose(across, expected, rtol=0.06)


def test_a_perfect_crystal_in_a_parallel_beam_makes_points(crystal, grid):
    beam = Beam(1e12, 7000.0, top_hat(0.05), 5e-6, "disc", 0.5, 0.0)
    lattice = Lattice((1.0, 0.0, 0.0, 0.0), 10e-6, (0.0, 0.0), 0.0)
    found = LaueCamera(crystal, 1 / 3.1e-10).reflections(lattice, beam)
    # Nearer to the beam the size of the nodes shows.
    found = found.select(np.linalg.norm(found.q, axis=1) > 1 / 8e-10)
    _, shape = spot_shapes(found, lattice, beam, grid)
    along = np.hypot(shape.slope * shape.sigma_k, shape.sigma_radial)
    assert (along * np.linalg.norm(shape.radial, axis=1) < 0.15).all()
