"""Mean and upper limit of the pixel values on every ring round the beam, outliers clipped.

The arithmetic is CrystFEL's peakfinder8: single precision, five rounds, pixels panel by panel.
Counts take the short way: whole-number sums below 2**24 are exact in single precision in any
order, so that a histogram per ring gives the same bits as a pass over all pixels. Rings whose sums
are larger are gone through again, photon by photon.

Rings count from 1. Pixels of ring 0 have their corner under the beam; they are left out, as in
CrystFEL, like those outside all panels.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel
from cxlsfind.kernels.planes import Words, has_bit
from cxlsfind.kernels.ring_counts import N_COLUMNS
from cxlsfind.kernels.ring_map import RingMap, ring_of

#: Rounds of clipping.
N_ROUNDS: Final = 5
#: Whole numbers below this are exact in single precision, and so are their sums.
EXACT: Final = 2**24

_LOWEST: Final = np.float32(-1e9)
_HIGHEST: Final = np.float32(1e9)
_EMPTY: Final = np.float32(np.finfo(np.float32).max)


class RingLimits(NamedTuple):
    """Statistics of the rings, one element per ring, float32.

    Parameters
    ----------
    mean
        Mean of the pixels that were kept in the last round; 0 where none was.
    lower
        Lower limit of the values to keep.
    upper
        Upper limit of the values to keep, never below the threshold of the search; the largest
        float32 where no pixel was kept.
    """

    mean: npt.NDArray[np.float32]
    lower: npt.NDArray[np.float32]
    upper: npt.NDArray[np.float32]


class _Limits(NamedTuple):
    """The statistics of one ring."""

    mean: np.float32
    lower: np.float32
    upper: np.float32


@kernel
def _next_limits(
    n: int, total: np.float32, squares: np.float32, cuts: tuple[np.float32, np.float32]
) -> _Limits:
    """Return mean and limits of a ring from what was kept in this round.

    ``cuts`` are the least signal-to-noise ratio and the threshold.
    """
    if n == 0:
        # So that the next round takes all positive values: what CrystFEL does.
        return _Limits(np.float32(0), np.float32(0), _EMPTY)
    mean = total / np.float32(n)
    variance = squares / np.float32(n) - mean * mean
    # Rounding can make the variance negative; CrystFEL then takes it for sigma as it is.
    sigma = np.sqrt(variance) if variance > 0 else variance
    return _Limits(mean, mean - cuts[0] * sigma, max(mean + cuts[0] * sigma, cuts[1]))


@kernel
def clip_histograms(
    histogram: npt.NDArray[np.int32],
    n_pixels: npt.NDArray[np.int64],
    large_ring: npt.NDArray[np.int32],
    large_count: npt.NDArray[np.uint32],
    cuts: tuple[np.float32, np.float32],
    limits: RingLimits,
    is_inexact: npt.NDArray[np.bool_],
) -> None:
    """Clip all rings, five rounds, from their histograms.

    Parameters
    ----------
    histogram
        Counts of one frame by ring; column 0 is filled here from ``n_pixels``.
    large_ring, large_count
        The counts that the histogram does not hold, by ascending ring.
    cuts
        Least signal-to-noise ratio and threshold.
    limits, is_inexact
        Results. Rings with sums that single precision cannot hold are marked and left undone.
    """
    mean, lower, upper = limits.mean, limits.lower, limits.upper
    begin = int(np.int64(0))  # a literal would have kernels compiled twice
    for ring in range(n_pixels.size):
        end = begin
        while end < large_ring.size and large_ring[end] == ring:
            end += 1
        n_listed = end - begin
        for value in range(1, N_COLUMNS):
            n_listed += histogram[ring, value]
        histogram[ring, 0] = n_pixels[ring] - n_listed
        done, is_exact = _clip_histogram(histogram, ring, large_count, begin, end, cuts)
        mean[ring], lower[ring], upper[ring] = done.mean, done.lower, done.upper
        is_inexact[ring] = not is_exact
        begin = end


@kernel
def _clip_histogram(
    histogram: npt.NDArray[np.int32],
    ring: int,
    large_count: npt.NDArray[np.uint32],
    begin: int,
    end: int,
    cuts: tuple[np.float32, np.float32],
) -> tuple[_Limits, bool]:
    """Clip one ring, with the large counts from ``begin`` to ``end``.

    Returns
    -------
    The statistics; whether all sums were small enough to be exact.
    """
    n_columns = N_COLUMNS
    while n_columns > 1 and histogram[ring, n_columns - 1] == 0:
        n_columns -= 1
    now = _Limits(np.float32(0), _LOWEST, _HIGHEST)
    for _ in range(N_ROUNDS):
        n = total = squares = int(np.int64(0))
        for value in range(n_columns):
            if now.lower < value < now.upper:
                n += histogram[ring, value]
                total += int(histogram[ring, value]) * value
                squares += int(histogram[ring, value]) * value * value
        for number in range(begin, end):
            count = int(np.int64(large_count[number]))
            if now.lower < np.float32(count) < now.upper:
                if count * count >= EXACT:
                    return now, False
                n += 1
                total += count
                squares += count * count
        if squares >= EXACT:
            return now, False
        before, now = now, _next_limits(n, np.float32(total), np.float32(squares), cuts)
        if before.lower == now.lower and before.upper == now.upper:
            break  # further rounds change nothing
    return now, True


@kernel
def clip_sequence(
    values: npt.NDArray[np.float32],
    n_zeros: int,
    cuts: tuple[np.float32, np.float32],
    limits: RingLimits,
    ring: int,
) -> None:
    """Clip one ring, five rounds, from its values above zero in the order of the panels."""
    now = _Limits(np.float32(0), _LOWEST, _HIGHEST)
    for _ in range(N_ROUNDS):
        n = n_zeros if now.lower < 0 < now.upper else 0
        total, squares = np.float32(0), np.float32(0)
        for number in range(values.size):
            value = values[number]
            if now.lower < value < now.upper:
                n += 1
                total += value
                squares += value * value
        now = _next_limits(n, total, squares, cuts)
    limits.mean[ring], limits.lower[ring], limits.upper[ring] = now.mean, now.lower, now.upper


@kernel
def clip_dense(
    values: npt.NDArray[np.float32],
    free: Words,
    rings: RingMap,
    windows: npt.NDArray[np.int64],
    cuts: tuple[np.float32, np.float32],
    limits: RingLimits,
) -> None:
    """Clip all rings, five rounds, by passes over all pixels, panel after panel.

    Parameters
    ----------
    free
        Pixels that count, all on rings; words.
    windows
        One row per panel: start, stride, height, width.
    """
    mean, lower, upper = limits.mean, limits.lower, limits.upper
    lower[:], upper[:] = _LOWEST, _HIGHEST
    n = np.zeros(lower.size, np.int64)
    total = np.zeros(lower.size, np.float32)
    squares = np.zeros(lower.size, np.float32)
    for _ in range(N_ROUNDS):
        n[:], total[:], squares[:] = 0, 0, 0
        for panel in range(windows.shape[0]):
            start, stride, height, width = windows[panel]
            for ss in range(height):
                for pixel in range(start + ss * stride, start + ss * stride + width):
                    if not has_bit(free, pixel):
                        continue
                    ring, value = ring_of(rings, pixel), values[pixel]
                    if lower[ring] < value < upper[ring]:
                        n[ring] += 1
                        total[ring] += value
                        squares[ring] += value * value
        for ring in range(n.size):
            now = _next_limits(n[ring], total[ring], squares[ring], cuts)
            mean[ring], lower[ring], upper[ring] = now.mean, now.lower, now.upper
