"""Planes laid on a canvas, read, cleared and painted, against plain numpy on counts."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxlsfind.kernels.plane_canvas import (
    LARGEST_COUNT,
    bits_from,
    clear_pixels,
    count_at,
    find_near,
    find_place,
    lay_planes,
    paint_windows,
    wipe_windows,
    words_of,
)


@st.composite
def panels(draw: st.DrawFn) -> tuple[np.ndarray, int, int, int]:
    """Draw panels side by side: windows, pixels of the frame array, words a row, padding."""
    pad = draw(st.sampled_from([1, 8, 63]))
    widths = draw(st.lists(st.integers(1, 150) | st.sampled_from([56, 64, 112, 128]), min_size=1))
    gap = draw(st.integers(0, 9))
    height = draw(st.integers(1, 5))
    start = draw(st.integers(0, 100))
    stride = sum(widths) + gap * len(widths)
    words_per_row = -(-(max(widths) + pad) // 64)
    windows, row, first = [], pad, start
    for width in widths:
        windows.append((first, stride, height, width, row))
        first += width + gap
        row += height + 1
    n_pixels = start + height * stride - draw(st.integers(0, gap))
    return np.array(windows, np.int64), n_pixels, words_per_row, pad


@given(panels(), st.integers(2, 6), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_panels_are_laid(
    naive_canvas: ModuleType,
    drawn: tuple[np.ndarray, int, int, int],
    n_planes: int,
    seed: int,
) -> None:
    """Every pixel of a panel lands in its place, and everything else is zero."""
    windows, n_pixels, words_per_row, pad = drawn
    counts = np.random.default_rng(seed).integers(0, 2**n_planes, n_pixels)
    n_rows = int(windows[-1, 4] + windows[-1, 2]) + 1
    sheet = np.zeros((n_planes, n_rows * words_per_row), np.uint64)
    lay_planes(naive_canvas.planes_of(counts, n_planes), windows, pad, words_per_row, sheet)
    expected = np.zeros((n_rows, 64 * words_per_row), np.int64)
    for start, stride, height, width, row in windows:
        for ss in range(height):
            line = counts[start + ss * stride :][:width]
            expected[row + ss, pad : pad + width] = line
    assert np.array_equal(naive_canvas.counts_of(sheet), expected.ravel())


@pytest.mark.parametrize("width", [56, 57, 130, 450])
def test_panels_may_begin_at_any_bit(naive_canvas: ModuleType, width: int) -> None:
    """Whatever the shift between the frame array and the canvas, even none, rows are the same."""
    counts = np.random.default_rng(width).integers(0, 4, 3 * width + 64)
    planes = naive_canvas.planes_of(counts, 2)
    words_per_row = -(-(width + 8) // 64)
    for start in range(64):
        sheet = np.zeros((2, 3 * words_per_row), np.uint64)
        windows = np.array([[start, width, 3, width, 0]])
        lay_planes(planes, windows, 8, words_per_row, sheet)
        expected = np.zeros((3, 64 * words_per_row), np.int64)
        expected[:, 8 : 8 + width] = counts[start : start + 3 * width].reshape(3, width)
        assert np.array_equal(naive_canvas.counts_of(sheet), expected.ravel())


@given(st.integers(0, 191), st.integers(0, 2**32 - 1))
def test_bits_from(naive_canvas: ModuleType, bit: int, seed: int) -> None:
    """The 64 bits that begin at a bit, with zeros beyond the end."""
    flags = np.random.default_rng(seed).random(192) < 0.5
    expected = naive_canvas.words_of(np.pad(flags, (0, 64))[bit : bit + 64])
    assert bits_from(naive_canvas.words_of(flags), bit) == expected[0]


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 200])
def test_flags_become_words(naive_canvas: ModuleType, size: int) -> None:
    """The last word may be short; what words held before does not matter."""
    flags = np.random.default_rng(size).random(size) < 0.5
    words = np.full(-(-size // 64), 2**64 - 1, np.uint64)
    words_of(flags, words)
    assert np.array_equal(words, naive_canvas.words_of(flags))


@given(st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_pixels_are_cleared(naive_canvas: ModuleType, n_planes: int, seed: int) -> None:
    """All planes lose the pixels, the others keep theirs; clearing twice changes nothing."""
    generator = np.random.default_rng(seed)
    counts = generator.integers(0, 2**n_planes, 640)
    planes = naive_canvas.planes_of(counts, n_planes)
    pixels = np.sort(generator.integers(0, 640, 70)).astype(np.int32)  # some of them twice
    clear_pixels(planes, pixels)
    counts[pixels] = 0
    assert np.array_equal(naive_canvas.counts_of(planes), counts)
    clear_pixels(planes, pixels[:0])
    assert np.array_equal(naive_canvas.counts_of(planes), counts)


@given(st.lists(st.integers(0, 30), unique=True), st.integers(-1, 31))
def test_places_are_found(members: list[int], place: int) -> None:
    """The place in an ascending list, or -1."""
    members.sort()
    expected = members.index(place) if place in members else -1
    assert find_place(np.array(members, np.int32), place) == expected


@given(st.integers(2, 6), st.sampled_from([0.0, 0.5, 20.0]), st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_counts_are_read(naive_canvas: ModuleType, n_planes: int, mean: float, seed: int) -> None:
    """A pixel's bits are its count, or the list knows it."""
    counts = naive_canvas.draw_counts(np.random.default_rng(seed), 256, mean, n_planes)
    planes = naive_canvas.planes_of(counts, n_planes)
    places, listed = naive_canvas.listed(counts, n_planes)
    assert [count_at(planes, places, listed, pixel) for pixel in range(256)] == counts.tolist()


