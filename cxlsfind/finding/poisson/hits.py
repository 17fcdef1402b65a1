"""Hit or blank: the likelihood ratio of a frame pooled over its local maxima.

Were ``K`` spots spread at random over the detector, the Bayes factor of the frame would be the
product over positions of ``1 + pi (L - 1)`` with ``pi = K / pixels``. Its logarithm, summed over
local maxima, is the statistic. On a blank frame the maxima are a Poisson process whose rates are
known (:mod:`~cxlsfind.finding.poisson.thresholds`), so the statistic is a compound Poisson sum,
whose distribution a Fourier transform gives: the p-value needs no calibration on blanks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

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

#: No p-value is smaller.
_RAREST = 1e-16


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


@dataclass(frozen=True, eq=False)
class NullStatistic:
    """The statistic of blank frames of one background.

    Parameters
    ----------
    density
        Expected number of maxima by steps of the statistic.
    """

    density: FloatArray

    @cached_property
    def log_tail(self) -> FloatArray:
        """Natural logarithm of the probability that a blank frame reaches each step."""
        transform = np.fft.rfft(self.density)
        distribution = np.fft.irfft(np.exp(transform - self.density.sum()), N_STEPS)
        beyond = np.cumsum(np.maximum(distribution[::-1], 0.0))[::-1]
        log_tail: FloatArray = np.log(np.clip(beyond, _RAREST, 1.0))
        return log_tail

    @cached_property
    def gain(self) -> float:
        """What the maxima of blank frames do to the odds on average, nats: it is no evidence."""
        return float((self.density * _GAIN).sum())


def null_statistic(levels: Levels, tail: NullTail, doubt: float) -> NullStatistic:
    """Return the statistic of blank frames.

    Parameters
    ----------
    doubt
        By how much (log) more common false maxima may be, since the background is not known well.
    """
    share = _SPOTS / levels.n_pixels
    return NullStatistic(math.exp(doubt) * _null_density(levels, tail, share))


def judge_frame(
    scores: FloatArray,
    log_expected: FloatArray,
    n_pixels: float,
    nulls: Sequence[tuple[float, NullStatistic]],
) -> HitScore:
    """Pool the local maxima of a frame.

    Parameters
    ----------
    scores
        Log likelihood ratios of the local maxima.
    log_expected
        Natural logarithm of the false maxima expected per frame at least as significant.
    n_pixels
        Usable pixels.
    nulls
        Blank frames like this one, with their weights, which sum to one: logarithms are averaged.
    """
    pooled = scores[log_expected <= math.log(MOST_COMMON)]
    statistic = float(pooled_gain(pooled, _SPOTS / n_pixels).sum())
    # Half a step lower, so that rounding to the grid cannot make a statistic look rarer.
    first = int(np.searchsorted(_GRID, statistic - 0.5 * STEP))
    p_value = _RAREST
    if first < N_STEPS:
        p_value = math.exp(sum(weight * float(null.log_tail[first]) for weight, null in nulls))
    bayes = statistic - sum(weight * null.gain for weight, null in nulls)
    return HitScore(statistic, p_value, bayes)


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
