"""What models make of the frames of a block, after the finder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cxlsfind.models.hit_inputs import Evidence, HitInputs
from cxlsfind.models.hit_runner import HitVerdicts
from cxlsfind.models.runtime import Models
from cxlsfind.models.searched import (
    DEEPER,
    SearchedFrame,
    WeighedFrame,
    describe_frame,
    found_expected,
    judge_peaks,
    p_values,
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
        As the finder gives them, in the models' order: reported ones first, without those that
        are no spots.
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
    """Models, ready to judge searched frames.

    Parameters
    ----------
    false_peaks
        Asked for, per frame.
    """

    def __init__(self, models: Models, false_peaks: float) -> None:
        self._models = models
        self._false_peaks = false_peaks

    def judge(self, frames: Sequence[SearchedFrame], n_pixels: float) -> list[JudgedFrame]:
        """Judge the frames of a block.

        Parameters
        ----------
        n_pixels
            Usable pixels.
        """
        weighed = [
            weigh_frame(frame, verdicts, n_pixels, self._false_peaks)
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
        peaks, n_peaks = _in_order(frame, weighed, self._false_peaks)
        taken = weighed.listing.is_taken
        before = np.arange(len(taken)) < frame.n_peaks
        evidence, probability, flags, is_artefact = weighed.evidence, np.nan, _NO_FLAGS, False
        if hits is not None and not np.isnan(hits.log_odds[number]):
            is_artefact = bool(hits.is_artefact[number])
            evidence = Evidence(float(hits.log_odds[number]), evidence.p_value)
            odds = float(np.clip(hits.artefact[number], -500.0, 500.0))
            probability = 1.0 / (1.0 + np.exp(-odds))
            ice, salt, precipitant, streak = hits.flags[number].tolist()
            flags = (ice, salt, precipitant, streak)
        verdict = ModelVerdict(
            n_removed=int((before & ~taken).sum()),
            n_added=int((taken & ~before).sum()),
            artefact_probability=float(probability),
            flags=flags,
        )
        return JudgedFrame(peaks, n_peaks, evidence, is_artefact, verdict)


def _in_order(
    frame: SearchedFrame, weighed: WeighedFrame, false_peaks: float
) -> tuple[PeakArray, int]:
    """Return the peaks of a frame with what a model says of each, most significant first."""
    peaks = frame.peaks.copy()
    peaks["spot_probability"], peaks["kind"] = np.nan, -1
    verdicts, listing = weighed.verdicts, weighed.listing
    if verdicts is None:
        return peaks, frame.n_peaks
    known = np.flatnonzero(~np.isnan(verdicts.logit))
    peaks["spot_probability"][known] = verdicts.spot_probability[known]
    peaks["kind"][known] = verdicts.kind[known]
    peaks["p_value"] = p_values(listing)
    # As deep as the finder went: what it took a step beyond that, the model may too.
    found = found_expected(frame.peaks, frame.n_peaks, false_peaks)
    deepest = np.log(max(DEEPER * false_peaks, found.max(initial=0.0)))
    order = np.argsort(listing.log_expected, kind="stable")
    order = order[listing.log_expected[order] <= deepest]
    return peaks[order], int(listing.is_taken.sum())
