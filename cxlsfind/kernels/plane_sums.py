"""Sums over bit planes without a look at single pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._components import spread_word
from cxlsfind.kernels._jit import kernel
from cxlsfind.kernels.bits import count_ones, lowest_one
from cxlsfind.kernels.plane_canvas import find_place

Words = npt.NDArray[np.uint64]

#: Words that are added at a time: they stay in the fastest memory.
_CHUNK = 256


@kernel
def sum_words(
    planes: Words,
    group: npt.NDArray[np.int32],
    sums: npt.NDArray[np.int64],
    lit: npt.NDArray[np.int64],
) -> None:
    """Add what the planes hold to the sum of the group of each word; group -1 is left out.

    Parameters
    ----------
    sums, lit
        Added to, by group: counts, and pixels that hold anything.
    """
    held = np.empty(_CHUNK, np.int64)
    some = np.empty(_CHUNK, np.uint64)
    for start in range(0, planes.shape[1], _CHUNK):
        length = min(_CHUNK, planes.shape[1] - start)
        held[:] = 0
        some[:] = 0
        for k in range(planes.shape[0]):
            plane = planes[k, start : start + length]
            for w in range(length):
                held[w] += count_ones(plane[w]) << k
                some[w] |= plane[w]
        # Words side by side are often of the same group.
        before = -1
        total = 0
        n_lit = 0
        for w in range(length):
            where = group[start + w]
            if where != before:
                if before >= 0:
                    sums[before] += total
                    lit[before] += n_lit
                before = where
                total = 0
                n_lit = 0
            total += held[w]
            n_lit += count_ones(some[w])
        if before >= 0:
            sums[before] += total
            lit[before] += n_lit


@kernel
def add_frames(frames: tuple[Words, ...], totals: Words, lit: Words) -> None:
    """Add the counts of some frames to totals, pixel by pixel, and one where they hold anything.

    Parameters
    ----------
    frames
        Bit planes, each of shape (bits, words), in a tuple of any length that is always the same:
        the function is compiled for it.
    totals, lit
        Bit planes, of shape (more bits, words), added to; the sums must fit.
    """
    most = 0
    for planes in frames:
        most = max(most, planes.shape[0])
    # The sum over these frames first: it stays in the fastest memory.
    n_more = 0
    while 1 << n_more <= len(frames):
        n_more += 1
    part = np.empty((min(most + n_more, totals.shape[0]), _CHUNK), np.uint64)
    lit_part = np.empty((min(n_more, lit.shape[0]), _CHUNK), np.uint64)
    carry = np.empty(_CHUNK, np.uint64)
    for start in range(0, totals.shape[1], _CHUNK):
        length = min(_CHUNK, totals.shape[1] - start)
        part[:] = 0
        lit_part[:] = 0
        for planes in frames:
            _add_run(planes, start, part, 0, length, carry)
            carry[:] = 0
            for k in range(planes.shape[0]):
                plane = planes[k, start : start + length]
                for w in range(length):
                    carry[w] |= plane[w]
            _carry_up(carry, lit_part, 0, 0, length)
        _add_run(part, 0, totals, start, length, carry)
        _add_run(lit_part, 0, lit, start, length, carry)


@kernel
def _add_run(
    planes: Words, start: int, totals: Words, where: int, length: int, carry: Words
) -> None:
    """Add a run of words of some planes to one of totals; ``carry`` is for its use."""
    carry[:] = 0
    for k in range(planes.shape[0]):
        mine = planes[k, start : start + length]
        sums = totals[k, where : where + length]
        for w in range(length):
            a = sums[w]
            b = mine[w]
            c = carry[w]
            sums[w] = a ^ b ^ c
            carry[w] = (a & b) | (c & (a ^ b))
    _carry_up(carry, totals, where, planes.shape[0], length)


@kernel
def _carry_up(carry: Words, totals: Words, where: int, lowest: int, length: int) -> None:
    """Add bits of the weight of plane ``lowest`` to a run of totals."""
    for k in range(lowest, totals.shape[0]):
        sums = totals[k, where : where + length]
        some = np.uint64(0)
        for w in range(length):
            a = sums[w]
            c = carry[w]
            sums[w] = a ^ c
            carry[w] = a & c
            some |= carry[w]
        if some == 0:
            break


@kernel
def spread_totals(totals: Words, values: npt.NDArray[np.uint32]) -> None:
    """Write totals held as bit planes out as numbers, one per pixel.

    Parameters
    ----------
    totals
        Shape (bits, words); at most 32 bits.
    values
        Result, 64 per word; overwritten.
    """
    stride = np.uint64(8 * totals.shape[1])
    first, target = np.uint64(totals.ctypes.data), np.uint64(values.ctypes.data)
    for word in range(totals.shape[1]):
        n_planes = totals.shape[0]
        while n_planes > 0 and totals[n_planes - 1, word] == 0:
            n_planes -= 1
        spread_word(
            first + np.uint64(8 * word), stride, np.uint64(n_planes), target + np.uint64(256 * word)
        )


@kernel
def multiply_neighbours(
    planes: Words, whole: Words, words_per_row: int, sums: npt.NDArray[np.float64]
) -> None:
    """Add products of counts of side neighbours, of diagonal neighbours, and the photons.

    Where background varies smoothly both products are alike, unless photons fire two pixels.

    Parameters
    ----------
    whole
        Pixels whose neighbours to the right, below, and diagonally below may be used.
    sums
        Added to: products along the sides, products along the diagonals, photons.
    """
    n_bits = planes.shape[0]
    sides = 0
    diagonals = 0
    photons = 0
    one = np.uint64(1)
    top = np.uint64(63)
    for word in range(planes.shape[1] - words_per_row - 1):
        mask = whole[word]
        if mask == 0:
            continue
        below = word + words_per_row
        for k in range(n_bits):
            mine = planes[k, word] & mask
            if mine == 0:
                continue
            photons += count_ones(mine) << k
            for j in range(n_bits):
                other = planes[j]
                right = (other[word] >> one) | (other[word + 1] << top)
                under = other[below]
                under_right = (under >> one) | (other[below + 1] << top)
                under_left = (under << one) | (other[below - 1] >> top)
                sides += (count_ones(mine & right) + count_ones(mine & under)) << (j + k)
                diagonals += (count_ones(mine & under_right) + count_ones(mine & under_left)) << (
                    j + k
                )
    sums[0] += sides
    sums[1] += diagonals
    sums[2] += photons


@kernel
def take_out(
    planes: Words,
    pixels: npt.NDArray[np.int32],
    ring: npt.NDArray[np.int32],
    group: npt.NDArray[np.int32],
    totals: npt.NDArray[np.uint32],
    rings: npt.NDArray[np.int64],
    sums: npt.NDArray[np.int64],
) -> None:
    """Subtract what the planes hold at some pixels from totals, and from sums over groups.

    Parameters
    ----------
    pixels
        Distinct, ascending.
    group
        Group of every word, not -1 for those of the pixels.
    totals, rings
        Per canvas pixel, and per ring.
    """
    one = np.uint64(1)
    number = 0
    while number < pixels.size:
        # Pixels of the same word together.
        word = pixels[number] >> 6
        mine = np.uint64(0)
        while number < pixels.size and pixels[number] >> 6 == word:
            mine |= one << np.uint64(pixels[number] & 63)
            number += 1
        for k in range(planes.shape[0]):
            bits = planes[k, word] & mine
            sums[group[word]] -= count_ones(bits) << k
            while bits:
                pixel = 64 * word + lowest_one(bits)
                totals[pixel] -= np.uint32(1 << k)
                rings[ring[pixel]] -= 1 << k
                bits &= bits - one


@kernel
def withdraw(
    planes: Words,
    pixels: npt.NDArray[np.int32],
    group: npt.NDArray[np.int32],
    sums: npt.NDArray[np.int64],
    lit: npt.NDArray[np.int64],
) -> None:
    """Set pixels to zero in all planes, and subtract what they held from sums over groups.

    Parameters
    ----------
    group
        Group of every word, not -1 for those of the pixels.
    sums, lit
        As :func:`sum_words` made them.
    """
    one = np.uint64(1)
    for number in range(pixels.size):
        pixel = pixels[number]
        word = pixel >> 6
        bit = np.uint64(pixel & 63)
        some = np.uint64(0)
        for k in range(planes.shape[0]):
            mine = planes[k, word] >> bit & one
            some |= mine
            sums[group[word]] -= np.int64(mine) << k
            planes[k, word] &= ~(one << bit)
        lit[group[word]] -= np.int64(some)


@kernel
def _find_words(
    planes: Words, usable: Words, limit: int, start: int, length: int, enough: Words
) -> bool:
    """Find which counts of a run of words are at least a limit that the planes can hold.

    Returns
    -------
    Whether a usable one is.
    """
    enough[:] = ~np.uint64(0)
    # From the lowest bit on: a higher one outweighs all before it.
    for k in range(planes.shape[0]):
        plane = planes[k, start : start + length]
        if limit >> k & 1:
            for w in range(length):
                enough[w] &= plane[w]
        else:
            for w in range(length):
                enough[w] |= plane[w]
    good = usable[start : start + length]
    some = np.uint64(0)
    for w in range(length):
        enough[w] &= good[w]
        some |= enough[w]
    return bool(some != 0)


@kernel
def clip_counts(
    planes: Words,
    usable: Words,
    ring: npt.NDArray[np.int32],
    caps: npt.NDArray[np.int64],
    left_out: npt.NDArray[np.int32],
    group: npt.NDArray[np.int32],
    totals: npt.NDArray[np.uint32],
    rings: npt.NDArray[np.int64],
    sums: npt.NDArray[np.int64],
) -> None:
    """Take from totals, and from sums over groups, what counts exceed the cap of their ring by.

    Counts that set all bits are left alone.

    Parameters
    ----------
    caps
        Per ring.
    left_out
        Pixels that are left alone, ascending.
    group
        Group of every word, not -1 where a pixel is usable.
    totals, rings
        Per canvas pixel, and per ring.
    """
    full = (1 << planes.shape[0]) - 1
    least = caps.min() + 1
    if least >= full:
        return
    enough = np.empty(_CHUNK, np.uint64)
    for start in range(0, planes.shape[1], _CHUNK):
        length = min(_CHUNK, planes.shape[1] - start)
        if not _find_words(planes, usable, least, start, length, enough):
            continue
        for word in range(start, start + length):
            bits = enough[word - start]
            while bits:
                bit = np.uint64(lowest_one(bits))
                pixel = int(64 * word + np.int64(bit))
                bits &= bits - np.uint64(1)
                value: Any = 0
                for k in range(planes.shape[0]):
                    value |= np.int64((planes[k, word] >> bit) & np.uint64(1)) << k
                over = value - caps[ring[pixel]]
                if value < full and over > 0 and find_place(left_out, pixel) < 0:
                    totals[pixel] -= np.uint32(over)
                    rings[ring[pixel]] -= over
                    sums[group[word]] -= over
