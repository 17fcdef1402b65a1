"""Rates looked up in tables against sums over weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxlsfind.kernels.null_rates import RateTables, look_up_rates

ROUNDING = 1e-3


def make_tables(
    generator: np.random.Generator, sizes: list[int]
) -> tuple[RateTables, list[tuple[np.ndarray, np.ndarray]]]:
    """Draw nodes; return them as tables, and each node's scores and weights."""
    nodes = []
    for size in sizes:
        scores = np.sort(generator.integers(0, 60, size) / 4.0)[::-1].copy()  # many are equal
        nodes.append((scores, generator.uniform(0.0, 1.0, size)))
    rates = [
        np.array([weights[scores >= score].sum() for score in scores]) for scores, weights in nodes
    ]
    none = np.empty(0)
    tables = RateTables(
        np.cumsum([0, *sizes]).astype(np.int64),
        np.concatenate([none, *(scores for scores, _ in nodes)]),
        np.log(np.concatenate([none + 1.0, *rates])),
    )
    return tables, nodes


def log_rate(
    scores: np.ndarray, weights: np.ndarray, score: float, rounding: float = ROUNDING
) -> float:
    """Return the logarithm of the weight of all scores that are at least as large."""
    if score > scores[0] + rounding:
        return float(np.log(weights[scores == scores[0]].sum()) - (score - scores[0]))
    reached = scores[scores >= score - rounding]
    return float(np.log(weights[scores >= reached.min()].sum()))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_rates_between_nodes(seed: int) -> None:
    """Logarithms of rates are linear between nodes; scores beyond the largest are rarer by e^x."""
    generator = np.random.default_rng(seed)
    tables, nodes = make_tables(generator, [1, 40, 3, 200, 7])
    places = np.append(generator.uniform(0.0, 3.99, 50), [0.0, 3.0])
    scores = generator.integers(-4, 80, (52, 2)) / 4.0
    scores += generator.choice([0.0, 0.5 * ROUNDING, -0.5 * ROUNDING, 0.1], scores.shape)
    log_rates = np.full(52, np.nan)
    look_up_rates(scores, places, tables, ROUNDING, log_rates)
    for number, place in enumerate(places):
        node, part = int(place), place % 1.0
        below = log_rate(*nodes[node], scores[number, 0])
        above = log_rate(*nodes[node + 1], scores[number, 1])
        expected = (1 - part) * below + part * above
        # Beyond the largest the score may be taken a rounding lower.
        assert log_rates[number] == pytest.approx(expected, rel=1e-12, abs=1.1 * ROUNDING)


def test_equal_scores_count() -> None:
    """Without any rounding, scores that are exactly as large are among those that count."""
    tables, nodes = make_tables(np.random.default_rng(5), [90, 90])
    for own in np.unique(nodes[0][0]):
        log_rates = np.empty(1)
        look_up_rates(np.array([[own, 0.0]]), np.array([0.0]), tables, 0.0, log_rates)
        assert log_rates[0] == pytest.approx(log_rate(*nodes[0], own, 0.0), abs=1e-12)


def test_nodes_that_are_not_asked_for_may_be_empty() -> None:
    """Two known nodes among unknown ones are enough between them."""
    tables, nodes = make_tables(np.random.default_rng(1), [0, 0, 5, 5, 0])
    log_rates = np.empty(1)
    scores = np.array([[nodes[2][0][2], nodes[3][0][2]]])
    look_up_rates(scores, np.array([2.0]), tables, ROUNDING, log_rates)
    assert log_rates[0] == pytest.approx(log_rate(*nodes[2], scores[0, 0]), abs=1e-12)
    look_up_rates(np.empty((0, 2)), np.empty(0), tables, ROUNDING, np.empty(0))


def test_a_low_score_is_as_common_as_all() -> None:
    """Below the smallest score everything counts, exactly."""
    tables, nodes = make_tables(np.random.default_rng(3), [30, 30])
    log_rates = np.empty(1)
    look_up_rates(np.array([[-99.0, -99.0]]), np.array([0.0]), tables, ROUNDING, log_rates)
    assert log_rates[0] == pytest.approx(np.log(nodes[0][1].sum()), abs=1e-12)
