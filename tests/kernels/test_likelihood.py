"""The score of the kernel against the definition of the likelihood ratio, written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom, poisson

from cxlsfind.finding.poisson.scores import build_tables, component_strengths, component_weights
from cxlsfind.finding.poisson.shapes import round_bank
from cxlsfind.kernels.likelihood import score_positions


def direct_score(
    window: np.ndarray, usable: np.ndarray, node: int, n_pulses: float, background: float
) -> float:
    """Probability of the counts with a spot over that without, averaged over components."""
    bank = round_bank()
    strength = component_strengths(bank, np.array([background]))[0]
    total = 0.0
    for spot, weight in zip(strength.T, component_weights(bank), strict=True):
        if math.isinf(n_pulses):
            ratio = poisson.logpmf(window, background + spot) - poisson.logpmf(window, background)
        else:
            lit = -np.expm1(-(background + spot) / n_pulses)
            dark = -np.expm1(-background / n_pulses)
            ratio = binom.logpmf(window, n_pulses, lit) - binom.logpmf(window, n_pulses, dark)
        total += weight * math.exp(ratio[usable].sum())
    return math.log(total)


@pytest.mark.parametrize("n_pulses", [math.inf, 10.0])
@pytest.mark.parametrize("masked", [False, True])
def test_score_is_the_likelihood_ratio(n_pulses: float, masked: bool) -> None:
    """Both nodes agree with the ratio of probabilities, with and without unusable pixels."""
    generator = np.random.default_rng(3)
    tables = build_tables(round_bank(), n_pulses)
    node = int(np.argmin(np.abs(tables.log_background - math.log(0.2))))
    counts = generator.poisson(0.2, (9, 9)).astype(np.uint16)
    counts[4, 4] += 4
    usable = np.ones((9, 9), np.bool_)
    if masked:
        usable[3, 2:5] = False
        counts[~usable] = 0
    scores = np.empty((1, 2), np.float32)
    position = np.array([4 * 9 + 4], np.int32)
    lower = np.array([node], np.int32)
    score_positions(counts.ravel(), usable.ravel(), 9, position, lower, tables, 3, scores)
    window = counts[1:8, 1:8].ravel().astype(float)
    inside = usable[1:8, 1:8].ravel()
    for column in (0, 1):
        background = math.exp(tables.log_background[node + column])
        expected = direct_score(window, inside, node + column, n_pulses, background)
        assert scores[0, column] == pytest.approx(expected, abs=2e-4)


def test_unusable_pixels_count_as_empty_where_photons_are_few() -> None:
    """Below the forgiving background a mask beside a photon gains nothing."""
    tables = build_tables(round_bank(), math.inf)
    node = np.array([int(np.argmin(np.abs(tables.log_background - math.log(1e-3))))], np.int32)
    counts = np.zeros((9, 9), np.uint16)
    counts[4, 4] = 1
    position = np.array([40], np.int32)
    open_score = np.empty((1, 2), np.float32)
    masked_score = np.empty((1, 2), np.float32)
    usable = np.ones((9, 9), np.bool_)
    score_positions(counts.ravel(), usable.ravel(), 9, position, node, tables, 3, open_score)
    usable[:, 5:] = False
    score_positions(counts.ravel(), usable.ravel(), 9, position, node, tables, 3, masked_score)
    assert np.array_equal(open_score, masked_score)
