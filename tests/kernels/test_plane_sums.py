"""Sums over bit planes against sums over counts."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxlsfind.kernels.plane_sums import (
    add_frames,
    clip_counts,
    multiply_neighbours,
    spread_totals,
    sum_words,
    take_out,
    withdraw,
)

SEEDS = st.integers(0, 2**32 - 1)


@given(st.integers(2, 6), st.sampled_from([0.0, 0.3, 9.0]), SEEDS)
@settings(max_examples=30)
def test_words_are_summed_by_group(
    naive_canvas: ModuleType, n_planes: int, mean: float, seed: int
) -> None:
    """Groups gain what their words hold, up to all bits, and the number of pixels that hold any.

    Words of no group are left out.
    """
    generator = np.random.default_rng(seed)
    n_words = int(generator.choice([1, 40, 255, 256, 700]))
    counts = naive_canvas.draw_counts(generator, 64 * n_words, mean, n_planes)
    group = generator.integers(-1, 5, n_words).astype(np.int32)
    sums, lit = np.arange(5), np.arange(5, 10)
    sum_words(naive_canvas.planes_of(counts, n_planes), group, sums, lit)
    counts = counts.reshape(n_words, 64)
    held, some = np.minimum(counts, 2**n_planes - 1).sum(axis=1), (counts > 0).sum(axis=1)
    assert sums.tolist() == [k + held[group == k].sum() for k in range(5)]
    assert lit.tolist() == [5 + k + some[group == k].sum() for k in range(5)]


@given(st.integers(1, 600), st.lists(st.integers(1, 8), min_size=1, max_size=12), SEEDS)
@settings(max_examples=30)
def test_totals_of_planes(
    naive_canvas: ModuleType, n_words: int, numbers: list[int], seed: int
) -> None:
    """Frames of different numbers of planes add up, whatever the number of words.

    A pixel is lit if any of its bits is set; batches are filled up with frames of no planes.
    """
    generator = np.random.default_rng(seed)
    totals = np.zeros((max(numbers) + 4, n_words), np.uint64)
    lit = np.zeros((4, n_words), np.uint64)
    expected, fired = np.zeros((2, 64 * n_words), np.int64)
    for first in range(0, len(numbers), 3):
        frames = [np.empty((0, n_words), np.uint64)] * 3
        for place, n_planes in enumerate(numbers[first : first + 3]):
            counts = generator.integers(0, 2**n_planes, 64 * n_words)
            counts[generator.random(64 * n_words) < 0.3] = 2**n_planes - 1  # carries go all the way
            counts[generator.random(64 * n_words) < 0.3] = 0
            frames[place] = naive_canvas.planes_of(counts, n_planes)
            expected += counts
            fired += counts > 0
        before = [planes.copy() for planes in frames]
        add_frames(tuple(frames), totals, lit)
        for planes, old in zip(frames, before, strict=True):
            assert np.array_equal(planes, old)
    assert np.array_equal(naive_canvas.counts_of(totals), expected)
    assert np.array_equal(naive_canvas.counts_of(lit), fired)
    values = np.full(64 * n_words, 77, np.uint32)
    spread_totals(totals, values)
    assert np.array_equal(values, expected)


def test_totals_hold_32_bits(naive_canvas: ModuleType) -> None:
    """The largest number that 32 planes can hold is written out."""
    values = np.empty(64, np.uint32)
    spread_totals(naive_canvas.planes_of(np.array([2**32 - 1, 0, 2**31]), 32), values)
    assert values[:3].tolist() == [2**32 - 1, 0, 2**31]
    assert not values[3:].any()


def test_neighbours(naive_canvas: ModuleType) -> None:
    """Sides and diagonals are told apart, each pair once."""
    counts = np.zeros(7 * 64, np.int64)
    counts[[65, 66, 129, 194]] = [1, 2, 3, 1]
    whole = naive_canvas.words_of(np.ones(counts.size))
    sums = np.zeros(3)
    multiply_neighbours(naive_canvas.planes_of(counts, 2), whole, 1, sums)
    assert sums.tolist() == [1 * 2 + 1 * 3, 2 * 3 + 3 * 1, 7]


@given(st.integers(2, 6), st.sampled_from([0.0, 0.1, 4.0]), st.integers(1, 3), SEEDS)
@settings(max_examples=30)
def test_products_of_neighbours(
    naive_canvas: ModuleType, n_planes: int, mean: float, words_per_row: int, seed: int
) -> None:
    """The products are those of counts up to all bits, of the pixels asked for, across words."""
    generator = np.random.default_rng(seed)
    n_rows, stride = 12, 64 * words_per_row
    counts = naive_canvas.draw_counts(generator, n_rows * stride, mean, n_planes)
    whole = np.zeros((n_rows, stride), np.bool_)
    whole[1:-2, 1:-1] = generator.random((n_rows - 3, stride - 2)) < 0.8  # in the padding
    sums = np.array([10.0, 20.0, 30.0])
    multiply_neighbours(
        naive_canvas.planes_of(counts, n_planes),
        naive_canvas.words_of(whole.ravel()),
        words_per_row,
        sums,
    )
    held = np.minimum(counts, 2**n_planes - 1)
    pixels = np.flatnonzero(whole)
    mine = held[pixels]
    sides = mine @ (held[pixels + 1] + held[pixels + stride])
    diagonals = mine @ (held[pixels + stride + 1] + held[pixels + stride - 1])
    assert sums.tolist() == [10.0 + sides, 20.0 + diagonals, 30.0 + mine.sum()]


@given(st.integers(2, 6), st.sampled_from([0.0, 0.3, 9.0]), SEEDS)
@settings(max_examples=30)
def test_pixels_are_taken_out(
    naive_canvas: ModuleType, n_planes: int, mean: float, seed: int
) -> None:
    """Totals and sums lose what the planes hold at some pixels, up to all bits."""
    generator = np.random.default_rng(seed)
    counts = naive_canvas.draw_counts(generator, 640, mean, n_planes)
    held = np.minimum(counts, 2**n_planes - 1)
    group = generator.integers(0, 3, 10).astype(np.int32)
    pixels = np.sort(generator.choice(640, generator.integers(0, 100), replace=False))
    others = generator.integers(0, 5, 640)
    totals = (held + others).astype(np.uint32)
    ring = generator.integers(0, 7, 640).astype(np.int32)
    rings, sums = np.full(7, 20_000), np.full(3, 10_000)
    planes = naive_canvas.planes_of(counts, n_planes)
    take_out(planes, pixels.astype(np.int32), ring, group, totals, rings, sums)
    lost = np.zeros(640, np.int64)
    lost[pixels] = held[pixels]
    assert np.array_equal(totals, held + others - lost)
    assert np.array_equal(rings, 20_000 - np.bincount(ring, lost, minlength=7))
    assert sums.tolist() == [10_000 - lost.reshape(10, 64)[group == k].sum() for k in range(3)]


@given(st.integers(2, 6), st.sampled_from([0.0, 0.3, 9.0]), SEEDS)
@settings(max_examples=30)
def test_pixels_are_withdrawn(
    naive_canvas: ModuleType, n_planes: int, mean: float, seed: int
) -> None:
    """Pixels are empty afterwards, the others as before, and sums lose what was held."""
    generator = np.random.default_rng(seed)
    counts = naive_canvas.draw_counts(generator, 640, mean, n_planes)
    held = np.minimum(counts, 2**n_planes - 1)
    group = generator.integers(0, 3, 10).astype(np.int32)
    pixels = np.sort(generator.choice(640, generator.integers(0, 100), replace=False))
    planes, sums = naive_canvas.planes_of(counts, n_planes), np.full(3, 10_000)
    lit = np.full(3, 1000)
    withdraw(planes, pixels.astype(np.int32), group, sums, lit)
    lost = np.zeros(640, np.int64)
    lost[pixels] = held[pixels]
    assert np.array_equal(naive_canvas.counts_of(planes), held - lost)
    lost = lost.reshape(10, 64)
    assert sums.tolist() == [10_000 - lost[group == k].sum() for k in range(3)]
    assert lit.tolist() == [1000 - (lost[group == k] > 0).sum() for k in range(3)]


@given(
    st.integers(2, 6),
    st.sampled_from([0.3, 3.0, 30.0]),
    st.integers(1, 700),
    st.integers(0, 60),
    SEEDS,
)
@settings(max_examples=40)
def test_counts_are_clipped(
    naive_canvas: ModuleType, n_planes: int, mean: float, n_words: int, most: int, seed: int
) -> None:
    """What exceeds a ring's cap is lost, but for counts beyond the planes and pixels left out."""
    generator = np.random.default_rng(seed)
    n_pixels = 64 * n_words
    counts = naive_canvas.draw_counts(generator, n_pixels, mean, n_planes)
    full = 2**n_planes - 1
    held = np.minimum(counts, full)
    usable = generator.random(n_pixels) < 0.9
    ring = np.where(usable, generator.integers(0, 6, n_pixels), -1).astype(np.int32)
    group = generator.integers(0, 3, n_words).astype(np.int32)
    caps = generator.integers(max(0, most - 2), most + 3, 6)
    left_out = np.flatnonzero(generator.random(n_pixels) < 0.1).astype(np.int32)
    totals, rings, sums = held.astype(np.uint32), np.full(6, 10**9), np.full(3, 10**9)
    clip_counts(
        naive_canvas.planes_of(counts, n_planes),
        naive_canvas.words_of(usable),
        ring,
        caps,
        left_out,
        group,
        totals,
        rings,
        sums,
    )
    is_clipped = usable & (held < full)
    is_clipped[left_out] = False
    over = np.where(is_clipped, np.maximum(held - caps[ring], 0), 0)
    assert np.array_equal(totals, held - over)
    assert np.array_equal(rings, 10**9 - np.bincount(ring[usable], over[usable], minlength=6))
    lost = over.reshape(n_words, 64).sum(axis=1)
    assert sums.tolist() == [10**9 - lost[group == k].sum() for k in range(3)]


@pytest.mark.parametrize("n_planes", [2, 6])
def test_an_empty_frame_adds_nothing(naive_canvas: ModuleType, n_planes: int) -> None:
    """Neither products nor photons."""
    planes = naive_canvas.planes_of(np.zeros(640, np.int64), n_planes)
    sums = np.zeros(3)
    multiply_neighbours(planes, naive_canvas.words_of(np.ones(640)), 2, sums)
    assert not sums.any()
