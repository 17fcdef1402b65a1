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


def compress(data):
    """Return a block that repeats what came before where it can, as simple as that goes."""
    seen, sequences, start, at = {}, [], 0, 0
    while at + 12 < len(data):
        key = data[at : at + 4]
        known = seen.get(key)
        seen[key] = at
        if known is None or at - known > 65535:
            at += 1
            continue
        length = 4
        while at + length < len(data) - 5 and data[known + length] == data[at + length]:
            length += 1
        sequences.append((data[start:at], at - known, length))
        at += length
        start = at
    return encode(sequences, data[start:])


def pack(values, block_elements, packed=False):
    """Return the chunk of bitshuffle and LZ4 of an array.

    ``block_elements`` is a multiple of eight; unless ``packed``, blocks are nothing but literals.
    """
    octets = values.astype(values.dtype.newbyteorder("<")).view(np.uint8).reshape(len(values), -1)
    item = octets.shape[1]
    n_grouped = len(values) // 8 * 8
    chunk = (len(values) * item).to_bytes(8) + (block_elements * item).to_bytes(4)
    for start in range(0, n_grouped, block_elements):
        block = octets[start : min(start + block_elements, n_grouped)]
        bits = np.unpackbits(block, axis=1, bitorder="little")
        planes = b"".join(np.packbits(plane, bitorder="little").tobytes() for plane in bits.T)
        block = compress(planes) if packed else encode([], planes)
        chunk += len(block).to_bytes(4) + block
    return chunk + octets[n_grouped:].tobytes()


def unpack(chunk, number, dtype):
    """Return the array of a chunk; None where it is malformed."""
    item, n_grouped = dtype.itemsize, number // 8 * 8
    size = int.from_bytes(chunk[8:12])
    if len(chunk) < 12 or int.from_bytes(chunk[:8]) != number * item:
        return None
    if size == 0 or size % (8 * item) or size > max(number * item, 1 << 20):
        return None
    rows, at = [], 12
    for start in range(0, n_grouped * item, size):
        wanted = min(size, n_grouped * item - start)
        length = int.from_bytes(chunk[at : at + 4])
        block = chunk[at + 4 : at + 4 + length]
        at += 4 + length
        planes = decode(block, wanted) if at <= len(chunk) else None
        if planes is None or len(planes) != wanted:
            return None
        shape = 8 * item, wanted // item // 8
        planes = np.frombuffer(planes, np.uint8).reshape(shape)
        bits = np.unpackbits(planes, axis=1, bitorder="little").T
        rows.append(np.packbits(bits, axis=1, bitorder="little"))
    rest = chunk[at:]
    if len(rest) != (number - n_grouped) * item:
        return None
    data = b"".join(row.tobytes() for row in rows) + rest
    return np.frombuffer(data, dtype.newbyteorder("<"))
