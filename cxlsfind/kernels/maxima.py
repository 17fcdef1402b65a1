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
    rings = np.empty(positions.size, np.int32)
    # Apart from the rest, so that many look-ups far from each other are under way at a time.
    for number in range(positions.size):
        rings[number] = ring[positions[number]]
    for number in range(positions.size):
        where = rings[number]
        around = level[max(where - 1, 0)] + 2.0 * level[where] + level[min(where + 1, last)]
        row = positions[number] // stride
        column = positions[number] - row * stride
        excess = factor_at(factor, tile_side, row, column)
        background[number] = max(0.25 * around * excess, 1e-12)


@kernel
def list_enough(
    boxes: npt.NDArray[np.int64],
    places: npt.NDArray[np.float64],
    needs: npt.NDArray[np.uint16],
    rounding: float,
    chosen: npt.NDArray[np.int64],
) -> int:
    """List the boxes that hold what their background asks, and return their number.

    Parameters
    ----------
    places, needs
        Background of each as a place in ``needs``; between two of them the number asked for is
        between theirs, in whole photons.
    rounding
        By how much that number may fall short of a whole one.
    chosen
        Result, long enough: numbers of boxes.
    """
    n_chosen = 0
    for number in range(places.size):
        lower = np.int64(places[number])
        below = float(needs[lower])
        step = needs[lower + 1] - below
        need = np.int64(below + (places[number] - lower) * step + rounding)
        chosen[n_chosen] = number
        n_chosen += boxes[number] >= need
    return n_chosen


@kernel
def list_asked(
    positions: npt.NDArray[np.int32],
    boxes: npt.NDArray[np.int64],
    node_of_word: npt.NDArray[np.float32],
    word_bin: npt.NDArray[np.int32],
    lift: npt.NDArray[np.float64],
    needs: npt.NDArray[np.uint16],
    chosen: npt.NDArray[np.int64],
) -> int:
    """List the boxes that hold what is asked in the word of their pixel; return their number.

    Parameters
    ----------
    node_of_word, word_bin, lift, needs
        As for :func:`~cxlsfind.kernels.plane_scan.ask_words`; every word has a bin.
    chosen
        Result, long enough: numbers of boxes.
    """
    n_chosen = 0
    for number in range(positions.size):
        word = positions[number] >> 6
        place = node_of_word[word] + lift[word_bin[word]]
        place = min(max(place, 0.0), needs.size - 1.001)
        lower = np.int64(place)
        below = float(needs[lower])
        need = np.int64(below + (place - lower) * (needs[lower + 1] - below) + 1e-3)
        chosen[n_chosen] = number
        n_chosen += boxes[number] >= need
    return n_chosen


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


@kernel
def mark_windows(
    positions: npt.NDArray[np.int32],
    halves: npt.NDArray[np.int64],
    usable: Words,
    stride: int,
    marked: Words,
) -> int:
    """Mark the usable pixels of square windows.

    Parameters
    ----------
    positions
        Middles of the windows: canvas pixels.
    halves
        Half the sides, below 32; windows are cut where the canvas begins and ends.
    usable
        Usable pixels, as the bits of words.
    marked
        Result, as the bits of words; zeros before.

    Returns
    -------
    Number of pixels that are marked.
    """
    one = np.uint64(1)
    number_marked = 0
    for number in range(positions.size):
        half = halves[number]
        width = 2 * half + 1
        line = (one << np.uint64(width)) - one
        for dss in range(-half, half + 1):
            start = positions[number] + dss * stride - half
            bits = line
            if start < 0:
                bits = line >> np.uint64(-start) if start > -width else np.uint64(0)
                start = 0
            word = start >> 6
            shift = np.uint64(start & 63)
            for step in range(2):
                if bits == 0 or word + step >= marked.size:
                    break
                mine = bits << shift if step == 0 else bits >> one >> (np.uint64(63) - shift)
                mine &= usable[word + step] & ~marked[word + step]
                marked[word + step] |= mine
                number_marked += count_ones(mine)
    return number_marked


@kernel
def take_marked(marked: Words, pixels: npt.NDArray[np.int32]) -> None:
    """List the pixels that are marked, ascending, and set all bits back to zero."""
    n = 0
    for word in range(marked.size):
        bits = marked[word]
        if bits == 0:
            continue
        while bits:
            pixels[n] = 64 * word + lowest_one(bits)
            n += 1
            bits &= bits - np.uint64(1)
        marked[word] = 0
