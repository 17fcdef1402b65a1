"""Labels from expected photons: spots, what is ignored, and what is background."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxlsfind.datasets.labels import (
    frame_class,
    label_expected,
    label_thresholded,
    spot_photons,
)
from cxlsfind.datasets.truth import TRUTH_PIXEL_DTYPE, FrameTruth

SHAPE = (30, 40)
SPOT_DTYPE = [("fs", "f8"), ("ss", "f8"), ("photons", "f8")]


def truth_of(spots, *, background=0.01, usable=None, sigma=0.7, column="bragg"):
    """Return the truth of round spots, given as (fs, ss, photons)."""
    ss, fs = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    expected = np.zeros(SHAPE)
    for x, y, photons in spots:
        shape = np.exp(-((fs - x) ** 2 + (ss - y) ** 2) / (2 * sigma**2))
        expected += photons * shape / (2 * np.pi * sigma**2)
    if usable is not None:
        expected *= usable
    index = np.flatnonzero(expected > 1e-3)
    pixels = np.zeros(len(index), TRUTH_PIXEL_DTYPE)
    pixels["index"], pixels[column] = index, expected.ravel()[index]
    pixels["background"] = background
    return FrameTruth(pixels, np.array([tuple(spot) for spot in spots], SPOT_DTYPE))


def all_usable():
    return np.ones(SHAPE, np.bool_)


def test_a_bright_spot_is_labelled_at_its_centre_and_ignored_around_it():
    label = label_expected(truth_of([(20.3, 10.6, 100)]), all_usable())
    assert np.argwhere(label.spots).tolist() == [[10, 20]]
    assert label.ignore[10, 20] == 0
    assert label.ignore[9:12, 19:22].sum() == 8
    assert label.ignore[:5].sum() == 0
    assert label.ignore[:, 30:].sum() == 0


@pytest.mark.parametrize(
    ("photons", "is_spot", "is_ignored"),
    [(8, True, False), (1.2, False, True), (0.2, False, False)],
)
def test_photons_decide_between_spot_ignored_and_background(photons, is_spot, is_ignored):
    """At 0.01 photons per pixel 1.85 expected photons in 3 x 3 pixels make a spot."""
    label = label_expected(truth_of([(20.5, 10.5, photons)]), all_usable())
    assert bool(label.spots[10, 20]) == is_spot
    assert bool(label.ignore[10, 20]) == is_ignored
    assert label.ignore.any() == (is_spot or is_ignored)


def test_more_background_asks_for_more_photons():
    levels = np.array([0.0, 1e-5, 1e-3, 0.1, 1.0, 10.0, 1000.0])
    needed = spot_photons(levels)
    assert (np.diff(needed) >= 0).all()
    assert needed[0] == 1.5
    assert needed[3] == pytest.approx(6.9 / 2)
    assert needed[-1] == pytest.approx(10 * needed[-2])


def test_spots_closer_than_two_pixels_are_one():
    label = label_expected(truth_of([(20.0, 10.5, 100), (21.4, 10.5, 100)]), all_usable())
    assert np.argwhere(label.spots).tolist() == [[10, 20]]


def test_of_two_close_spots_the_fainter_is_ignored():
    label = label_expected(truth_of([(20.5, 10.5, 30), (23.5, 10.5, 100)]), all_usable())
    assert np.argwhere(label.spots).tolist() == [[10, 23]]
    assert label.ignore[10, 20] == 1


def test_spots_on_gaps_are_ignored():
    usable = all_usable()
    usable[:, 20:25] = False
    spots = [(20.5, 10.5, 500), (25.4, 20.5, 500), (10.5, 5.5, 500)]
    label = label_expected(truth_of(spots, usable=usable), usable)
    # The second loses a third of its pixels, less than half.
    assert np.argwhere(label.spots).tolist() == [[5, 10], [20, 25]]
    assert label.ignore[:, 20:25].all()
    assert label.ignore[10, 19] == 1, "what sticks out of the gap"
    narrow = usable.copy()
    narrow[21, 26], narrow[20, 26] = False, False
    assert not label_expected(truth_of(spots, usable=narrow), narrow).spots[20, 25]


def test_photons_that_did_not_arrive_make_no_difference():
    truth = truth_of([(20.5, 10.5, 5)])
    before = label_expected(truth, all_usable())
    again = label_expected(FrameTruth(truth.pixels.copy(), truth.spots[::-1].copy()), all_usable())
    np.testing.assert_array_equal(before.spots, again.spots)


@given(
    st.lists(
        st.tuples(st.floats(-1, 41), st.floats(-1, 31), st.floats(0, 1e4)), min_size=0, max_size=20
    ),
    st.sampled_from([1e-4, 0.1, 5.0]),
)
def test_spots_are_usable_apart_and_never_ignored(spots, background):
    usable = all_usable()
    usable[::7] = False
    label = label_expected(truth_of(spots, background=background, usable=usable), usable)
    places = np.argwhere(label.spots)
    assert usable[label.spots == 1].all()
    assert not (label.spots & label.ignore).any()
    assert label.ignore[~usable].all()
    assert len(places) <= len(spots)
    for place in places:
        distance = np.abs(places - place).max(axis=1)
        assert np.count_nonzero(distance < 2) == 1


def test_a_frame_without_a_crystal_is_background():
    label = label_expected(FrameTruth.nothing(), all_usable())
    assert not label.spots.any()
    assert not label.ignore.any()


def test_spots_of_ice_and_salt_are_ignored():
    truth = truth_of([(20.5, 10.5, 100)], column="impostor")
    label = label_expected(FrameTruth(truth.pixels, FrameTruth.nothing().spots), all_usable())
    assert not label.spots.any()
    assert label.ignore[9:12, 19:22].all()
    assert not label.ignore[:5].any()


def test_classes_of_frames():
    nothing = FrameTruth.nothing()
    ice = truth_of([(20.5, 10.5, 9)], column="impostor")
    assert frame_class(nothing, has_crystal=False) == "blank"
    assert frame_class(ice, has_crystal=False) == "artefact"
    assert frame_class(truth_of([(20.5, 10.5, 1.5)]), has_crystal=True) == "neither"
    assert frame_class(truth_of([(20.5, 10.5, 2.5)]), has_crystal=True) == "hit"


def test_thresholded_labels_are_those_of_the_paper():
    image = np.array([[0.0, 0.9], [1.0, 7.0]], np.float32)
    label = label_thresholded(image, 1)
    assert label.dtype == np.uint8
    assert label.tolist() == [[0, 0], [1, 1]]
