"""The ring of every pixel, in little more than a byte: rings of neighbours differ by little.

A peak search is bound by how fast it finds the rings of scattered photons. Of every 64 pixels of
the frame array the lowest ring is kept, and of each pixel how much further out it is. Where that
does not fit into a byte, as from the end of a row to the start of the next, the 64 rings are kept
in full.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel
from cxlsfind.kernels.planes import Words, has_bit

_MOST: Final = 255
_LARGEST: Final = np.int32(2**31 - 1)


class RingMap(NamedTuple):
    """The ring of every pixel of the frame array, from 1; 0 is none.

    Parameters
    ----------
    base
        Of every 64 pixels the lowest ring; or, for those kept in full, ``-1 - row``; int32.
    step
        What to add to the lowest ring, for every pixel, in whole 64s, and 64 more that mean
        nothing; uint8.
    whole
        Rings that are kept in full; shape (rows, 64), int32.
    n_rings
        Number of rings, 0 included.
    """

    base: npt.NDArray[np.int32]
    step: npt.NDArray[np.uint8]
    whole: npt.NDArray[np.int32]
    n_rings: int


def ring_map(rings: npt.NDArray[np.int32]) -> RingMap:
    """Pack the ring of every pixel; rings below 1 are none."""
    n_words = -(-rings.size // 64)
    base, step = np.zeros(n_words, np.int32), np.zeros(64 * n_words + 64, np.uint8)
    whole = np.zeros((_pack(rings, base, step, np.zeros((0, 64), np.int32)), 64), np.int32)
    _pack(rings, base, step, whole)
    return RingMap(base, step, whole, max(int(rings.max(initial=0)), 0) + 1)


def ring_words(rings: RingMap) -> Words:
    """Return which pixels are on a ring; words."""
    words = np.empty(rings.base.size, np.uint64)
    mark_rings(rings, words)
    return words


@kernel
def _pack(
    rings: npt.NDArray[np.int32],
    base: npt.NDArray[np.int32],
    step: npt.NDArray[np.uint8],
    whole: npt.NDArray[np.int32],
) -> int:
    """Fill the arrays of a map as far as they go; return the rows that ``whole`` needs."""
    n_rows = 0
    for word in range(base.size):
        first, end = 64 * word, min(64 * word + 64, rings.size)
        lowest, highest = _LARGEST, np.int32(0)
        for pixel in range(first, end):
            ring = max(rings[pixel], np.int32(0))
            lowest, highest = min(lowest, ring), max(highest, ring)
        if highest - lowest <= _MOST:
            base[word] = lowest
            for pixel in range(first, end):
                step[pixel] = max(rings[pixel], np.int32(0)) - lowest
            continue
        base[word] = -1 - n_rows
        if n_rows < whole.shape[0]:
            for pixel in range(first, end):
                whole[n_rows, pixel - first] = max(rings[pixel], np.int32(0))
        n_rows += 1
    return n_rows


@kernel
def ring_of(rings: RingMap, pixel: int) -> int:
    """Return the ring of a pixel."""
    base = rings.base[pixel >> 6]
    if base >= 0:
        return int(base + np.int64(rings.step[pixel]))
    return int(rings.whole[-1 - base, pixel & 63])


@kernel
def mark_rings(rings: RingMap, words: Words) -> None:
    """Set the bits of all pixels that are on a ring."""
    words[:] = 0
    for pixel in range(64 * words.size):
        words[pixel >> 6] |= np.uint64(ring_of(rings, pixel) > 0) << np.uint64(pixel & 63)


@kernel
def list_rings(
    pixels: npt.NDArray[np.int32], mask: Words, rings: RingMap, result: npt.NDArray[np.int32]
) -> None:
    """Set the ring of each pixel; 0 for those that a mask does not let through."""
    for number in range(pixels.size):
        pixel = pixels[number]
        result[number] = ring_of(rings, pixel) if has_bit(mask, pixel) else 0
