"""How common scores are on blank frames, looked up in tables."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel

FloatArray = npt.NDArray[np.float64]


class RateTables(NamedTuple):
    """Scores of weighted maxima, node after node, and how common scores as large are.

    Parameters
    ----------
    first
        Where each node begins, and the end of the last; int64. Nodes may be empty.
    scores, log_rates
        Per node: scores, descending, and the natural logarithm of the rate at or above them.
    """

    first: npt.NDArray[np.int64]
    scores: FloatArray
    log_rates: FloatArray


@kernel
def _look_up(tables: RateTables, node: int, score: float, rounding: float) -> float:
    """Return the logarithm of the rate of scores at least as large, at a node."""
    first = tables.first[node]
    low = first
    high = tables.first[node + 1]
    while low < high:
        middle = (low + high) >> 1
        if tables.scores[middle] >= score - rounding:
            low = middle + 1
        else:
            high = middle
    # Beyond the largest a score that is larger by x is rarer by e^x.
    beyond = max(score - tables.scores[first], 0.0)
    return float(tables.log_rates[max(low - 1, first)] - beyond)


@kernel
def look_up_rates(
    scores: FloatArray,
    places: FloatArray,
    tables: RateTables,
    rounding: float,
    log_rates: FloatArray,
) -> None:
    """Find how common scores are, between two nodes.

    Parameters
    ----------
    scores
        At the nodes below and above, shape (n, 2).
    places
        Places among the nodes.
    rounding
        By how much equal scores may differ.
    log_rates
        Result, shape (n,).
    """
    for number in range(places.size):
        node = int(places[number])
        part = places[number] - node
        below = _look_up(tables, node, scores[number, 0], rounding)
        above = _look_up(tables, node + 1, scores[number, 1], rounding)
        log_rates[number] = (1.0 - part) * below + part * above
