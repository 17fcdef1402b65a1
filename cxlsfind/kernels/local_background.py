"""The quiet pixels round a peak: those of its panel, in a disc, that are below their limit."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from cxlsfind.kernels._jit import kernel, kernel_part
from cxlsfind.kernels.bits import count_ones, lowest_one
from cxlsfind.kernels.bright_pixels import Detector, Image, value_at
from cxlsfind.kernels.planes import bits_at, bits_of_row, has_bit
from cxlsfind.kernels.ring_map import ring_of
from cxlsfind.kernels.rings import RingLimits

_ONE: Final = np.uint64(1)


class Disc(NamedTuple):
    """Where to look: a disc round a pixel (ss, fs) of a panel.

    It is not centred: offsets run from minus the radius to the radius less one.
    """

    panel: int
    ss: int
    fs: int
    radius: int


class Quiet(NamedTuple):
    """Number of quiet pixels, sums of their values and of the squares, and the largest value.

    The largest is 0 when all are negative. Sums are single precision, in the order of pixels.
    """

    n: int
    total: np.float32
    squares: np.float32
    brightest: np.float32


@kernel
def _row_of(disc: Disc, step: int, width: int) -> tuple[int, int]:
    """Return where the pixels of a row of a disc begin and end in the panel."""
    reach = int(np.sqrt(disc.radius**2 - step**2))
    return max(disc.fs - reach, 0), min(disc.fs + min(reach, disc.radius - 1) + 1, width)


@kernel
def quiet_pixels(image: Image, detector: Detector, limits: RingLimits, disc: Disc) -> Quiet:
    """Return what is quiet in a disc."""
    start, stride, height, width = detector.windows[disc.panel]
    values, planes, listed, counts = image.values, image.planes, image.listed, image.counts
    free, rings, upper = image.free, detector.rings, limits.upper
    n, total, squares, brightest = 0, np.float32(0), np.float32(0), np.float32(0)
    for step in range(max(-disc.radius, -disc.ss), min(disc.radius, height - disc.ss)):
        first, end = _row_of(disc, step, width)
        row = start + (disc.ss + step) * stride
        for pixel in range(row + first, row + end):
            if not has_bit(free, pixel):
                continue
            value = value_at(values, planes, listed, counts, pixel)
            # A pixel at the limit is neither bright nor quiet.
            if value < upper[ring_of(rings, pixel)]:
                n += 1
                total += value
                squares += value * value
                brightest = max(brightest, value)
    return Quiet(n, total, squares, brightest)


@kernel_part
def quiet_counts(
    image: Image, detector: Detector, limits: RingLimits, least: np.float32, disc: Disc
) -> Quiet:
    """Do the same in a frame of bit planes where no limit is below ``least``, which is above zero.

    Pixels without photons are then quiet, and change nothing but the number.
    """
    start, stride, height, width = detector.windows[disc.panel]
    values, planes, listed, counts = image.values, image.planes, image.listed, image.counts
    free, rings, upper = image.free, detector.rings, limits.upper
    bright = image.bright
    n, total, squares, brightest = 0, np.float32(0), np.float32(0), np.float32(0)
    for step in range(max(-disc.radius, -disc.ss), min(disc.radius, height - disc.ss)):
        first, end = _row_of(disc, step, width)
        row = start + (disc.ss + step) * stride
        for begin in range(row + first, row + end, 64):
            length = min(64, row + end - begin)
            mask = bits_at(free, begin, length) & ~bits_at(bright, begin, length)
            some = bits_of_row(planes, begin, length) & mask
            n += count_ones(mask & ~some)
            while some != 0:
                pixel = begin + lowest_one(some)
                some &= some - _ONE
                value = value_at(values, planes, listed, counts, pixel)
                # A pixel at the limit is neither bright nor quiet.
                if value < least or value < upper[ring_of(rings, pixel)]:
                    n += 1
                    total += value
                    squares += value * value
                    brightest = max(brightest, value)
    return Quiet(n, total, squares, brightest)
