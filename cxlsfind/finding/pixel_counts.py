"""Counts of single pixels of a frame on the canvas."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cxlsfind.finding.poisson.canvas import Canvas, PlacedFrame


def counts_at(
    frame: PlacedFrame, canvas: Canvas, pixels: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the photons of pixels.

    Parameters
    ----------
    pixels
        Flat indices into the frame array, of pixels that belong to panels; any shape.
    """
    place = canvas.place.take(pixels)
    word, bit = place >> 6, (place & 63).astype(np.uint64)
    total = np.zeros(pixels.shape, np.uint64)
    for number, plane in enumerate(frame.planes):
        bits = plane.take(word)
        bits >>= bit
        bits &= np.uint64(1)
        bits <<= np.uint64(number)
        total |= bits
    counts = total.view(np.int64)
    full = counts == frame.full
    if full.any():
        # Pixels that overflow the planes stand in a list, in ascending order.
        counts[full] = frame.count[np.searchsorted(frame.place, place[full])]
    return counts
