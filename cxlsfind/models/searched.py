"""A frame that the finder has searched, and what is left of it when a peak model had its say.

Training, scoring and the main job all take frames this way, so that a model hears in use what it
heard when it was trained.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.models.cutting import Patches, join_patches
from cxlsfind.models.hit_inputs import (
    Evidence,
    HitInputs,
    expected_false,
    hit_inputs,
    without_artefacts,
)
from cxlsfind.models.peak_runner import PeakRunner, Verdicts
from cxlsfind.records import PeakArray

FloatArray = npt.NDArray[np.float64]

#: Candidates are kept down to this many times the false peaks asked for, as the finder does.
DEEPER: Final = 10.0

#: A peak model seldom makes a candidate rarer by more than this factor: those beyond as many times
#: the false peaks asked for are not shown to it.
WITHIN_REACH: Final = math.e

#: Expected false peaks that a p-value, close to one, can tell; and the step to what is beyond.
_TOLD = 25.0
_NEXT = 1.001

#: Logarithm of expected false peaks above which a probability is one.
_CERTAIN = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class SearchedFrame:
    """What the finder says of a frame.

    Parameters
    ----------
    peaks
        Array of :data:`~cxlsfind.records.PEAK_DTYPE` with ``inverse_d``, most significant first,
        down to ten times the false peaks asked for.
    n_peaks
        How many of them, from the first, the finder reports.
    evidence
        For a hit.
    mean_background
        Photons per pixel.
    position_px
        Position (x, y) of the peaks from the beam, px, (n, 2).
    patches
        What is around the first peaks, those that a peak model is asked about: :func:`n_asked`.
    """

    peaks: PeakArray
    n_peaks: int
    evidence: Evidence
    mean_background: float
    position_px: FloatArray
    patches: Patches


class Listing(NamedTuple):
    """Which peaks of a frame are reported; arrays of equal length, in the finder's order.

    Parameters
    ----------
    log_expected
        Natural logarithm of the false peaks expected per frame at or above each.
    is_taken
        Whether the peak is reported; bool.
    """

    log_expected: FloatArray
    is_taken: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class WeighedFrame:
    """A searched frame after the peak model, if there is one.

    Parameters
    ----------
    listing
        Its peaks.
    evidence
        For a hit, without what the model takes for no spots.
    verdicts
        The model's on the peaks that it was asked about, from the first; ``None`` without one.
    """

    listing: Listing
    evidence: Evidence
    verdicts: Verdicts | None


def judge_peaks(
    peak: PeakRunner | None, frames: Sequence[SearchedFrame]
) -> list[Verdicts] | list[None]:
    """Return the verdicts on the first peaks of frames, judged together."""
    if peak is None:
        return [None] * len(frames)
    asked = np.array([len(frame.patches.counts) for frame in frames], np.intp)
    ends = np.cumsum(asked)
    starts = ends - asked
    number = np.repeat(np.arange(len(frames)), asked)
    rank = np.arange(len(number)) - starts[number]
    is_listed = rank < np.array([frame.n_peaks for frame in frames], np.intp)[number]
    patches = join_patches([frame.patches for frame in frames])
    verdicts = peak.judge(*patches, number, is_listed)
    return [verdicts.take(slice(start, end)) for start, end in zip(starts, ends, strict=True)]


def n_asked(peaks: PeakArray, n_peaks: int, false_peaks: float) -> int:
    """Return how many of the peaks, from the first, a peak model is asked about.

    Those that it could hardly bring onto the list stay where the finder has them.

    Parameters
    ----------
    n_peaks
        Peaks that the finder reports.
    false_peaks
        Asked for.
    """
    expected = found_expected(peaks, n_peaks, false_peaks)
    cut = max(false_peaks, float(expected[:n_peaks].max(initial=0.0)))
    return int(np.count_nonzero(expected <= cut * WITHIN_REACH))


def list_peaks(
    peaks: PeakArray, n_peaks: int, verdicts: Verdicts, n_pixels: float, false_peaks: float
) -> Listing:
    """Return which peaks are reported when a model has judged them.

    The finder may take a step of its scores, which come in whole photons, beyond what was asked;
    the model then may too.

    Parameters
    ----------
    n_peaks
        Peaks that the finder reports.
    n_pixels
        Usable pixels.
    false_peaks
        Asked for.
    """
    expected = found_expected(peaks, n_peaks, false_peaks)
    log_expected = verdicts.log_expected(np.log(np.maximum(expected, 1e-300)), n_pixels)
    cut = max(false_peaks, float(expected[:n_peaks].max(initial=0.0)))
    return Listing(log_expected, log_expected <= math.log(cut))


def found_expected(peaks: PeakArray, n_peaks: int, false_peaks: float) -> FloatArray:
    """Return the false peaks that the finder expects per frame at or above each of its peaks.

    P-values tell up to some 25 of them. Peaks beyond are spread by their rank up to what was asked
    for, and up to ten times that.
    """
    expected = expected_false(peaks)
    if DEEPER * false_peaks <= _TOLD:
        return expected
    rank = np.arange(len(peaks))
    edge = max(false_peaks, _TOLD)
    for is_reported, low, high in (
        (True, _TOLD, edge),
        (False, edge * _NEXT, max(DEEPER * false_peaks, edge * _NEXT)),
    ):
        rows = np.flatnonzero((expected > _TOLD) & ((rank < n_peaks) == is_reported))
        expected[rows] = np.geomspace(low, high, len(rows))
    return expected


def weigh_frame(
    frame: SearchedFrame, verdicts: Verdicts | None, n_pixels: float, false_peaks: float = 1.0
) -> WeighedFrame:
    """Return a frame after the peak model: its listed peaks, and the evidence that is left."""
    was_taken = np.arange(len(frame.peaks)) < frame.n_peaks
    if verdicts is None:
        log_expected = np.log(np.maximum(expected_false(frame.peaks), 1e-300))
        return WeighedFrame(Listing(log_expected, was_taken), frame.evidence, None)
    listing = list_peaks(frame.peaks, frame.n_peaks, verdicts, n_pixels, false_peaks)
    asked = frame.peaks[: len(verdicts.is_artefact)]
    scores = asked["log_likelihood_ratio"][verdicts.is_artefact]
    return WeighedFrame(listing, without_artefacts(frame.evidence, scores, n_pixels), verdicts)


def describe_frame(
    frame: SearchedFrame, weighed: WeighedFrame, *, with_logit: bool = True
) -> HitInputs:
    """Return a frame as the hit model takes it.

    Parameters
    ----------
    with_logit
        Whether the hit model knows what a peak model says of each candidate.
    """
    peaks = frame.peaks
    logit = None
    if weighed.verdicts is not None:
        peaks = peaks.copy()
        peaks["p_value"] = p_values(weighed.listing)
        logit = weighed.verdicts.odds if with_logit else None
    return hit_inputs(
        peaks,
        frame.position_px,
        log_bayes_factor=weighed.evidence.log_bayes_factor,
        p_value=weighed.evidence.p_value,
        mean_background=frame.mean_background,
        n_peaks=int(weighed.listing.is_taken.sum()),
        spot_logit=logit,
    )


def p_values(listing: Listing) -> FloatArray:
    """Return the probability that a blank frame holds a peak as significant anywhere."""
    return np.asarray(-np.expm1(-np.exp(np.minimum(listing.log_expected, _CERTAIN))))
