"""Which pixels of a frame are bright, that is above the upper limit of their ring.

Frames come as full arrays or as bit planes; the same code reads both.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel, kernel_part
from cxlsfind.kernels.bits import lowest_one
from cxlsfind.kernels.planes import Planes, Words, bits_from, count_at, has_bit
from cxlsfind.kernels.ring_map import RingMap, ring_of
from cxlsfind.kernels.rings import RingLimits

_ONE: Final = np.uint64(1)


class Detector(NamedTuple):
    """What is known of a detector.

    Parameters
    ----------
    rings
        Ring of every pixel.
    windows
        One row per panel: start, stride, height, width; int64.
    max_adu
        Saturation value per panel; float32.
    """

    rings: RingMap
    windows: npt.NDArray[np.int64]
    max_adu: npt.NDArray[np.float32]


class Image(NamedTuple):
    """A frame and what becomes of its pixels.

    Parameters
    ----------
    values
        Pixel values, float32; empty for a frame of bit planes.
    planes, listed, counts
        Of a :class:`~cxlsfind.records.PlaneFrame`: the planes, and the pixels with all bits set
        with their counts. Empty where there are values.
    good
        Pixels that are usable in this frame; words.
    free
        Those of them that lie on a ring and belong to no peak yet; words.
    bright
        Those of them that are bright, while a search is on; words, all zero before and after.
    censored
        Pixels at the largest value of the data type, ascending; int32.
    """

    values: npt.NDArray[np.float32]
    planes: Planes
    listed: npt.NDArray[np.int32]
    counts: npt.NDArray[np.uint32]
    good: Words
    free: Words
    bright: Words
    censored: npt.NDArray[np.int32]


# Kernels take what they use again and again out of an image before they begin: every access to
# a member of a tuple costs as much as the pixel.


@kernel_part
def value_at(
    values: npt.NDArray[np.float32],
    planes: Planes,
    listed: npt.NDArray[np.int32],
    counts: npt.NDArray[np.uint32],
    pixel: int,
) -> np.float32:
    """Return the value of a pixel; parameters as in :class:`Image`."""
    if values.size == 0:
        return np.float32(count_at(planes, listed, counts, pixel))
    value: np.float32 = values[pixel]
    return value


@kernel
def list_counts(image: Image, least: int, pixels: npt.NDArray[np.int32]) -> int:
    """List the free pixels of a frame of bit planes with a count of at least ``least``.

    Parameters
    ----------
    pixels
        Result, as long as the frame: flat pixels, ascending.

    Returns
    -------
    Number of such pixels.
    """
    planes, free, listed, counts = image.planes, image.free, image.listed, image.counts
    n = 0
    if least >= 1 << planes.shape[0]:
        for number in range(listed.size):
            if counts[number] >= least and has_bit(free, listed[number]):
                pixels[n] = listed[number]
                n += 1
        return n
    lowest = 0
    while least >> lowest > 1:
        lowest += 1
    for word in range(planes.shape[1]):
        some = planes[lowest, word]
        for plane in range(lowest + 1, planes.shape[0]):
            some |= planes[plane, word]
        if some & free[word] == 0:  # as in most words: no bit that is large enough
            continue
        bits = bits_from(planes, word, least) & free[word]
        while bits != 0:
            pixels[n] = 64 * word + lowest_one(bits)
            n += 1
            bits &= bits - _ONE
    return n


@kernel
def keep_bright(
    pixels: npt.NDArray[np.int32], image: Image, rings: RingMap, limits: RingLimits
) -> int:
    """Move the bright ones of free pixels to the front of their list; return their number."""
    values, planes, listed, counts = image.values, image.planes, image.listed, image.counts
    upper = limits.upper
    n = 0
    for number in range(pixels.size):
        pixel = pixels[number]
        if value_at(values, planes, listed, counts, pixel) > upper[ring_of(rings, pixel)]:
            pixels[n] = pixel
            n += 1
    return n


@kernel
def list_bright(
    image: Image, detector: Detector, limits: RingLimits, bright: npt.NDArray[np.int32]
) -> int:
    """List the bright pixels of a frame with values, panel after panel; return their number.

    ``bright`` is as long as the frame.
    """
    values, free, upper, rings = image.values, image.free, limits.upper, detector.rings
    n_bright = 0
    for panel in range(detector.windows.shape[0]):
        start, stride, height, width = detector.windows[panel]
        for ss in range(height):
            for pixel in range(start + ss * stride, start + ss * stride + width):
                if values[pixel] > upper[ring_of(rings, pixel)] and has_bit(free, pixel):
                    bright[n_bright] = pixel
                    n_bright += 1
    return n_bright
