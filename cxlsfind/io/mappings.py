"""The mappings of a virtual dataset: which of its pixels come from which source."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import h5py
import numpy as np
import numpy.typing as npt

from cxlsfind.errors import InputError

Indices = npt.NDArray[np.int64]

#: How the HDF5 library spells "unlimited" in hyperslabs.
_UNLIMITED = 2**63


@dataclass(frozen=True, slots=True, eq=False)
class Mapping:
    """One mapping of a virtual dataset, written out.

    Parameters
    ----------
    file, path
        The source as stored; ``.`` is the file of the virtual dataset.
    virtual
        Per dimension of the virtual dataset, the indices that are mapped; ascending.
    source
        Per dimension of the source, the indices they come from; ``None``: all of it.
    """

    file: str
    path: str
    virtual: tuple[Indices, ...]
    source: tuple[Indices, ...] | None


class MappingError(InputError):
    """A mapping is of a kind that is not supported; the message says which."""


def read_mappings(dataset: h5py.Dataset) -> Iterator[Mapping]:
    """Yield the mappings of a virtual dataset, in the order in which they are applied.

    Mappings with a ``%b`` in the name of the source are written out block by block.

    Raises
    ------
    MappingError
        A selection is neither a box nor a grid.
    """
    shape = dataset.shape
    for entry in dataset.virtual_sources():
        source = _source_axes(entry.src_space)
        if "%b" in (entry.file_name + entry.dset_name).replace("%%", ""):
            for block, axes in enumerate(_blocks(entry.vspace, shape)):
                file, path = _name(entry.file_name, block), _name(entry.dset_name, block)
                yield Mapping(file, path, axes, source)
            continue
        axes = _axes(entry.vspace, shape)
        if source is not None:
            source = _match_unlimited(entry.src_space, source, axes)
        yield Mapping(_name(entry.file_name, 0), _name(entry.dset_name, 0), axes, source)


def pair_dimensions(
    virtual: tuple[int, ...], source: tuple[int, ...]
) -> tuple[tuple[int, int], ...]:
    """Pair the dimensions of a virtual selection with those of its source.

    Parameters
    ----------
    virtual, source
        Numbers of selected indices per dimension.

    Returns
    -------
    Pairs (virtual dimension, source dimension); dimensions with one index may stay single.

    Raises
    ------
    MappingError
        The selections differ in more than dimensions of size one.
    """
    if virtual == source:
        return tuple((d, d) for d in range(len(virtual)))
    wide_virtual = [d for d, n in enumerate(virtual) if n != 1]
    wide_source = [d for d, n in enumerate(source) if n != 1]
    if [virtual[d] for d in wide_virtual] != [source[d] for d in wide_source]:
        raise MappingError(
            f"a virtual dataset reshapes its source: {_times(source)} to {_times(virtual)}"
        )
    return tuple(zip(wide_virtual, wide_source, strict=True))


def _source_axes(space: h5py.h5s.SpaceID) -> tuple[Indices, ...] | None:
    if space.get_select_type() == h5py.h5s.SEL_ALL:
        return None
    return _axes(space, space.shape)


def _axes(space: h5py.h5s.SpaceID, shape: tuple[int, ...]) -> tuple[Indices, ...]:
    """Return the selected indices per dimension; unlimited ones end with ``shape``."""
    kind = space.get_select_type()
    if kind == h5py.h5s.SEL_ALL:
        return tuple(_grid(0, 1, n, 1, n) for n in shape)
    if kind == h5py.h5s.SEL_NONE:
        return tuple(_grid(0, 1, 0, 1, n) for n in shape)
    if kind != h5py.h5s.SEL_HYPERSLABS:
        raise MappingError("a virtual dataset selects single points of its source")
    if space.is_regular_hyperslab():
        slabs = zip(*space.get_regular_hyperslab(), shape, strict=True)
        return tuple(_grid(*slab) for slab in slabs)
    blocks = space.get_select_hyper_blocklist().astype(np.int64)
    axes = []
    for d in range(len(shape)):
        spans = np.unique(blocks[:, :, d], axis=0)
        axes.append(np.unique(np.concatenate([np.arange(a, b + 1) for a, b in spans])))
    if prod(len(axis) for axis in axes) != space.get_select_npoints():
        raise MappingError("a virtual dataset selects a shape that is no grid of pixels")
    return tuple(axes)


@lru_cache(maxsize=4096)
def _grid(start: int, stride: int, count: int, block: int, limit: int) -> Indices:
    """Return the indices of a selection; the last block of an unlimited one may pass the limit."""
    if block >= _UNLIMITED:
        block = max(limit - start, 0)
    if count >= _UNLIMITED:
        count = max(-(-(limit - start) // stride), 0)
    corners = start + stride * np.arange(count, dtype=np.int64)
    indices = (corners[:, None] + np.arange(block, dtype=np.int64)).ravel()
    indices.flags.writeable = False
    return indices


def _blocks(space: h5py.h5s.SpaceID, shape: tuple[int, ...]) -> Iterator[tuple[Indices, ...]]:
    """Yield the axes of each block of a selection with an unlimited count."""
    start, stride, count, block = space.get_regular_hyperslab()
    d = next(d for d, n in enumerate(count) if n >= _UNLIMITED)
    for first in range(start[d], shape[d], stride[d]):
        yield tuple(
            _grid(first, 1, 1, block[d], shape[d])
            if k == d
            else _grid(start[k], stride[k], count[k], block[k], shape[k])
            for k in range(len(shape))
        )


def _name(pattern: str, block: int) -> str:
    return re.sub("%%|%b", lambda hit: "%" if hit[0] == "%%" else str(block), pattern)


def _match_unlimited(
    space: h5py.h5s.SpaceID, source: tuple[Indices, ...], virtual: tuple[Indices, ...]
) -> tuple[Indices, ...]:
    """Let an unlimited source selection be as long as the virtual selection it fills.

    The extent stored with the mapping is that of the day it was written; the source may have
    grown since, and the virtual dataset with it.
    """
    if not space.is_regular_hyperslab():
        return source
    start, stride, count, block = space.get_regular_hyperslab()
    open_dims = [d for d in range(len(count)) if max(count[d], block[d]) >= _UNLIMITED]
    if not open_dims:
        return source
    d = open_dims[0]
    others = prod(len(axis) for k, axis in enumerate(source) if k != d)
    needed = prod(len(axis) for axis in virtual) // max(others, 1)
    length = needed if block[d] >= _UNLIMITED else block[d]
    n_blocks = -(-needed // max(length, 1))
    grown = _grid(start[d], stride[d], n_blocks, length, _UNLIMITED - 1)[:needed]
    return (*source[:d], grown, *source[d + 1 :])


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)
