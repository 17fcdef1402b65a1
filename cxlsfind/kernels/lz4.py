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
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel
from cxlsfind.kernels._memory import copy16, fill64, load1, load2, load8, store8

#: Room that both buffers need behind the bytes that are used, bytes.
SLACK: Final = 64

#: What :func:`decode_block` returns for a block that cannot be decoded.
MALFORMED: Final = -1

#: What repeats the lowest 1 to 7 bytes of a word all over it, and how many bytes are then right.
_REPEAT: Final = np.array(
    [0] + [sum(1 << 8 * at for at in range(0, 8 - n + 1, n)) for n in range(1, 8)], np.uint64
)
_FILLED: Final = np.array([0] + [8 // n * n for n in range(1, 8)], np.uint64)


@kernel
def decode_block(
    source: npt.NDArray[np.uint8], start: int, length: int, target: npt.NDArray[np.uint8], size: int
) -> int:
    """Decode a block.

    Parameters
    ----------
    source, start, length
        The block is ``source[start : start + length]``.
    target, size
        Result, at the beginning of ``target``: up to ``size`` bytes.

    Returns
    -------
    Number of bytes of the result; ``MALFORMED`` for a block that is damaged or longer than
    ``size``, and where a buffer lacks room.
    """
    if start < 0 or length < 0 or size < 0:
        return MALFORMED
    if start + length + SLACK > source.size or size + SLACK > target.size:
        return MALFORMED
    first = np.uint64(source.ctypes.data) + np.uint64(start)
    result = np.uint64(target.ctypes.data)
    return _decode(first, first + np.uint64(length), result, result + np.uint64(size))


@kernel
def _decode(here: np.uint64, end: np.uint64, result: np.uint64, result_end: np.uint64) -> int:
    """Decode the bytes at the addresses from ``here`` to ``end``."""
    at = result
    while here < end:
        token = load1(here)
        here += np.uint64(1)
        n_literals = token >> np.uint64(4)
        if n_literals == np.uint64(15):
            here, n_literals = _long_length(here, end, n_literals)
        if n_literals > end - here or n_literals > result_end - at:
            return MALFORMED
        copy16(at, here)
        done = np.uint64(16)
        while done < n_literals:
            copy16(at + done, here + done)
            done += np.uint64(16)
        here += n_literals
        at += n_literals
        if here == end:  # the last sequence has no match
            return int(np.int64(at - result))
        if end - here < np.uint64(2):
            return MALFORMED
        offset = load2(here)
        here += np.uint64(2)
        n_match = token & np.uint64(15)
        if n_match == np.uint64(15):
            here, n_match = _long_length(here, end, n_match)
        n_match += np.uint64(4)
        if offset == np.uint64(0) or offset > at - result or n_match > result_end - at:
            return MALFORMED
        _repeat(at, offset, n_match)
        at += n_match
    return MALFORMED


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
    """Copy ``length`` bytes from ``offset`` before an address to it: the copy may eat its tail.

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
