"""Photons on rings by words, against loops over pixels."""

from __future__ import annotations

import numpy as np
import pytest

from cxlsfind.kernels.ring_words import list_ring_words, sum_ring_words

N_WORDS = 40


@pytest.mark.parametrize("seed", range(3))
def test_against_a_loop(seed: int) -> None:
    """Groups share words; unusable pixels and those left out do not count."""
    rng = np.random.default_rng(seed)
    n_pixels = 64 * N_WORDS
    usable = rng.random(n_pixels) < 0.9
    ring = np.where(usable, rng.integers(0, 12, n_pixels), -1).astype(np.int32)
    ring[640:960] = np.where(usable[640:960], 7, -1)  # words of one ring, of no group
    group_of_ring = np.full(12, -1)
    group_of_ring[[2, 3]], group_of_ring[9] = 0, 1
    counts = rng.poisson(1.0, n_pixels) * usable
    counts[rng.integers(0, n_pixels, 20)] = 9
    counts[~usable] = 0
    held = np.minimum(counts, 7)
    bits = (held[None, :] >> np.arange(3)[:, None]) & 1
    planes = np.packbits(bits.astype(np.uint8), axis=1, bitorder="little").view(np.uint64)
    places = np.flatnonzero(held == 7).astype(np.int32)
    cut = np.flatnonzero(usable & (rng.random(n_pixels) < 0.1)).astype(np.int32)
    size = 4
    while True:
        word, group = np.empty(size, np.int32), np.empty(size, np.int32)
        mask = np.empty(size, np.uint64)
        n = list_ring_words(ring, usable, group_of_ring, word, group, mask)
        if n <= size:
            break
        size = n
    sums, left = np.zeros(2, np.int64), np.zeros(2, np.int64)
    sum_ring_words(
        planes,
        places,
        counts[places].astype(np.uint32),
        word[:n],
        group[:n],
        mask[:n],
        ring,
        group_of_ring,
        cut,
        sums,
        left,
    )
    for number, rings in enumerate(([2, 3], [9])):
        on_it = usable & np.isin(ring, rings)
        kept = on_it.copy()
        kept[cut] = False
        assert sums[number] == held[kept].sum()
        assert left[number] == on_it[cut].sum()
    assert not np.isin(np.arange(10, 15), word[:n]).any()
