"""Frames of photon counts as bit planes; see :class:`cxlsfind.records.PlaneFrame`.

Masks and planes are words of 64 bits, one bit per pixel of the frame array, lowest bit first.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel, kernel_part
from cxlsfind.kernels.bits import count_ones, lowest_one

_NOTHING: Final = np.uint64(0)
_ONE: Final = np.uint64(1)

#: Words that are worked on together where that is faster.
_AT_ONCE: Final = 512

Words = npt.NDArray[np.uint64]
#: Shape (planes, words).
Planes = npt.NDArray[np.uint64]


@kernel
def words_of(mask: npt.NDArray[np.bool_], words: Words) -> None:
    """Pack a mask into words; bits beyond its end become zero."""
    words[:] = 0
    for pixel in range(mask.size):
        words[pixel >> 6] |= np.uint64(mask[pixel]) << np.uint64(pixel & 63)


@kernel_part
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
        value = int(np.int64(counts[place_of(listed, pixel)]))
    return value


@kernel_part
def place_of(listed: npt.NDArray[np.int32], pixel: int) -> int:
    """Return the place of a pixel in an ascending list that it is in."""
    place, n = 0, listed.size
    while n > 1:  # without a branch that the processor could guess wrong
        half = n >> 1
        place += half if listed[place + half] <= pixel else 0
        n -= half
    return place


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


@kernel_part
def bits_of_row(planes: Planes, pixel: int, length: int) -> np.uint64:
    """Return which of up to 64 pixels in a row, at least one, have a count above zero."""
    word, shift = pixel >> 6, pixel & 63
    low, high = _NOTHING, _NOTHING
    for plane in range(planes.shape[0]):
        low |= planes[plane, word]
    if shift + length > 64:
        for plane in range(planes.shape[0]):
            high |= planes[plane, word + 1]
        high <<= np.uint64(64 - shift)
    found: np.uint64 = (low >> np.uint64(shift) | high) & ~_NOTHING >> np.uint64(64 - length)
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
def count_full(planes: Planes, n_planes: int, enough: int) -> int:
    """Return how many pixels would have all bits set in that many planes, or fewer.

    Once there are more than ``enough`` they are counted no further.
    """
    total = 0
    every = np.empty(_AT_ONCE, np.uint64)
    for start in range(0, planes.shape[1], _AT_ONCE):
        size = min(_AT_ONCE, planes.shape[1] - start)
        # Plain loops over words, which the compiler turns into vectors.
        for word in range(size):
            every[word] = planes[0, start + word]
        for plane in range(1, n_planes):
            for word in range(size):
                every[word] &= planes[plane, start + word]
        for plane in range(n_planes, planes.shape[0]):
            for word in range(size):
                every[word] |= planes[plane, start + word]
        for word in range(size):
            total += count_ones(every[word])
        if total > enough:
            break
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
