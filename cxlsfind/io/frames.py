"""The frames of one dataset, sorted by the plain datasets that hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxlsfind.geometry.layout import SlabKey
from cxlsfind.geometry.model import Dim
from cxlsfind.io.chunks import ChunkPlaces, flat_index
from cxlsfind.io.dtypes import check_type, frame_type
from cxlsfind.io.patches import Leaf, Patch
from cxlsfind.io.virtual import Resolution, Resolver
from cxlsfind.records import DataLink

_STITCHED = "a virtual dataset puts its frames together from parts of other datasets"
_MANY_NUMBERS = "its frames have more than one number, and rows of a peak table have one"
_UNEQUAL_ROWS = "the panels of a frame lie in different rows of their datasets"


@dataclass(frozen=True, slots=True, eq=False)
class FrameSource:
    """Where the pixels of a group of frames are.

    Parameters
    ----------
    dtype
        Type that holds the pixels of all slabs, as :attr:`numpy.dtype.str`.
    n_rows
        Number of rows of the group.
    links
        One dataset per slab, whose rows are the frames; empty when ``patches`` say it.
    patches
        Per slab, in the order in which they are laid; row numbers are those of the group.
    obstacle
        Why there are no ``links``; empty when there are.
    places
        Where the packed rows of the only slab's dataset are in its file; ``None`` where they are
        stored in another way.
    """

    dtype: str
    n_rows: int
    links: tuple[DataLink, ...] = ()
    patches: tuple[tuple[Patch, ...], ...] = ()
    obstacle: str = ""
    places: ChunkPlaces | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FrameSet:
    """All frames of one data path in one listed file, readable or not.

    Parameters
    ----------
    parts
        What fills the ``%`` of the data path.
    sizes
        Sizes of the ``%`` dimensions; the arrays are flat over them, in C order.
    shapes
        Size (ss, fs) of every slab.
    dims
        Role of the dimensions of every slab's dataset; as in the geometry, but with the channel
        where the geometry leaves it open.
    sources
        Groups of frames; links and patches in the order of ``shapes``.
    group, row
        Where each frame is: number in ``sources``, and row there; int32, int64.
    n_bytes
        Compressed size; int64.
    problem
        Number in ``reasons``, -1 for frames that can be read; int32.
    reasons
        Why frames cannot be read.
    """

    parts: tuple[str, ...]
    sizes: tuple[int, ...]
    shapes: Mapping[SlabKey, tuple[int, int]]
    dims: Mapping[SlabKey, tuple[Dim, ...]]
    sources: tuple[FrameSource, ...]
    group: npt.NDArray[np.int32]
    row: npt.NDArray[np.int64]
    n_bytes: npt.NDArray[np.int64]
    problem: npt.NDArray[np.int32]
    reasons: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, slots=True, eq=False)
class SlabFrames:
    """One slab of a data path: its dimensions, size (ss, fs), and where its frames are."""

    dims: tuple[Dim, ...]
    shape: tuple[int, int]
    resolution: Resolution


def sort_frames(
    parts: tuple[str, ...],
    sizes: tuple[int, ...],
    slabs: Mapping[SlabKey, SlabFrames],
    resolver: Resolver,
) -> FrameSet:
    """Sort frames into groups that share their datasets.

    Parameters
    ----------
    parts, sizes
        As in :class:`FrameSet`.
    slabs
        Every slab of the frames.
    resolver
        The one that resolved them.
    """
    n_frames = int(np.prod(sizes, dtype=np.int64))
    n_bytes = np.zeros(n_frames, np.int64)
    problem = np.full(n_frames, -1, np.int32)
    reasons: dict[str, int] = {}
    for slab in slabs.values():
        for rows, reason in slab.resolution.problems:
            fresh = rows[problem[rows] < 0]
            problem[fresh] = reasons.setdefault(reason, len(reasons))
        for patch in slab.resolution.patches:
            if patch.leaf is not None:
                storage = resolver.storage(patch.leaf)
                n_bytes[patch.rows] += storage.n_bytes[flat_index(patch.index, storage.index_shape)]
    sources, group, row = _group(list(slabs.values()), problem < 0, len(sizes), resolver)
    shapes = {key: slab.shape for key, slab in slabs.items()}
    dims = {key: slab.dims for key, slab in slabs.items()}
    return FrameSet(
        parts, sizes, shapes, dims, tuple(sources), group, row, n_bytes, problem, tuple(reasons)
    )


def _group(
    slabs: Sequence[SlabFrames],
    is_usable: npt.NDArray[np.bool_],
    n_numbers: int,
    resolver: Resolver,
) -> tuple[list[FrameSource], npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    n_frames = len(is_usable)
    sources: list[FrameSource] = []
    group = np.zeros(n_frames, np.int32)
    row = np.arange(n_frames)
    is_linked = np.zeros(n_frames, bool)
    obstacle = _MANY_NUMBERS
    if n_numbers < 2:
        tables = [_whole_planes(slab, n_frames) for slab in slabs]
        home = np.stack([table.home for table in tables])
        rows = np.stack([table.row for table in tables])
        is_plain = np.all(home >= 0, axis=0)
        is_linked = is_usable & is_plain & np.all(rows == rows[0], axis=0)
        obstacle = _UNEQUAL_ROWS if is_plain[is_usable].all() else _STITCHED
        row[is_linked] = rows[0, is_linked]
        combinations, member = np.unique(home[:, is_linked], axis=1, return_inverse=True)
        group[is_linked] = member.ravel()
        for combination in combinations.T.tolist():
            entries = [table.entries[n] for table, n in zip(tables, combination, strict=True)]
            dtype = frame_type(leaf.dtype for leaf, _, _ in entries).str
            links = tuple(link for _, link, _ in entries)
            n_rows = max(n for _, _, n in entries)
            leaf, link, _ = entries[0]
            places = _row_places(leaf, link, n_rows, resolver) if len(entries) == 1 else None
            sources.append(FrameSource(dtype, n_rows, links, places=places))

    rest = np.flatnonzero(is_usable & ~is_linked)
    if len(rest):
        group[rest] = len(sources)
        patches = tuple(tuple(slab.resolution.patches) for slab in slabs)
        dtype = frame_type({_dtype(patch) for slab in patches for patch in slab}).str
        sources.append(FrameSource(dtype, n_frames, (), patches, obstacle))
    return sources, group, row


def _row_places(leaf: Leaf, link: DataLink, n_rows: int, resolver: Resolver) -> ChunkPlaces | None:
    """Return where the rows of a link are in the file of its dataset."""
    storage = resolver.storage(leaf)
    if storage.places is None:
        return None
    index = np.zeros((n_rows, len(leaf.index_dims)), np.int64)
    for column, d in enumerate(leaf.index_dims):
        role = link.dims[d]
        index[:, column] = np.arange(n_rows) if role == "%" else role
    plane = flat_index(index, storage.index_shape)
    return ChunkPlaces(storage.places.start[plane], storage.places.n_bytes[plane])


def _dtype(patch: Patch) -> str:
    if patch.leaf is not None:
        return patch.leaf.dtype
    return check_type(np.asarray(patch.fill).dtype, "the fill value of a virtual dataset")


@dataclass(frozen=True, slots=True, eq=False)
class _PlaneTable:
    """Of every frame, the dataset of which it is a whole plane: number (-1: none) and row."""

    home: npt.NDArray[np.int32]
    row: npt.NDArray[np.int64]
    entries: list[tuple[Leaf, DataLink, int]]


def _whole_planes(slab: SlabFrames, n_frames: int) -> _PlaneTable:
    home = np.full(n_frames, -1, np.int32)
    row = np.zeros(n_frames, np.int64)
    n_patches = np.zeros(n_frames, np.int32)
    numbers: dict[tuple[Leaf, DataLink], int] = {}
    entries: list[tuple[Leaf, DataLink, int]] = []
    for patch in slab.resolution.patches:
        n_patches[patch.rows] += 1
        if patch.leaf is None or not _is_whole(patch, slab.shape):
            continue
        column = _row_column(patch.leaf, slab.dims)
        fixed = np.delete(patch.index, [] if column is None else [column], axis=1)
        combinations, member = np.unique(fixed, axis=0, return_inverse=True)
        for number, values in enumerate(combinations.tolist()):
            chosen = np.flatnonzero(member.ravel() == number)
            link = _link(patch.leaf, column, values)
            known = numbers.setdefault((patch.leaf, link), len(numbers))
            if known == len(entries):
                n_rows = 1 if column is None else patch.leaf.shape[patch.leaf.index_dims[column]]
                entries.append((patch.leaf, link, n_rows))
            home[patch.rows[chosen]] = known
            if column is not None:
                row[patch.rows[chosen]] = patch.index[chosen, column]
    home[n_patches != 1] = -1
    return _PlaneTable(home, row, entries)


def _is_whole(patch: Patch, shape: tuple[int, int]) -> bool:
    whole = tuple(range(n) for n in shape)
    return (
        patch.leaf is not None
        and patch.leaf.plane == shape
        and patch.source == whole == (patch.target)
    )


def _row_column(leaf: Leaf, dims: tuple[Dim, ...]) -> int | None:
    """Return which of the leaf's ``index_dims`` is the row; ``None``: it has only one row.

    A source of a virtual dataset that has as many dimensions has the same ones. Of others, the
    longest dimension is taken.
    """
    if len(leaf.shape) == len(dims):
        columns = [c for c, d in enumerate(leaf.index_dims) if dims[d] == "%"]
        return columns[0] if columns else None
    sizes = [leaf.shape[d] for d in leaf.index_dims]
    return sizes.index(max(sizes)) if sizes else None


def _link(leaf: Leaf, column: int | None, fixed: list[int]) -> DataLink:
    values: list[int | str] = list(fixed)
    if column is not None:
        values.insert(column, "%")
    roles: dict[int, int | str] = dict(zip(leaf.index_dims, values, strict=True))
    roles[leaf.pixel_dims[0]] = "ss"
    roles[leaf.pixel_dims[1]] = "fs"
    return DataLink(leaf.place.file, leaf.place.path, tuple(roles[d] for d in sorted(roles)))
