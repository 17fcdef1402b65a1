"""Searched frames keep what models leave: which peaks, how much evidence, in which order."""

from __future__ import annotations

import numpy as np

from cxlsfind.models.cutting import Patches
from cxlsfind.models.hit_inputs import Evidence
from cxlsfind.models.judge import FrameJudge
from cxlsfind.models.peak_runner import Verdicts
from cxlsfind.models.runtime import Models
from cxlsfind.models.searched import (
    SearchedFrame,
    describe_frame,
    judge_peaks,
    weigh_frame,
)
from cxlsfind.records import PEAK_DTYPE

N_PIXELS = 1e6


def make_peaks(expected: list[float]) -> np.ndarray:
    peaks = np.zeros(len(expected), PEAK_DTYPE)
    peaks["p_value"] = -np.expm1(-np.array(expected))
    peaks["log_likelihood_ratio"] = 20.0
    return peaks


def make_frame(expected: list[float], n_peaks: int) -> SearchedFrame:
    shape = (n_peaks, 11, 11)
    patches = Patches(
        np.zeros(shape, np.uint16), np.ones(shape, np.float32), np.ones(shape, np.uint8)
    )
    evidence = Evidence(12.0, 1e-6)
    return SearchedFrame(
        make_peaks(expected), n_peaks, evidence, 0.1, np.zeros((len(expected), 2)), patches
    )


def make_verdicts(is_artefact: list[bool]) -> Verdicts:
    """Return verdicts that call some peaks artefacts and the others likely spots."""
    nothing = np.zeros(len(is_artefact))
    return Verdicts(
        nothing + 1.0, nothing - 9.0, np.array(is_artefact, np.bool_), *[nothing] * 6,
        np.zeros(len(is_artefact), np.int64), nothing + 0.9,
    )  # fmt: skip


class SomePeakModel:
    """Stands for a peak model: says what it was told to say."""

    def __init__(self, verdicts: Verdicts) -> None:
        self.verdicts = verdicts

    def judge(
        self, counts: np.ndarray, background: np.ndarray, mask: np.ndarray, number: np.ndarray
    ) -> Verdicts:
        n = len(self.verdicts.logit)
        assert counts.shape == background.shape == mask.shape == (n, 11, 11)
        assert number.sum() == n
        self.number = number.tolist()
        return self.verdicts


FOUND = [1e-6, 1e-3, 0.5, 2.0, 6.0]


def test_artefacts_take_their_evidence_along() -> None:
    """Spots do not; without a model nothing changes."""
    frame = make_frame(FOUND, 3)
    weighed = weigh_frame(frame, make_verdicts([True, False, False]), N_PIXELS)
    assert weighed.is_artefact.tolist() == [True] + 4 * [False]
    assert weighed.evidence.log_bayes_factor < frame.evidence.log_bayes_factor - 10.0
    assert weighed.evidence.p_value > 1e-6
    for verdicts in (None, make_verdicts([False] * 3)):
        untouched = weigh_frame(frame, verdicts, N_PIXELS)
        assert untouched.evidence == frame.evidence
        assert not untouched.is_artefact.any()
    nothing = make_frame([], 0)
    assert weigh_frame(nothing, make_verdicts([]), N_PIXELS).evidence == nothing.evidence


def test_hit_models_hear_of_artefacts() -> None:
    """They are as common as can be, and no peaks; of what was not judged nothing is said."""
    frame = make_frame(FOUND, 3)
    inputs = describe_frame(frame, weigh_frame(frame, None, N_PIXELS))
    np.testing.assert_allclose(inputs.candidates[:5, 0], np.log(FOUND), rtol=1e-5)
    assert not inputs.candidates[:, 7].any()
    assert inputs.frame[3] == 3
    weighed = weigh_frame(frame, make_verdicts([False, True, False]), N_PIXELS)
    inputs = describe_frame(frame, weighed)
    assert inputs.candidates[1, 0] > np.log(FOUND[-1])
    np.testing.assert_allclose(inputs.candidates[[0, 2, 3, 4], 0], np.log(FOUND)[[0, 2, 3, 4]])
    np.testing.assert_allclose(inputs.candidates[:5, 7], [1.0] * 3 + [0.0] * 2, atol=1e-3)
    assert inputs.frame[3] == 2
    assert not describe_frame(frame, weighed, with_logit=False).candidates[:, 7].any()


def test_frames_are_judged_together() -> None:
    """Each gets its own verdicts back, on the peaks that the finder reports."""
    frames = [make_frame(FOUND, n_peaks) for n_peaks in (2, 0, 3)]
    model = SomePeakModel(make_verdicts([True, False, False, True, False]))
    parts = judge_peaks(model, frames)  # type: ignore[arg-type]
    is_artefact = [part.is_artefact.tolist() for part in parts if part]
    assert is_artefact == [[True, False], [], [False, True, False]]
    assert model.number == [2, 0, 3]
    assert judge_peaks(None, frames) == [None] * 3


def test_judged_frames_are_in_the_finders_order() -> None:
    """Reported peaks first, the rest behind them as it was, artefacts nowhere."""
    model = SomePeakModel(make_verdicts([False, True, False]))
    judge = FrameJudge(Models(peak=model, hit=None))  # type: ignore[arg-type]
    (frame,) = judge.judge([make_frame(FOUND, 3)], N_PIXELS)
    left = np.array(FOUND)[[0, 2, 3, 4]]
    np.testing.assert_allclose(-np.log1p(-frame.peaks["p_value"]), left, rtol=1e-5)
    assert frame.n_peaks == 2
    assert frame.verdict.n_removed == 1
    assert np.isnan(frame.verdict.artefact_probability)
    assert not frame.is_artefact
    np.testing.assert_allclose(frame.peaks["spot_probability"], [0.9, 0.9, np.nan, np.nan])
    assert frame.peaks["kind"].tolist() == [0, 0, -1, -1]
    assert FrameJudge(Models(None, None)).judge([], N_PIXELS) == []
