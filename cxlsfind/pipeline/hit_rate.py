"""The hit rate of a run, and with it the probability of every hit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

_ROUNDS = 200
_LARGEST_LOG = 700.0


def estimate_hit_rate(log_bayes_factors: FloatArray) -> float:
    """Return the share of hits under which the frames of a run are most probable.

    Expectation maximisation over the mixture of blanks and hits; the result is kept away from 0
    and 1 by half a frame, since no finite run proves that there can be no hit.

    Parameters
    ----------
    log_bayes_factors
        Of all frames with beam, in input order (so that sums do not depend on who made them).
    """
    known = log_bayes_factors[np.isfinite(log_bayes_factors)]
    if known.size == 0:
        return 0.5
    least = 0.5 / (known.size + 1)
    rate = 0.5
    for _ in range(_ROUNDS):
        rate = float(hit_probability(known, rate).mean())
        rate = min(max(rate, least), 1.0 - least)
    return rate


def hit_probability(log_bayes_factors: FloatArray, hit_rate: float) -> FloatArray:
    """Return the probability that frames hold Bragg photons, with the run's hit rate as prior.

    Returns
    -------
    NaN where there is no factor.
    """
    log_odds = log_bayes_factors + np.log(hit_rate / (1.0 - hit_rate))
    odds: FloatArray = np.exp(np.clip(log_odds, -_LARGEST_LOG, _LARGEST_LOG))
    return odds / (1.0 + odds)
