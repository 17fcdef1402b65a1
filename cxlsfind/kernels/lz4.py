"""Decode one block of LZ4, as bitshuffle and LZ4 chunks consist of.

Format: https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md. A block is a list of
sequences: a token, bytes to take over (literals), and a match: bytes of the result to repeat.

Copies go by whole machine words and so reach up to ``SLACK`` bytes beyond what they are for. Both
buffers must have as much room behind what is used of them; no byte further away is read or
written, whatever the block holds.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from cxlsfind.kernels._jit import kernel
from cxlsfind.kernels._memory import (
    HAS_PERMUTE,
    copy16,
    copy32,
    fill64,
    load1,
    load2,
    load8,
    pick32,
    repeat32,
    store8,
)

#: Room that both buffers need behind the bytes that are used, bytes.
SLACK: Final = 64

#: What :func:`decode_block` returns for a block that cannot be decoded.
MALFORMED: Final = -1

#: With a period of 1 to 31 bytes (a row each) the bytes that 32 in a row are equal to, and how many
#: of the 32 end with a whole period. The first row is for what has no such period.
_ORDER: Final = np.array([[at % (n or 32) for at in range(32)] for n in range(32)], np.uint8)
_WHOLE: Final = np.array([0] + [32 // n * n for n in range(1, 32)], np.uint64)

#: Bytes that are copied at once; longer matches and literals are rare.
_LONG: Final = np.uint64(32)

#: What repeats the lowest 1 to 7 bytes of a word all over it, and how many bytes are then right.
_REPEAT: Final = np.array(
    [0] + [sum(1 << 8 * at for at in range(0, 8 - n + 1, n)) for n in range(1, 8)], np.uint64
)
_FILLED: Final = np.array([0] + [8 // n * n for n in range(1, 8)], np.uint64)


@kernel
def decode_block(
    here: np.uint64, end: np.uint64, result: np.uint64, result_end: np.uint64, row: np.uint64
) -> int:
    """Decode a block.

    If it consists of rows of the same length, those at its end need not be written that are all
    the same.

    Parameters
    ----------
    here, end
        Address of the block, and the one behind it.
    result, result_end
        Address of the result, and the one behind the room for it.
    row
        Length of a row, bytes: the result is then as long as the room, a whole number of rows;
        0 for other blocks, and to have everything written.

    Returns
    -------
    Number of bytes that were written: whole rows, and further ones are equal to the last of
    these. ``MALFORMED`` for a block that is damaged or that gives something else.
    """
    at = result
    while here < end:
        token = load1(here)
        here += np.uint64(1)
        n_literals = token >> np.uint64(4)
        if n_literals == np.uint64(15):
            here, n_literals = _long_length(here, end, n_literals)
        if n_literals > end - here or n_literals > result_end - at:
            return MALFORMED
        copy32(at, here)
        done = _LONG
        while done < n_literals:
            copy32(at + done, here + done)
            done += _LONG
        here += n_literals
        at += n_literals
        if here == end:  # the last sequence has no match
            is_short = row != 0 and at != result_end
            return MALFORMED if is_short else int(np.int64(at - result))
        if end - here < np.uint64(2):
            return MALFORMED
        offset, more = load2(here), load1(here + np.uint64(2))
        here += np.uint64(2)
        # One byte more is as common as none: the processor need not guess.
        n_match = token & np.uint64(15)
        has_more = (n_match + np.uint64(1)) >> np.uint64(4)
        more &= np.uint64(0) - has_more
        here += has_more
        n_match += more + np.uint64(4)
        if more == np.uint64(255):
            here, n_match = _long_length(here, end, n_match)
        if offset == np.uint64(0) or offset > at - result or n_match > result_end - at:
            return MALFORMED
        if here >= end:
            return MALFORMED
        if (
            n_match > _LONG
            and row != 0
            and n_match >= row + row
            and row % offset == 0
            and _goes_on(here, end, at + n_match, result_end, at - offset, offset)
        ):
            # The first whole row of what repeats is the last one that is needed.
            first = (at - offset - result + row - np.uint64(1)) // row
            n_bytes = (first + np.uint64(1)) * row
            _repeat(at, offset, n_bytes - (at - result))
            return int(np.int64(n_bytes))
        _repeat(at, offset, n_match)
        at += n_match
    return MALFORMED


@kernel
def _goes_on(
    here: np.uint64,
    end: np.uint64,
    at: np.uint64,
    result_end: np.uint64,
    start: np.uint64,
    period: np.uint64,
) -> bool:
    """Return whether the last sequence comes now, and only goes on with what repeats.

    Parameters
    ----------
    at
        The address where it would be written.
    start, period
        The bytes before ``at`` repeat with a period, of which ``start`` is the first address.
    """
    n_literals = result_end - at
    if n_literals >= np.uint64(15) or end - here != n_literals + np.uint64(1):
        return False
    if load1(here) >> np.uint64(4) != n_literals:
        return False
    place = (at - start) % period
    for number in range(n_literals):
        if load1(here + np.uint64(number + 1)) != load1(start + place):
            return False
        place = place + np.uint64(1) if place + np.uint64(1) < period else np.uint64(0)
    return True


@kernel
def _long_length(here: np.uint64, end: np.uint64, length: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Return the address behind the further bytes of a length, and the length.

    A length without an end is longer than any buffer.
    """
    while here < end:
        more = load1(here)
        here += np.uint64(1)
        length += more
        if more != np.uint64(255):
            return here, length
    return here, np.uint64(1 << 62)


@kernel
def _repeat(at: np.uint64, offset: np.uint64, length: np.uint64) -> None:
    """Copy ``length`` bytes from ``offset`` before an address to it: the copy may eat its tail."""
    if HAS_PERMUTE:
        repeat_by_vectors(at, offset, length)
    else:
        repeat_by_words(at, offset, length)


@kernel
def repeat_by_vectors(at: np.uint64, offset: np.uint64, length: np.uint64) -> None:
    """Do it with as few guesses of the processor as possible: most lengths are up to 32 bytes."""
    row = offset if offset < _LONG else np.uint64(0)
    origin = at - offset
    order = np.uint64(_ORDER.ctypes.data) + row * _LONG
    if length <= _LONG:
        pick32(at, origin, order)
    elif row != 0:
        repeat32(at, origin, order, _WHOLE[row], length)
    else:
        done = np.uint64(0)
        while done < length:
            copy32(at + done, origin + done)
            done += _LONG


@kernel
def repeat_by_words(at: np.uint64, offset: np.uint64, length: np.uint64) -> None:
    """Do it with what every machine has.

    What was just written is read again as rarely as possible: reading it with other bounds than
    it was written with stalls the processor.
    """
    done = np.uint64(0)
    origin = at - offset
    if offset >= np.uint64(16):
        copy16(at, origin)
        copy16(at + np.uint64(16), origin + np.uint64(16))
        done = np.uint64(32)
        while done < length:
            copy16(at + done, origin + done)
            done += np.uint64(16)
    elif offset >= np.uint64(8):
        head, tail = load8(origin), load8(at - np.uint64(8))
        while done < length:
            store8(at + done, head)
            done += offset
            store8(at + done - np.uint64(8), tail)
    else:
        # The bytes to repeat, as often as they fit into a word.
        shift = np.uint64(64) - (offset << np.uint64(3))
        word = (load8(origin) << shift >> shift) * _REPEAT[offset]
        if offset & (offset - np.uint64(1)) == 0:  # 1, 2 and 4 fill it
            while done < length:
                fill64(at + done, word)
                done += np.uint64(64)
        else:
            while done < length:
                store8(at + done, word)
                done += _FILLED[offset]
