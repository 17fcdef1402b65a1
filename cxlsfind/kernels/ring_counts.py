"""How many pixels of every ring have which count."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel, kernel_part
from cxlsfind.kernels._memory import add4, load1, load2
from cxlsfind.kernels._ring_keys import HAS_COMPRESS, LANES, list_few, list_keys
from cxlsfind.kernels.bits import count_ones, lowest_one
from cxlsfind.kernels.planes import Planes, Words, bits_of_row, has_bit
from cxlsfind.kernels.ring_map import RingMap, ring_of

#: Columns of a ring histogram; larger counts are listed one by one.
N_COLUMNS: Final = 16

#: Keys are numbers of 16 bits.
_MOST_KEYS: Final = 1 << 16
#: Keys that are collected before they are counted: they stay in the fastest memory.
_KEYS_AT_ONCE: Final = 2048

_NOTHING: Final = np.uint64(0)
_ONE: Final = np.uint64(1)


@kernel
def count_pixels(rings: RingMap, free: Words, n_pixels: npt.NDArray[np.int64]) -> None:
    """Add the pixels of a mask to the number of pixels of their ring."""
    for word in range(free.size):
        bits = free[word]
        while bits != 0:
            n_pixels[ring_of(rings, 64 * word + lowest_one(bits))] += 1
            bits &= bits - _ONE


@kernel
def fill_histogram(
    planes: Planes, free: Words, rings: RingMap, histogram: npt.NDArray[np.int32]
) -> None:
    """Count the counts of a frame's planes by ring, but for pixels with all bits set.

    Parameters
    ----------
    planes
        Four at most.
    free
        Pixels that count; words.
    histogram
        Added to, shape (rings, N_COLUMNS); column 0 stays as it is.
    """
    if HAS_COMPRESS and histogram.shape[0] << planes.shape[0] <= _MOST_KEYS:
        fill_by_words(planes, free, rings, histogram)
    else:
        fill_by_pixels(planes, free, rings, histogram)


@kernel
def fill_by_words(
    planes: Planes, free: Words, rings: RingMap, histogram: npt.NDArray[np.int32]
) -> None:
    """Do it with vectors, for which rings times counts must be below 65536."""
    n_planes, n_rings = planes.shape[0], histogram.shape[0]
    tally = np.zeros(n_rings << n_planes, np.int32)
    keys = np.empty(_KEYS_AT_ONCE + LANES, np.uint16)
    # Their number is known to the compiler: it writes out what is done for each plane.
    if n_planes == 2:
        _tally_words(2, planes, free, rings, histogram, tally, keys)
    elif n_planes == 3:
        _tally_words(3, planes, free, rings, histogram, tally, keys)
    else:
        _tally_words(4, planes, free, rings, histogram, tally, keys)
    # An array is let go after its last use, and addresses are none: this one comes after them.
    keys[0] = 0
    for count in range(1, (1 << n_planes) - 1):
        for ring in range(n_rings):
            histogram[ring, count] += tally[count * n_rings + ring]


@kernel_part
def _tally_words(
    n_planes: int,
    planes: Planes,
    free: Words,
    rings: RingMap,
    histogram: npt.NDArray[np.int32],
    tally: npt.NDArray[np.int32],
    keys: npt.NDArray[np.uint16],
) -> None:
    """Count pixels by key, in ``tally``, but for words whose rings are kept in full.

    Keys gather in ``keys``, by address: the caller must keep the array until this is done.
    """
    n_rings = histogram.shape[0]
    start = np.uint64(keys.ctypes.data)
    end = start + np.uint64(2 * _KEYS_AT_ONCE)
    steps, bits = np.uint64(rings.step.ctypes.data), np.uint64(planes.ctypes.data)
    stride = np.uint64(8 * planes.shape[1])
    at = start
    for word in range(planes.shape[1]):
        base = rings.base[word]
        if base < 0:
            some = bits_of_row(planes, 64 * word, 64) & free[word]
            _tally_slowly(some, planes[:, word], 64 * word, rings, histogram)
            continue
        step, ones = steps + np.uint64(64 * word), planes[0, word] & free[word]
        # Where two planes do, most words have no pixel with two photons.
        if n_planes == 2 and planes[1, word] & free[word] == 0 and count_ones(ones) <= LANES // 2:
            at = list_few(step, np.uint64(base + n_rings), ones, at)
        else:
            at = list_keys(
                step,
                np.uint64(base),
                bits + np.uint64(8 * word),
                stride,
                np.uint64(n_planes),
                free[word],
                np.uint64(n_rings),
                at,
            )
        if at >= end:
            _tally_keys(start, at, tally)
            at = start
    _tally_keys(start, at, tally)


@kernel
def _tally_keys(here: np.uint64, end: np.uint64, tally: npt.NDArray[np.int32]) -> None:
    """Count the keys at the addresses from ``here`` to ``end``."""
    counters = np.uint64(tally.ctypes.data)
    while here < end:
        add4(counters + (load2(here) << np.uint64(2)), _ONE)
        here += np.uint64(2)


@kernel
def fill_by_pixels(
    planes: Planes, free: Words, rings: RingMap, histogram: npt.NDArray[np.int32]
) -> None:
    """Do it pixel by pixel."""
    n_planes = planes.shape[0]
    # Most counts are small. Their counters fit into the fastest memory; behind them there is room
    # for rings that are not meant.
    small = np.zeros((4, histogram.shape[0] + 256), np.int32)
    width = np.uint64(4 * small.shape[1])
    counters, steps = np.uint64(small.ctypes.data), np.uint64(rings.step.ctypes.data)
    for word in range(planes.shape[1]):
        mask, base = free[word], rings.base[word]
        first, second = planes[0, word] & mask, planes[1, word] & mask
        others = _NOTHING
        for plane in range(2, n_planes):
            others |= planes[plane, word]
        others &= mask
        if base >= 0:
            step, lowest = steps + np.uint64(64 * word), counters + np.uint64(4 * base)
            _tally(first & ~second & ~others, step, lowest + width)
            _tally(second & ~first & ~others, step, lowest + np.uint64(2) * width)
            if n_planes > 2:
                _tally(first & second & ~others, step, lowest + np.uint64(3) * width)
        else:
            others |= first | second
        if others != 0:
            _tally_slowly(others, planes[:, word], 64 * word, rings, histogram)
    for ring in range(histogram.shape[0]):
        for count in range(1, 4):
            histogram[ring, count] += small[count, ring]


@kernel
def _tally(bits: np.uint64, step: np.uint64, lowest: np.uint64) -> None:
    """Count pixels of a word by ring.

    Parameters
    ----------
    step, lowest
        Address of the steps of its pixels, and of the counter of its lowest ring.
    """
    while bits != 0:
        # Four at a time, there or not: the processor guesses wrong where a loop ends, not here.
        for _ in range(4):
            ring = load1(step + np.uint64(lowest_one(bits)))
            add4(lowest + np.uint64(4) * ring, np.uint64(bits != 0))
            bits &= bits - _ONE


@kernel
def _tally_slowly(
    bits: np.uint64,
    planes: Words,
    first_pixel: int,
    rings: RingMap,
    histogram: npt.NDArray[np.int32],
) -> None:
    """Count pixels of a word by ring and count; those with all bits set are left out."""
    full = (1 << planes.size) - 1
    while bits != 0:
        bit = lowest_one(bits)
        count = 0
        for plane in range(planes.size):
            count |= int(np.int64(planes[plane] >> np.uint64(bit) & _ONE)) << plane
        if count != full:
            histogram[ring_of(rings, first_pixel + bit), count] += 1
        bits &= bits - _ONE


@kernel
def fill_listed(
    listed: npt.NDArray[np.int32],
    counts: npt.NDArray[np.uint32],
    free: Words,
    rings: RingMap,
    histogram: npt.NDArray[np.int32],
    large: npt.NDArray[np.int32],
) -> int:
    """Do the same for pixels with all bits set, which are listed with their counts.

    Parameters
    ----------
    large
        Result: positions in the list of counts too large for the histogram.

    Returns
    -------
    Number of large counts.
    """
    n_large = 0
    for number in range(listed.size):
        if not has_bit(free, listed[number]):
            continue
        if counts[number] < N_COLUMNS:
            histogram[ring_of(rings, listed[number]), counts[number]] += 1
        else:
            large[n_large] = number
            n_large += 1
    return n_large
