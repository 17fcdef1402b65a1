"""Boxes, backgrounds and local maxima of candidate pixels against plain numpy."""

from __future__ import annotations

from types import ModuleType

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cxlsfind.kernels.maxima import (
    background_at,
    list_asked,
    list_enough,
    mark_maxima,
    mark_windows,
    take_marked,
    weigh_boxes,
)
from cxlsfind.kernels.plane_scan import ask_words

SEEDS = st.integers(0, 2**32 - 1)


def positions_in(
    generator: np.random.Generator, n_rows: int, stride: int, number: int
) -> np.ndarray:
    """Draw ascending pixels that are two pixels or more from the edges, some side by side."""
    inside = np.zeros((n_rows, stride), np.bool_)
    inside[2:-2, 2:-2] = True
    pixels = generator.choice(np.flatnonzero(inside), number, replace=False)
    return np.sort(pixels).astype(np.int32)


@given(
    st.integers(2, 6),
    st.sampled_from([0.0, 0.1, 2.0, 30.0]),
    st.sampled_from([(10, 64), (12, 192)]),
    SEEDS,
)
@settings(max_examples=40)
def test_boxes_are_weighed(
    naive_canvas: ModuleType, n_planes: int, mean: float, shape: tuple[int, int], seed: int
) -> None:
    """Photons of the box, and photons weighted as a spot, whether planes can count them or not."""
    generator = np.random.default_rng(seed)
    n_rows, stride = shape
    counts = naive_canvas.draw_counts(generator, n_rows * stride, mean, n_planes)
    positions = positions_in(generator, n_rows, stride, 150)
    boxes = np.empty(positions.size, np.int64)
    sharpness = np.empty(positions.size, np.float32)
    weigh_boxes(
        positions,
        naive_canvas.planes_of(counts, n_planes),
        *naive_canvas.listed(counts, n_planes),
        stride,
        boxes,
        sharpness,
    )
    sheet = counts.reshape(n_rows, stride)
    spot = np.outer([1, 2, 1], [1, 2, 1]) / 16
    for number, position in enumerate(positions):
        row, column = divmod(int(position), stride)
        window = sheet[row - 1 : row + 2, column - 1 : column + 2]
        assert boxes[number] == window.sum()
        assert sharpness[number] == np.float32((spot * window).sum())


@given(SEEDS, st.integers(1, 30))
@settings(max_examples=20)
def test_background_under_a_spot(naive_canvas: ModuleType, seed: int, n_rings: int) -> None:
    """Neighbouring rings count half as much as the middle one; the outer rings are their own."""
    generator = np.random.default_rng(seed)
    n_rows, stride, side = 30, 64, 12
    ring = generator.integers(0, n_rings, n_rows * stride).astype(np.int32)
    level = generator.uniform(0.0, 2.0, n_rings)
    factor = generator.uniform(0.5, 2.0, (3, 6)).astype(np.float32)
    positions = positions_in(generator, n_rows, stride, 100)
    background = np.empty(100)
    background_at(positions, level, factor, side, ring, stride, background)
    padded = np.pad(level, 1, mode="edge")
    around = 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]
    excess = naive_canvas.factor_map(factor, side, n_rows, stride).ravel()
    assert np.allclose(background, (around[ring] * excess)[positions], rtol=1e-12)


def test_background_is_above_zero() -> None:
    """A background of nothing can still be taken the logarithm of."""
    background = np.empty(1)
    ring = np.zeros(640, np.int32)
    one = np.ones((1, 1), np.float32)
    background_at(np.array([130], np.int32), np.zeros(3), one, 12, ring, 64, background)
    assert background[0] == 1e-12


@given(SEEDS, st.integers(0, 200))
@settings(max_examples=30)
def test_boxes_that_hold_enough(seed: int, number: int) -> None:
    """Boxes are listed that hold what lies between two places, in whole photons."""
    generator = np.random.default_rng(seed)
    needs = np.sort(generator.integers(1, 40, 20)).astype(np.uint16)
    places = np.where(
        generator.random(number) < 0.3,
        generator.integers(0, 18, number).astype(float),
        generator.uniform(0, 18.9, number),
    )
    boxes = generator.integers(0, 40, number)
    chosen = np.empty(number, np.int64)
    n_chosen = list_enough(boxes, places, needs, 1e-3, chosen)
    need = np.floor(np.interp(places, np.arange(20), needs) + 1e-3)
    assert chosen[:n_chosen].tolist() == np.flatnonzero(boxes >= need).tolist()


