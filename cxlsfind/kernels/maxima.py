"""Background at candidate pixels, and the candidates that are local maxima of the score."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel
from cxlsfind.kernels.background_maps import factor_at
from cxlsfind.kernels.bits import count_ones, lowest_one
from cxlsfind.kernels.plane_canvas import Words, find_near

#: Above every score that is not bright, and low enough to leave single precision its fractions.
_BRIGHT_RANK = 1000.0


@kernel
def weigh_boxes(
    positions: npt.NDArray[np.int32],
    planes: Words,
    places: npt.NDArray[np.int32],
    counts: npt.NDArray[np.uint32],
    stride: int,
    boxes: npt.NDArray[np.int64],
    sharpness: npt.NDArray[np.float32],
) -> None:
    """Sum the photons of the 3x3 box around each position.

    Parameters
    ----------
    positions
        Canvas pixels.
    planes, places, counts
        The frame, as for :func:`~cxlsfind.kernels.likelihood.score_positions`.
    boxes, sharpness
        Results: photons in the box, and photons weighted as a spot.
    """
    three = np.uint64(7)
    one = np.uint64(1)
    full = (1 << planes.shape[0]) - 1
    last = planes.shape[1] - 1
    guesses = np.zeros(3, np.int64)
    for number in range(positions.size):
        photons: Any = 0
        sharp: Any = 0
        for dss in range(-1, 2):
            start = positions[number] + dss * stride - 1
            word = start >> 6
            right = np.uint64(start & 63)
            # A shift by 64 is no shift on this machine: shift by 63, and once more.
            left = np.uint64(63) - right
            beyond = min(word + 1, last)
            every = three
            row: Any = 0
            twice: Any = 0
            for k in range(planes.shape[0]):
                bits = planes[k, word] >> right | planes[k, beyond] << left << one
                every &= bits
                row += count_ones(bits & three) << k
                twice += np.int64(bits >> one & one) << k
            is_first = True
            guess = guesses[dss + 1]
            while every:
                column = lowest_one(every)
                every &= every - one
                where = find_near(places, start + column, guess)
                if where >= 0:
                    row += np.int64(counts[where]) - full
                    twice += (np.int64(counts[where]) - full) * (column == 1)
                    if is_first:
                        guesses[dss + 1] = where
                    is_first = False
                    guess = where
            photons += row
            sharp += (2 if dss == 0 else 1) * (row + twice)
        boxes[number] = photons
        sharpness[number] = sharp / 16.0


@kernel
def background_at(
    positions: npt.NDArray[np.int32],
    level: npt.NDArray[np.float64],
    factor: npt.NDArray[np.float32],
    tile_side: int,
    ring: npt.NDArray[np.int32],
    stride: int,
    background: npt.NDArray[np.float64],
) -> None:
    """Find the background under a spot at each position.

    It is weighted over neighbouring rings as a spot is over pixels: taking the middle ring alone
    would call the foot of a sharp ring a spot.

    Parameters
    ----------
    positions
        Canvas pixels, all on rings.
    level, factor, tile_side, ring
        The background of canvas pixel x is ``level[ring[x]]`` times the factor there, which is
        known by tiles.
    background
        Result: counts per pixel, above zero.
    """
    last = level.size - 1
    for number in range(positions.size):
        middle = positions[number]
        where = ring[middle]
        around = level[max(where - 1, 0)] + 2.0 * level[where] + level[min(where + 1, last)]
        excess = factor_at(factor, tile_side, middle // stride, middle % stride)
        background[number] = max(0.25 * around * excess, 1e-12)


@kernel
def mark_maxima(
    positions: npt.NDArray[np.int32],
    scores: npt.NDArray[np.float32],
    sharpness: npt.NDArray[np.float32],
    bright: float,
    stride: int,
    radius: int,
    is_maximum: npt.NDArray[np.bool_],
) -> None:
    """Mark positions whose score no other position up to ``radius`` away exceeds.

    Among scores above ``bright`` the sharpness decides: with photons in plenty, a wide shape
    over two touching spots scores more than a sharp one over either. Of equals the first
    position in reading order is taken.

    Parameters
    ----------
    positions
        Canvas pixels, ascending.
    sharpness
        Of the bright ones; the others are not looked at.
    """
    ranks = np.empty(positions.size, np.float32)
    for number in range(positions.size):
        ranks[number] = scores[number]
        if scores[number] > bright:
            ranks[number] = np.float32(_BRIGHT_RANK) + sharpness[number]
    is_maximum[:] = True
    for dss in range(radius + 1):
        # Every pair once, from the one that comes first: others that may be near lie, row by
        # row, at places that only move on.
        start = 0
        for number in range(positions.size):
            middle = positions[number] + dss * stride
            start = max(start, number + 1)
            while start < positions.size and positions[start] < middle - radius:
                start += 1
            other = start
            while other < positions.size and positions[other] <= middle + radius:
                if ranks[other] > ranks[number]:
                    is_maximum[number] = False
                else:
                    is_maximum[other] = False
                other += 1
