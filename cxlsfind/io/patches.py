"""Rectangles of plain datasets of which frames are made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cxlsfind.io.links import Place
from cxlsfind.io.mappings import Indices

#: Pixels along one dimension: a range where they are evenly spaced.
Span = range | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Leaf:
    """A dataset that is not virtual.

    Parameters
    ----------
    place
        Where it is.
    shape
        Its dimensions.
    dtype
        Its data type, in the byte order of this machine, as :attr:`numpy.dtype.str`.
    pixel_dims
        Which of its dimensions are ss and fs.
    """

    place: Place
    shape: tuple[int, ...]
    dtype: str
    pixel_dims: tuple[int, int]

    @property
    def index_dims(self) -> tuple[int, ...]:
        """The dimensions that number frames."""
        return tuple(d for d in range(len(self.shape)) if d not in self.pixel_dims)

    @property
    def plane(self) -> tuple[int, int]:
        """Size (ss, fs) of a frame."""
        return self.shape[self.pixel_dims[0]], self.shape[self.pixel_dims[1]]


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """A rectangle of pixels that frames take from a plain dataset.

    Parameters
    ----------
    rows
        Numbers of the frames, ascending; int64.
    leaf
        Where the pixels are; ``None``: they have the value ``fill``.
    index
        For each row, the index in each of the leaf's ``index_dims``; int64.
    source, target
        Pixels (ss, fs) in the leaf, and where they go in the frame.
    fill
        Value of the pixels where there is no leaf.
    """

    rows: Indices
    leaf: Leaf | None
    index: Indices
    source: tuple[Span, Span]
    target: tuple[Span, Span]
    fill: np.generic | None = None


def make_spans(axes: tuple[Indices, Indices]) -> tuple[Span, Span]:
    """Return pixels along ss and fs, given as indices, in their compact form."""
    return _span(axes[0]), _span(axes[1])


def _span(axis: Indices) -> Span:
    step = int(axis[1] - axis[0]) if len(axis) > 1 else 1
    span = range(int(axis[0]), int(axis[-1]) + 1, step)
    if len(span) == len(axis) and np.array_equal(np.asarray(span), axis):
        return span
    return tuple(axis.tolist())
