"""Null tails against brute force, and the cuts that follow from them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import poisson

from cxlsfind.finding.poisson.rates import Levels, attainable
from cxlsfind.finding.poisson.scores import component_strengths, component_weights
from cxlsfind.finding.poisson.shapes import elongated_taps, gaussian_taps, round_shapes
from cxlsfind.finding.poisson.thresholds import (
    MAXIMUM_RADIUS,
    NullTail,
    box_thresholds,
    draw_maxima,
    tail_of,
)
from cxlsfind.kernels.likelihood import score_positions
from cxlsfind.kernels.maxima import mark_maxima, weigh_boxes
from cxlsfind.kernels.plane_canvas import words_of
from cxlsfind.records import PlaneFrame


def brute_force(
    tail: NullTail,
    node: int,
    generator: np.random.Generator,
    to_frame: Callable[..., PlaneFrame],
    number: int = 0,
) -> np.ndarray:
    """Scores, with one of the banks, of the local maxima of a blank sheet of 600 x 600 pixels."""
    side, stride = 600, 640
    inside = slice(8, 8 + side), slice(8, 8 + side)
    counts = np.zeros((side + 16, stride), np.int64)
    background = float(tail.nodes[node])
    if math.isinf(tail.n_pulses):
        counts[inside] = generator.poisson(background, (side, side))
    else:
        lit = -math.expm1(-background / tail.n_pulses)
        counts[inside] = generator.binomial(round(tail.n_pulses), lit, (side, side))
    usable = np.zeros(counts.shape, np.bool_)
    usable[inside] = True
    frame = to_frame(counts)
    bits = frame.planes, frame.index, frame.count
    usable_words = np.empty(counts.size // 64, np.uint64)
    words_of(usable.ravel(), usable_words)
    positions = np.flatnonzero(usable).astype(np.int32)
    boxes = np.empty(positions.size, np.int64)
    sharpness = np.empty(positions.size, np.float32)
    weigh_boxes(positions, *bits, stride, boxes, sharpness)
    positions = positions[boxes >= tail.box_needs[node]]
    scores = np.empty(positions.size, np.float32)
    score_positions(
        *bits,
        usable_words,
        stride,
        positions,
        np.full(positions.size, node),
        tail.tables[number],
        tail.family.banks[number].half,
        scores,
    )
    marks = np.empty(positions.size, np.bool_)
    mark_maxima(positions, scores, scores, 60.0, stride, MAXIMUM_RADIUS, marks)
    return scores[marks]


@pytest.mark.parametrize(
    ("background", "n_pulses"), [(0.003, math.inf), (0.3, math.inf), (0.1, 1.0)]
)
def test_tail_agrees_with_blank_frames(
    background: float, n_pulses: float, to_frame: Callable[..., PlaneFrame]
) -> None:
    """The number of maxima above several scores is the one predicted, within its scatter."""
    tail = tail_of(n_pulses, 0.0, 0.0)
    node = int(np.argmin(np.abs(tail.nodes - background)))
    generator = np.random.default_rng(5)
    n_sheets = 6
    scores = np.concatenate([brute_force(tail, node, generator, to_frame) for _ in range(n_sheets)])
    for rate in (2e-4, 5e-5):
        threshold = tail.node(node).invert(math.log(rate))
        expected = math.exp(tail.node(node).look_up(np.array([threshold]))[0])
        expected *= n_sheets * 600**2
        found = int((scores >= threshold - 1e-3).sum())
        # Maxima may come in pairs, and the tail itself is drawn: 6 % beyond counting errors.
        assert abs(found - expected) < 5 * math.sqrt(expected) + 0.06 * expected


@pytest.mark.parametrize("background", [0.01, 0.3])
def test_tail_of_streaks_agrees_with_blank_frames(
    background: float, to_frame: Callable[..., PlaneFrame]
) -> None:
    """So does the tail of streaks, which is the mean over their directions."""
    tail = tail_of(math.inf, 0.0, 2.1)
    node = int(np.argmin(np.abs(tail.nodes - background)))
    generator = np.random.default_rng(6)
    n_sheets = len(tail.tables)
    scores = np.concatenate(
        [brute_force(tail, node, generator, to_frame, number) for number in range(n_sheets)]
    )
    for rate in (2e-4, 5e-5):
        threshold = tail.node(node).invert(math.log(rate))
        expected = math.exp(tail.node(node).look_up(np.array([threshold]))[0])
        expected *= n_sheets * 600**2
        found = int((scores >= threshold - 1e-3).sum())
        assert abs(found - expected) < 5 * math.sqrt(expected) + 0.06 * expected


def test_tail_falls_with_score_and_rises_with_background() -> None:
    """R is a tail in the score, and more background makes more false maxima above a count."""
    tail = tail_of(math.inf, 0.0, 0.0)
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
    first, second = (NullTail(round_shapes(), math.inf) for _ in range(2))
    first.node(70)
    assert np.array_equal(first.node(71).scores, second.node(71).scores)


def test_charge_sharing_makes_more_false_maxima() -> None:
    """Where photons are few, two percent of shared photons multiply false maxima."""
    plain = tail_of(math.inf, 0.0, 0.0)
    node = int(np.argmin(np.abs(plain.nodes - 1e-3)))
    scores, log_weights = draw_maxima(
        *plain.family.banks,
        *plain.tables,
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
    tail = tail_of(math.inf, 0.0, 0.0)
    levels = Levels(tail.places(np.array([1.0])), np.array([4.4e6]))
    cut, expected = attainable(2.0, levels, tail)
    assert cut == pytest.approx(2.0, rel=0.05)
    assert expected == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize("background", [1e-4, 1e-3])
def test_steps_stay_within_their_tolerance(background: float) -> None:
    """With few photons the step taken is at most a quarter above the number asked."""
    tail = tail_of(math.inf, 0.0, 0.0)
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
    (bank,) = round_shapes().banks
    assert component_weights(bank).sum() == pytest.approx(1.0)
    assert component_strengths(bank, np.array([0.1])).shape == (1, 49, 15)


def test_rates_of_the_kernel_are_those_of_the_nodes() -> None:
    """Log R between two nodes is what both say, whatever lies in the tables of others."""
    tail = NullTail(round_shapes(), math.inf)
    generator = np.random.default_rng(7)
    background = np.array([0.0021, 0.3, 0.0021, 0.31, 5.0]).repeat(40)
    scores = generator.uniform(3.0, 45.0, (200, 2))
    rates = tail.log_rates(scores, background)
    places = tail.places(background)
    lower = places.astype(np.int64)
    part = places - lower
    below = [tail.node(int(k)).look_up(s)[()] for k, s in zip(lower, scores[:, 0], strict=True)]
    above = [tail.node(int(k) + 1).look_up(s)[()] for k, s in zip(lower, scores[:, 1], strict=True)]
    # Beyond the largest score the kernel is a rounding more cautious.
    expected = (1 - part) * np.array(below) + part * np.array(above)
    assert rates == pytest.approx(expected, abs=1.1e-3)


@pytest.mark.parametrize("n_pulses", [math.inf, 10.0])
def test_a_first_look_asks_more(n_pulses: float) -> None:
    """Boxes of proper spots hold what every box must hold, and more where photons are not few."""
    tail = tail_of(n_pulses, 0.0, 0.0)
    assert (tail.strong_needs >= tail.box_needs).all()
    many = (tail.nodes > 0.1) & (tail.nodes < 3.0)
    assert (tail.strong_needs > tail.box_needs)[many].all()
    assert (np.diff(tail.box_needs.astype(int)) >= 0).all()


def test_a_part_of_the_boxes() -> None:
    """A hundredth of the boxes that may pass is a hundredth, up to whole photons."""
    backgrounds = np.array([0.3, 1.0, 10.0])
    needs = box_thresholds(backgrounds, math.inf, 0.01)
    for level, need in zip(backgrounds, needs, strict=True):
        assert poisson.sf(int(need) - 1, 9 * level) >= 7e-6 > poisson.sf(int(need), 9 * level)


@pytest.mark.parametrize("n_pulses", [math.inf, 10.0])
def test_brighter_boxes_ask_more(n_pulses: float) -> None:
    """A box never needs less where it is brighter."""
    tail = tail_of(n_pulses, 0.0, 0.0)
    for needs in (tail.box_needs, tail.strong_needs):
        assert (np.diff(needs.astype(int)) >= 0).all()
