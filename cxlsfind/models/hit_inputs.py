"""A searched frame as the hit model takes it."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import pdtrc

from cxlsfind.models.hit import CANDIDATE_COLUMNS, MOST_CANDIDATES
from cxlsfind.records import PeakArray

#: Spots that the finder's pooled likelihood ratio expects of a hit.
EXPECTED_SPOTS: Final = 50.0

#: Numbers of peaks that are looked at for more than chance brings.
_RANKS: Final = 2 ** np.arange(8)

#: Expected numbers and probabilities below this are all the same.
_SMALLEST = 1e-30


class HitInputs(NamedTuple):
    """One frame, or many of them with a first axis more.

    Parameters
    ----------
    candidates
        Columns of :data:`~cxlsfind.models.hit.CANDIDATE_COLUMNS`, (64, 9), float32.
    frame
        Columns of :data:`~cxlsfind.models.hit.FRAME_COLUMNS`, (4,), float32.
    """

    candidates: npt.NDArray[np.float32]
    frame: npt.NDArray[np.float32]


def hit_inputs(
    peaks: PeakArray,
    position_px: npt.NDArray[np.float64],
    *,
    log_bayes_factor: float,
    p_value: float,
    mean_background: float,
    n_peaks: int,
    spot_logit: npt.NDArray[np.float64] | None = None,
) -> HitInputs:
    """Describe a frame by its candidates, most significant first, and its pooled statistic.

    Parameters
    ----------
    peaks
        Array of :data:`~cxlsfind.records.PEAK_DTYPE`, reported peaks and those behind them.
    position_px
        Position (x, y) of each from the beam, px, (n, 2).
    log_bayes_factor, p_value
        The finder's, for the frame.
    mean_background
        Photons per pixel.
    n_peaks
        Reported peaks.
    spot_logit
        Log odds of a spot against all else by the peak model, of the first peaks; NaN where it
        says nothing.
    """
    some = peaks[:MOST_CANDIDATES]
    n = len(some)
    candidates = np.zeros((MOST_CANDIDATES, len(CANDIDATE_COLUMNS)), np.float32)
    candidates[:n, 0] = np.log(np.maximum(expected_false(some), _SMALLEST))
    candidates[:n, 1] = some["photons"]
    candidates[:n, 2] = some["background"]
    candidates[:n, 3:5] = position_px[:n]
    candidates[:n, 5] = 0.1 * np.nan_to_num(some["inverse_d"])
    candidates[:n, 6] = some["n_pixels"]
    if spot_logit is not None:
        heard = np.nan_to_num(spot_logit[:n])
        candidates[: len(heard), 7] = heard
    candidates[:n, 8] = 1.0
    frame = np.array(
        [log_bayes_factor, math.log(max(p_value, _SMALLEST)), mean_background, n_peaks],
        np.float32,
    )
    return HitInputs(candidates, frame)


class Evidence(NamedTuple):
    """What the photons say of a frame: log Bayes factor of a hit, and p-value."""

    log_bayes_factor: float
    p_value: float


def without_artefacts(
    evidence: Evidence, artefacts: PeakArray, left: PeakArray, n_pixels: float
) -> Evidence:
    """Return the evidence of a frame when some of its peaks turn out to be no spots.

    Each takes away what it gave: ``log(1 + s (e^score - 1))`` with s the share of pixels that spots
    are expected on. The p-value grows at least as fast. But many artefacts, and what is around
    them, do not undo what the other peaks say by themselves: so many, and so significant, are as
    rare as the most surprising number of them is, times the numbers that are looked at. Where
    these peaks say more, or nothing else is left, they are all the evidence there is.

    Parameters
    ----------
    artefacts, left
        Arrays of :data:`~cxlsfind.records.PEAK_DTYPE`: the peaks that are no spots, and the others
        that are reported.
    n_pixels
        Usable pixels.
    """
    lost = float(_gains(artefacts, n_pixels).sum())
    p_value = max(evidence.p_value, _SMALLEST)
    log_p = min(0.0, math.log(p_value) + lost)
    ranks = _RANKS[len(left) >= _RANKS]
    chances = pdtrc(ranks - 1, np.sort(expected_false(left))[ranks - 1])
    surprise = len(_RANKS) * float(chances.min(initial=1.0))
    by_peaks = min(0.0, math.log(max(surprise, p_value)))
    log_bayes_factor = evidence.log_bayes_factor - lost
    if by_peaks <= log_p:
        alone = float(_gains(left, n_pixels).sum()) - EXPECTED_SPOTS
        log_bayes_factor = min(log_bayes_factor, alone)
    return Evidence(log_bayes_factor, math.exp(min(log_p, by_peaks)))


def _gains(peaks: PeakArray, n_pixels: float) -> npt.NDArray[np.float64]:
    """Return what peaks give to the evidence of their frame, nats."""
    share = EXPECTED_SPOTS / n_pixels
    score = peaks["log_likelihood_ratio"].astype(np.float64)
    gains = np.logaddexp(math.log1p(-share), score + math.log(share))
    return np.asarray(np.maximum(gains, 0.0), np.float64)


def expected_false(peaks: PeakArray) -> npt.NDArray[np.float64]:
    """Return the false peaks expected per frame at or above each, from its p-value."""
    return np.asarray(-np.log1p(-np.minimum(peaks["p_value"], 1.0 - 1e-12)), np.float64)
