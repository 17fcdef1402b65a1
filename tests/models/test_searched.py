"""Searched frames keep what models leave: which peaks, how much evidence, in which order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cxlsfind.models.cutting import Patches
from cxlsfind.models.hit_inputs import Evidence
from cxlsfind.models.judge import FrameJudge
from cxlsfind.models.peak_runner import Verdicts
from cxlsfind.models.runtime import Models
from cxlsfind.models.searched import (
    WITHIN_REACH,
    SearchedFrame,
    describe_frame,
    found_expected,
    judge_peaks,
    list_peaks,
    n_asked,
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
    shape = (len(expected), 11, 11)
    patches = Patches(
        np.zeros(shape, np.uint16), np.ones(shape, np.float32), np.ones(shape, np.uint8)
    )
    evidence = Evidence(12.0, 1e-6)
    return SearchedFrame(
        make_peaks(expected), n_peaks, evidence, 0.1, np.zeros((len(expected), 2)), patches
    )


def make_verdicts(expected: list[float], found: list[float]) -> Verdicts:
    """Return verdicts that expect so many false peaks, where the finder expects others.

    Infinitely many of an artefact.
    """
    nothing = np.zeros(len(expected))
    size = np.log(N_PIXELS)
    return Verdicts(
        nothing + 1.0, nothing - 9.0, np.isinf(expected), np.log(expected) - size,
        np.log(found) - size, *[nothing] * 5, np.zeros(len(expected), np.int64), nothing + 0.9,
    )  # fmt: skip


class SomePeakModel:
    """Stands for a peak model: says what it was told to say."""

    def __init__(self, verdicts: Verdicts) -> None:
        self.verdicts = verdicts

    def judge(
        self,
        counts: np.ndarray,
        background: np.ndarray,
        mask: np.ndarray,
        frame: np.ndarray,
        is_listed: np.ndarray,
    ) -> Verdicts:
        n = len(self.verdicts.logit)
        assert counts.shape == background.shape == mask.shape == (n, 11, 11)
        assert frame.shape == is_listed.shape == (n,)
        self.frame, self.is_listed = frame.tolist(), is_listed.tolist()
        return self.verdicts


FOUND = [1e-6, 1e-3, 0.5, 2.0, 6.0]
# An artefact, as found, no longer taken, rather a spot, noise.
JUDGED = [np.inf, 1e-3, 3.0, 0.1, 20.0]


def test_the_cut_is_the_asked_number() -> None:
    """What the model makes rarer comes in, what it makes commoner goes out."""
    listing = list_peaks(make_peaks(FOUND), 3, make_verdicts(JUDGED, FOUND), N_PIXELS, 1.0)
    np.testing.assert_allclose(np.exp(listing.log_expected), JUDGED, rtol=1e-6)
    assert listing.is_taken.tolist() == [False, True, False, True, False]
    # The finder took a step to 2: the model may go as far, and not as far as 3.
    listing = list_peaks(make_peaks(FOUND), 4, make_verdicts(JUDGED, FOUND), N_PIXELS, 1.0)
    assert listing.is_taken.tolist() == [False, True, False, True, False]
    assert not list_peaks(make_peaks([]), 0, make_verdicts([], []), N_PIXELS, 1.0).is_taken.any()


def test_refused_peaks_take_their_evidence_along() -> None:
    """Artefacts do, spots that leave the list do not; without a model nothing changes."""
    frame = make_frame(FOUND, 3)
    weighed = weigh_frame(frame, make_verdicts(JUDGED, FOUND), N_PIXELS)
    assert weighed.evidence.log_bayes_factor < frame.evidence.log_bayes_factor - 10.0
    assert weighed.evidence.p_value > 1e-6
    demoted = weigh_frame(frame, make_verdicts([9.0] * 5, FOUND), N_PIXELS)
    assert not demoted.listing.is_taken.any()
    assert demoted.evidence == pytest.approx(frame.evidence)
    alone = weigh_frame(frame, None, N_PIXELS)
    assert alone.evidence == frame.evidence
    assert alone.listing.is_taken.tolist() == [True] * 3 + [False] * 2
    inputs = describe_frame(frame, alone)
    np.testing.assert_allclose(inputs.candidates[:5, 0], np.log(FOUND), rtol=1e-5)
    assert not inputs.candidates[:, 7].any()
    inputs = describe_frame(frame, weighed)
    np.testing.assert_allclose(inputs.candidates[:5, 0], np.log(JUDGED).clip(max=3.33), rtol=0.01)
    np.testing.assert_allclose(inputs.candidates[:5, 7], 1.0, atol=1e-3)
    assert inputs.frame[3] == 2
    assert not describe_frame(frame, weighed, with_logit=False).candidates[:, 7].any()


def test_frames_are_judged_together() -> None:
    """Each gets its own verdicts back, frames without peaks get none."""
    frames = [make_frame(part, 1) for part in (FOUND[:2], [], FOUND[2:])]
    model = SomePeakModel(make_verdicts(JUDGED, FOUND))
    parts = judge_peaks(model, frames)  # type: ignore[arg-type]
    assert [len(part.logit) for part in parts if part] == [2, 0, 3]
    np.testing.assert_array_equal(parts[2].log_rate, model.verdicts.log_rate[2:])
    assert model.frame == [0, 0, 2, 2, 2]
    assert model.is_listed == [True, False, True, False, False]
    assert judge_peaks(None, frames) == [None] * 3


def test_no_model_is_asked_about_what_it_can_hardly_lift() -> None:
    """Peaks far behind the asked number keep what the finder says of them."""
    peaks = make_peaks([1e-6, 0.9, 3.9, 4.1, 9.0])
    asked = n_asked(peaks, 2, 1.0)
    assert asked == np.searchsorted(found_expected(peaks, 2, 1.0), WITHIN_REACH) == 2
    # The finder took a step to 3.9.
    assert n_asked(peaks, 3, 1.0) == 5
    assert n_asked(peaks[:0], 0, 1.0) == 0
    frame = make_frame(FOUND, 3)
    few = replace(frame, patches=frame.patches.first(2))
    (verdicts,) = judge_peaks(SomePeakModel(make_verdicts(JUDGED[:2], FOUND[:2])), [few])  # type: ignore[arg-type]
    assert verdicts is not None
    assert len(verdicts.logit) == 2
    listing = list_peaks(frame.peaks, 3, verdicts, N_PIXELS, 1.0)
    np.testing.assert_allclose(np.exp(listing.log_expected), [*JUDGED[:2], *FOUND[2:]], rtol=1e-6)


def test_judged_frames_are_in_the_models_order() -> None:
    """Reported peaks first, the rest down to ten false ones behind them, artefacts nowhere."""
    model = SomePeakModel(make_verdicts(JUDGED, FOUND))
    judge = FrameJudge(Models(peak=model, hit=None), 1.0)  # type: ignore[arg-type]
    (frame,) = judge.judge([make_frame(FOUND, 3)], N_PIXELS)
    np.testing.assert_allclose(-np.log1p(-frame.peaks["p_value"]), [1e-3, 0.1, 3.0], rtol=1e-5)
    assert frame.n_peaks == 2
    assert (frame.verdict.n_removed, frame.verdict.n_added) == (2, 1)
    assert np.isnan(frame.verdict.artefact_probability)
    assert not frame.is_artefact
    np.testing.assert_allclose(frame.peaks["spot_probability"], 0.9, rtol=1e-6)
    assert FrameJudge(Models(None, None), 1.0).judge([], N_PIXELS) == []


@pytest.mark.parametrize("asked", [1.0, 10.0, 100.0])
def test_p_values_that_say_no_more_are_spread_by_rank(asked: float) -> None:
    """Reported peaks stay within what was asked, the others beyond, and all stay in order."""
    true = np.geomspace(1e-6, 10.0 * asked, 60)
    n_peaks = int((true <= asked).sum())
    expected = found_expected(make_peaks(true.tolist()), n_peaks, asked)
    assert (np.diff(expected) > 0).all()
    assert (expected[:n_peaks] <= asked * (1 + 1e-9)).all()
    assert (expected[n_peaks:] > asked).all()
    np.testing.assert_allclose(expected, true, rtol=1.2 if asked > 1 else 1e-3)
