"""Check compressed chunks before the HDF5 library decodes them.

The filters that detectors use trust the sizes inside a chunk, and a chunk with wrong ones (bit
rot, a copy cut short) makes them write beyond their buffers: the process dies. All sizes are
therefore checked here first; what is wrong with the bytes in between the filters notice
themselves.

Formats of the chunks: bitshuffle (filter 32008) and LZ4 (32004) store the number of bytes (8 bytes,
big endian) and the block size (4), then for each block its compressed size (4) and the block;
Blosc (32001) has a head of 16 bytes; Zstandard (32015) stores frames according to RFC 8878.
"""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Final

import h5py

_SHUFFLE: Final = 2
_FLETCHER32: Final = 3
_BLOSC: Final = 32001
_LZ4: Final = 32004
_BITSHUFFLE: Final = 32008
_ZSTD: Final = 32015

_SIZES_BYTES: Final = 12
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
#: Small frames are one block whose size is that of large ones.
_MIN_BLOCK_LIMIT: Final = 1 << 20

Span = tuple[int, int]


class ChunkError(ValueError):
    """A chunk contradicts itself; the message says how."""


class ChunkCheck:
    """Checks the chunks of one dataset.

    Parameters
    ----------
    dataset
        A chunked dataset. It is not kept.
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        plist = dataset.id.get_create_plist()
        self._filters = [plist.get_filter(k)[:3:2] for k in range(plist.get_nfilters())]
        self._chunk: tuple[int, ...] = dataset.chunks
        self._n_bytes = prod(dataset.chunks) * dataset.dtype.itemsize
        self._item_bytes: int = dataset.dtype.itemsize

    def check(self, dataset: h5py.Dataset, spans: tuple[Span, ...]) -> None:
        """Check all chunks that hold a part of a selection.

        Parameters
        ----------
        spans
            First and last index of the selection in every dimension.

        Raises
        ------
        ChunkError
            A chunk cannot be decoded.
        OSError, RuntimeError
            A chunk cannot be read.
        """
        if not self._filters:
            return
        starts = (
            range(first // size * size, last + 1, size)
            for (first, last), size in zip(spans, self._chunk, strict=True)
        )
        for offset in product(*starts):
            filter_mask, data = dataset.id.read_direct_chunk(offset)
            self._check_chunk(data, filter_mask)

    def _check_chunk(self, data: bytes, filter_mask: int) -> None:
        # The filter that was applied last is the one that sees the stored bytes.
        active = [f for k, f in enumerate(self._filters) if not filter_mask >> k & 1]
        codes = [code for code, _ in active]
        if _FLETCHER32 in codes:
            return  # the checksum is verified before anything else
        # Before it, the chunk has its full size unless other filters had changed that.
        if any(code not in (_SHUFFLE, _BITSHUFFLE) for code in codes[:-1]):
            return
        if not codes or codes[-1] == _SHUFFLE:
            if len(data) != self._n_bytes:
                raise ChunkError(f"the chunk has {len(data)} bytes instead of {self._n_bytes}")
        elif codes[-1] == _BITSHUFFLE:
            self._check_bitshuffle(data, active[-1][1])
        elif codes[-1] == _LZ4:
            _check_blocks(data, self._n_bytes, 1, 0)
        elif codes[-1] == _BLOSC:
            _check_blosc(data, self._n_bytes)
        elif codes[-1] == _ZSTD:
            _check_zstd(data, self._n_bytes)

    def _check_bitshuffle(self, data: bytes, values: tuple[int, ...]) -> None:
        # The filter's parameters: version (2 numbers), bytes per element, block size, codec.
        if values[2:3] != (self._item_bytes,):
            raise ChunkError(f"the bitshuffle filter has impossible parameters {values}")
        if len(values) < 5 or values[4] == 0:
            if len(data) != self._n_bytes:
                raise ChunkError(f"the chunk has {len(data)} bytes instead of {self._n_bytes}")
            return
        check_bitshuffle(data, self._n_bytes, self._item_bytes)


def check_bitshuffle(data: bytes, n_bytes: int, item_bytes: int) -> None:
    """Check the sizes in a compressed chunk of bitshuffle.

    Parameters
    ----------
    n_bytes, item_bytes
        Bytes that the chunk holds when decompressed, and those of each element.

    Raises
    ------
    ChunkError
        They contradict each other.
    """
    # Groups of eight elements are compressed; the elements left over follow as they are.
    _check_blocks(data, n_bytes, 8 * item_bytes, n_bytes // item_bytes % 8 * item_bytes)


def _check_blocks(data: bytes, n_bytes: int, multiple: int, n_left: int) -> None:
    """Check the sizes of blocks; ``n_left`` bytes follow the last one."""
    if len(data) < _SIZES_BYTES:
        raise ChunkError(f"the chunk has only {len(data)} bytes")
    claimed = int.from_bytes(data[:8])
    block = int.from_bytes(data[8:12])
    if claimed != n_bytes:
        raise ChunkError(f"the chunk claims to hold {claimed} bytes instead of {n_bytes}")
    if not 0 < block <= max(n_bytes, _MIN_BLOCK_LIMIT) or block % multiple:
        raise ChunkError(f"the chunk claims to have blocks of {block} bytes")
    at = _SIZES_BYTES
    end = len(data) - n_left
    for _ in range(-(-(n_bytes - n_left) // block)):
        at += 4 + int.from_bytes(data[at : at + 4])
        if at > end:
            break
    if at != end:
        raise ChunkError("the sizes of the compressed blocks do not add up")


def _check_blosc(data: bytes, n_bytes: int) -> None:
    """Check the head of a Blosc buffer: bytes 4 to 15 are content, block and buffer size."""
    claimed, block, length = (int.from_bytes(data[at : at + 4], "little") for at in (4, 8, 12))
    if claimed != n_bytes or length != len(data) or not 0 < block <= n_bytes:
        raise ChunkError(
            f"the chunk claims to hold {claimed} bytes instead of {n_bytes}, in {length} instead "
            f"of {len(data)}, in blocks of {block}"
        )


def _check_zstd(data: bytes, n_bytes: int) -> None:
    """Check the head of a Zstandard frame, where it says how long the content is."""
    if data[:4] != _ZSTD_MAGIC or len(data) < 14:
        raise ChunkError("the chunk does not begin like a Zstandard frame")
    descriptor = data[4]
    is_single_segment = descriptor >> 5 & 1
    size_bytes = (is_single_segment, 2, 4, 8)[descriptor >> 6]
    dictionary_bytes = (0, 1, 2, 4)[descriptor & 3]
    at = 5 + (not is_single_segment) + dictionary_bytes
    claimed = int.from_bytes(data[at : at + size_bytes], "little")
    claimed += 256 if size_bytes == 2 else 0
    if claimed != n_bytes:
        raise ChunkError(f"the chunk claims to hold {claimed} bytes instead of {n_bytes}")
