"""Where spots lie, how bright they are, and where their photons go."""

from __future__ import annotations

import numpy as np

from cxlsfind.sim.spots import (
    LATTICE_PITCH_PX,
    SPOT_DTYPE,
    draw_spots,
    lattice_positions,
    random_positions,
    spot_pixels,
)


def test_random_positions_cover_the_array():
    positions = random_positions(np.random.default_rng(0), 2000, (100, 300))
    assert positions.shape == (2000, 2)
    assert (positions >= 0).all()
    assert (positions < (300, 100)).all()
    np.testing.assert_allclose(positions.mean(axis=0), (150, 50), rtol=0.05)


def test_lattice_positions_are_nodes_of_one_lattice():
    positions = lattice_positions(np.random.default_rng(1), 12, (600, 500))
    assert len(positions) == 12
    steps = positions[1:] - positions[0]
    squared = (steps**2).sum(axis=1) / LATTICE_PITCH_PX**2
    np.testing.assert_allclose(squared, np.round(squared), atol=1e-6)


def test_lattice_has_no_more_nodes_than_fit():
    assert len(lattice_positions(np.random.default_rng(1), 1000, (110, 110))) < 10


def test_spots_centred_on_bad_pixels_are_left_out():
    usable = np.ones((4, 4), bool)
    usable[1, 2] = False
    spots = draw_spots(np.random.default_rng(0), np.array([[2.5, 1.5], [1.5, 2.5]]), 50.0, usable)
    np.testing.assert_array_equal(spots["fs"], [1.5])
    np.testing.assert_array_equal(spots["ss"], [2.5])


def test_strengths_are_exponential_about_the_mean():
    usable = np.ones((10, 10), bool)
    spots = draw_spots(np.random.default_rng(0), np.full((4000, 2), 5.5), 50.0, usable)
    assert abs(spots["photons"].mean() - 50) < 3
    assert abs(np.mean(spots["photons"] < 50 * np.log(2)) - 0.5) < 0.03


def test_photons_fall_round_the_centre_in_the_number_expected():
    spots = np.zeros(1, SPOT_DTYPE)
    spots["fs"], spots["ss"], spots["photons"] = 20.5, 10.5, 40_000
    pixels = spot_pixels(np.random.default_rng(0), spots, 1.5, (30, 40))
    assert abs(len(pixels) - 40_000) < 1000
    ss, fs = np.divmod(pixels, 40)
    assert abs(fs.mean() + 0.5 - 20.5) < 0.05
    assert abs(ss.mean() + 0.5 - 10.5) < 0.05
    # A pixel's width adds 1/12 to the variance.
    np.testing.assert_allclose([fs.var(), ss.var()], 1.5**2 + 1 / 12, rtol=0.05)


def test_photons_beyond_the_array_are_lost():
    spots = np.zeros(1, SPOT_DTYPE)
    spots["fs"], spots["ss"], spots["photons"] = 0.0, 5.0, 10_000
    pixels = spot_pixels(np.random.default_rng(0), spots, 1.0, (10, 10))
    assert abs(len(pixels) - 5000) < 300
    assert pixels.min() >= 0
    assert pixels.max() < 100
