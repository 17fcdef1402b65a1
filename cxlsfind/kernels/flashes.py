"""Pixels that flash: counts that are rare where they are, in some frames of a block."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel
from cxlsfind.kernels.plane_canvas import count_at

Words = npt.NDArray[np.uint64]

#: Words that are worked on at a time: they stay in the fastest memory.
_CHUNK = 256


@kernel
def mark_flashes(
    frames: tuple[Words, ...],
    usable: Words,
    group: npt.NDArray[np.int32],
    least: npt.NDArray[np.int64],
    marked: Words,
) -> None:
    """Count in how many frames pixels hold about as many photons as are rare there, up to four.

    Parameters
    ----------
    frames
        Bit planes, as for :func:`~cxlsfind.kernels.plane_sums.add_frames`; those of no planes
        come last.
    group, least
        Group of every word, not -1 where a pixel is usable, and what may be rare in it, by frame;
        nothing for frames of no planes.
    marked
        Shape (3, words), bits of a number from zero to seven, of which the highest stays: it says
        four or more. Added to.
    """
    enough = np.empty(_CHUNK, np.uint64)
    need = np.empty(_CHUNK, np.uint64)
    zero, one = np.uint64(0), np.uint64(1)
    for start in range(0, marked.shape[1], _CHUNK):
        length = min(_CHUNK, marked.shape[1] - start)
        good = usable[start : start + length]
        groups = group[start : start + length]
        first = marked[0, start : start + length]
        second = marked[1, start : start + length]
        third = marked[2, start : start + length]
        for number, planes in enumerate(frames):
            if planes.shape[0] == 0:
                continue
            full = (1 << planes.shape[0]) - 1
            limits = least[number]
            # Look-ups, with unsigned numbers, apart from arithmetic on many words at once.
            for w in range(length):
                need[w] = limits[np.uint64(groups[w] if groups[w] > 0 else 0)]
            for w in range(length):
                need[w] = min(need[w], np.uint64(full))
                enough[w] = good[w]
            # From the lowest bit on: a higher one outweighs all before it.
            for k in range(planes.shape[0]):
                plane = planes[k, start : start + length]
                up = np.uint64(k)
                for w in range(length):
                    asked = zero - (need[w] >> up & one)
                    more = (plane[w] | enough[w]) & ~asked
                    enough[w] = (plane[w] & enough[w]) | more
            for w in range(length):
                here = enough[w] & good[w]
                both = first[w] & here
                first[w] ^= here
                third[w] |= second[w] & both
                second[w] ^= both


@kernel
def count_flashes(
    planes: Words,
    places: npt.NDArray[np.int32],
    counts: npt.NDArray[np.uint32],
    usable: npt.NDArray[np.bool_],
    ring: npt.NDArray[np.int32],
    rare: npt.NDArray[np.int64],
    pixels: npt.NDArray[np.int32],
    flashes: npt.NDArray[np.int64],
) -> None:
    """Add one for every pixel of a list that is usable and counts what is rare in its ring.

    Parameters
    ----------
    places, counts
        Pixels with all bits set, ascending, and their counts.
    rare
        Per ring.
    pixels, flashes
        The list, and the sums for it.
    """
    for number in range(pixels.size):
        pixel = pixels[number]
        if usable[pixel]:
            count = count_at(planes, places, counts, pixel)
            flashes[number] += count >= rare[ring[pixel]]
