"""Resolve frames of a dataset, virtual or not, to rectangles of plain datasets.

Virtual datasets are never read through: HDF5 fills what it cannot find with zeros and says
nothing, cannot hand out compressed chunks, and opens every source anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cxlsfind.errors import InputError
from cxlsfind.io._selection import Part, Request, intersect, translate
from cxlsfind.io.chunks import PlaneStorage, flat_index, plane_storage
from cxlsfind.io.dtypes import check_type
from cxlsfind.io.files import FileCache, hdf5_errors
from cxlsfind.io.links import Place, locate, resolve_file
from cxlsfind.io.mappings import Indices, Mapping, MappingError, read_mappings
from cxlsfind.io.patches import Leaf, Patch, make_spans

#: Virtual datasets of virtual datasets are followed this deep.
_MAX_DEPTH = 8


@dataclass(slots=True)
class Resolution:
    """What became of the frames that were to be resolved.

    Parameters
    ----------
    patches
        In the order in which they are laid: later ones cover earlier ones.
    problems
        Rows, and why they cannot be read.
    """

    patches: list[Patch] = field(default_factory=list)
    problems: list[tuple[Indices, str]] = field(default_factory=list)


class Resolver:
    """Resolves frames, and remembers the storage of the datasets it met.

    Parameters
    ----------
    files
        Where files are opened.
    """

    def __init__(self, files: FileCache) -> None:
        self._files = files
        self._leaves: dict[tuple[Place, tuple[int, int]], tuple[Leaf, PlaneStorage]] = {}
        self._mappings: dict[Place, list[Mapping]] = {}
        self._sources: dict[tuple[str, str, str], Place] = {}

    def resolve(
        self, place: Place, index: dict[int, Indices], pixel_dims: tuple[int, int]
    ) -> Resolution:
        """Find where frames of a dataset really are.

        Parameters
        ----------
        index
            For each dimension of the dataset that numbers frames, the index of every frame.
        pixel_dims
            The dimensions ss and fs.

        Raises
        ------
        InputError
            The dataset cannot be opened, or is of a kind that cannot be read.
        """
        shape = self._files.dataset(place.file, place.path).shape
        pixels = np.arange(shape[pixel_dims[0]]), np.arange(shape[pixel_dims[1]])
        n_rows = len(next(iter(index.values()))) if index else 1
        result = Resolution()
        request = Request(place, np.arange(n_rows), index, pixel_dims, pixels, pixels)
        self._resolve(request, result)
        return result

    def storage(self, leaf: Leaf) -> PlaneStorage:
        """Return the storage of a leaf that :meth:`resolve` gave."""
        return self._leaves[leaf.place, leaf.pixel_dims][1]

    def _resolve(self, request: Request, result: Resolution) -> None:
        dataset = self._files.dataset(request.place.file, request.place.path)
        if dataset.is_virtual:
            self._resolve_virtual(request, result)
        else:
            self._resolve_plain(request, result)

    def _resolve_plain(self, request: Request, result: Resolution) -> None:
        leaf, storage = self._leaf(request)
        inside = np.ones(len(request.rows), bool)
        for d, index in request.index.items():
            inside &= index < leaf.shape[d]
        if any(axis[-1] >= n for axis, n in zip(request.pixels, leaf.plane, strict=True)):
            inside[:] = False
        if not inside.all():
            size = " x ".join(str(n) for n in leaf.shape)
            reason = f"{leaf.place} is smaller ({size}) than the virtual dataset expects"
            result.problems.append((request.rows[~inside], reason))
            if not inside.any():
                return
        rows = request.rows[inside]
        index_table = np.zeros((len(rows), len(leaf.index_dims)), np.int64)
        for column, d in enumerate(leaf.index_dims):
            index_table[:, column] = request.index[d][inside]
        n_written = storage.n_written[flat_index(index_table, storage.index_shape)]
        for n in np.unique(n_written[n_written < storage.n_chunks]).tolist():
            reason = _unwritten(leaf, n, storage.n_chunks)
            result.problems.append((rows[n_written == n], reason))
        patch = Patch(
            rows, leaf, index_table, make_spans(request.pixels), make_spans(request.target)
        )
        result.patches.append(patch)

    def _leaf(self, request: Request) -> tuple[Leaf, PlaneStorage]:
        key = request.place, request.pixel_dims
        known = self._leaves.get(key)
        if known is None:
            dataset = self._files.dataset(request.place.file, request.place.path)
            with hdf5_errors(str(request.place)):
                dtype = check_type(dataset.dtype, str(request.place))
                leaf = Leaf(request.place, dataset.shape, dtype, request.pixel_dims)
                known = leaf, plane_storage(dataset, request.pixel_dims)
            self._leaves[key] = known
        return known

    def _resolve_virtual(self, request: Request, result: Resolution) -> None:
        name = str(request.place)
        if request.depth >= _MAX_DEPTH:
            raise MappingError(f"{name}: virtual datasets lead to one another without end")
        parts = [
            part
            for mapping in self._read_mappings(request.place)
            if (part := intersect(request, mapping)) is not None
        ]
        covered = np.zeros(len(request.rows), bool)
        complete = np.zeros(len(request.rows), bool)
        for part in parts:
            covered[part.rows] = True
            if part.is_complete:
                complete[part.rows] = True
        if not covered.all():
            result.problems.append(
                (request.rows[~covered], f"{name}: no source of the virtual dataset has the frame")
            )
        partial = np.flatnonzero(covered & ~complete)
        if len(partial):
            result.patches.append(self._fill(request, partial))
        for part in parts:
            self._resolve_part(request, part, result)

    def _fill(self, request: Request, rows: Indices) -> Patch:
        """Return the fill value of a virtual dataset, over which its sources are laid."""
        dataset = self._files.dataset(request.place.file, request.place.path)
        return Patch(
            request.rows[rows],
            None,
            np.zeros((len(rows), 0), np.int64),
            make_spans(request.pixels),
            make_spans(request.target),
            dataset.fillvalue,
        )

    def _read_mappings(self, place: Place) -> list[Mapping]:
        known = self._mappings.get(place)
        if known is None:
            dataset = self._files.dataset(place.file, place.path)
            with hdf5_errors(str(place)):
                known = list(read_mappings(dataset))
            self._mappings[place] = known
        return known

    def _resolve_part(self, request: Request, part: Part, result: Resolution) -> None:
        """Go on in the source of one mapping."""
        name = str(request.place)
        mapping = part.mapping
        try:
            place = self._find_source(request.place.opened_as, mapping)
            shape = self._files.dataset(place.file, place.path).shape
            source = mapping.source or _whole_source(mapping, shape)
            if len(source) != len(shape):
                raise MappingError(
                    f"{place} has {len(shape)} dimensions, not {len(source)} as mapped"
                )
            self._resolve(translate(request, part, place, source), result)
        except MappingError as error:
            result.problems.append((request.rows[part.rows], f"{name}: {error}"))
        except InputError as error:
            result.problems.append(
                (request.rows[part.rows], f"{name} is virtual and a source cannot be read: {error}")
            )

    def _find_source(self, referrer: str, mapping: Mapping) -> Place:
        key = referrer, mapping.file, mapping.path
        place = self._sources.get(key)
        if place is None:
            file = referrer if mapping.file == "." else resolve_file(mapping.file, referrer)
            place = self._sources[key] = locate(self._files, file, mapping.path)
        return place


def _whole_source(mapping: Mapping, shape: tuple[int, ...]) -> tuple[Indices, ...]:
    """Return the axes of a source that is mapped as a whole.

    The file may hold fewer frames than when it was mapped; what was mapped counts.
    """
    sizes = shape
    if len(shape) == len(mapping.virtual):
        sizes = tuple(len(axis) for axis in mapping.virtual)
    return tuple(np.arange(n) for n in sizes)


def _unwritten(leaf: Leaf, n_written: int, n_chunks: int) -> str:
    if n_written == 0:
        return f"{leaf.place}: the frame was never written"
    return (
        f"{leaf.place}: the frame was not written completely: "
        f"{n_written} of its {n_chunks} chunks are there"
    )
