"""Hit or blank: the likelihood ratio of a frame pooled over its local maxima.

Were ``K`` spots spread at random over the detector, the Bayes factor of the frame would be the
product over positions of ``1 + pi (L - 1)`` with ``pi = K / pixels``. Its logarithm, summed over
local maxima, is the statistic. On a blank frame the maxima are a Poisson process whose rates are
known (:mod:`~cxlsfind.finding.poisson.thresholds`), so the statistic is a compound Poisson sum,
whose distribution a Fourier transform gives: the p-value needs no calibration on blanks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxlsfind.finding.poisson.rates import Levels
from cxlsfind.finding.poisson.thresholds import N_STEPS, STEP, NullTail, pooled_gain

FloatArray = npt.NDArray[np.float64]

#: Spots that a hit is supposed to have; anything from 5 to 500 costs less than a tenth of the
#: sensitivity.
_SPOTS = 50.0

#: Maxima expected more often than this per frame are left out: they carry no information, and
#: their number is the first thing that a slightly wrong background upsets.
MOST_COMMON = 500.0

#: Values of the statistic, and by how much the odds rise with each.
_GRID = STEP * np.arange(N_STEPS)
_GAIN = np.expm1(_GRID)


@dataclass(frozen=True, slots=True)
class HitScore:
    """The pooled likelihood ratio of a frame.

    Parameters
    ----------
    statistic
        Sum over local maxima, nats.
    p_value
        Probability that a blank frame reaches it.
    log_bayes_factor
        Natural logarithm of the odds that the photons add to the prior odds of a hit.
    """

    statistic: float
    p_value: float
    log_bayes_factor: float


def judge_frame(
    scores: FloatArray, log_expected: FloatArray, levels: Levels, tail: NullTail, doubt: float
) -> HitScore:
    """Pool the local maxima of a frame.

    Parameters
    ----------
    scores
        Log likelihood ratios of the local maxima.
    log_expected
        Natural logarithm of the false maxima expected per frame at least as significant.
    doubt
        By how much (log) more common false maxima may be, since the background is not known well.
    """
    share = _SPOTS / levels.n_pixels
    pooled = scores[log_expected <= math.log(MOST_COMMON)]
    statistic = float(pooled_gain(pooled, share).sum())
    density = math.exp(doubt) * _null_density(levels, tail, share)
    # Half a step lower, so that rounding to the grid cannot make a statistic look rarer.
    first = int(np.searchsorted(_GRID, statistic - 0.5 * STEP))
    beyond = 0.0
    if first < N_STEPS:
        transform = np.fft.rfft(density)
        distribution = np.fft.irfft(np.exp(transform - density.sum()), N_STEPS)
        beyond = float(np.maximum(distribution[first:], 0.0).sum())
    bayes = statistic - float((density * _GAIN).sum())
    return HitScore(statistic, float(min(max(beyond, 1e-16), 1.0)), bayes)


def _null_density(levels: Levels, tail: NullTail, share: float) -> FloatArray:
    """Return the expected number of maxima per step of the statistic, on a blank frame."""
    density = np.zeros(N_STEPS)
    ceiling = math.log(MOST_COMMON / levels.n_pixels)
    lower = levels.places.astype(np.int64)
    part = levels.places - lower
    counts = np.bincount(lower, levels.pixels * (1.0 - part), minlength=len(tail.nodes))
    counts += np.bincount(lower + 1, levels.pixels * part, minlength=len(tail.nodes))
    for node in np.flatnonzero(counts > 1e-6 * levels.n_pixels).tolist():
        of_node = tail.density(node, share, ceiling)
        # Far out there is nothing.
        density[: len(of_node)] += counts[node] * of_node
    return density
