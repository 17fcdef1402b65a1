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
from cxlsfind.kernels._memory import and_octets, fill64, load8, mask_octet, or_octets
from cxlsfind.kernels.bits import lowest_one
from cxlsfind.kernels.lz4 import SLACK, decode_block
from cxlsfind.kernels.plane_pack import Target, list_negative, settle_full
from cxlsfind.kernels.planes import Words

#: Bytes before the first block.
HEAD_BYTES: Final = 12
#: Small chunks may claim blocks up to this size, bytes.
LARGEST_BLOCK: Final = 1 << 20

_NOTHING: Final = np.uint64(0)
_ONE: Final = np.uint64(1)


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
        Of every word, the pixels that are not just copied.
    found, counts
        Pixels with all bits set, and their counts.
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
    usable, planes, special
        Addresses of the words of :class:`Target` and :class:`_Workspace`.
    n_planes, stride
        Number of the frame's planes, and how far they are from each other, bytes.
    """

    usable: np.uint64
    planes: np.uint64
    special: np.uint64
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
    largest_block = _big_endian(chunk, 8, 4)
    if _big_endian(chunk, 0, 8) != total or largest_block == 0:
        return False
    if largest_block % (8 * elements.item_bytes) or largest_block > max(total, LARGEST_BLOCK):
        return False
    work = _make_workspace(largest_block, 8 * elements.item_bytes)
    addresses = _Addresses(
        np.uint64(target.usable.ctypes.data),
        np.uint64(target.planes.ctypes.data),
        np.uint64(work.special.ctypes.data),
        np.uint64(target.planes.shape[0]),
        np.uint64(8 * target.planes.shape[1]),
    )
    at, end = HEAD_BYTES, n_bytes - rest
    for start in range(0, total - rest, largest_block):
        size = min(largest_block, total - rest - start)
        if end - at < 4:
            return False
        length = _big_endian(chunk, at, 4)
        at += 4 + length
        if at > end or decode_block(chunk, at - length, length, work.scratch, size) != size:
            return False
        block = _lay_out(size, start // elements.item_bytes, elements, work)
        n_done, is_special = _settle_octets(block, addresses)
        is_done = n_done == block.n_words and not is_special
        if not is_done and not _settle_words(block, n_done, target, work):
            return True
    if at != end:
        return False
    if rest:
        n_done = int(np.int64(0))  # a literal would have the kernel compiled twice
        _settle_words(_lay_out_rest(chunk, end, elements, work), n_done, target, work)
    return True


@kernel
def _big_endian(chunk: npt.NDArray[np.uint8], start: int, n_bytes: int) -> int:
    number = np.int64(0)
    for at in range(start, start + n_bytes):
        number = number << 8 | np.int64(chunk[at])
    return int(number)


@kernel
def _make_workspace(block_bytes: int, n_bits: int) -> _Workspace:
    # A plane that begins inside a word may touch one word more than it fills.
    width = block_bytes // (8 * n_bits) + 2
    return _Workspace(
        np.zeros(block_bytes + SLACK, np.uint8),
        np.zeros(n_bits * width, np.uint64),
        np.zeros(width, np.uint64),
        np.zeros(64 * width, np.int32),
        np.zeros(64 * width, np.uint32),
    )


@kernel
def _lay_out(size: int, first_pixel: int, elements: Elements, work: _Workspace) -> _Block:
    """Return the planes of a decoded block of ``size`` bytes, in step with the words."""
    n_bits = 8 * elements.item_bytes
    plane_bytes = size // n_bits
    shift = first_pixel % 64 // 8
    address, stride = np.uint64(work.scratch.ctypes.data), plane_bytes
    if plane_bytes % 8 or shift:
        stride = (shift + plane_bytes + 7) // 8 * 8
        work.aligned[: n_bits * stride // 8] = 0
        octets = work.aligned.view(np.uint8)
        for plane in range(n_bits):
            for at in range(plane_bytes):
                octets[plane * stride + shift + at] = work.scratch[plane * plane_bytes + at]
        address = np.uint64(work.aligned.ctypes.data)
    return _Block(
        address,
        np.uint64(stride),
        stride // 8,
        n_bits,
        elements.is_signed,
        first_pixel // 64,
        8 * shift,
    )


@kernel
def _lay_out_rest(
    chunk: npt.NDArray[np.uint8], start: int, elements: Elements, work: _Workspace
) -> _Block:
    """Return the planes of the last elements, fewer than eight and stored as they are."""
    n_bits = 8 * elements.item_bytes
    first_pixel = elements.number // 8 * 8
    work.aligned[:n_bits] = 0
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
        elements.is_signed,
        first_pixel // 64,
        first_pixel % 64,
    )


@kernel
def _settle_octets(block: _Block, frame: _Addresses) -> tuple[int, bool]:
    """Mask the lowest planes of a block, eight words at once, and copy them to the frame.

    Pixels with bits in other planes (a sign is one), or with all bits set, are marked as special.

    Returns
    -------
    Number of words that are done; whether there are special pixels.
    """
    if block.kept_bits:
        return 0, False
    n_octets = block.n_words // 8
    some = _NOTHING
    for octet in range(n_octets):
        step = np.uint64(64 * octet)
        place = np.uint64(8 * block.first_word) + step
        here, mask, special = block.address + step, frame.usable + place, frame.special + step
        for plane in range(frame.n_planes):
            result = frame.planes + place + plane * frame.stride
            mask_octet(here + plane * block.stride, mask, result)
        fill64(special, _NOTHING)
        and_octets(here, block.stride, frame.n_planes, mask, special)
        n_others = np.uint64(block.n_bits) - frame.n_planes
        others = here + frame.n_planes * block.stride
        some |= or_octets(others, block.stride, n_others, mask, special)
    return 8 * n_octets, some != 0


@kernel
def _settle_words(block: _Block, n_done: int, target: Target, work: _Workspace) -> bool:
    """Settle, word by word, what is special among the first words of a block, and the rest.

    Returns
    -------
    Whether there was room in the lists.
    """
    usable, special, found, counts = target.usable, work.special, work.found, work.counts
    n_bits = block.n_bits - block.is_signed
    n_found = 0
    for word in range(block.n_words):
        if word < n_done and special[word] == 0:
            continue
        here = block.address + np.uint64(8 * word)
        place = block.first_word + word
        good = usable[place]
        if block.is_signed:
            negative = load8(here + np.uint64(n_bits) * block.stride) & good
            good &= ~negative
            if negative != 0:
                list_negative(negative, 64 * place, target.lists)
        is_shared = word == 0 and block.kept_bits > 0
        full = _merge_word(here, block.stride, n_bits, good, target.planes[:, place], is_shared)
        while full != 0:
            bit = lowest_one(full)
            full &= full - _ONE
            found[n_found] = 64 * place + bit
            counts[n_found] = _gather_bits(here, block.stride, n_bits, np.uint64(bit))
            n_found += 1
    return settle_full(found[:n_found], counts, target)


@kernel
def _merge_word(
    here: np.uint64, stride: np.uint64, n_bits: int, good: np.uint64, result: Words, is_shared: bool
) -> np.uint64:
    """Write a word of all planes to the frame; return its pixels with all bits set."""
    over = _NOTHING
    for plane in range(result.size, n_bits):
        over |= load8(here + np.uint64(plane) * stride)
    over &= good
    full = good
    for plane in range(result.size):
        value = load8(here + np.uint64(plane) * stride) & good | over
        full &= value
        result[plane] = value | result[plane] if is_shared else value
    return full


@kernel
def _gather_bits(here: np.uint64, stride: np.uint64, n_bits: int, bit: np.uint64) -> np.uint64:
    value = _NOTHING
    for plane in range(n_bits):
        step = np.uint64(plane)
        value |= (load8(here + step * stride) >> bit & _ONE) << step
    return value
