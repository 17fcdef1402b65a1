"""LZ4 blocks and bitshuffle chunks written for reading: one byte, one bit at a time."""

import numpy as np


def decode(block, size):
    """Return the bytes of a block; None where it is malformed or gives more than ``size``."""
    result, at = bytearray(), 0
    while at < len(block):
        token = block[at]
        n_literals, at = _length(block, at + 1, token >> 4)
        if n_literals is None or at + n_literals > len(block) or len(result) + n_literals > size:
            return None
        result += block[at : at + n_literals]
        at += n_literals
        if at == len(block):
            return bytes(result)
        if at + 2 > len(block):
            return None
        offset = int.from_bytes(block[at : at + 2], "little")
        n_match, at = _length(block, at + 2, token & 15)
        if n_match is None or not 1 <= offset <= len(result) or len(result) + n_match + 4 > size:
            return None
        for _ in range(n_match + 4):
            result.append(result[-offset])
    return None


def _length(block, at, start):
    length = start
    while start == 15:
        if at == len(block):
            return None, at
        length, at = length + block[at], at + 1
        if block[at - 1] != 255:
            break
    return length, at


def encode(sequences, last):
    """Return a block of sequences (literals, offset, match length) and last literals."""
    block = bytearray()
    for literals, offset, n_match in sequences:
        block.append(min(len(literals), 15) << 4 | min(n_match - 4, 15))
        block += _more(len(literals)) + literals + offset.to_bytes(2, "little")
        block += _more(n_match - 4)
    block.append(min(len(last), 15) << 4)
    return bytes(block + _more(len(last)) + last)


def _more(length):
    if length < 15:
        return b""
    return b"\xff" * ((length - 15) // 255) + bytes([(length - 15) % 255])


def pack(values, block_elements):
    """Return the chunk of bitshuffle and LZ4 of an array, with LZ4 blocks of nothing but literals.

    ``block_elements`` is a multiple of eight.
    """
    octets = values.astype(values.dtype.newbyteorder("<")).view(np.uint8).reshape(len(values), -1)
    item = octets.shape[1]
    n_grouped = len(values) // 8 * 8
    chunk = (len(values) * item).to_bytes(8) + (block_elements * item).to_bytes(4)
    for start in range(0, n_grouped, block_elements):
        block = octets[start : min(start + block_elements, n_grouped)]
        bits = np.unpackbits(block, axis=1, bitorder="little")
        planes = b"".join(np.packbits(plane, bitorder="little").tobytes() for plane in bits.T)
        packed = encode([], planes)
        chunk += len(packed).to_bytes(4) + packed
    return chunk + octets[n_grouped:].tobytes()
