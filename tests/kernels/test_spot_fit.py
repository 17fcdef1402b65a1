"""Fits of simulated spots: unbiased, efficient, and honest about their errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cxlsfind.finding.poisson.shapes import gaussian_taps
from cxlsfind.kernels.maxima import mark_maxima
from cxlsfind.kernels.spot_fit import FitPriors, fit_spot

PRIORS = FitPriors(0.65, 0.3, 1.0)


@pytest.mark.parametrize(("photons", "background"), [(300.0, 0.1), (60.0, 1.0), (30.0, 0.01)])
def test_fit_is_efficient(photons: float, background: float) -> None:
    """Positions scatter by what the Fisher information says, and photons are unbiased."""
    generator = np.random.default_rng(11)
    usable = np.ones(121, np.bool_)
    misses, errors, found = [], [], []
    for _ in range(300):
        fs, ss = generator.uniform(-0.5, 0.5, 2)
        mean = background + photons * gaussian_taps(0.6, 5, fs=fs, ss=ss)
        counts = generator.poisson(mean).astype(np.uint16)
        values = np.array([photons, 0.0, 0.0, math.log(0.65)])
        sigma = np.zeros(4)
        expected = np.full((7, 7), background)
        fit_spot(counts, usable, 11, 60, expected, PRIORS, 3, math.inf, values, sigma)
        misses.append(values[1] - fs)
        errors.append(sigma[1])
        found.append(values[0])
    assert np.std(misses) == pytest.approx(np.mean(errors), rel=0.15)
    assert np.mean(misses) == pytest.approx(0.0, abs=4 * np.std(misses) / math.sqrt(300))
    assert np.mean(found) == pytest.approx(photons, rel=0.03)


@pytest.mark.parametrize("pulses", [15.0, 50.0])
def test_fit_knows_pulses(pulses: float) -> None:
    """Photons lost because a pixel counts one per pulse are made up for."""
    generator = np.random.default_rng(12)
    usable = np.ones(121, np.bool_)
    mean = 0.05 + 20.0 * gaussian_taps(0.7, 5, fs=0.2, ss=0.1)
    expected = np.full((7, 7), 0.05)
    found = []
    for _ in range(200):
        counts = generator.binomial(int(pulses), -np.expm1(-mean / pulses)).astype(np.uint16)
        values = np.array([20.0, 0.0, 0.0, math.log(0.65)])
        fit_spot(counts, usable, 11, 60, expected, PRIORS, 3, pulses, values, np.zeros(4))
        found.append(values[0])
    assert np.mean(found) == pytest.approx(20.0, rel=0.06)


def test_first_of_equal_maxima_wins() -> None:
    """Equal scores within reach give one maximum; out of reach, two."""
    positions = np.array([64, 66, 69], np.int32)
    scores = np.array([3.0, 3.0, 3.0], np.float32)
    marks = np.empty(3, np.bool_)
    mark_maxima(positions, scores, scores, 60.0, 20, 2, marks)
    assert marks.tolist() == [True, False, True]
    sharp = np.array([1.0, 2.0, 0.5], np.float32)
    mark_maxima(positions, scores, sharp, 2.0, 20, 2, marks)
    assert marks.tolist() == [False, True, True]
