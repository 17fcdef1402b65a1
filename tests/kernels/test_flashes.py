"""Flashing pixels, word by word and one by one, against sums over counts."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxlsfind.kernels.flashes import count_flashes, mark_flashes

SEEDS = st.integers(0, 2**32 - 1)


@given(
    st.integers(2, 6),
    st.sampled_from([0.3, 3.0, 30.0]),
    st.sampled_from([(2, 4), (3, 9), (3, 4), (14, 17), (62, 65), (63, 64), (200, 400)]),
    SEEDS,
)
@settings(max_examples=60)
def test_flashes_are_counted(
    naive_canvas: ModuleType, n_planes: int, mean: float, rare: tuple[int, int], seed: int
) -> None:
    """Usable pixels that count what is rare in their ring, whether planes can count it or not."""
    generator = np.random.default_rng(seed)
    counts = naive_canvas.draw_counts(generator, 1280, mean, n_planes)
    counts[generator.random(1280) < 0.1] = rare[0]
    counts[generator.random(1280) < 0.1] = rare[1] - 1
    usable = generator.random(1280) < 0.9
    ring = np.where(usable, generator.integers(0, 6, 1280), -1).astype(np.int32)
    limits = generator.integers(rare[0], rare[1], 6)
    pixels = generator.permutation(1280)[:500].astype(np.int32)
    flashes = generator.integers(0, 3, 500)
    expected = flashes + (usable & (counts >= limits[ring]))[pixels]
    count_flashes(
        naive_canvas.planes_of(counts, n_planes),
        *naive_canvas.listed(counts, n_planes),
        usable,
        ring,
        limits,
        pixels,
        flashes,
    )
    assert np.array_equal(flashes, expected)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=9), st.sampled_from([0.3, 3.0]), SEEDS)
@settings(max_examples=40)
def test_flashes_are_marked(
    naive_canvas: ModuleType, numbers: list[int], mean: float, seed: int
) -> None:
    """Usable pixels that reach what is rare in their word four times, or what planes can count."""
    generator = np.random.default_rng(seed)
    n_words = int(generator.choice([1, 255, 300]))
    usable = generator.random(64 * n_words) < 0.9
    group = generator.integers(0, 5, n_words).astype(np.int32)
    marked = np.zeros((3, n_words), np.uint64)
    reached = np.zeros(64 * n_words, np.int64)
    for first in range(0, len(numbers), 4):
        frames = [np.empty((0, n_words), np.uint64)] * 4
        least = generator.integers(1, 9, (4, 5))
        for place, n_planes in enumerate(numbers[first : first + 4]):
            counts = generator.poisson(mean, 64 * n_words)
            held = np.minimum(counts, 2**n_planes - 1)
            frames[place] = naive_canvas.planes_of(held, n_planes)
            need = np.minimum(least[place][group], 2**n_planes - 1)
            reached += usable & (held >= np.repeat(need, 64))
        least = least[: len(numbers) - first]
        mark_flashes(tuple(frames), naive_canvas.words_of(usable), group, least, marked)
    assert np.array_equal(naive_canvas.counts_of(marked[2:]) == 1, reached >= 4)


@pytest.mark.parametrize("n_planes", [2, 6])
def test_nothing_is_rare_in_an_empty_frame(naive_canvas: ModuleType, n_planes: int) -> None:
    """An empty frame has no flash."""
    planes = naive_canvas.planes_of(np.zeros(640, np.int64), n_planes)
    usable = naive_canvas.words_of(np.ones(640))
    marked = np.zeros((3, 10), np.uint64)
    mark_flashes((planes,), usable, np.zeros(10, np.int32), np.array([[3]]), marked)
    assert not marked.any()
