"""Bit planes from integers, and the pixels that planes alone cannot tell.

See :class:`cxlsfind.records.PlaneFrame`.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel
from cxlsfind.kernels.bits import lowest_one
from cxlsfind.kernels.planes import Planes, Words, clear_bit
from cxlsfind.kernels.windows import is_inside

#: Places in the lengths of :class:`PixelLists`.
LISTED, NEGATIVE, FLAGGED, CENSORED = range(4)

#: Pixels that are packed together; a multiple of 64.
_RUN: Final = 4096

_NOTHING: Final = np.uint64(0)
_ONE: Final = np.uint64(1)
_EVERY_BYTE: Final = np.uint64(0x0101010101010101)
#: Gathers the lowest bits of the eight bytes of a word in its highest byte.
_GATHER: Final = np.uint64(0x0102040810204080)


class BadValues(NamedTuple):
    """Counts that mark a pixel as bad, panel by panel.

    Parameters
    ----------
    windows
        One row per panel: start, stride, height, width; int64.
    above
        Counts above this are bad; one per panel, float64.
    equal
        Counts that are bad, -1 where there are fewer; shape (panels, any), int64.
    """

    windows: npt.NDArray[np.int64]
    above: npt.NDArray[np.float64]
    equal: npt.NDArray[np.int64]


class PixelLists(NamedTuple):
    """The lists of a :class:`~cxlsfind.records.PlaneFrame` while they are made.

    Parameters
    ----------
    full, full_count
        Pixels with all bits set, and their counts; as long as may be listed.
    bad, censored
        As in the frame; as long as the frame array.
    lengths
        What is in use: pixels in ``full``, or more where there are more; bad pixels with a
        negative number, and those with a bad value (they are mixed in ``bad``); pixels in
        ``censored``. int64, zero at the start.
    """

    full: npt.NDArray[np.int32]
    full_count: npt.NDArray[np.uint32]
    bad: npt.NDArray[np.int32]
    censored: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int64]


class Target(NamedTuple):
    """What planes are made with, and the result.

    Parameters
    ----------
    usable
        Words of the pixels that the mask lets through.
    largest
        Largest number of the data type.
    values
        Counts that mark bad pixels; all of them large enough to have all bits set.
    planes, lists
        Result. When there are more full pixels than ``lists`` holds, it is of no use.
    """

    usable: Words
    largest: int
    values: BadValues
    planes: Planes
    lists: PixelLists


@kernel
def pack_planes(raw: npt.NDArray[Any], target: Target) -> None:
    """Make planes of an array of integers.

    Parameters
    ----------
    raw
        Frame array, of any integer type of at most 32 bits.
    """
    planes, usable = target.planes, target.usable
    largest = 2 ** planes.shape[0] - 1
    clipped = np.zeros(_RUN, np.uint8)
    eights = clipped.view(np.uint64)
    found, counts = np.empty(_RUN, np.int32), np.empty(_RUN, np.uint32)
    for start in range(0, raw.size, _RUN):
        run = raw[start : start + _RUN]
        clipped[run.size :] = 0
        is_negative = _clip(run, largest, clipped)
        n_full = 0
        first_word = start >> 6
        for word in range((run.size + 63) >> 6):
            mask = usable[first_word + word]
            every = _pack_word(eights, 8 * word, mask, planes, first_word + word)
            while every != 0:
                pixel = 64 * word + lowest_one(every)
                every &= every - _ONE
                found[n_full], counts[n_full] = start + pixel, run[pixel]
                n_full += 1
        if n_full and not settle_full(found[:n_full], counts, target):
            return
        if is_negative:
            _list_negative(run, start, target)


@kernel
def _clip(run: npt.NDArray[Any], largest: int, clipped: npt.NDArray[np.uint8]) -> bool:
    """Copy numbers, cut to the range from 0 to ``largest``; return whether any is negative."""
    is_negative = False
    for number in range(run.size):
        clipped[number] = max(min(run[number], largest), 0)
        is_negative |= run[number] < 0
    return is_negative


@kernel
def _pack_word(eights: Words, first: int, mask: np.uint64, planes: Planes, word: int) -> np.uint64:
    """Pack 64 small numbers, eight to a word from ``first``; return those with all bits set."""
    every = mask
    for plane in range(planes.shape[0]):
        bits = _NOTHING
        for eight in range(8):
            lowest = eights[first + eight] >> np.uint64(plane) & _EVERY_BYTE
            bits |= lowest * _GATHER >> np.uint64(56) << np.uint64(8 * eight)
        planes[plane, word] = bits & mask
        every &= bits
    return every


@kernel
def list_negative(bits: np.uint64, first_pixel: int, lists: PixelLists) -> None:
    """List the pixels of a word as bad: those with a negative number."""
    lengths = lists.lengths
    while bits != 0:
        lists.bad[lengths[NEGATIVE] + lengths[FLAGGED]] = first_pixel + lowest_one(bits)
        lengths[NEGATIVE] += 1
        bits &= bits - _ONE


@kernel
def _list_negative(run: npt.NDArray[Any], start: int, target: Target) -> None:
    """List usable pixels below zero in a run, which starts at a pixel."""
    for first in range(0, run.size, 64):
        bits = _NOTHING
        for number in range(first, min(first + 64, run.size)):
            bits |= np.uint64(run[number] < 0) << np.uint64(number - first)
        bits &= target.usable[(start + first) >> 6]
        if bits != 0:
            list_negative(bits, start + first, target.lists)


@kernel
def settle_full(
    pixels: npt.NDArray[np.int32], counts: npt.NDArray[np.uint32], target: Target
) -> bool:
    """List usable pixels with all bits set, or, where a count marks a bad pixel, clear these.

    Parameters
    ----------
    pixels, counts
        Pixels, ascending, and their counts.

    Returns
    -------
    Whether there was room for them.
    """
    lists = target.lists
    full, full_count, lengths = lists.full, lists.full_count, lists.lengths
    n_listed = lengths[LISTED]
    for number in range(pixels.size):
        pixel, count = pixels[number], counts[number]
        if target.values.above.size and _is_bad(pixel, count, target.values):
            lists.bad[lengths[NEGATIVE] + lengths[FLAGGED]] = pixel
            lengths[FLAGGED] += 1
            for plane in range(target.planes.shape[0]):
                clear_bit(target.planes[plane], pixel)
            continue
        if n_listed < full.size:
            full[n_listed], full_count[n_listed] = pixel, count
        n_listed += 1
        if count == target.largest:
            lists.censored[lengths[CENSORED]] = pixel
            lengths[CENSORED] += 1
    lengths[LISTED] = n_listed
    return bool(n_listed <= full.size)


@kernel
def _is_bad(pixel: int, count: int, values: BadValues) -> bool:
    for panel in range(values.windows.shape[0]):
        is_bad = count > values.above[panel]
        for number in range(values.equal.shape[1]):
            is_bad |= count == values.equal[panel, number]
        if is_bad and is_inside(pixel, values.windows[panel]):
            return True
    return False