@given(SEEDS, st.integers(0, 200))
@settings(max_examples=30)
def test_boxes_that_hold_what_words_ask(seed: int, number: int) -> None:
    """It is the number that all words are asked for."""
    generator = np.random.default_rng(seed)
    needs = np.sort(generator.integers(1, 40, 20)).astype(np.uint16)
    node_of_word = generator.uniform(-5, 25, 60).astype(np.float32)
    word_bin = generator.integers(0, 4, 60).astype(np.int32)
    lift = generator.uniform(-5, 5, 4)
    positions = np.sort(generator.choice(60 * 64, number, replace=False)).astype(np.int32)
    boxes = generator.integers(0, 40, number)
    asked = np.empty(60, np.uint16)
    ask_words(node_of_word, word_bin, lift, needs, asked)
    chosen = np.empty(number, np.int64)
    n_chosen = list_asked(positions, boxes, node_of_word, word_bin, lift, needs, chosen)
    expected = np.flatnonzero(boxes >= asked[positions // 64])
    assert chosen[:n_chosen].tolist() == expected.tolist()


@given(SEEDS, st.integers(1, 2), st.sampled_from([3.0, 60.0]), st.integers(0, 300))
@settings(max_examples=40)
def test_maxima_are_marked(seed: int, radius: int, bright: float, number: int) -> None:
    """No other position up to the radius away ranks higher; of equals the first is taken."""
    generator = np.random.default_rng(seed)
    n_rows, stride = 24, 64
    positions = positions_in(generator, n_rows, stride, number)
    scores = generator.integers(0, 9, number).astype(np.float32)  # many are equal
    sharpness = generator.integers(0, 4, number).astype(np.float32)
    marks = np.empty(number, np.bool_)
    mark_maxima(positions, scores, sharpness, bright, stride, radius, marks)
    row, column = np.divmod(positions.astype(np.int64), stride)
    for mine in range(number):
        near = np.maximum(abs(row - row[mine]), abs(column - column[mine])) <= radius

        def rank(which: int) -> tuple[bool, float, int]:
            is_bright = bool(scores[which] > bright)
            value = sharpness[which] if is_bright else scores[which]
            return is_bright, float(value), -which

        assert marks[mine] == (max(np.flatnonzero(near), key=rank) == mine)


@given(SEEDS, st.integers(0, 30), st.integers(0, 31), st.sampled_from([64, 192]))
@settings(max_examples=60)
def test_windows_are_marked(
    naive_canvas: ModuleType, seed: int, number: int, largest: int, stride: int
) -> None:
    """Usable pixels of windows are listed once each, and the marks are gone afterwards.

    Windows that leave a row go on in the next, and end where the canvas ends.
    """
    generator = np.random.default_rng(seed)
    size = 40 * stride
    usable = generator.random(size) < 0.9
    positions = np.sort(generator.choice(size, number, replace=False)).astype(np.int32)
    if number > 1:
        positions[[0, -1]] = 0, size - 1
    halves = generator.integers(0, largest + 1, number)
    marked = np.zeros(size // 64, np.uint64)
    n_marked = mark_windows(positions, halves, naive_canvas.words_of(usable), stride, marked)
    expected = np.zeros(size, np.bool_)
    for position, half in zip(positions.astype(np.int64), halves, strict=True):
        steps = np.arange(-half, half + 1)
        window = (position + steps[:, None] * stride + steps).ravel()
        expected[window[(window >= 0) & (window < size)]] = True
    pixels = np.flatnonzero(expected & usable)
    assert n_marked == pixels.size
    listed = np.empty(n_marked, np.int32)
    take_marked(marked, listed)
    assert np.array_equal(listed, pixels)
    assert not marked.any()
