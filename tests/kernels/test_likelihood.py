"""The score of the kernel against the definition of the likelihood ratio, written out."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import binom, poisson

from cxlsfind.finding.poisson.scores import (
    build_tables,
    component_strengths,
    component_weights,
    typical_photons,
)
from cxlsfind.finding.poisson.shapes import round_shapes, streak_shapes
from cxlsfind.kernels.likelihood import ScoreTables, score_patches, score_positions

#: Rows and pixels a row of the sheets on which windows are laid.
N_ROWS, STRIDE = 16, 128


def direct_score(
    window: np.ndarray, usable: np.ndarray, node: int, n_pulses: float, background: float
) -> float:
    """Probability of the counts with a spot over that without, averaged over components."""
    (bank,) = round_shapes().banks
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


def score_on_planes(
    naive: ModuleType,
    counts: np.ndarray,
    usable: np.ndarray,
    positions: np.ndarray,
    nodes: np.ndarray,
    tables: ScoreTables,
    n_planes: int,
) -> np.ndarray:
    """Return the scores of counts [ss, fs] at flat positions, from as many planes."""
    scores = np.full(len(positions), np.nan, np.float32)
    score_positions(
        naive.planes_of(counts.ravel(), n_planes),
        *naive.listed(counts.ravel(), n_planes),
        naive.words_of(usable.ravel()),
        counts.shape[1],
        positions.astype(np.int32),
        nodes.astype(np.int64),
        tables,
        round_shapes().banks[0].half,
        scores,
    )
    return scores


def score_window(
    naive: ModuleType,
    counts: np.ndarray,
    usable: np.ndarray,
    nodes: np.ndarray,
    tables: ScoreTables,
    n_planes: int,
) -> np.ndarray:
    """Return the scores of the middle of a window [ss, fs], laid across two words."""
    half = len(counts) // 2
    row, column = N_ROWS // 2, 65
    place = slice(row - half, row + half + 1), slice(column - half, column + half + 1)
    sheet, flags = np.zeros((N_ROWS, STRIDE), np.int64), np.ones((N_ROWS, STRIDE), np.bool_)
    sheet[place], flags[place] = counts, usable
    positions = np.full(len(nodes), row * STRIDE + column)
    return score_on_planes(naive, sheet, flags, positions, nodes, tables, n_planes)


@pytest.mark.parametrize("n_pulses", [math.inf, 10.0])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("n_planes", [2, 3, 6])
def test_score_is_the_likelihood_ratio(
    naive_canvas: ModuleType, n_pulses: float, masked: bool, n_planes: int
) -> None:
    """Both nodes agree with the ratio of probabilities, with and without unusable pixels."""
    generator = np.random.default_rng(3)
    tables = build_tables(round_shapes().banks[0], n_pulses)
    node = int(np.argmin(np.abs(tables.log_background - math.log(0.2))))
    counts = generator.poisson(0.2, (9, 9)).astype(np.uint16)
    counts[4, 4] += 4
    usable = np.ones((9, 9), np.bool_)
    if masked:
        usable[3, 2:5] = False
        counts[~usable] = 0
    nodes = np.array([node, node + 1])
    scores = score_window(naive_canvas, counts, usable, nodes, tables, n_planes)
    window = counts[1:8, 1:8].ravel().astype(float)
    inside = usable[1:8, 1:8].ravel()
    for column in (0, 1):
        background = math.exp(tables.log_background[node + column])
        expected = direct_score(window, inside, node + column, n_pulses, background)
        assert scores[column] == pytest.approx(expected, abs=2e-4)


def test_unusable_pixels_count_as_empty_where_photons_are_few(naive_canvas: ModuleType) -> None:
    """Below the forgiving background a mask beside a photon gains nothing."""
    tables = build_tables(round_shapes().banks[0], math.inf)
    node = int(np.argmin(np.abs(tables.log_background - math.log(1e-3))))
    nodes = np.array([node, node + 1])
    counts = np.zeros((9, 9), np.uint16)
    counts[4, 4] = 1
    usable = np.ones((9, 9), np.bool_)
    open_score = score_window(naive_canvas, counts, usable, nodes, tables, 2)
    usable[:, 5:] = False
    masked_score = score_window(naive_canvas, counts, usable, nodes, tables, 2)
    assert np.array_equal(open_score, masked_score)


@given(
    st.integers(2, 6),
    st.sampled_from([0.0, 0.02, 0.5, 9.0]),
    st.sampled_from([math.inf, 10.0]),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=40)
def test_scores_anywhere_in_words(
    naive_canvas: ModuleType, n_planes: int, mean: float, n_pulses: float, seed: int
) -> None:
    """Wherever a window lies in its words, tables times counts are summed over its pixels.

    Unusable pixels give back what the tables forgive, and counts beyond the planes are had from
    the list.
    """
    generator = np.random.default_rng(seed)
    tables = build_tables(round_shapes().banks[0], n_pulses)
    usable = generator.random((N_ROWS, STRIDE)) < generator.choice([0.3, 0.95, 1.0])
    counts = generator.poisson(mean, usable.shape) * usable
    full = 2**n_planes - 1
    odd = usable & (generator.random(usable.shape) < 0.01)
    counts[odd] = generator.choice([full - 1, full, full + 1, 300], odd.sum())
    row, column = generator.integers(3, N_ROWS - 4, 120), generator.integers(3, STRIDE - 3, 120)
    nodes = generator.integers(0, len(tables.log_background), 120)
    positions = row * STRIDE + column
    scores = score_on_planes(naive_canvas, counts, usable, positions, nodes, tables, n_planes)
    for number, node in enumerate(nodes):
        window = (
            slice(row[number] - 3, row[number] + 4),
            slice(column[number] - 3, column[number] + 4),
        )
        gone = ~usable[window].ravel()
        sums = counts[window].ravel() @ tables.log_ratio[node].astype(float)
        sums += tables.log_weight - tables.total[node] + tables.forgiven[node][gone].sum(axis=0)
        expected = float(logsumexp(sums))
        rounding = 3e-6 * (abs(sums).max() + tables.total[node].max())
        assert scores[number] == pytest.approx(expected, abs=2e-4 + rounding)


@pytest.mark.parametrize("mean", [0.01, 0.2, 2.0, 30.0])
def test_scores_of_wide_windows(naive_canvas: ModuleType, mean: float) -> None:
    """Windows that do not fit into a word, and more components than sixteen, sum up as others."""
    generator = np.random.default_rng(int(100 * mean))
    bank = streak_shapes(2.1).banks[3]
    tables = build_tables(bank, math.inf)
    half = bank.half
    usable = generator.random((N_ROWS, STRIDE)) < 0.97
    usable[:, :50] = True
    counts = naive_canvas.draw_counts(generator, usable.size, mean, 3).reshape(usable.shape)
    counts *= usable
    row = generator.integers(half, N_ROWS - half - 1, 60)
    column = generator.integers(half, STRIDE - half, 60)
    node = int(np.argmin(np.abs(tables.log_background - math.log(mean))))
    scores = np.empty(60, np.float32)
    score_positions(
        naive_canvas.planes_of(counts.ravel(), 3),
        *naive_canvas.listed(counts.ravel(), 3),
        naive_canvas.words_of(usable.ravel()),
        STRIDE,
        (row * STRIDE + column).astype(np.int32),
        np.full(60, node),
        tables,
        half,
        scores,
    )
    steps = np.arange(-half, half + 1)
    for number in range(60):
        window = np.ix_(row[number] + steps, column[number] + steps)
        gone = ~usable[window].ravel()
        sums = counts[window].ravel() @ tables.log_ratio[node].astype(float)
        sums += tables.log_weight - tables.total[node] + tables.forgiven[node][gone].sum(axis=0)
        rounding = 1e-5 * (abs(sums).max() + tables.total[node].max())
        assert scores[number] == pytest.approx(float(logsumexp(sums)), abs=2e-4 + rounding)


def test_scores_are_those_of_single_steps(naive_canvas: ModuleType) -> None:
    """Not a bit of the score depends on the way to it: sums run over pixels one by one."""
    generator = np.random.default_rng(9)
    tables = build_tables(round_shapes().banks[0], math.inf)
    usable = generator.random((N_ROWS, STRIDE)) < 0.995
    for mean in (0.02, 0.3, 1.0, 20.0):
        counts = generator.poisson(mean, usable.shape) * usable
        row, column = generator.integers(3, N_ROWS - 4, 200), generator.integers(3, STRIDE - 3, 200)
        nodes = generator.integers(0, len(tables.log_background), 200)
        positions = row * STRIDE + column
        scores = score_on_planes(naive_canvas, counts, usable, positions, nodes, tables, 3)
        for number, node in enumerate(nodes):
            sums = tables.log_weight - tables.total[node]
            for line in range(7):
                window = (
                    row[number] + line - 3,
                    slice(column[number] - 3, column[number] + 4),
                )
                for tap in np.flatnonzero(~usable[window]):
                    sums = sums + tables.forgiven[node, 7 * line + tap]
                for tap in np.flatnonzero(counts[window]):
                    count = np.float32(counts[window][tap])
                    sums = sums + count * tables.log_ratio[node, 7 * line + tap]
            largest = sums.max()
            exact = largest + math.log(np.exp((sums - largest).astype(float)).sum())
            assert scores[number] == pytest.approx(exact, rel=3e-7, abs=1e-6)


@pytest.mark.parametrize("n_planes", [2, 6])
def test_scores_do_not_depend_on_the_number_of_planes(
    naive_canvas: ModuleType, n_planes: int
) -> None:
    """The same counts give the same bits of the score, with a long list or without one."""
    generator = np.random.default_rng(4)
    tables = build_tables(round_shapes().banks[0], math.inf)
    counts = generator.poisson(2.0, (N_ROWS, STRIDE))
    usable = np.ones(counts.shape, np.bool_)
    positions = generator.choice(np.arange(4 * STRIDE + 3, 12 * STRIDE), 200)
    nodes = np.full(200, 100)
    with_few = score_on_planes(naive_canvas, counts, usable, positions, nodes, tables, n_planes)
    with_many = score_on_planes(naive_canvas, counts, usable, positions, nodes, tables, 8)
    assert np.array_equal(with_few, with_many)


@pytest.mark.parametrize(("mean", "box_need"), [(0.02, 1), (0.02, 2), (0.3, 4), (3.0, 30)])
def test_patches_are_scored_as_frames_are(
    naive_canvas: ModuleType, mean: float, box_need: int
) -> None:
    """Middles that beat their neighbours have the scores of the same pixels on a canvas."""
    generator = np.random.default_rng(int(100 * mean) + box_need)
    tables = build_tables(round_shapes().banks[0], math.inf)
    node = int(np.argmin(np.abs(tables.log_background - math.log(mean))))
    half, radius, lowest = 3, 2, 0.5
    side = 2 * (half + radius) + 1
    patches = generator.poisson(mean, (150, side, side)).astype(np.uint16)
    most = 2 * int(typical_photons(np.array([mean]))[0])
    patches[:, half + radius, half + radius] += generator.integers(0, most, 150).astype(np.uint16)
    ours = np.empty((150, 2), np.float32)
    score_patches(patches, node, tables, half, radius, box_need, lowest, ours)
    steps = np.arange(-radius, radius + 1)
    near = (8 + steps[:, None]) * STRIDE + 62 + steps
    usable = np.ones((N_ROWS, STRIDE), np.bool_)
    n_maxima = 0
    for number, patch in enumerate(patches):
        sheet = np.zeros((N_ROWS, STRIDE), np.int64)
        sheet[8 - side // 2 : 9 + side // 2, 62 - side // 2 : 63 + side // 2] = patch
        nodes = np.full(near.size, node)
        scores = score_on_planes(naive_canvas, sheet, usable, near.ravel(), nodes, tables, 4)
        boxes = naive_canvas.box_sums(sheet.ravel(), STRIDE)[near.ravel()]
        scores[boxes < box_need] = -np.inf
        middle = near.size // 2
        # Of equals the first is taken.
        if scores[middle] >= lowest and np.argmax(scores) == middle:
            n_maxima += 1
            above = score_on_planes(
                naive_canvas, sheet, usable, near.ravel()[[middle]], nodes[:1] + 1, tables, 4
            )
            assert ours[number].tolist() == [scores[middle], above[0]]
        else:
            assert np.isnan(ours[number]).all()
    assert 10 < n_maxima < 150
