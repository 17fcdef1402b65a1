"""The scan for crowded boxes against sums over counts."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxlsfind.kernels.plane_scan import CHUNK, ask_less, ask_words, scan_boxes


def draw(
    naive: ModuleType, seed: int, mean: float, n_planes: int, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw counts and usable pixels as on a canvas, with padding all around, and thresholds."""
    generator = np.random.default_rng(seed)
    inside = np.zeros(shape, np.bool_)
    inside[2:-2, 2:-2] = True
    usable = inside.ravel() & (generator.random(inside.size) < 0.95)
    counts = naive.draw_counts(generator, inside.size, mean, n_planes) * usable
    largest = 9 * (2**n_planes - 1)
    typical = max(1, int(9 * mean + 2))
    needs = generator.integers(1, 2 * typical, inside.size // 64)
    odd = generator.random(needs.size) < 0.2
    needs[odd] = generator.choice([1, largest - 1, largest, largest + 1, 2**15, 65535], odd.sum())
    return counts, usable, needs.astype(np.uint16)


def boxes_expected(
    naive: ModuleType,
    counts: np.ndarray,
    usable: np.ndarray,
    needs: np.ndarray,
    n_planes: int,
    stride: int,
) -> np.ndarray:
    """Return the pixels that the scan should list."""
    full = 2**n_planes - 1
    boxes = naive.box_sums(np.minimum(counts, full), stride)
    overflow = naive.box_sums((counts >= full).astype(np.int64), stride) > 0
    return np.flatnonzero(((boxes >= np.repeat(needs, 64)) | overflow) & usable)


def scan(
    naive: ModuleType,
    counts: np.ndarray,
    usable: np.ndarray,
    stride: int,
    needs: np.ndarray,
    chosen: np.ndarray,
    n_planes: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return what the scan lists: pixels, and the photons of their boxes."""
    found, boxes = np.empty(counts.size, np.int32), np.empty(counts.size, np.int64)
    n_found = scan_boxes(
        naive.planes_of(counts, n_planes),
        *naive.listed(counts, n_planes),
        naive.words_of(usable),
        stride // 64,
        needs,
        chosen,
        found,
        boxes,
    )
    return found[:n_found], boxes[:n_found]


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 0.02, 0.5, 8.0]),
    st.integers(2, 8),
    st.sampled_from([(6, 64), (20, 128), (301, 64), (90, 192), (40, 1088)]),
)
@settings(max_examples=60)
def test_boxes_are_found(
    naive_canvas: ModuleType, seed: int, mean: float, n_planes: int, shape: tuple[int, int]
) -> None:
    """The pixels listed are those whose 3x3 sum reaches the threshold of their word.

    Boxes with a pixel that planes cannot count are among them, and runs of words end anywhere in
    a row.
    """
    counts, usable, needs = draw(naive_canvas, seed, mean, n_planes, shape)
    stride = shape[1]
    chosen = np.ones(-(-needs.size // CHUNK), np.bool_)
    found, boxes = scan(naive_canvas, counts, usable, stride, needs, chosen, n_planes)
    expected = boxes_expected(naive_canvas, counts, usable, needs, n_planes, stride)
    assert np.array_equal(found, expected)
    assert np.array_equal(boxes, naive_canvas.box_sums(counts, stride)[expected])


@pytest.mark.parametrize("need", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("mean", [0.0, 0.02, 0.5])
def test_one_threshold_for_all(naive_canvas: ModuleType, mean: float, need: int) -> None:
    """So it is with one threshold for all words, and counts that the planes hold."""
    generator = np.random.default_rng(need)
    usable = np.zeros((20, 128), np.bool_)
    usable[2:-2, 2:-2] = generator.random((16, 124)) < 0.95
    counts = generator.poisson(mean, usable.size) * usable.ravel()
    needs = np.full(40, need, np.uint16)
    found, _ = scan(naive_canvas, counts, usable.ravel(), 128, needs, np.ones(1, np.bool_), 6)
    boxes = naive_canvas.box_sums(counts, 128)
    assert np.array_equal(found, np.flatnonzero((boxes >= need) & usable.ravel()))


@given(st.integers(0, 2**32 - 1), st.integers(2, 4))
@settings(max_examples=15)
def test_only_chosen_runs_are_looked_at(naive_canvas: ModuleType, seed: int, n_planes: int) -> None:
    """Every run can be left out without any effect on the others."""
    shape = 500, 192  # 1500 words: six runs, the last one short
    counts, usable, needs = draw(naive_canvas, seed, 0.3, n_planes, shape)
    chosen = np.random.default_rng(seed + 1).random(-(-needs.size // CHUNK)) < 0.5
    found, boxes = scan(naive_canvas, counts, usable, 192, needs, chosen, n_planes)
    expected = boxes_expected(naive_canvas, counts, usable, needs, n_planes, 192)
    expected = expected[chosen[expected // (64 * CHUNK)]]
    assert np.array_equal(found, expected)
    assert np.array_equal(boxes, naive_canvas.box_sums(counts, 192)[expected])


def test_boxes_of_full_pixels(naive_canvas: ModuleType) -> None:
    """The largest sum that planes can count is asked for and found; more is left to the list."""
    counts = np.zeros((8, 128), np.int64)
    counts[3:6, 60:66] = 2
    usable, chosen = np.ones(counts.size, np.bool_), np.ones(1, np.bool_)
    for need, n_expected in ((18, 4), (19, 0), (27, 0), (28, 0), (65535, 0)):
        needs = np.full(16, need, np.uint16)
        found, _ = scan(naive_canvas, counts.ravel(), usable, 128, needs, chosen, 2)
        assert len(found) == n_expected
    counts[4, 63] = 70_000
    needs = np.full(16, 65535, np.uint16)
    found, boxes = scan(naive_canvas, counts.ravel(), usable, 128, needs, chosen, 2)
    assert len(found) == 9
    assert np.array_equal(boxes, naive_canvas.box_sums(counts.ravel(), 128)[found])
    rows, columns = np.divmod(found, 128)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (3, 5, 62, 64)


def test_too_many_boxes_are_counted(naive_canvas: ModuleType) -> None:
    """A buffer that is too short is not overrun, and the full number is returned."""
    counts, usable, _ = draw(naive_canvas, 1, 1.0, 2, (20, 128))
    planes = naive_canvas.planes_of(counts, 2)
    words = naive_canvas.words_of(usable)
    needs = np.ones(40, np.uint16)
    chosen = np.ones(1, np.bool_)
    everything, sums = scan(naive_canvas, counts, usable, 128, needs, chosen, 2)
    found, boxes = np.full(5, -1, np.int32), np.full(5, -1)
    assert len(everything) > 3
    n_found = scan_boxes(
        planes,
        *naive_canvas.listed(counts, 2),
        words,
        2,
        needs,
        chosen,
        found[:3],
        boxes[:3],
    )
    assert n_found == len(everything)
    assert found.tolist() == [*everything[:3], -1, -1]
    assert boxes.tolist() == [*sums[:3], -1, -1]


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_words_ask(seed: int) -> None:
    """A word asks what its background, lifted by its bin, needs; beyond the ends, the ends.

    Between two places the number lies between theirs, in whole photons.
    """
    generator = np.random.default_rng(seed)
    needs = np.sort(generator.integers(1, 900, 30)).astype(np.uint16)
    node_of_word = generator.uniform(-10, 40, 200).astype(np.float32)
    word_bin = generator.integers(-1, 4, 200).astype(np.int32)
    lift = generator.uniform(-20, 20, 4)
    asked = np.zeros(200, np.uint16)
    ask_words(node_of_word, word_bin, lift, needs, asked)
    place = node_of_word.astype(np.float64) + lift[word_bin]
    exact = np.interp(place, np.arange(30), needs)
    known = word_bin >= 0
    assert (asked[~known] == 65535).all()
    assert (asked[known] <= exact[known] + 1e-3).all()
    # The last place is hardly reached.
    assert (asked[known] > exact[known] - 1.0 - 1e-3 * np.diff(needs.astype(float)).max()).all()
    assert asked[known & (place <= 0)].tolist() == [needs[0]] * int((known & (place <= 0)).sum())


def test_whole_places_ask_what_they_need() -> None:
    """On a place the number asked for is its own, whatever the rounding of what led there."""
    needs = np.array([1, 2, 2, 4, 9, 30, 31], np.uint16)
    words = np.arange(6, dtype=np.float32)
    asked = np.zeros(6, np.uint16)
    for shift in (0.0, 0.1, 1.7):
        ask_words(words - np.float32(shift), np.zeros(6, np.int32), np.array([shift]), needs, asked)
        assert asked.tolist() == needs[:6].tolist()


@pytest.mark.parametrize("n_words", [1, CHUNK - 1, CHUNK, 3 * CHUNK + 7])
def test_runs_that_ask_less(n_words: int) -> None:
    """Runs are told in which a word asks less; one that asks more makes no difference."""
    generator = np.random.default_rng(n_words)
    before = generator.integers(1, 2**16 - 1, n_words).astype(np.uint16)
    less = np.ones(-(-n_words // CHUNK), np.bool_)
    assert not ask_less(before, before, less)
    assert not ask_less(before + np.uint16(1), before, less)
    assert not less.any()
    asked = before.copy()
    asked[-1] -= 1
    assert ask_less(asked, before, less)
    assert less.tolist() == [False] * (len(less) - 1) + [True]
