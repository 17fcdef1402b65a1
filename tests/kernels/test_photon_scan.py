"""Passes over photons against plain numpy."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cxlsfind.kernels.photon_scan import (
    SEGMENT,
    clear_photons,
    count_neighbours,
    scan_boxes,
    scatter_photons,
    sum_by_ring,
)

ROWS, STRIDE = 20, 2 * SEGMENT


def draw(seed: int, mean: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    usable = generator.random(ROWS * STRIDE) < 0.95
    dense = generator.poisson(mean, ROWS * STRIDE)
    # As on a canvas: padding all around.
    frame = np.zeros((ROWS, STRIDE), np.bool_)
    frame[2:-2, 2:-2] = True
    usable &= frame.ravel()
    dense *= frame.ravel()
    place = np.flatnonzero(dense).astype(np.int32)
    return usable, dense, place, dense[place].astype(np.uint32)


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.02, 0.5]), st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_boxes_are_found(seed: int, mean: float, need: int) -> None:
    """The pixels listed are those whose 3x3 sum reaches the threshold."""
    usable, dense, place, count = draw(seed, mean)
    sheet = np.zeros(ROWS * STRIDE, np.uint16)
    total = scatter_photons(place, count, usable, sheet)
    kept = (dense * usable).reshape(ROWS, STRIDE)
    assert total == kept.sum()
    padded = np.pad(kept, 1)
    boxes = sum(padded[a : a + ROWS, b : b + STRIDE] for a in range(3) for b in range(3))
    rows = np.bincount(place // STRIDE, minlength=ROWS)
    thresholds = np.full(ROWS * STRIDE // SEGMENT, need, np.uint16)
    found = np.empty(ROWS * STRIDE, np.int32)
    n_found = scan_boxes(sheet, STRIDE, usable, rows, thresholds, found)
    expected = np.flatnonzero((boxes.ravel() >= need) & usable)
    assert np.array_equal(found[:n_found], expected)
    clear_photons(place, sheet)
    assert not sheet.any()


def test_too_many_boxes_are_counted() -> None:
    """A buffer that is too short is not overrun, and the full number is returned."""
    usable, _, place, count = draw(1, 1.0)
    sheet = np.zeros(ROWS * STRIDE, np.uint16)
    scatter_photons(place, count, usable, sheet)
    rows = np.ones(ROWS, np.int64)
    thresholds = np.ones(ROWS * STRIDE // SEGMENT, np.uint16)
    found = np.full(5, -1, np.int32)
    assert scan_boxes(sheet, STRIDE, usable, rows, thresholds, found[:3]) > 3
    assert found[3] == -1


def test_ring_sums_respect_caps_and_masks() -> None:
    """Counts are cut at the ring's cap; unusable pixels and those off the canvas are left out."""
    usable = np.array([True, True, False, True])
    ring = np.array([0, 1, 0, 1], np.int32)
    sums = np.zeros(2, np.int64)
    sum_by_ring(
        np.array([0, 1, 2, 3, -1], np.int32),
        np.array([7, 2, 9, 9, 9], np.uint32),
        usable,
        ring,
        np.array([3, 5]),
        sums,
    )
    assert sums.tolist() == [3, 7]


def test_neighbours() -> None:
    """Sides and diagonals are told apart, each pair once."""
    sheet = np.zeros(5 * 8, np.uint16)
    sheet[[9, 10, 17, 26]] = [1, 2, 3, 1]
    usable = np.ones(sheet.size, np.bool_)
    sums = np.zeros(3)
    place = np.flatnonzero(sheet).astype(np.int32)
    count_neighbours(place, sheet, usable, 8, 100, sums)
    assert sums.tolist() == [1 * 2 + 1 * 3, 2 * 3 + 3 * 1, 7]
