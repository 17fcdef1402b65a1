"""Bit planes straight from a compressed chunk, without making the image.

Bitshuffle sorts the bits of a block of elements into planes before LZ4 packs them: a decoded
block *is* bit planes, plane ``k`` with bit ``k`` of every element. All that is left to do is to
mask them and to put them in their place.

A chunk (https://github.com/kiyo-masui/bitshuffle): number of bytes (8 bytes, big endian) and block
size (4); for each block its compressed size (4) and an LZ4 block; then, as they are, elements that
do not fill a group of eight.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel
from cxlsfind.kernels._memory import load1, load8, settle_octet, store4, store8
from cxlsfind.kernels.bits import lowest_one
from cxlsfind.kernels.lz4 import MALFORMED, SLACK, decode_block
from cxlsfind.kernels.plane_pack import PixelLists, Target, list_negative, settle_full
from cxlsfind.kernels.planes import Words

#: Bytes before the first block.
HEAD_BYTES: Final = 12
#: Small chunks may claim blocks up to this size, bytes.
LARGEST_BLOCK: Final = 1 << 20

_NOTHING: Final = np.uint64(0)
_ONE: Final = np.uint64(1)
_EIGHT: Final = np.uint64(0xFF)


class Elements(NamedTuple):
    """What is in a chunk.

    Parameters
    ----------
    number
        Number of elements.
    item_bytes
        Bytes of each: 1, 2 or 4.
    is_signed
        Whether the highest bit is a sign.
    """

    number: int
    item_bytes: int
    is_signed: bool


class _Workspace(NamedTuple):
    """Memory for one block.

    Parameters
    ----------
    scratch
        The block as it was decoded, bytes.
    aligned
        Its planes, moved so that they are in step with the words of the frame.
    special
        Of every eight words, a bit for each with pixels that are not just copied.
    found, counts
        Pixels with all bits set, and their counts; for twice as many pixels as a block has.
    """

    scratch: npt.NDArray[np.uint8]
    aligned: Words
    special: Words
    found: npt.NDArray[np.int32]
    counts: npt.NDArray[np.uint32]


class _Addresses(NamedTuple):
    """Where the eight-word code finds what belongs to a frame; uint64.

    Parameters
    ----------
    usable, planes, special, found, counts
        Addresses of what :class:`Target` and :class:`_Workspace` hold.
    n_planes, stride
        Number of the frame's planes, and how far they are from each other, bytes.
    """

    usable: np.uint64
    planes: np.uint64
    special: np.uint64
    found: np.uint64
    counts: np.uint64
    n_planes: np.uint64
    stride: np.uint64


class _Block(NamedTuple):
    """The planes of a block in memory.

    Parameters
    ----------
    address, stride
        Where the first plane is, and how far it is to the next; uint64, bytes.
    n_words, n_bits
        Size of the planes, and their number.
    n_rows
        Number of planes in memory, at least one; further ones are equal to the last of these.
    is_signed
        Whether the last plane holds signs.
    first_word, kept_bits
        Where in the frame they belong; how many bits of that word belong to the block before.
        The same bits of the block are zero.
    """

    address: np.uint64
    stride: np.uint64
    n_words: int
    n_bits: int
    n_rows: int
    is_signed: bool
    first_word: int
    kept_bits: int


@kernel
def decode_planes(
    chunk: npt.NDArray[np.uint8], n_bytes: int, elements: Elements, target: Target
) -> bool:
    """Make planes of a chunk of bitshuffle and LZ4.

    Parameters
    ----------
    chunk, n_bytes
        The chunk is ``chunk[:n_bytes]``; behind it there is room for ``SLACK`` bytes.

    Returns
    -------
    Whether the chunk is in order; otherwise the result is of no use.
    """
    if n_bytes < HEAD_BYTES or n_bytes + SLACK > chunk.size:
        return False
    total = elements.number * elements.item_bytes
    rest = elements.number % 8 * elements.item_bytes
    # Addresses from here on: an array that is handed over has its references counted.
    first = np.uint64(chunk.ctypes.data)
    largest_block = _big_endian(first + np.uint64(8), 4)
    if _big_endian(first, 8) != total or largest_block == 0:
        return False
    if largest_block % (8 * elements.item_bytes) or largest_block > max(total, LARGEST_BLOCK):
        return False
    work = _make_workspace(largest_block, 8 * elements.item_bytes)
    frame = _Addresses(
        np.uint64(target.usable.ctypes.data),
        np.uint64(target.planes.ctypes.data),
        np.uint64(work.special.ctypes.data),
        np.uint64(work.found.ctypes.data),
        np.uint64(work.counts.ctypes.data),
        np.uint64(target.planes.shape[0]),
        np.uint64(8 * target.planes.shape[1]),
    )
    scratch = np.uint64(work.scratch.ctypes.data)
    at, end = HEAD_BYTES, n_bytes - rest
    n_found, room = 0, work.found.size >> 1
    for start in range(0, total - rest, largest_block):
        size = min(largest_block, total - rest - start)
        if end - at < 4:
            return False
        length = _big_endian(first + np.uint64(at), 4)
        at += 4 + length
        if at > end:
            return False
        row = size // (8 * elements.item_bytes)
        behind = first + np.uint64(at)
        n_decoded = decode_block(
            behind - np.uint64(length), behind, scratch, scratch + np.uint64(size), np.uint64(row)
        )
        if n_decoded == MALFORMED:
            return False
        block = _lay_out(row, n_decoded // row, start // elements.item_bytes, elements, scratch)
        if block.stride != np.uint64(row):
            block = _shift_rows(block, row, work)
        if _settle_octets(block, frame):
            if elements.is_signed:
                _list_negatives(block, frame, target.lists)
            n_found = _settle_words(block, frame, n_found)
            if n_found > room:
                if not settle_full(work.found[:n_found], work.counts, target):
                    return True
                n_found = 0
    if at != end:
        return False
    if rest:
        block = _lay_out_rest(chunk, end, elements, work)
        if elements.is_signed:
            _list_negatives(block, frame, target.lists)
        n_found = _settle_words(block, frame, n_found)
    settle_full(work.found[:n_found], work.counts, target)
    return True


@kernel
def _big_endian(address: np.uint64, n_bytes: int) -> int:
    number = _NOTHING
    for at in range(n_bytes):
        number = number << np.uint64(8) | load1(address + np.uint64(at))
    return int(np.int64(number))


@kernel
def _make_workspace(block_bytes: int, n_bits: int) -> _Workspace:
    # A plane that begins inside a word may touch one word more than it fills.
    width = block_bytes // (8 * n_bits) + 2
    scratch = np.zeros(64 + block_bytes + SLACK, np.uint8)
    # Eight words at once are fastest where they do not straddle what the processor fetches.
    start = -scratch.ctypes.data & 63
    return _Workspace(
        scratch[start : start + block_bytes + SLACK],
        np.zeros(n_bits * width, np.uint64),
        np.zeros(width // 8 + 1, np.uint64),
        np.zeros(2 * 64 * width, np.int32),
        np.zeros(2 * 64 * width, np.uint32),
    )


@kernel
def _lay_out(
    row: int, n_rows: int, first_pixel: int, elements: Elements, address: np.uint64
) -> _Block:
    """Return the planes of a block, ``n_rows`` of ``row`` bytes, as they should be in memory."""
    shift = (first_pixel & 63) >> 3
    stride = (shift + row + 7) & ~7
    return _Block(
        address,
        np.uint64(stride),
        stride >> 3,
        8 * elements.item_bytes,
        n_rows,
        elements.is_signed,
        first_pixel >> 6,
        8 * shift,
    )


@kernel
def _shift_rows(block: _Block, row: int, work: _Workspace) -> _Block:
    """Move rows of a block that are not in step with the words to where they are."""
    stride, shift = np.int64(block.stride), block.kept_bits >> 3
    octets = work.aligned.view(np.uint8)
    octets[: block.n_rows * stride] = 0
    for number in range(block.n_rows):
        for at in range(row):
            octets[number * stride + shift + at] = work.scratch[number * row + at]
    return _Block(
        np.uint64(work.aligned.ctypes.data),
        block.stride,
        block.n_words,
        block.n_bits,
        block.n_rows,
        block.is_signed,
        block.first_word,
        block.kept_bits,
    )


@kernel
def _lay_out_rest(
    chunk: npt.NDArray[np.uint8], start: int, elements: Elements, work: _Workspace
) -> _Block:
    """Return the planes of the last elements, fewer than eight and stored as they are."""
    n_bits = 8 * elements.item_bytes
    first_pixel = elements.number // 8 * 8
    work.aligned[:n_bits] = 0
    work.special[0] = 1
    for element in range(elements.number - first_pixel):
        at = start + element * elements.item_bytes
        for bit in range(n_bits):
            value = np.uint64(chunk[at + bit // 8] >> (bit % 8) & 1)
            work.aligned[bit] |= value << np.uint64((first_pixel + element) % 64)
    return _Block(
        np.uint64(work.aligned.ctypes.data),
        np.uint64(8),
        1,
        n_bits,
        n_bits,
        elements.is_signed,
        first_pixel // 64,
        first_pixel % 64,
    )


@kernel
def _settle_octets(block: _Block, frame: _Addresses) -> bool:
    """Mask the lowest planes of a block, eight words at once, and copy them to the frame.

    Words with pixels that have bits in other planes (a sign is one), or all bits set, are marked
    as special, and so are words that are not among eight, or all where the first one is shared.

    Returns
    -------
    Whether there are such words.
    """
    n_rows, n_planes = np.uint64(block.n_rows), frame.n_planes
    # The planes above those of the frame: all of them are among these rows.
    above = n_rows
    if n_planes < np.uint64(block.n_bits):
        above = n_planes if n_planes < n_rows else n_rows - _ONE
    n_whole = 0 if block.kept_bits else block.n_words >> 3
    some = _NOTHING
    for octet in range((block.n_words + 7) >> 3):
        step = np.uint64(64 * octet)
        place = np.uint64(8 * block.first_word) + step
        if octet < n_whole:
            special = settle_octet(
                block.address + step,
                block.stride,
                n_rows,
                n_planes,
                above,
                frame.usable + place,
                frame.planes + place,
                frame.stride,
            )
        else:
            special = _EIGHT >> np.uint64(max(8 * (octet + 1) - block.n_words, 0))
        store8(frame.special + np.uint64(8 * octet), special)
        some |= special
    return bool(some != 0)


@kernel
def _list_negatives(block: _Block, frame: _Addresses, lists: PixelLists) -> None:
    """List the pixels of a block with a negative number: those of special words."""
    sign = block.n_bits - 1
    for octet in range((block.n_words + 7) >> 3):
        special = load8(frame.special + np.uint64(8 * octet))
        while special != 0:
            word = 8 * octet + lowest_one(special)
            special &= special - _ONE
            place = block.first_word + word
            good = load8(frame.usable + np.uint64(8 * place))
            list_negative(_load_word(block, word, sign) & good, 64 * place, lists)


@kernel
def _settle_words(block: _Block, frame: _Addresses, n_found: int) -> int:
    """Settle the special words of a block, one by one; negative numbers count as nothing.

    Parameters
    ----------
    n_found
        Pixels with all bits set so far.

    Returns
    -------
    Their number with those of this block.
    """
    n_bits = block.n_bits - block.is_signed
    for octet in range((block.n_words + 7) >> 3):
        special = load8(frame.special + np.uint64(8 * octet))
        while special != 0:
            word = 8 * octet + lowest_one(special)
            special &= special - _ONE
            place = block.first_word + word
            good = load8(frame.usable + np.uint64(8 * place))
            if block.is_signed:
                good &= ~_load_word(block, word, n_bits)
            full = _merge_word(block, word, n_bits, good, frame)
            while full != 0:
                bit = lowest_one(full)
                full &= full - _ONE
                step = np.uint64(4 * n_found)
                store4(frame.found + step, np.uint64(64 * place + bit))
                count = _gather_bits(block, word, n_bits, np.uint64(bit))
                store4(frame.counts + step, count)
                n_found += 1
    return n_found


@kernel
def _load_word(block: _Block, word: int, plane: int) -> np.uint64:
    row = np.uint64(min(plane, block.n_rows - 1))
    return load8(block.address + row * block.stride + np.uint64(8 * word))


@kernel
def _merge_word(
    block: _Block, word: int, n_bits: int, good: np.uint64, frame: _Addresses
) -> np.uint64:
    """Write a word of all planes to the frame; return its pixels with all bits set."""
    n_planes = int(frame.n_planes)
    over = _NOTHING
    for plane in range(n_planes, n_bits):
        over |= _load_word(block, word, plane)
    over &= good
    full = good
    is_shared = word == 0 and block.kept_bits > 0
    result = frame.planes + np.uint64(8 * (block.first_word + word))
    for plane in range(n_planes):
        value = _load_word(block, word, plane) & good | over
        full &= value
        store8(result, value | load8(result) if is_shared else value)
        result += frame.stride
    return full


@kernel
def _gather_bits(block: _Block, word: int, n_bits: int, bit: np.uint64) -> np.uint64:
    value = _NOTHING
    for plane in range(n_bits):
        value |= (_load_word(block, word, plane) >> bit & _ONE) << np.uint64(plane)
    return value
