"""What models make of the frames of a block, after the finder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cxlsfind.models.hit_inputs import Evidence, HitInputs
from cxlsfind.models.hit_runner import HitVerdicts
from cxlsfind.models.runtime import Models
from cxlsfind.models.searched import (
    SearchedFrame,
    WeighedFrame,
    describe_frame,
    judge_peaks,
    weigh_frame,
)
from cxlsfind.records import ModelVerdict, PeakArray

_NO_FLAGS = (np.nan, np.nan, np.nan, np.nan)


@dataclass(frozen=True, slots=True, eq=False)
class JudgedFrame:
    """A frame after the models.

    Parameters
    ----------
    peaks
        As the finder gives them, without artefacts.
    n_peaks
        How many of them, from the first, are reported.
    evidence
        For a hit. With a hit model its log Bayes factor weighs artefacts too.
    is_artefact
        Whether there are artefacts alone, beyond what may be called a hit.
    verdict
        What goes into outputs beside that.
    """

    peaks: PeakArray
    n_peaks: int
    evidence: Evidence
    is_artefact: bool
    verdict: ModelVerdict


class FrameJudge:
    """Models, ready to judge searched frames."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def judge(self, frames: Sequence[SearchedFrame], n_pixels: float) -> list[JudgedFrame]:
        """Judge the frames of a block.

        Parameters
        ----------
        n_pixels
            Usable pixels.
        """
        weighed = [
            weigh_frame(frame, verdicts, n_pixels)
            for frame, verdicts in zip(frames, judge_peaks(self._models.peak, frames), strict=True)
        ]
        hits = self._judge_hits(frames, weighed)
        return [
            self._conclude(frame, one, hits, number)
            for number, (frame, one) in enumerate(zip(frames, weighed, strict=True))
        ]

    def _judge_hits(
        self, frames: Sequence[SearchedFrame], weighed: Sequence[WeighedFrame]
    ) -> HitVerdicts | None:
        hit = self._models.hit
        if hit is None or not frames:
            return None
        rows = [
            describe_frame(*both, with_logit=hit.needs_peak_model)
            for both in zip(frames, weighed, strict=True)
        ]
        return hit.judge(HitInputs(*(np.stack(arrays) for arrays in zip(*rows, strict=True))))

    def _conclude(
        self, frame: SearchedFrame, weighed: WeighedFrame, hits: HitVerdicts | None, number: int
    ) -> JudgedFrame:
        n_removed = int(weighed.is_artefact.sum())
        evidence, probability, flags, is_artefact = weighed.evidence, np.nan, _NO_FLAGS, False
        if hits is not None and not np.isnan(hits.log_odds[number]):
            is_artefact = bool(hits.is_artefact[number])
            evidence = Evidence(float(hits.log_odds[number]), evidence.p_value)
            odds = float(np.clip(hits.artefact[number], -500.0, 500.0))
            probability = 1.0 / (1.0 + np.exp(-odds))
            ice, salt, precipitant, streak = hits.flags[number].tolist()
            flags = (ice, salt, precipitant, streak)
        verdict = ModelVerdict(
            n_removed=n_removed,
            artefact_probability=float(probability),
            flags=flags,
        )
        peaks = _judged_peaks(frame, weighed)
        return JudgedFrame(peaks, frame.n_peaks - n_removed, evidence, is_artefact, verdict)


def _judged_peaks(frame: SearchedFrame, weighed: WeighedFrame) -> PeakArray:
    """Return the peaks of a frame without artefacts, with what a model says of each."""
    peaks, verdicts = frame.peaks.copy(), weighed.verdicts
    peaks["spot_probability"], peaks["kind"] = np.nan, -1
    if verdicts is not None:
        known = np.flatnonzero(~np.isnan(verdicts.logit))
        peaks["spot_probability"][known] = verdicts.spot_probability[known]
        peaks["kind"][known] = verdicts.kind[known]
    return peaks[~weighed.is_artefact]
