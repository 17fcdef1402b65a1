"""Photons drawn from the background: as many as expected, everywhere, with Poisson's scatter."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cxlsfind.geometry.crystfel import parse_geometry
from cxlsfind.kernels.sim_photons import Streak, bound_tiles
from cxlsfind.sim.background.frame import FrameBackground
from cxlsfind.sim.background.profile import Sample, round_profile
from cxlsfind.sim.detector import DETECTORS, GeometryDetector
from cxlsfind.sim.panels import PixelTables, farthest_tangent, panel_grid
from cxlsfind.sim.readout import Readout, ReadoutSettings

NO_STREAK = Streak(0.0, 0.0, 1.0, 1.0)
TILTED = """clen = 0.03
photon_energy = 7000 eV
res = 13333.3
adu_per_photon = 1
a/min_fs = 0
a/max_fs = 129
a/min_ss = 0
a/max_ss = 79
a/corner_x = -100
a/corner_y = -70
a/fs = x +0.1z
a/ss = y +0.2z
b/min_fs = 0
b/max_fs = 129
b/min_ss = 80
b/max_ss = 169
b/corner_x = 70
b/corner_y = 30
b/fs = -x
b/ss = y
"""


def make_background(detector, photons, *, clen=0.15, streak=NO_STREAK, readout=None, powders=()):
    grid = panel_grid(detector.panels, detector.shape, clen, (3e-4, -1e-4))
    sample = Sample(photons, 7000.0, clen, 1e-4, powders=powders)
    profile = round_profile(sample, 0.9, farthest_tangent(grid), 3.75e-5 / clen)
    tables = PixelTables(grid, detector.shape[0] * detector.shape[1])
    settings = readout or ReadoutSettings(flat_field=0.0, dead_fraction=0.0)
    camera = Readout(detector, settings, detector.beam_centre, 0)
    return FrameBackground(profile, streak, grid, tables, camera)


def radius(detector):
    ss, fs = np.indices(detector.shape) + 0.5
    fs0, ss0 = detector.beam_centre
    return np.hypot(fs - fs0 + 4, ss - ss0 - 4 / 3)


@pytest.mark.parametrize("photons", [3e8, 1e10])
def test_blanks_scatter_as_poisson_in_every_ring(photons):
    """Variance over mean 1.00 +- 0.01 in each of twelve rings of an EIGER2 4M."""
    detector = DETECTORS["Eiger4M"]
    background = make_background(detector, photons)
    expected = background.image()
    rings = np.digitize(radius(detector).ravel(), np.linspace(150, 1350, 11))
    usable = background.readout.usable
    n_frames = 6
    squares = np.zeros(12)
    pairs = np.zeros(12)
    for pair in range(n_frames // 2):
        one, other = (
            background.draw(np.random.default_rng((1, pair, k))).astype(np.float64) for k in (0, 1)
        )
        assert not one[~usable].any()
        rings_used = rings[usable]
        # Differences of two frames do not know what was expected ...
        squares += np.bincount(rings_used, (one - other)[usable] ** 2, 12)
        pairs += np.bincount(rings_used, (one + other)[usable], 12)
        # ... and the means of single ones do.
        total = np.bincount(rings_used, one[usable], 12)
        wanted = np.bincount(rings_used, expected[usable].astype(np.float64), 12)
        assert (np.abs(total - wanted) < 4.5 * np.sqrt(wanted)).all()
    n_pixels = np.bincount(rings[usable], minlength=12) * n_frames / 2
    sigma = np.sqrt((2 + 1 / (pairs / n_pixels)) / n_pixels)
    ratio = squares / pairs
    assert (np.abs(ratio - 1) < np.maximum(0.01, 4 * sigma)).all()
    assert np.average(ratio, weights=n_pixels) == pytest.approx(1, abs=0.003)


@pytest.mark.parametrize("photons", [2e9, 2e12])
def test_every_pixel_gets_its_own_mean(photons):
    """Tilted panels, near the beam, with flat field: few photons and many."""
    geometry = parse_geometry(TILTED, file="tilted.geom")
    detector = GeometryDetector("tilted", geometry)
    background = make_background(
        detector,
        photons,
        clen=0.03,
        readout=ReadoutSettings(flat_field=0.05),
        powders=(("ice", 1e-5),),
    )
    expected = background.image().astype(np.float64)
    n_frames = 400 if photons < 1e10 else 40
    total = np.zeros(len(expected))
    for number in range(n_frames):
        total += background.draw(np.random.default_rng(number))
    bright = expected * n_frames > 5
    chi2 = (total - expected * n_frames)[bright] ** 2 / (expected * n_frames)[bright]
    assert bright.mean() > 0.9
    assert chi2.mean() == pytest.approx(1, abs=5 * math.sqrt(2 / bright.sum()))


def test_no_pixel_is_brighter_than_its_tile_allows():
    geometry = parse_geometry(TILTED, file="tilted.geom")
    detector = GeometryDetector("tilted", geometry)
    background = make_background(detector, 1e12, clen=0.03, powders=(("ice", 1e-5),))
    bound = bound_tiles(background.profile, background.grid, background.tables.tiles)
    image = background.image().reshape(detector.shape)
    for most, (panel, top, bottom, left, right) in zip(
        bound, background.tables.tiles.tolist(), strict=True
    ):
        start = detector.panels[panel].min_ss
        assert image[start + top : start + bottom, left:right].max() <= most * (1 + 1e-6)


def test_a_streak_is_where_it_points():
    detector = DETECTORS["Eiger1M"]
    streak = Streak(4e5, 0.5, 0.02, 0.05)
    background = make_background(detector, 1e6, streak=streak)
    counts = sum(background.draw(np.random.default_rng(k)).astype(float) for k in range(3))
    expected = 3 * background.image().astype(float)
    assert counts.sum() == pytest.approx(expected.sum(), rel=0.02)
    ss, fs = np.indices(detector.shape) + 0.5
    fs0, ss0 = background.readout.shape[1] / 2 - 4, background.readout.shape[0] / 2 + 4 / 3
    away = np.abs((fs - fs0) * math.sin(0.5) - (ss - ss0) * math.cos(0.5))
    far = np.hypot(fs - fs0, ss - ss0) > 50
    on_line = (far & (away < 4)).ravel()
    assert counts[on_line].sum() == pytest.approx(expected[on_line].sum(), rel=0.05)
    assert counts[on_line].mean() > 20 * counts[(far & (away > 60)).ravel()].mean()


def test_dark_counts_alone():
    """Without any light: 0.07 counts per pixel and hour, on usable pixels."""
    settings = ReadoutSettings(dead_fraction=0.01, frame_time_s=100.0)
    background = make_background(DETECTORS["Eiger500K"], 0.0, readout=settings)
    counts = background.draw(np.random.default_rng(0))
    usable = background.readout.usable
    assert counts[usable].sum() == pytest.approx(usable.sum() * 0.07 / 36, rel=0.15)
    assert not counts[~usable].any()
