"""The scan for crowded boxes: sums over 3x3 pixels, 64 positions at a time.

Numbers lie as bit planes, bit k of 64 pixels in one word, so that an addition of 64 numbers is a
few operations on words, and so is a comparison with a threshold.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel
from cxlsfind.kernels._octets import add_columns, add_rows
from cxlsfind.kernels.bits import lowest_one
from cxlsfind.kernels.plane_canvas import find_near

Words = npt.NDArray[np.uint64]


#: Words that are worked on at a time: they stay in the fastest memory.
CHUNK = 256


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
    last = needs.size - 1.001
    # Per place the photons, and how many more the next asks.
    photons = np.zeros((needs.size, 2))
    photons[:, 0] = needs
    photons[:-1, 1] = photons[1:, 0] - photons[:-1, 0]
    part, below, step = np.empty(CHUNK), np.empty(CHUNK), np.empty(CHUNK)
    lower = np.empty(CHUNK, np.int32)
    # Look-ups, with unsigned numbers, apart from arithmetic: this then runs on many words at once.
    zero, one = np.uint64(0), np.uint64(1)
    for start in range(0, asked.size, CHUNK):
        length = min(CHUNK, asked.size - start)
        nodes = node_of_word[start : start + length]
        bins = word_bin[start : start + length]
        result = asked[start : start + length]
        for w in range(length):
            below[w] = lift[np.uint64(bins[w] if bins[w] > 0 else 0)]
        for w in range(length):
            place = nodes[w] + below[w]
            place = 0.0 if place < 0.0 else place
            place = last if place > last else place
            lower[w] = np.int32(place)
            part[w] = place - lower[w]
        for w in range(length):
            where = np.uint64(lower[w])
            below[w] = photons[where, zero]
            step[w] = photons[where, one]
        for w in range(length):
            number = np.int32(below[w] + part[w] * step[w] + 1e-3)
            result[w] = np.uint16(number) if bins[w] >= 0 else np.uint16(65535)


@kernel
def ask_less(
    asked: npt.NDArray[np.uint16], before: npt.NDArray[np.uint16], less: npt.NDArray[np.bool_]
) -> bool:
    """Tell which runs of ``CHUNK`` words ask less than before anywhere, and whether any does."""
    some = False
    for run in range(less.size):
        number = 0
        for word in range(run * CHUNK, min((run + 1) * CHUNK, asked.size)):
            number += asked[word] < before[word]
        less[run] = number > 0
        some |= number > 0
    return some


@kernel
def scan_boxes(
    planes: Words,
    places: npt.NDArray[np.int32],
    counts: npt.NDArray[np.uint32],
    usable: Words,
    words_per_row: int,
    needs: npt.NDArray[np.uint16],
    chosen: npt.NDArray[np.bool_],
    found: npt.NDArray[np.int32],
    boxes: npt.NDArray[np.int64],
) -> int:
    """List usable pixels whose 3x3 box holds at least as many photons as its word asks.

    Boxes with a pixel that has all bits set are listed too.

    Parameters
    ----------
    planes
        Shape (planes, words) of the canvas; unusable pixels hold zero.
    places, counts
        Pixels with all bits set, ascending, and their counts.
    needs
        Per word, at least 1.
    chosen
        Which runs of ``CHUNK`` words to look at.
    found, boxes
        Results: canvas pixels, ascending, and the photons in their boxes.

    Returns
    -------
    Number of pixels that qualify, which may exceed ``found.size``; the rest is not written.
    """
    n_planes, n_words = planes.shape
    first = words_per_row + 1
    last = n_words - words_per_row - 1
    one = np.uint64(1)
    work = _make_workspace(n_planes)
    n_found = 0
    for start in range(0, n_words, CHUNK):
        if not chosen[start // CHUNK]:
            continue
        begin, end = max(start, first), min(start + CHUNK, last)
        if begin >= end:
            continue
        _add_up(planes, words_per_row, begin - 1, end + 1, work)
        work.needs[: end - begin] = needs[begin:end]
        for octet in range(0, end - begin, 8):
            if _compare(n_planes, octet, work) == 0:
                continue
            for step in range(octet, min(octet + 8, end - begin)):
                bits = work.found[step] & usable[begin + step]
                while bits:
                    bit = np.uint64(lowest_one(bits))
                    bits &= bits - one
                    if n_found < found.size:
                        pixel = int(64 * (begin + step) + np.int64(bit))
                        found[n_found] = pixel
                        photons: Any = 0
                        for k in range(n_planes + 4):
                            photons += np.int64(work.sums[k, step] >> bit & one) << k
                        if _is_full(work.full, step + 1, bit):
                            photons += _beyond(planes, places, counts, words_per_row, pixel, work)
                        boxes[n_found] = photons
                    n_found += 1
    return n_found


class _Workspace(NamedTuple):
    """Memory for a run of words, with a word more on both sides.

    Parameters
    ----------
    rows
        Sums over three rows, as bit planes.
    full
        Pixels for which one of the three has all bits set.
    sums
        Sums over boxes, without the word before; like all that follows.
    needs, found
        What words ask, and the pixels that hold it.
    edge
        Three rows of planes, for the last few words.
    guesses
        Where in the list the pixels of three rows stood last.
    """

    rows: Words
    full: Words
    sums: Words
    needs: npt.NDArray[np.uint16]
    found: Words
    edge: Words
    guesses: npt.NDArray[np.int64]


@kernel
def _make_workspace(n_planes: int) -> _Workspace:
    # The last eight words may begin with the last word that is needed.
    width = CHUNK + 16
    return _Workspace(
        np.zeros((n_planes + 4, width), np.uint64),
        np.zeros(width, np.uint64),
        np.zeros((n_planes + 4, width), np.uint64),
        np.zeros(width, np.uint16),
        np.zeros(width, np.uint64),
        np.zeros((n_planes, 24), np.uint64),
        np.zeros(3, np.int64),
    )


@kernel
def _add_up(planes: Words, words_per_row: int, begin: int, end: int, work: _Workspace) -> None:
    """Sum counts over three rows, for a run of words."""
    n_planes = np.uint64(planes.shape[0])
    stride = np.uint64(8 * planes.shape[1])
    row = np.uint64(8 * words_per_row)
    source = np.uint64(planes.ctypes.data) + np.uint64(8 * begin)
    target, target_stride = np.uint64(work.rows.ctypes.data), np.uint64(8 * work.rows.shape[1])
    full = np.uint64(work.full.ctypes.data)
    whole = (end - begin) // 8 * 8
    for octet in range(0, whole, 8):
        step = np.uint64(8 * octet)
        add_rows(source + step, stride, row, n_planes, target + step, target_stride, full + step)
    if whole == end - begin:
        return
    # What lies behind may not be there to be read.
    for k in range(planes.shape[0]):
        for line in range(3):
            start = begin + whole + (line - 1) * words_per_row
            for word in range(end - begin - whole):
                work.edge[k, 8 * line + word] = planes[k, start + word]
    step = np.uint64(8 * whole)
    middle = np.uint64(work.edge.ctypes.data) + np.uint64(64)
    add_rows(
        middle,
        np.uint64(8 * 24),
        np.uint64(64),
        n_planes,
        target + step,
        target_stride,
        full + step,
    )


@kernel
def _compare(n_planes: int, octet: int, work: _Workspace) -> Any:
    """Sum three columns of eight words and find the pixels that hold what is asked.

    Returns
    -------
    Not zero if there are any.
    """
    step = np.uint64(8 * octet)
    after = step + np.uint64(8)
    return add_columns(
        np.uint64(work.rows.ctypes.data) + after,
        np.uint64(8 * work.rows.shape[1]),
        np.uint64(n_planes + 2),
        np.uint64(work.needs.ctypes.data) + np.uint64(2 * octet),
        np.uint64(work.full.ctypes.data) + after,
        np.uint64(work.sums.ctypes.data) + step,
        np.uint64(work.found.ctypes.data) + step,
    )


@kernel
def _is_full(full: Words, word: int, bit: np.uint64) -> bool:
    """Return whether a bit or one of its neighbours is set."""
    one, top = np.uint64(1), np.uint64(63)
    line = full[word]
    beside = line | line << one | line >> one | full[word - 1] >> top | full[word + 1] << top
    return bool(beside >> bit & one)


@kernel
def _beyond(
    planes: Words,
    places: npt.NDArray[np.int32],
    counts: npt.NDArray[np.uint32],
    words_per_row: int,
    pixel: int,
    work: _Workspace,
) -> Any:
    """Return the photons in the box around a pixel that its planes do not count."""
    one = np.uint64(1)
    full = (1 << planes.shape[0]) - 1
    total: Any = 0
    for dss in range(-1, 2):
        start = pixel + 64 * words_per_row * dss - 1
        word = start >> 6
        right = np.uint64(start & 63)
        # A shift by 64 is no shift on this machine: shift by 63, and once more.
        left = np.uint64(63) - right
        every = np.uint64(7)
        for k in range(planes.shape[0]):
            every &= planes[k, word] >> right | planes[k, word + 1] << left << one
        is_first = True
        guess = work.guesses[dss + 1]
        while every:
            where = find_near(places, start + lowest_one(every), guess)
            every &= every - one
            if where >= 0:
                total += np.int64(counts[where]) - full
                if is_first:
                    work.guesses[dss + 1] = where
                is_first = False
                guess = where
    return total
