"""Rates are read from their table, between nodes and beyond its ends."""

from __future__ import annotations

import numpy as np
import pytest

from cxlsfind.training.rates import RateTable


@pytest.fixture
def table() -> RateTable:
    """A table in which scores need 2 nats more per decade of background."""
    rates = np.array([-10.0, -12.0, -14.0])
    levels = np.log([0.01, 0.1])
    score = np.array([[0.0, 2.0, 4.0], [2.0, 4.0, 6.0]])
    return RateTable(levels, rates, score)


def test_rates_between_nodes(table: RateTable) -> None:
    """Scores and backgrounds in between are interpolated."""
    found = table.at([0.0, 1.0, 5.0, 3.0], [0.01, 0.01, 0.1, np.sqrt(1e-3)])
    np.testing.assert_allclose(found, [-10.0, -11.0, -13.0, -12.0], atol=1e-9)


def test_rates_beyond_the_table(table: RateTable) -> None:
    """Higher by x is rarer by e^x, lower commoner; other backgrounds take the nearest."""
    found = table.at([9.0, -3.0, 1.0], [0.01, 0.01, 1e-9])
    np.testing.assert_allclose(found, [-19.0, -7.0, -11.0])


def test_steps_are_no_trouble() -> None:
    """Where photons are few, many rates need the same score."""
    table = RateTable(
        np.log([0.01, 0.1]),
        np.array([-10.0, -12.0, -14.0]),
        np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 3.0]]),
    )
    found = table.at([1.0, 0.5, 2.0], [0.01, 0.01, 0.01])
    assert np.isfinite(found).all()
    assert found[0] == pytest.approx(-14.0)
    assert found[1] == pytest.approx(-9.5)
    assert found[2] < found[0]
