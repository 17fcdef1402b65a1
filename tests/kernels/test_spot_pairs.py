"""Two spots told from one: the likelihood against a library, the decision on drawn spots."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom, poisson

from cxlsfind.finding.poisson.peaks import PRIORS
from cxlsfind.finding.poisson.shapes import gaussian_taps
from cxlsfind.kernels.spot_pairs import PairRules, find_pairs, log_likelihood

STRIDE, ROWS = 64, 48
RULES = PairRules(2.5, 7.0, 0.15, 6.0, math.inf)


def spot(fs: float, ss: float, photons: float, sigma: float = 0.6) -> np.ndarray:
    mean = np.zeros((ROWS, STRIDE))
    row, column = int(ss), int(fs)
    taps = gaussian_taps(sigma, 6, fs=fs - column - 0.5, ss=ss - row - 0.5).reshape(13, 13)
    mean[row - 6 : row + 7, column - 6 : column + 7] = photons * taps
    return mean


def find(
    counts: np.ndarray, positions: list[int], level: float, usable: np.ndarray | None = None
) -> np.ndarray:
    pairs = np.empty((len(positions), 2), np.int32)
    find_pairs(
        counts.astype(np.uint16).ravel(),
        np.ones(counts.size, np.bool_) if usable is None else usable.ravel(),
        STRIDE,
        np.array(positions, np.int32),
        np.full(len(positions), level),
        PRIORS,
        RULES,
        pairs,
    )
    return pairs


@pytest.mark.parametrize("n_pulses", [1.0, 10.0, math.inf])
def test_likelihood_against_a_library(n_pulses: float) -> None:
    """Differences between models are those of the distributions; unusable pixels say nothing."""
    rng = np.random.default_rng(1)
    one, two = rng.uniform(0.01, 0.9, (2, 9, 9))
    counts = rng.poisson(one).astype(np.uint16)
    if math.isfinite(n_pulses):
        counts = np.minimum(counts, int(n_pulses)).astype(np.uint16)
    usable = rng.random((9, 9)) < 0.8
    logs = []
    for model in (one, two):
        if math.isinf(n_pulses):
            each = poisson.logpmf(counts, model)
        else:
            each = binom.logpmf(counts, int(n_pulses), -np.expm1(-model / n_pulses))
        logs.append(each[usable].sum())
    found = [log_likelihood(counts, usable, model, n_pulses) for model in (one, two)]
    assert found[0] - found[1] == pytest.approx(logs[0] - logs[1], rel=1e-9)


@pytest.mark.parametrize("distance", [4.0, 5.0, 6.0])
@pytest.mark.parametrize(("level", "photons"), [(0.01, 12.0), (0.1, 20.0), (1.0, 50.0)])
def test_pairs_and_single_spots(distance: float, level: float, photons: float) -> None:
    """Pairs are found at their places from between, and near ones from one of the two.

    Single spots, sharp and wide, are left alone.
    """
    rng = np.random.default_rng(int(10 * distance + 100 * level))
    n_pairs, n_single, n_wide, off = 0, 0, 0, []
    for _ in range(40):
        angle, fs, ss = rng.uniform(0.0, math.pi), *rng.uniform(23.5, 24.5, 2)
        along = 0.5 * distance * np.array([math.cos(angle), math.sin(angle)])
        ends = [(fs - along[0], ss - along[1]), (fs + along[0], ss + along[1])]
        counts = rng.poisson(level + sum(spot(*end, photons) for end in ends))
        ask = [(24, 24)] if distance > 4.0 else [(24, 24), (int(ends[0][1]), int(ends[0][0]))]
        for pair in find(counts, [row * STRIDE + column for row, column in ask], level):
            n_pairs += bool(pair[0] >= 0)
            if pair[0] >= 0:
                places = np.column_stack([pair % STRIDE, pair // STRIDE]) + 0.5
                apart = np.hypot(*(places[:, None] - np.array(ends)[None]).transpose(2, 0, 1))
                off.append(max(apart.min(axis=0)))
        for sigma in (0.6, 1.2):
            counts = rng.poisson(level + spot(fs, ss, 2.0 * photons, sigma))
            is_pair = bool(find(counts, [24 * STRIDE + 24], level)[0, 0] >= 0)
            n_single += is_pair and sigma == 0.6
            n_wide += is_pair and sigma == 1.2
    assert n_pairs >= (37 if distance > 4.0 else 74)
    assert np.median(off) < 1.0
    assert n_single <= 3
    assert n_wide <= 5


def test_edges_and_masked_pixels() -> None:
    """Nothing outside the sheet is looked at, and no spot is put where all pixels are masked."""
    counts = np.full((ROWS, STRIDE), 3)
    corners = [0, STRIDE - 1, (ROWS - 1) * STRIDE, ROWS * STRIDE - 1]
    assert (find(counts, corners, 3.0) == -1).all()
    usable = np.ones((ROWS, STRIDE), np.bool_)
    usable[:, 25:] = False
    mean = 0.05 + spot(22.0, 24.5, 60.0) + spot(27.0, 24.5, 60.0)
    counts = np.random.default_rng(2).poisson(mean) * usable
    for pair in find(counts, [24 * STRIDE + 22], 0.05, usable):
        assert (pair == -1).any() or (pair % STRIDE < 27).all()
    assert find(np.zeros((ROWS, STRIDE), np.int64), [24 * STRIDE + 24], 0.05).tolist() == [[-1, -1]]
