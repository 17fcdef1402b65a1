"""Which frames of a dataset were written at all, and how many bytes each takes in the file.

HDF5 reads chunks that were never written as zeros, without an error: an interrupted run looks
like blank frames. Only the chunk index tells the two apart.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from math import ceil, prod

import h5py
import numpy as np
import numpy.typing as npt


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
    """

    index_shape: tuple[int, ...]
    n_bytes: npt.NDArray[np.int64]
    n_written: npt.NDArray[np.int64]
    n_chunks: int


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

    offsets, sizes = _chunk_table(dataset)
    inside = tuple(dataset.chunks[d] for d in index_dims)
    share = sizes // prod(inside)
    n_bytes = np.zeros(n_planes, np.int64)
    n_written = np.zeros(n_planes, np.int64)
    for step in np.ndindex(*inside):
        index = offsets[:, index_dims] + np.asarray(step, np.int64)
        # Chunks at the far edge may reach beyond the dataset.
        real = np.all(index < np.asarray(index_shape, np.int64), axis=1)
        plane = flat_index(index[real], index_shape)
        np.add.at(n_bytes, plane, share[real])
        np.add.at(n_written, plane, 1)
    n_chunks = prod(ceil(shape[d] / dataset.chunks[d]) for d in pixel_dims)
    return PlaneStorage(index_shape, n_bytes, n_written, n_chunks)


def flat_index(index: npt.NDArray[np.int64], shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Return the flat C-order numbers of indices of shape (n, dimensions)."""
    flat = np.zeros(len(index), np.int64)
    for column, size in enumerate(shape):
        flat = flat * size + index[:, column]
    return flat


def _chunk_table(
    dataset: h5py.Dataset,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return offsets, shape (chunks, dimensions), and sizes in bytes of all written chunks."""
    offsets, sizes = array("q"), array("q")

    def note(chunk: h5py.h5d.StoreInfo) -> None:
        offsets.extend(chunk.chunk_offset)
        sizes.append(chunk.size)

    # One pass over the index; asking chunk by chunk is quadratic.
    dataset.id.chunk_iter(note)
    table = np.array(offsets, np.int64).reshape(-1, dataset.ndim)
    return table, np.array(sizes, np.int64)


def _is_allocated(dataset: h5py.Dataset) -> bool:
    if dataset.id.get_create_plist().get_layout() == h5py.h5d.COMPACT:
        return True
    return dataset.id.get_offset() is not None or bool(dataset.external)
