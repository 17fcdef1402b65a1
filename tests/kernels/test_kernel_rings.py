"""Ring statistics from histograms, sequences and full frames are those of the naive version."""

from __future__ import annotations

import secrets
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pytest

from cxlsfind.kernels.planes import planes_from_photons, words_of
from cxlsfind.kernels.ring_counts import (
    N_COLUMNS,
    count_pixels,
    fill_by_pixels,
    fill_by_words,
    fill_histogram,
    fill_listed,
)
from cxlsfind.kernels.ring_map import list_rings, ring_map, ring_of, ring_words
from cxlsfind.kernels.rings import RingLimits, clip_dense, clip_histograms, clip_sequence

SHAPE = (11, 30)
#: Panels side by side, the right one first: the order of sums is not that of the array.
WINDOWS = np.array([[14, 30, 11, 16], [0, 30, 11, 13]])
CUTS = [(5.0, 3.0), (1.0, 0.0), (2.0, 0.0), (0.0, 1.0), (4.7, 7.5), (0.5, 0.0)]


def _rings(rng: np.random.Generator) -> npt.NDArray[np.int32]:
    """Return rings 0 to 9, of 1 to some 60 pixels, and none."""
    rings = rng.choice(np.arange(-1, 10), SHAPE, p=np.array([1, 1, *range(1, 10)]) / 47.0)
    rings[:, 13] = -1
    return rings.astype(np.int32).ravel()


def _limits() -> RingLimits:
    return RingLimits(*(np.zeros(10, np.float32) for _ in range(3)))


