"""Figures of merit on cases that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cxlsfind.training.scores import (
    Curve,
    area_under,
    calibration_error,
    confusion_matrix,
    crossing,
    rate,
    reliability,
    roc_curve,
    true_at_false,
)


def test_rates_have_exact_intervals() -> None:
    """Clopper-Pearson: none of 3000 is at most 1.2 in a thousand, at 95 % two-sided."""
    none = rate(np.zeros(3000, np.bool_))
    assert (none.count, none.number, none.low) == (0, 3000, 0.0)
    assert none.high == pytest.approx(1.0 - 0.025 ** (1 / 3000))
    half = rate(np.array([True, False] * 5))
    assert half.low == pytest.approx(0.1871, abs=1e-4)
    assert half.high == pytest.approx(0.8129, abs=1e-4)
    assert rate(np.ones(4, np.bool_)).high == 1.0
    assert "5/10" in str(half)
    assert str(rate(np.zeros(0, np.bool_))) == "-"


def test_roc_curves() -> None:
    """Perfect, useless and tied scores."""
    low, high = np.array([0.0, 1.0]), np.array([2.0, 3.0])
    assert area_under(roc_curve("", high, low)) == pytest.approx(1.0)
    assert area_under(roc_curve("", low, high)) == pytest.approx(0.0)
    assert area_under(roc_curve("", low, low)) == pytest.approx(0.5)
    curve = roc_curve("", high, low)
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0.0, 0.0, 1.0, 1.0)


def test_true_at_false_keeps_its_word() -> None:
    """No more than the share of the negatives passes."""
    negative = np.arange(100.0)
    positive = np.array([50.0, 98.5, 200.0])
    assert true_at_false(positive, negative, 0.01) == pytest.approx(2 / 3)
    assert true_at_false(positive, negative, 0.0) == pytest.approx(1 / 3)
    assert true_at_false(positive, negative, 1.0) == 1.0


def test_confusion_counts() -> None:
    """Rows are true, columns predicted."""
    matrix = confusion_matrix(np.array([0, 0, 1, 2]), np.array([0, 2, 1, 1]), 3)
    assert matrix.tolist() == [[1, 0, 1], [0, 1, 0], [0, 1, 0]]


def test_reliability_of_honest_probabilities() -> None:
    """What is said with a probability is so that often."""
    generator = np.random.default_rng(1)
    said = generator.uniform(0, 1, 20000)
    honest = reliability("", said, generator.random(20000) < said)
    boastful = reliability("", said, generator.random(20000) < 0.5)
    assert calibration_error(honest) < 0.02 < 0.2 < calibration_error(boastful)


def test_crossings() -> None:
    """Where a curve reaches a level, in the logarithm of x; nowhere is NaN."""
    x = np.array([1.0, 10.0, 100.0])
    assert crossing(x, np.array([0.0, 0.4, 0.6]), 0.5) == pytest.approx(10**1.5)
    assert np.isnan(crossing(x, np.array([0.0, 0.1, 0.2]), 0.5))
    assert np.isnan(crossing(x, np.array([0.6, 0.7, 0.8]), 0.5))
    assert Curve("a", x, x).name == "a"
