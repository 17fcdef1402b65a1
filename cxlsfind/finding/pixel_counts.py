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
    place = canvas.place[pixels]
    word, bit = place >> 6, (place & 63).astype(np.uint64)
    counts = np.zeros(pixels.shape, np.int64)
    for number, plane in enumerate(frame.planes):
        counts |= ((plane[word] >> bit) & np.uint64(1)).astype(np.int64) << number
    full = counts == frame.full
    if full.any():
        # Pixels that overflow the planes stand in a list, in ascending order.
        counts[full] = frame.count[np.searchsorted(frame.place, place[full])]
    return counts