def _naive(
    naive: ModuleType,
    values: npt.NDArray[np.float32],
    usable: npt.NDArray[np.bool_],
    rings: npt.NDArray[np.int32],
    cuts: tuple[float, float],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    settings = naive.Settings(threshold=cuts[1], min_snr=cuts[0])
    with np.errstate(all="ignore"):
        mean, upper = naive.ring_limits(values, usable, rings, WINDOWS, settings)
    return np.resize(mean, 10), np.resize(upper, 10)


def _words(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint64]:
    words = np.zeros(-(-mask.size // 64), np.uint64)
    words_of(mask, words)
    return words


@pytest.mark.parametrize("size", [1, 63, 64, 65, 1000])
@pytest.mark.parametrize("spread", [3, 255, 256, 257, 100_000])
def test_ring_maps(size: int, spread: int) -> None:
    rng = np.random.default_rng(size + spread)
    rings = (rng.integers(0, spread, size) + 1).astype(np.int32)
    rings[rng.random(size) < 0.1] = -1
    rings[size // 2] = 0
    packed = ring_map(rings)
    assert packed.n_rings == max(rings.max(), 0) + 1
    expected = np.maximum(rings, 0)
    assert [ring_of(packed, pixel) for pixel in range(size)] == expected.tolist()
    mask = rng.random(size) < 0.7
    found = np.zeros(size, np.int32)
    list_rings(np.arange(size, dtype=np.int32), _words(mask), packed, found)
    assert found.tolist() == np.where(mask, expected, 0).tolist()
    full = _words(np.ones(size, np.bool_))
    assert (ring_words(packed) & full).tolist() == _words(rings > 0).tolist()


def test_a_map_needs_little_memory() -> None:
    ss, fs = np.mgrid[:300, :700]
    rings = np.rint(np.hypot(ss - 150, fs - 100)).astype(np.int32).ravel()
    packed = ring_map(rings)
    assert sum(part.nbytes for part in packed[:3]) < 1.5 * rings.size
    assert len(packed.whole) > 250  # from the end of a row to the next


def test_a_detector_without_rings() -> None:
    packed = ring_map(np.full(100, -1, np.int32))
    assert packed.n_rings == 1
    assert not ring_words(packed).any()


@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize("background", [0.0, 0.02, 0.3, 2.0, 30.0])
def test_histograms(
    naive_peakfinder8: ModuleType, cuts: tuple[float, float], background: float
) -> None:
    rng = np.random.default_rng(3)
    narrow = (np.float32(cuts[0]), np.float32(cuts[1]))
    for largest, n_planes in ((40, 2), (5000, 3), (2**32 - 1, 4)):
        rings, usable = _rings(rng), rng.random(330) < 0.9
        packed, free = ring_map(rings), _words(usable & (rings > 0))
        counts = rng.poisson(background, 330).astype(np.uint32)
        counts[rng.integers(0, 330, 12)] = rng.integers(0, largest, 12, np.uint32, endpoint=True)
        index = np.flatnonzero(counts).astype(np.int32)
        planes = np.zeros((n_planes, free.size), np.uint64)
        listed, listed_count = np.zeros_like(index), np.zeros(index.size, np.uint32)
        n = planes_from_photons(index, counts[index], planes, listed, listed_count)
        listed, listed_count = listed[:n], listed_count[:n]
        n_pixels = np.zeros(10, np.int64)
        count_pixels(packed, free, n_pixels)
        histogram = np.zeros((10, N_COLUMNS), np.int32)
        fill_histogram(planes, free, packed, histogram)
        large = np.zeros(n, np.int32)
        n_large = fill_listed(listed, listed_count, free, packed, histogram, large)
        large = listed[large[:n_large]]
        large = large[np.argsort(rings[large], kind="stable")]
        limits, is_inexact = _limits(), np.zeros(10, np.bool_)
        clip_histograms(
            histogram, n_pixels, rings[large], counts[large], narrow, limits, is_inexact
        )
        for ring in np.flatnonzero(is_inexact):
            assert (counts[(rings == ring) & usable].astype(np.float64) ** 2).sum() >= 2**24
            values = _in_order(counts, (rings == ring) & usable)
            n_zeros = int(n_pixels[ring]) - values.size
            clip_sequence(values, n_zeros, narrow, limits, int(ring))
        values = counts.astype(np.float32)
        mean, upper = _naive(naive_peakfinder8, values, usable, rings, cuts)
        np.testing.assert_array_equal(limits.mean[1:], mean[1:])
        np.testing.assert_array_equal(limits.upper[1:], upper[1:])


@pytest.mark.parametrize("n_planes", [2, 3, 4])
@pytest.mark.parametrize("spread", [1, 40, 2000])
@pytest.mark.parametrize("background", [0.0, 0.01, 0.4, 2.0, 9.0])
def test_counts_by_ring(n_planes: int, spread: int, background: float) -> None:
    """Vectors and single pixels count the same, whatever the crowd; rings are near and far."""
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 30_000))
    ring = (np.arange(size) // 300 + rng.integers(0, spread, size)).astype(np.int32)
    counts = rng.poisson(background * (1 + np.arange(size) // 5000 % 3), size).astype(np.uint32)
    index = np.flatnonzero(counts).astype(np.int32)
    planes = np.zeros((n_planes, -(-size // 64)), np.uint64)
    planes_from_photons(index, counts[index], planes, index.copy(), counts[index])
    usable = rng.random(size) < rng.choice([0.5, 1.0])
    usable[rng.random(size) < 0.01] = False
    packed, n_rings = ring_map(ring), int(ring.max()) + 1
    expected = np.ones((n_rings, N_COLUMNS), np.int32)
    chosen = usable & (counts > 0) & (counts < 2**n_planes - 1)
    np.add.at(expected, (ring[chosen], counts[chosen]), 1)
    ways = [fill_histogram, fill_by_pixels]
    if n_rings << n_planes <= 2**16:
        ways.append(fill_by_words)
    for way in ways:
        histogram = np.ones((n_rings, N_COLUMNS), np.int32)
        way(planes, _words(usable), packed, histogram)
        np.testing.assert_array_equal(histogram, expected)


def test_more_rings_than_keys() -> None:
    """Rings times counts that 16 bits cannot hold are counted pixel by pixel."""
    size = 20_000
    ring = np.arange(size, dtype=np.int32)
    planes = np.full((2, -(-size // 64)), 0, np.uint64)
    planes[0] = 2**64 - 1
    histogram = np.zeros((size, N_COLUMNS), np.int32)
    usable = np.ones(size, np.bool_)
    fill_histogram(planes, _words(usable), ring_map(ring), histogram)
    assert (histogram[:, 1] == 1).all()
    assert histogram.sum() == size


def _in_order(
    counts: npt.NDArray[np.uint32], chosen: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    """Return the chosen counts above zero in the order of panels."""
    order = np.concatenate(
        [start + stride * np.arange(h)[:, None] + np.arange(w) for start, stride, h, w in WINDOWS],
        axis=None,
    )
    counts = counts[order][chosen[order]]
    return counts[counts > 0].astype(np.float32)


@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_full_frames(
    naive_peakfinder8: ModuleType, cuts: tuple[float, float], scale: float
) -> None:
    rng = np.random.default_rng(5)
    narrow = (np.float32(cuts[0]), np.float32(cuts[1]))
    for mean_value in (0.0, 3.0, -2.0):
        rings, usable = _rings(rng), rng.random(330) < 0.9
        values = (scale * rng.normal(mean_value, 1.0, 330)).astype(np.float32)
        values[rng.integers(0, 330, 9)] *= 50.0
        values[rings == 4] = scale / 3  # no spread: rounding decides the variance's sign
        limits = _limits()
        free = _words(usable & (rings > 0))
        clip_dense(values, free, ring_map(rings), WINDOWS, narrow, limits)
        mean, upper = _naive(naive_peakfinder8, values, usable, rings, cuts)
        np.testing.assert_array_equal(limits.mean[1:], mean[1:])
        np.testing.assert_array_equal(limits.upper[1:], upper[1:])
