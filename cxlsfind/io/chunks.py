"""Which frames of a dataset were written at all, how many bytes each takes in the file, and where.

HDF5 reads chunks that were never written as zeros, without an error: an interrupted run looks
like blank frames. Only the chunk index tells the two apart.

Chunks that hold one frame each, packed by bitshuffle and LZ4, need not go through HDF5 at all:
the index says where their bytes are.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from math import ceil, prod
from pathlib import Path
from typing import Final

import h5py
import numpy as np
import numpy.typing as npt

_SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"

_BITSHUFFLE: Final = 32008
_WITH_LZ4: Final = 2


@dataclass(frozen=True, slots=True, eq=False)
class ChunkPlaces:
    """Where the chunks of a dataset are in its file, one per plane; packed by bitshuffle and LZ4.

    Parameters
    ----------
    start
        First byte in the file; -1 for chunks that were stored in another way, or not at all; int64.
    n_bytes
        Length; int64.
    """

    start: npt.NDArray[np.int64]
    n_bytes: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class PlaneStorage:
    """The two-dimensional planes of a dataset as they lie in the file.

    Parameters
    ----------
    index_shape
        Sizes of the dimensions that number the planes; the arrays below are flat, in C order.
    n_bytes
        Bytes each plane takes in the file; of chunks that hold several planes, its share; int64.
    n_written
        Number of its chunks that were written; int64. Contiguous datasets count as one chunk.
    n_chunks
        Number of chunks of a complete plane.
    places
        Where the packed planes are; ``None`` where they are stored in another way.
    """

    index_shape: tuple[int, ...]
    n_bytes: npt.NDArray[np.int64]
    n_written: npt.NDArray[np.int64]
    n_chunks: int
    places: ChunkPlaces | None = None


def plane_storage(dataset: h5py.Dataset, pixel_dims: tuple[int, int]) -> PlaneStorage:
    """Index the storage of a dataset that is not virtual.

    Parameters
    ----------
    pixel_dims
        The numbers of the dimensions that are ss and fs; all others number planes.
    """
    shape = dataset.shape
    index_dims = [d for d in range(dataset.ndim) if d not in pixel_dims]
    index_shape = tuple(shape[d] for d in index_dims)
    n_planes = prod(index_shape)
    if dataset.chunks is None:
        n_written = np.full(n_planes, int(_is_allocated(dataset)), np.int64)
        size = shape[pixel_dims[0]] * shape[pixel_dims[1]] * dataset.dtype.itemsize
        return PlaneStorage(index_shape, n_written * size, n_written, 1)

    table = _chunk_table(dataset)
    inside = tuple(dataset.chunks[d] for d in index_dims)
    share = table.n_bytes // prod(inside)
    n_bytes = np.zeros(n_planes, np.int64)
    n_written = np.zeros(n_planes, np.int64)
    for step in np.ndindex(*inside):
        index = table.offset[:, index_dims] + np.asarray(step, np.int64)
        # Chunks at the far edge may reach beyond the dataset.
        real = np.all(index < np.asarray(index_shape, np.int64), axis=1)
        plane = flat_index(index[real], index_shape)
        np.add.at(n_bytes, plane, share[real])
        np.add.at(n_written, plane, 1)
    n_chunks = prod(ceil(shape[d] / dataset.chunks[d]) for d in pixel_dims)
    places = None
    if prod(inside) == 1 and _is_packed_whole(dataset, pixel_dims):
        shift = _find_shift(dataset, table)
        if shift is not None:
            start = np.full(n_planes, -1, np.int64)
            start[plane] = np.where(table.filter_mask == 0, table.start + shift, -1)[real]
            places = ChunkPlaces(start, n_bytes)
    return PlaneStorage(index_shape, n_bytes, n_written, n_chunks, places)


def flat_index(index: npt.NDArray[np.int64], shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Return the flat C-order numbers of indices of shape (n, dimensions)."""
    flat = np.zeros(len(index), np.int64)
    for column, size in enumerate(shape):
        flat = flat * size + index[:, column]
    return flat


@dataclass(frozen=True, slots=True, eq=False)
class _ChunkTable:
    """All written chunks: offset in the dataset, shape (chunks, dimensions), and storage."""

    offset: npt.NDArray[np.int64]
    n_bytes: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    filter_mask: npt.NDArray[np.int64]


def _chunk_table(dataset: h5py.Dataset) -> _ChunkTable:
    offsets, storage = array("q"), array("q")

    def note(chunk: h5py.h5d.StoreInfo) -> None:
        offsets.extend(chunk.chunk_offset)
        storage.extend((chunk.size, chunk.byte_offset, chunk.filter_mask))

    # One pass over the index; asking chunk by chunk is quadratic.
    dataset.id.chunk_iter(note)
    columns = np.array(storage, np.int64).reshape(-1, 3).T
    return _ChunkTable(np.array(offsets, np.int64).reshape(-1, dataset.ndim), *columns)


def _is_packed_whole(dataset: h5py.Dataset, pixel_dims: tuple[int, int]) -> bool:
    """Return whether chunks are whole planes of integers, row by row, under the one filter."""
    dtype, plist = dataset.dtype, dataset.id.get_create_plist()
    if dtype.kind not in "iu" or dtype.itemsize > 4 or dtype.newbyteorder("<") != dtype:
        return False
    if pixel_dims[0] > pixel_dims[1] or plist.get_nfilters() != 1:
        return False
    if any(dataset.chunks[d] != dataset.shape[d] for d in pixel_dims):
        return False
    # The filter's parameters: version (2 numbers), bytes per element, block size, codec.
    code, _, values, _ = plist.get_filter(0)
    is_lz4 = len(values) > 4 and values[4] == _WITH_LZ4
    return bool(code == _BITSHUFFLE and is_lz4 and values[2] == dtype.itemsize)


def _find_shift(dataset: h5py.Dataset, table: _ChunkTable) -> int | None:
    """Return what to add to the starts that HDF5 gives to have positions in the file.

    It is nothing, but for files with something before their HDF5 part: versions of the library
    do not agree on where the starts are counted from, so that the first chunk is looked for.

    Returns
    -------
    ``None`` where that chunk is not found.
    """
    if not len(table.start):
        return 0
    with Path(dataset.file.filename).open("rb") as file:
        if file.read(len(_SIGNATURE)) == _SIGNATURE:
            return 0
        _, chunk = dataset.id.read_direct_chunk(tuple(table.offset[0].tolist()))
        for shift in (0, int(dataset.file.userblock_size)):
            file.seek(int(table.start[0]) + shift)
            if file.read(len(chunk)) == chunk:
                return shift
    return None


def _is_allocated(dataset: h5py.Dataset) -> bool:
    if dataset.id.get_create_plist().get_layout() == h5py.h5d.COMPACT:
        return True
    return dataset.id.get_offset() is not None or bool(dataset.external)
