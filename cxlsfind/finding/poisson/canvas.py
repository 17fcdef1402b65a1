"""The canvas: all panels on one padded sheet, so that neighbours in memory are neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from cxlsfind.geometry.layout import Layout
from cxlsfind.kernels.plane_canvas import lay_planes, words_of
from cxlsfind.records import PlaneFrame

_T = TypeVar("_T", bound=np.generic)

#: Unusable pixels around every panel; no spot window may reach past them.
PAD = 8

#: Pixels a row are a multiple of the pixels in a word of a bit plane.
WORD = 64


@dataclass(frozen=True, slots=True, eq=False)
class PlacedFrame:
    """A frame on the canvas, as bit planes (see :class:`~cxlsfind.records.PlaneFrame`).

    Parameters
    ----------
    planes
        Shape (planes, words of the canvas), uint64.
    place, count
        Canvas pixels with all bits set, ascending, and their counts; int32, uint32.
    censored
        Canvas pixels that read the largest value of the data type; int32.
    """

    planes: npt.NDArray[np.uint64]
    place: npt.NDArray[np.int32]
    count: npt.NDArray[np.uint32]
    censored: npt.NDArray[np.int32]

    @property
    def full(self) -> int:
        """The count that all bits stand for, or more."""
        return (1 << len(self.planes)) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """Where the pixels of the frame array lie on the sheet.

    Panels are stacked along ss with ``PAD`` unusable pixels around each; the arrays are flat
    with ``stride`` pixels a row.

    Parameters
    ----------
    stride
        Pixels a row, a multiple of ``WORD``.
    n_rows
        Rows of the sheet.
    windows
        One row per panel: first pixel in the frame array, its pixels from row to row, height,
        width, and the canvas row of the first row, ascending; int64.
    place
        Canvas pixel of every pixel of the frame array, -1 outside every panel; int32.
    """

    stride: int
    n_rows: int
    windows: npt.NDArray[np.int64]
    place: npt.NDArray[np.int32]

    @property
    def size(self) -> int:
        """Number of canvas pixels."""
        return self.stride * self.n_rows

    @property
    def n_words(self) -> int:
        """Number of words of a bit plane."""
        return self.size // WORD

    @property
    def words_per_row(self) -> int:
        """Words of a row."""
        return self.stride // WORD

    @property
    def first_row(self) -> npt.NDArray[np.int64]:
        """Canvas row of the first row of every panel, ascending."""
        return self.windows[:, 4]

    def spread(self, values: npt.NDArray[_T], padding: object) -> npt.NDArray[_T]:
        """Return values of the frame array's pixels as they lie on the canvas."""
        sheet = np.full(self.size, padding, values.dtype)
        inside = self.place >= 0
        sheet[self.place[inside]] = values[inside]
        return sheet

    def locate(
        self, pixels: npt.NDArray[np.int32]
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the panels of canvas pixels, and their rows and columns there."""
        row, column = np.divmod(pixels.astype(np.int64), self.stride)
        panel = np.searchsorted(self.first_row, row, side="right") - 1
        return panel, row - self.first_row[panel], column - PAD

    def source(self, pixels: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """Return the pixels of the frame array that lie at canvas pixels of panels."""
        panel, ss, fs = self.locate(pixels)
        pixel: npt.NDArray[np.int64] = self.windows[panel, 0] + ss * self.windows[panel, 1] + fs
        return pixel

    def words(self, flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint64]:
        """Return flags of canvas pixels as the bits of words."""
        words = np.empty(self.n_words, np.uint64)
        words_of(flags, words)
        return words

    def lay(self, frame: PlaneFrame) -> PlacedFrame:
        """Lay a frame on the canvas."""
        planes = np.zeros((len(frame.planes), self.n_words), np.uint64)
        lay_planes(frame.planes, self.windows, PAD, self.words_per_row, planes)
        place = self.place[frame.index]
        order = np.argsort(place, kind="stable")  # panels may lie side by side
        order = order[place[order] >= 0]
        censored = self.place[frame.censored]
        return PlacedFrame(planes, place[order], frame.count[order], censored)


@lru_cache(maxsize=2)
def build_canvas(layout: Layout) -> Canvas:
    """Stack the panels of a layout on one sheet; the same for all who ask."""
    widest = max(window.width for window in layout.windows) + 2 * PAD
    stride = -(-widest // WORD) * WORD
    windows = np.empty((len(layout.windows), 5), np.int64)
    row = PAD
    for number, window in enumerate(layout.windows):
        windows[number] = window.start, window.stride, window.height, window.width, row
        row += window.height + PAD
    place = np.full(layout.n_pixels, -1, np.int32)
    for number, window in enumerate(layout.windows):
        first = np.arange(PAD, PAD + window.width, dtype=np.int32)
        # Row by row: memory for maps of whole panels takes longer to get than to fill.
        for ss in range(window.height):
            at = window.start + ss * window.stride
            place[at : at + window.width] = first + (windows[number, 4] + ss) * stride
    return Canvas(stride, row, windows, place)
