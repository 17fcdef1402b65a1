"""Selections of frames and pixels, carried from a virtual dataset to its sources."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cxlsfind.io.links import Place
from cxlsfind.io.mappings import Indices, Mapping, MappingError, pair_dimensions


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """Frames wanted of one dataset: ``index[d]`` per row, ``pixels`` of each, sent to ``target``.

    The index of the first dimension that numbers frames never descends.
    """

    place: Place
    rows: Indices
    index: dict[int, Indices]
    pixel_dims: tuple[int, int]
    pixels: tuple[Indices, Indices]
    target: tuple[Indices, Indices]
    depth: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What one mapping contributes to a request.

    Parameters
    ----------
    rows
        Which of the request's rows; numbers into its arrays.
    positions
        Per virtual dimension: where in the mapping's axis the rows, or the pixels, are.
    kept
        Which of the request's pixels, along ss and fs.
    is_complete
        Whether these are all of them.
    """

    mapping: Mapping
    rows: Indices
    positions: dict[int, Indices]
    kept: tuple[Indices, Indices]
    is_complete: bool


def intersect(request: Request, mapping: Mapping) -> Part | None:
    rows = _candidates(request, mapping)
    positions: dict[int, Indices] = {}
    for d, index in request.index.items():
        found, kept = _find(mapping.virtual[d], index[rows])
        rows = rows[kept]
        positions = {k: p[kept] for k, p in positions.items()} | {d: found}
    pixels = []
    for d, wanted in zip(request.pixel_dims, request.pixels, strict=True):
        positions[d], kept = _find(mapping.virtual[d], wanted)
        pixels.append(kept)
    kept_ss, kept_fs = pixels
    if not (len(rows) and len(kept_ss) and len(kept_fs)):
        return None
    complete = len(kept_ss) == len(request.pixels[0]) and len(kept_fs) == len(request.pixels[1])
    return Part(mapping, rows, positions, (kept_ss, kept_fs), complete)


def _candidates(request: Request, mapping: Mapping) -> Indices:
    """Return the rows between the ends of the first axis: mappings are many, hits are few."""
    if not request.index:
        return np.arange(len(request.rows))
    d, index = next(iter(request.index.items()))
    axis = mapping.virtual[d]
    if not len(axis):
        return np.zeros(0, np.int64)
    first = np.searchsorted(index, axis[0], "left")
    return np.arange(first, np.searchsorted(index, axis[-1], "right"))


def _find(axis: Indices, wanted: Indices) -> tuple[Indices, Indices]:
    """Return where wanted indices are in an ascending axis, and which of them are there."""
    position = np.searchsorted(axis, wanted)
    kept = np.flatnonzero(position < len(axis))
    kept = kept[axis[position[kept]] == wanted[kept]]
    return position[kept], kept


def translate(request: Request, part: Part, place: Place, source: tuple[Indices, ...]) -> Request:
    """Return the request that a part makes of the mapping's source."""
    virtual_sizes = tuple(len(axis) for axis in part.mapping.virtual)
    pairs = dict(pair_dimensions(virtual_sizes, tuple(len(axis) for axis in source)))
    if not set(request.pixel_dims) <= set(pairs):
        raise MappingError("a virtual dataset takes less than a rectangle of pixels at a time")
    ss, fs = (pairs[d] for d in request.pixel_dims)
    virtual_dim = {s: v for v, s in pairs.items()}
    index = {}
    for d, axis in enumerate(source):
        if d in virtual_dim and d not in (ss, fs):
            index[d] = axis[part.positions[virtual_dim[d]]]
        elif d not in (ss, fs):
            index[d] = np.full(len(part.rows), axis[0], np.int64)
    pixels = tuple(source[pairs[d]][part.positions[d]] for d in request.pixel_dims)
    target = tuple(t[k] for t, k in zip(request.target, part.kept, strict=True))
    return Request(
        place,
        request.rows[part.rows],
        index,
        (ss, fs),
        (pixels[0], pixels[1]),
        (target[0], target[1]),
        request.depth + 1,
    )
