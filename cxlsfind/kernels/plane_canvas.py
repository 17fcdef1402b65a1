"""Bit planes on a canvas: panels laid row by row, pixels read, cleared and painted.

Bit ``i`` of word ``w`` is canvas pixel ``64 * w + i``; rows of the canvas begin at words. Pixels
whose bits are set in all planes stand in a list with their count.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel
from cxlsfind.kernels.bits import lowest_one

Words = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int32]

#: Counts that are painted stop here: a larger one adds nothing to a decision that is certain.
LARGEST_COUNT = 4095


@kernel
def bits_from(plane: Words, bit: int) -> Any:
    """Return the 64 bits of a plane that begin at a bit; zeros beyond its end."""
    word = bit >> 6
    shift = np.uint64(bit & 63)
    bits = plane[word] >> shift
    if shift > 0 and word + 1 < plane.size:
        bits |= plane[word + 1] << (np.uint64(64) - shift)
    return bits


@kernel
def lay_planes(
    planes: Words, windows: npt.NDArray[np.int64], pad: int, words_per_row: int, sheet: Words
) -> None:
    """Copy the panels of a frame array to a canvas.

    Parameters
    ----------
    planes
        Shape (planes, words), of the frame array.
    windows
        One row per panel: first pixel, pixels from row to row, height, width, and the canvas row
        of the first row.
    pad
        Canvas pixels left of a panel; below 64.
    sheet
        Result, shape (planes, words of the canvas); zero before.
    """
    for k in range(planes.shape[0]):
        source = planes[k]
        target = sheet[k]
        for panel in range(windows.shape[0]):
            start, stride, height, width, first_row = windows[panel]
            last = (pad + width - 1) >> 6
            over = (last + 1) * 64 - (pad + width)
            for ss in range(height):
                bit = start + ss * stride
                word = (first_row + ss) * words_per_row
                target[word] = bits_from(source, bit) << np.uint64(pad)
                begin = (bit + 64 - pad) >> 6
                right = np.uint64((bit - pad) & 63)
                left = np.uint64(64) - right
                inside = min(last, source.size - 1 - begin)
                for step in range(inside):
                    # A shift by 64 does nothing on this machine, so by 63 and one more.
                    high = source[begin + step + 1] << (left - np.uint64(1)) << np.uint64(1)
                    target[word + 1 + step] = source[begin + step] >> right | high
                for step in range(max(inside, 0), last):
                    target[word + 1 + step] = bits_from(source, bit + 64 * (step + 1) - pad)
                target[word + last] &= ~np.uint64(0) >> np.uint64(over)


@kernel
def words_of(flags: npt.NDArray[np.bool_], words: Words) -> None:
    """Pack flags, 64 to a word; the last word may be short.

    Parameters
    ----------
    words
        Result; overwritten.
    """
    for word in range(words.size):
        bits = np.uint64(0)
        for bit in range(min(64, flags.size - 64 * word)):
            bits |= np.uint64(flags[64 * word + bit]) << np.uint64(bit)
        words[word] = bits


@kernel
def clear_pixels(planes: Words, pixels: Places) -> None:
    """Set pixels to zero in all planes."""
    for k in range(planes.shape[0]):
        for number in range(pixels.size):
            pixel = pixels[number]
            planes[k, pixel >> 6] &= ~(np.uint64(1) << np.uint64(pixel & 63))


@kernel
def find_place(places: Places, place: int) -> int:
    """Return where a pixel stands in an ascending list, or -1."""
    low = 0
    high = places.size
    while low < high:
        middle = (low + high) >> 1
        if places[middle] < place:
            low = middle + 1
        else:
            high = middle
    if low < places.size and places[low] == place:
        return low
    return -1


@kernel
def find_near(places: Places, place: int, guess: int) -> int:
    """Return where a pixel stands in an ascending list, or -1; tried first: a guess, and the next.

    Parameters
    ----------
    guess
        Anything; what is no place in the list does no harm.
    """
    for where in range(max(guess, 0), min(guess + 2, places.size)):
        if places[where] == place:
            return where
    return find_place(places, place)


@kernel
def count_at(planes: Words, places: Places, counts: npt.NDArray[np.uint32], pixel: int) -> Any:
    """Return the count of a pixel.

    Parameters
    ----------
    places, counts
        Pixels with all bits set, ascending, and their counts.
    """
    value: Any = 0
    for k in range(planes.shape[0]):
        value |= np.int64((planes[k, pixel >> 6] >> np.uint64(pixel & 63)) & np.uint64(1)) << k
    if value == (1 << planes.shape[0]) - 1:
        where = find_place(places, pixel)
        if where >= 0:
            value = np.int64(counts[where])
    return value


@kernel
def paint_windows(
    planes: Words,
    places: Places,
    counts: npt.NDArray[np.uint32],
    stride: int,
    positions: Places,
    reach: int,
    sheet: npt.NDArray[np.uint16],
) -> None:
    """Write the counts around some pixels to a sheet, which holds zeros before.

    Parameters
    ----------
    reach
        Rows and columns around each position that are needed, within the sheet as far as it goes.
    sheet
        Counts per canvas pixel, at most ``LARGEST_COUNT``.
    """
    n_rows = sheet.size // stride
    full = (1 << planes.shape[0]) - 1
    for number in range(positions.size):
        row = positions[number] // stride
        column = positions[number] % stride
        left = max(column - reach, 0)
        right = min(column + reach, stride - 1)
        first = left >> 6
        last = right >> 6
        for ss in range(max(row - reach, 0), min(row + reach + 1, n_rows)):
            guess = 0
            for step in range(first, last + 1):
                word = ss * (stride >> 6) + step
                some = np.uint64(0)
                for k in range(planes.shape[0]):
                    some |= planes[k, word]
                if step == first:
                    some &= ~np.uint64(0) << np.uint64(left & 63)
                if step == last:
                    some &= ~np.uint64(0) >> np.uint64(63 - (right & 63))
                while some:
                    bit = np.uint64(lowest_one(some))
                    some &= some - np.uint64(1)
                    pixel = int(64 * word + np.int64(bit))
                    value: Any = 0
                    for k in range(planes.shape[0]):
                        value |= np.int64(planes[k, word] >> bit & np.uint64(1)) << k
                    if value == full:
                        where = find_near(places, pixel, guess)
                        if where >= 0:
                            value = np.int64(counts[where])
                            guess = where
                    sheet[pixel] = min(value, LARGEST_COUNT)


@kernel
def wipe_windows(stride: int, positions: Places, reach: int, sheet: npt.NDArray[np.uint16]) -> None:
    """Set a sheet back to zero where windows were painted."""
    n_rows = sheet.size // stride
    for number in range(positions.size):
        row = positions[number] // stride
        column = positions[number] % stride
        first = max(column - reach, 0) >> 6 << 6
        last = (min(column + reach, stride - 1) >> 6 << 6) + 64
        for ss in range(max(row - reach, 0), min(row + reach + 1, n_rows)):
            sheet[ss * stride + first : ss * stride + last] = 0