def test_a_full_pixel_that_is_not_listed_holds_what_its_bits_say(naive_canvas: ModuleType) -> None:
    """Without a list there is nothing to add."""
    planes = naive_canvas.planes_of(np.array([0, 9, 3]), 2)
    nothing = np.empty(0, np.int32)
    assert [count_at(planes, nothing, nothing.astype(np.uint32), p) for p in range(3)] == [0, 3, 3]


@given(
    st.integers(2, 6),
    st.sampled_from([0.0, 0.05, 3.0]),
    st.integers(0, 12),
    st.integers(1, 3),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=40)
def test_windows_are_painted_and_wiped(
    naive_canvas: ModuleType,
    n_planes: int,
    mean: float,
    reach: int,
    words_per_row: int,
    seed: int,
) -> None:
    """Counts around positions stand on the sheet, as far as it goes, and are wiped off again."""
    generator = np.random.default_rng(seed)
    n_rows, stride = 25, 64 * words_per_row
    counts = naive_canvas.draw_counts(generator, n_rows * stride, mean, n_planes)
    planes = naive_canvas.planes_of(counts, n_planes)
    positions = generator.choice(n_rows * stride, 3, replace=False).astype(np.int32)
    positions = np.concatenate([positions, np.array([0, n_rows * stride - 1], np.int32)])
    sheet = np.zeros(n_rows * stride, np.uint16)
    paint_windows(planes, *naive_canvas.listed(counts, n_planes), stride, positions, reach, sheet)
    row, column = np.divmod(np.arange(n_rows * stride), stride)
    needed = np.zeros(n_rows * stride, np.bool_)
    for position in positions.astype(np.int64):
        far = np.maximum(abs(row - position // stride), abs(column - position % stride))
        needed |= far <= reach
    kept = np.minimum(counts, LARGEST_COUNT)
    assert np.array_equal(sheet[needed], kept[needed])
    assert not sheet[~needed].any()
    wipe_windows(stride, positions, reach, sheet)
    assert not sheet.any()


@given(st.lists(st.integers(0, 30), unique=True), st.integers(-3, 33), st.integers(-3, 33))
def test_places_are_found_whatever_the_guess(listed: list[int], place: int, guess: int) -> None:
    """A guess changes nothing, be it right, wrong, or no place at all."""
    places = np.array(sorted(listed), np.int32)
    expected = sorted(listed).index(place) if place in listed else -1
    assert find_near(places, place, guess) == expected
    assert find_place(places, place) == expected
