"""Matching peaks to spots, and the numbers drawn from it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cxlsfind.errors import InputError
from cxlsfind.sim.score import match_peaks, score_run
from cxlsfind.sim.truth import FRAME_DTYPE, SPOT_ROW_DTYPE, Truth

positions = hnp.arrays(
    np.float64,
    st.tuples(st.integers(0, 8), st.just(2)),
    elements=st.integers(0, 40).map(lambda n: n / 4),
)


@given(spots=positions, peaks=positions)
def test_matches_are_one_to_one_near_and_complete(spots, peaks):
    found = match_peaks(spots, peaks)
    used = found[found >= 0]
    assert len(set(used)) == len(used)
    distance = np.linalg.norm(spots[:, None] - peaks[None], axis=2)
    for spot, peak in enumerate(found):
        if peak >= 0:
            assert distance[spot, peak] <= 2
    free_peaks = np.setdiff1d(np.arange(len(peaks)), used)
    free_spots = np.flatnonzero(found < 0)
    assert (distance[np.ix_(free_spots, free_peaks)] > 2).all()


def test_the_nearer_of_two_peaks_wins():
    found = match_peaks(np.array([[10.0, 10.0]]), np.array([[11.5, 10.0], [10.5, 10.0]]))
    assert list(found) == [1]


@pytest.fixture
def truth():
    """Return the truth of a frame with three spots and of a blank."""
    frames = np.zeros(2, FRAME_DTYPE)
    frames["label"] = [1, 0]
    spots = np.zeros(3, SPOT_ROW_DTYPE)
    spots["fs"] = [10, 20, 30]
    spots["ss"] = [10, 20, 30]
    spots["photons"] = [3, 30, 300]
    return Truth(("a.h5",) * 2, ("//0", "//1"), frames, spots)


def test_score_of_a_run(truth):
    on_hit = np.array([[20.5, 20.0], [30.0, 29.5], [50.0, 50.0]])
    on_blank = np.array([[1.0, 1.0], [2.0, 9.0]])
    score = score_run(truth, [on_hit, on_blank])
    assert list(score.is_found) == [False, True, True]
    assert [(row.n_spots, row.n_found) for row in score.recall([0, 10, 1000])] == [(1, 0), (2, 2)]
    assert score.false_per_hit == 1
    assert score.false_per_blank == 2
    assert score.rmse_px == pytest.approx(np.sqrt((0.5**2 + 0.5**2) / 4))


def test_nothing_found(truth):
    nothing = np.zeros((0, 2))
    score = score_run(truth, [nothing, nothing])
    assert score.false_per_blank == 0
    assert np.isnan(score.rmse_px)
    assert np.isnan(score.recall([1000, 2000])[0].recall)


def test_frames_missing(truth):
    with pytest.raises(InputError, match="peaks of 1 frames, truth of 2"):
        score_run(truth, [np.zeros((0, 2))])
