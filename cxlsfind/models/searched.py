"""A frame that the finder has searched, and what is left of it when a peak model had its say.

Training, scoring and the main job all take frames this way, so that a model hears in use what it
heard when it was trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxlsfind.models.cutting import Patches, join_patches
from cxlsfind.models.hit_inputs import (
    Evidence,
    HitInputs,
    hit_inputs,
    without_artefacts,
)
from cxlsfind.models.peak_runner import PeakRunner, Verdicts
from cxlsfind.records import PeakArray

FloatArray = npt.NDArray[np.float64]


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
        What is around the reported peaks.
    """

    peaks: PeakArray
    n_peaks: int
    evidence: Evidence
    mean_background: float
    position_px: FloatArray
    patches: Patches


@dataclass(frozen=True, slots=True, eq=False)
class WeighedFrame:
    """A searched frame after the peak model, if there is one.

    Parameters
    ----------
    is_artefact
        Which of its peaks are artefacts; bool, none without a model.
    evidence
        For a hit, without what the model takes for artefacts.
    verdicts
        The model's on the reported peaks; ``None`` without one.
    """

    is_artefact: npt.NDArray[np.bool_]
    evidence: Evidence
    verdicts: Verdicts | None


def judge_peaks(
    peak: PeakRunner | None, frames: Sequence[SearchedFrame]
) -> list[Verdicts] | list[None]:
    """Return the verdicts on the reported peaks of the frames of a block, judged together."""
    if peak is None:
        return [None] * len(frames)
    number = np.array([frame.n_peaks for frame in frames], np.intp)
    patches = join_patches([frame.patches for frame in frames])
    verdicts = peak.judge(*patches, number)
    ends = np.cumsum(number)
    return [verdicts.take(slice(*ends_of)) for ends_of in zip(ends - number, ends, strict=True)]


def weigh_frame(frame: SearchedFrame, verdicts: Verdicts | None, n_pixels: float) -> WeighedFrame:
    """Return a frame after the peak model: its artefacts, and the evidence without them.

    Parameters
    ----------
    n_pixels
        Usable pixels.
    """
    is_artefact = np.zeros(len(frame.peaks), np.bool_)
    if verdicts is not None:
        is_artefact[: frame.n_peaks] = verdicts.is_artefact
    evidence = frame.evidence
    if is_artefact.any():
        reported, is_none = frame.peaks[: frame.n_peaks], is_artefact[: frame.n_peaks]
        evidence = without_artefacts(evidence, reported[is_none], reported[~is_none], n_pixels)
    return WeighedFrame(is_artefact, evidence, verdicts)


def describe_frame(
    frame: SearchedFrame, weighed: WeighedFrame, *, with_logit: bool = True
) -> HitInputs:
    """Return a frame as the hit model takes it.

    Parameters
    ----------
    with_logit
        Whether the hit model knows what a peak model says of each candidate.
    """
    peaks = frame.peaks.copy()
    # As common as can be.
    peaks["p_value"][weighed.is_artefact] = 1.0
    logit = None
    if weighed.verdicts is not None and with_logit:
        logit = weighed.verdicts.odds
    return hit_inputs(
        peaks,
        frame.position_px,
        log_bayes_factor=weighed.evidence.log_bayes_factor,
        p_value=weighed.evidence.p_value,
        mean_background=frame.mean_background,
        n_peaks=frame.n_peaks - int(weighed.is_artefact.sum()),
        spot_logit=logit,
    )
