"""The scan for crowded boxes: sums over 3x3 pixels, 64 positions at a time.

Numbers lie as bit planes, bit k of 64 pixels in one word, so that an addition of 64 numbers is a
few operations on words (a ripple-carry adder), and so is a comparison with a threshold.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel
from cxlsfind.kernels.bits import lowest_one

Words = npt.NDArray[np.uint64]


#: Words that are worked on at a time: they stay in the fastest memory.
CHUNK = 256


@kernel
def _add(sums: Words, addend: Words, n_bits: int, length: int, carry: Words) -> None:
    """Add numbers of ``n_bits`` bits to others, whose sum has one bit more."""
    carry[:length] = 0
    for k in range(n_bits):
        mine = sums[k]
        other = addend[k]
        for w in range(length):
            x = mine[w]
            y = other[w]
            c = carry[w]
            mine[w] = x ^ y ^ c
            carry[w] = (x & y) | (c & (x ^ y))
    mine = sums[n_bits]
    for w in range(length):
        mine[w] = carry[w]


@kernel
def ask_words(
    node_of_word: npt.NDArray[np.float32],
    word_bin: npt.NDArray[np.int32],
    lift: npt.NDArray[np.float64],
    needs: npt.NDArray[np.uint16],
    asked: npt.NDArray[np.uint16],
) -> None:
    """Find the photons that a 3x3 box must hold to be looked at, word by word.

    Parameters
    ----------
    node_of_word
        Background of the words at scale 1, as places in ``needs``; between two of them the number
        asked for is between theirs.
    word_bin, lift
        Bin of each word, -1 for none, and by how many places the frame's scale lifts each bin.
    needs
        Photons by background.
    asked
        Result; the largest number for words of no bin.
    """
    for word in range(asked.size):
        where = word_bin[word]
        if where < 0:
            asked[word] = 65535
            continue
        place = node_of_word[word] + lift[where]
        place = min(max(place, 0.0), needs.size - 1.001)
        lower = np.int64(place)
        below = float(needs[lower])
        asked[word] = np.uint16(below + (place - lower) * (needs[lower + 1] - below) + 1e-3)


@kernel
def scan_boxes(
    planes: Words,
    usable: Words,
    words_per_row: int,
    needs: npt.NDArray[np.uint16],
    chosen: npt.NDArray[np.bool_],
    found: npt.NDArray[np.int32],
) -> int:
    """List usable pixels whose 3x3 box holds at least as many photons as its word asks.

    Boxes with a pixel beyond what the planes can count are listed too.

    Parameters
    ----------
    planes
        Shape (planes, words) of the canvas; unusable pixels hold zero.
    needs
        Per word, at least 1.
    chosen
        Which runs of ``CHUNK`` words to look at.
    found
        Result: canvas pixels, ascending.

    Returns
    -------
    Number of pixels that qualify, which may exceed ``found.size``; the rest is not written.
    """
    n_bits = planes.shape[0]
    first = words_per_row + 1
    last = planes.shape[1] - words_per_row - 1
    one = np.uint64(1)
    top = np.uint64(63)
    # A word more on both sides, for what crosses from word to word.
    total = np.zeros((n_bits + 5, CHUNK + 2), np.uint64)
    left = np.zeros((n_bits + 5, CHUNK + 2), np.uint64)
    right = np.zeros((n_bits + 5, CHUNK + 2), np.uint64)
    centre = np.zeros((n_bits, CHUNK + 2), np.uint64)
    third = np.zeros((n_bits + 1, CHUNK + 2), np.uint64)
    carry = np.zeros(CHUNK + 2, np.uint64)
    above = np.zeros(CHUNK + 2, np.uint64)
    equal = np.zeros(CHUNK + 2, np.uint64)
    full = np.zeros(CHUNK + 2, np.uint64)
    wanted = np.zeros(CHUNK + 2, np.uint64)
    n_found = 0
    for start in range(0, planes.shape[1], CHUNK):
        if not chosen[start // CHUNK]:
            continue
        begin, end = max(start, first), min(start + CHUNK, last)
        if begin >= end:
            continue
        length = end - begin + 2
        low = begin - 1
        full[:length] = ~np.uint64(0)
        above[:length] = ~np.uint64(0)
        equal[:length] = ~np.uint64(0)
        for k in range(n_bits):
            plane = planes[k]
            mine, over, under = centre[k], total[k], third[k]
            for w in range(length):
                mine[w] = plane[low + w]
                over[w] = plane[low + w - words_per_row]
                under[w] = plane[low + w + words_per_row]
                full[w] &= over[w]
                above[w] &= mine[w]
                equal[w] &= under[w]
        for w in range(length):
            full[w] |= above[w] | equal[w]
        _add(total, centre, n_bits, length, carry)
        _add(total, third, n_bits + 1, length, carry)
        width = n_bits + 2
        for k in range(width):
            line = total[k]
            to_left = left[k]
            to_right = right[k]
            for w in range(1, length - 1):
                to_left[w] = (line[w] << one) | (line[w - 1] >> top)
                to_right[w] = (line[w] >> one) | (line[w + 1] << top)
        left[width, :] = 0
        right[width, :] = 0
        _add(total, left, width, length, carry)
        _add(total, right, width + 1, length, carry)
        width += 2
        for w in range(length):
            wanted[w] = needs[low + w]
            above[w] = 0
            # A box cannot hold what its planes cannot count.
            equal[w] = np.uint64(0) - np.uint64(wanted[w] >> np.uint64(width) == 0)
        for k in range(width - 1, -1, -1):
            line = total[k]
            shift = np.uint64(k)
            for w in range(length):
                bit = np.uint64(0) - ((wanted[w] >> shift) & one)
                above[w] |= equal[w] & line[w] & ~bit
                equal[w] &= ~(line[w] ^ bit)
        for w in range(1, length - 1):
            line_ = full[w]
            beside = (
                line_
                | (line_ << one)
                | (full[w - 1] >> top)
                | (line_ >> one)
                | (full[w + 1] << top)
            )
            bits = (above[w] | equal[w] | beside) & usable[low + w]
            while bits:
                if n_found < found.size:
                    found[n_found] = 64 * (low + w) + lowest_one(bits)
                n_found += 1
                bits &= bits - one
    return n_found
