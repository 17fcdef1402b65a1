"""Frames of photon counts as bit planes; see :class:`cxlsfind.records.PlaneFrame`.

Masks and planes are words of 64 bits, one bit per pixel of the frame array, lowest bit first.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel
from cxlsfind.kernels.bits import count_ones, lowest_one
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

Words = npt.NDArray[np.uint64]
#: Shape (planes, words).
Planes = npt.NDArray[np.uint64]


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
def words_of(mask: npt.NDArray[np.bool_], words: Words) -> None:
    """Pack a mask into words; bits beyond its end become zero."""
    words[:] = 0
    for pixel in range(mask.size):
        words[pixel >> 6] |= np.uint64(mask[pixel]) << np.uint64(pixel & 63)


@kernel
def count_at(
    planes: Planes, listed: npt.NDArray[np.int32], counts: npt.NDArray[np.uint32], pixel: int
) -> int:
    """Return the count of a pixel.

    Parameters
    ----------
    listed, counts
        Pixels with all bits set, ascending, and their counts.
    """
    word, bit = pixel >> 6, np.uint64(pixel & 63)
    value = 0
    for plane in range(planes.shape[0]):
        value |= int(np.int64(planes[plane, word] >> bit & _ONE)) << plane
    if value == (1 << planes.shape[0]) - 1:
        value = int(np.int64(counts[np.searchsorted(listed, pixel)]))
    return value


@kernel
def has_bit(words: Words, pixel: int) -> bool:
    """Return whether the bit of a pixel is set."""
    return bool(words[pixel >> 6] >> np.uint64(pixel & 63) & _ONE)


@kernel
def bits_at(words: Words, pixel: int, length: int) -> np.uint64:
    """Return the bits of up to 64 pixels in a row, at least one."""
    word, shift = pixel >> 6, pixel & 63
    bits = words[word] >> np.uint64(shift)
    if shift + length > 64:
        bits |= words[word + 1] << np.uint64(64 - shift)
    found: np.uint64 = bits & ~_NOTHING >> np.uint64(64 - length)
    return found


@kernel
def clear_bit(words: Words, pixel: int) -> None:
    """Clear the bit of a pixel."""
    words[pixel >> 6] &= ~(_ONE << np.uint64(pixel & 63))


@kernel
def clear_bits(words: Words, pixels: npt.NDArray[np.int32]) -> None:
    """Clear the bits of pixels."""
    for pixel in pixels:
        clear_bit(words, pixel)


@kernel
def set_bits(words: Words, pixels: npt.NDArray[np.int32]) -> None:
    """Set the bits of pixels."""
    for pixel in pixels:
        words[pixel >> 6] |= _ONE << np.uint64(pixel & 63)


@kernel
def copy_bits(source: Words, pixels: npt.NDArray[np.int32], words: Words) -> None:
    """Copy the words with the bits of pixels."""
    for pixel in pixels:
        words[pixel >> 6] = source[pixel >> 6]


@kernel
def bits_from(planes: Planes, word: int, least: int) -> np.uint64:
    """Return which pixels of a word have a count of at least ``least``, as far as planes tell.

    ``least`` is no more than what all planes together hold.
    """
    larger, equal = _NOTHING, ~_NOTHING
    for step in range(planes.shape[0]):
        plane = planes.shape[0] - 1 - step
        bits = planes[plane, word]
        if least >> plane & 1:
            equal &= bits
        else:
            larger |= equal & bits
            equal &= ~bits
    return larger | equal


@kernel
def count_bits(words: Words) -> int:
    """Return the number of bits that are set."""
    total = 0
    for word in range(words.size):
        total += count_ones(words[word])
    return total


@kernel
def count_full(planes: Planes, n_planes: int) -> int:
    """Return how many pixels would have all bits set in that many planes, or fewer."""
    total = 0
    for word in range(planes.shape[1]):
        every = ~_NOTHING
        for plane in range(n_planes):
            every &= planes[plane, word]
        for plane in range(n_planes, planes.shape[0]):
            every |= planes[plane, word]
        total += count_ones(every)
    return total


@kernel
def planes_from_photons(
    index: npt.NDArray[np.int32],
    count: npt.NDArray[np.uint32],
    planes: Planes,
    full: npt.NDArray[np.int32],
    full_count: npt.NDArray[np.uint32],
) -> int:
    """Make planes of a photon list.

    Parameters
    ----------
    index, count
        Pixels with photons, ascending.
    planes
        Result.
    full, full_count
        Results, long enough: pixels with all bits set, and their counts.

    Returns
    -------
    Number of pixels with all bits set.
    """
    planes[:] = 0
    n_full = 0
    largest = np.uint32(2 ** planes.shape[0] - 1)
    for photon in range(index.size):
        clipped = np.uint64(min(count[photon], largest))
        word, bit = index[photon] >> 6, np.uint64(index[photon] & 63)
        for plane in range(planes.shape[0]):
            planes[plane, word] |= (clipped >> np.uint64(plane) & _ONE) << bit
        if count[photon] >= largest:
            full[n_full], full_count[n_full] = index[photon], count[photon]
            n_full += 1
    return n_full


@kernel
def photons_from_planes(
    planes: Planes,
    listed: npt.NDArray[np.int32],
    listed_count: npt.NDArray[np.uint32],
    index: npt.NDArray[np.int32],
    count: npt.NDArray[np.uint32],
) -> int:
    """List the photons of a :class:`~cxlsfind.records.PlaneFrame`.

    Parameters
    ----------
    listed, listed_count
        The frame's list.
    index, count
        Results, long enough: pixels with photons, ascending.

    Returns
    -------
    Number of pixels with photons.
    """
    n = 0
    for word in range(planes.shape[1]):
        some = planes[0, word]
        for plane in range(1, planes.shape[0]):
            some |= planes[plane, word]
        while some != 0:
            index[n] = 64 * word + lowest_one(some)
            count[n] = count_at(planes, listed, listed_count, index[n])
            some &= some - _ONE
            n += 1
    return n


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
