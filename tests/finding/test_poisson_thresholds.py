"""Null tails against brute force, and the cuts that follow from them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import poisson

from cxlsfind.finding.poisson.rates import Levels, attainable
from cxlsfind.finding.poisson.scores import component_strengths, component_weights
from cxlsfind.finding.poisson.shapes import elongated_taps, gaussian_taps, round_bank
from cxlsfind.finding.poisson.thresholds import (
    MAXIMUM_RADIUS,
    NullTail,
    box_thresholds,
    draw_maxima,
    round_tail,
)
from cxlsfind.kernels.likelihood import score_positions
from cxlsfind.kernels.maxima import describe_positions, mark_maxima


def brute_force(tail: NullTail, node: int, generator: np.random.Generator) -> np.ndarray:
    """Scores of the local maxima of a blank sheet of 600 x 600 pixels."""
    side = 600
    counts = np.zeros((side + 16, side + 16), np.uint16)
    background = float(tail.nodes[node])
    if math.isinf(tail.n_pulses):
        counts[8:-8, 8:-8] = generator.poisson(background, (side, side))
    else:
        lit = -math.expm1(-background / tail.n_pulses)
        counts[8:-8, 8:-8] = generator.binomial(round(tail.n_pulses), lit, (side, side))
    usable = np.zeros(counts.shape, np.bool_)
    usable[8:-8, 8:-8] = True
    stride = side + 16
    positions = np.flatnonzero(usable).astype(np.int32)
    one = np.ones(counts.size, np.float32)
    level = np.empty(positions.size, np.float32)
    boxes = np.empty(positions.size, np.int64)
    ring = np.zeros(counts.size, np.int32)
    describe_positions(
        positions, counts.ravel(), one, one[:1], ring, stride, level, boxes, level.copy()
    )
    positions = positions[boxes >= tail.box_needs[node]]
    scores = np.empty((positions.size, 2), np.float32)
    score_positions(
        counts.ravel(),
        usable.ravel(),
        stride,
        positions,
        np.full(positions.size, node, np.int32),
        tail.tables,
        tail.bank.half,
        scores,
    )
    sheet = np.full(counts.size, -np.inf, np.float32)
    marks = np.empty(positions.size, np.bool_)
    own = scores[:, 0].copy()
    mark_maxima(positions, own, own, 60.0, stride, MAXIMUM_RADIUS, sheet, marks)
    return scores[marks, 0]


@pytest.mark.parametrize(
    ("background", "n_pulses"), [(0.003, math.inf), (0.3, math.inf), (0.1, 1.0)]
)
def test_tail_agrees_with_blank_frames(background: float, n_pulses: float) -> None:
    """The number of maxima above several scores is the one predicted, within its scatter."""
    tail = round_tail(n_pulses)
    node = int(np.argmin(np.abs(tail.nodes - background)))
    generator = np.random.default_rng(5)
    n_sheets = 6
    scores = np.concatenate([brute_force(tail, node, generator) for _ in range(n_sheets)])
    for rate in (2e-4, 5e-5):
        threshold = tail.node(node).invert(math.log(rate))
        expected = math.exp(tail.node(node).look_up(np.array([threshold]))[0])
        expected *= n_sheets * 600**2
        found = int((scores >= threshold - 1e-3).sum())
        # Maxima may come in pairs, and the tail itself is drawn: 6 % beyond counting errors.
        assert abs(found - expected) < 5 * math.sqrt(expected) + 0.06 * expected


def test_tail_falls_with_score_and_rises_with_background() -> None:
    """R is a tail in the score, and more background makes more false maxima above a count."""
    tail = round_tail(math.inf)
    background = np.full(30, 0.1)
    scores = np.linspace(3.0, 40.0, 30)
    rates = tail.log_rates(np.repeat(scores[:, None], 2, axis=1), background)
    assert (np.diff(rates) <= 0).all()
    assert rates[-1] < -35.0
    back = tail.scores_at(-12.0, np.array([0.1]))
    assert tail.log_rates(np.repeat(back[:, None], 2, axis=1), np.array([0.1]))[0] == pytest.approx(
        -12.0, abs=0.1
    )


def test_nodes_do_not_depend_on_order() -> None:
    """A node's tail is the same whichever was asked for first."""
    first, second = (NullTail(round_bank(), math.inf) for _ in range(2))
    first.node(70)
    assert np.array_equal(first.node(71).scores, second.node(71).scores)


def test_charge_sharing_makes_more_false_maxima() -> None:
    """Where photons are few, two percent of shared photons multiply false maxima."""
    plain = round_tail(math.inf)
    node = int(np.argmin(np.abs(plain.nodes - 1e-3)))
    scores, log_weights = draw_maxima(
        plain.bank,
        plain.tables,
        math.inf,
        node,
        int(plain.box_needs[node]),
        0.02,
        np.random.default_rng(2),
        4000,
    )
    threshold = plain.node(node).invert(math.log(1e-6))
    shared = np.exp(log_weights[scores[:, 0] >= threshold - 1e-3]).sum()
    usual = math.exp(plain.node(node).look_up(np.array([threshold]))[0])
    assert 1.3 * usual < shared < 20.0 * usual


def test_cut_is_the_number_asked_where_scores_are_continuous() -> None:
    """At 1 photon per pixel nothing has to be rounded."""
    tail = round_tail(math.inf)
    levels = Levels(tail.places(np.array([1.0])), np.array([4.4e6]))
    cut, expected = attainable(2.0, levels, tail)
    assert cut == pytest.approx(2.0, rel=0.05)
    assert expected == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize("background", [1e-4, 1e-3])
def test_steps_stay_within_their_tolerance(background: float) -> None:
    """With few photons the step taken is at most a quarter above the number asked."""
    tail = round_tail(math.inf)
    levels = Levels(tail.places(np.array([background])), np.array([4.4e6]))
    cut, expected = attainable(1.0, levels, tail)
    assert 0.0 < expected <= 1.25
    assert cut >= 1.0


def test_box_thresholds_follow_the_poisson_tail() -> None:
    """The share of blank boxes that pass stays above what is wanted, one photon more below it."""
    backgrounds = np.array([0.3, 1.0, 10.0])
    for level, need in zip(backgrounds, box_thresholds(backgrounds, math.inf), strict=True):
        assert poisson.sf(int(need) - 1, 9 * level) >= 7e-4 > poisson.sf(int(need), 9 * level)


def test_shapes_hold_the_whole_spot() -> None:
    """Shares sum to one, lie where they should, and components weigh one in all."""
    assert gaussian_taps(0.6, 5, fs=0.3).sum() == pytest.approx(1.0)
    taps = gaussian_taps(0.6, 3, fs=0.3, ss=-0.2).reshape(7, 7)
    steps = np.arange(-3, 4)
    assert taps.sum(axis=0) @ steps == pytest.approx(0.3, abs=1e-3)
    assert taps.sum(axis=1) @ steps == pytest.approx(-0.2, abs=1e-3)
    long = elongated_taps(2.0, 0.6, math.pi / 2, 8).reshape(17, 17)
    steps = np.arange(-8, 9)
    assert long.sum() == pytest.approx(1.0, abs=1e-3)
    assert long.sum(axis=1) @ steps**2 == pytest.approx(4.0 + 1 / 12, rel=0.02)
    assert long.sum(axis=0) @ steps**2 == pytest.approx(0.36 + 1 / 12, rel=0.02)
    bank = round_bank()
    assert component_weights(bank).sum() == pytest.approx(1.0)
    assert component_strengths(bank, np.array([0.1])).shape == (1, 49, 15)
