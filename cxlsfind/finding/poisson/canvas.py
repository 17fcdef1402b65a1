"""The canvas: all panels on one padded sheet, so that neighbours in memory are neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from cxlsfind.geometry.layout import Layout
from cxlsfind.kernels.photon_scan import SEGMENT

_T = TypeVar("_T", bound=np.generic)

#: Unusable pixels around every panel; no spot window may reach past them.
PAD = 8


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """Where the pixels of the frame array lie on the sheet.

    Panels are stacked along ss with ``PAD`` unusable pixels around each; the arrays are flat
    with ``stride`` pixels a row.

    Parameters
    ----------
    stride
        Pixels a row, a multiple of the scan's segment.
    n_rows
        Rows of the sheet.
    place
        Canvas pixel of every pixel of the frame array, -1 outside every panel; int32.
    pixel
        The inverse, -1 for padding; int32.
    first_row
        Canvas row of the first row of every panel, ascending; int64.
    """

    stride: int
    n_rows: int
    place: npt.NDArray[np.int32]
    pixel: npt.NDArray[np.int32]
    first_row: npt.NDArray[np.int64]

    @property
    def size(self) -> int:
        """Number of canvas pixels."""
        return self.stride * self.n_rows

    def spread(self, values: npt.NDArray[_T], padding: object) -> npt.NDArray[_T]:
        """Return values of the frame array's pixels as they lie on the canvas."""
        sheet = np.full(self.size, padding, values.dtype)
        inside = self.pixel >= 0
        sheet[inside] = values[self.pixel[inside]]
        return sheet


def build_canvas(layout: Layout) -> Canvas:
    """Stack the panels of a layout on one sheet."""
    widest = max(window.width for window in layout.windows) + 2 * PAD
    stride = -(-widest // SEGMENT) * SEGMENT
    first_row = np.empty(len(layout.windows), np.int64)
    row = PAD
    for number, window in enumerate(layout.windows):
        first_row[number] = row
        row += window.height + PAD
    place = np.full(layout.n_pixels, -1, np.int32)
    pixel = np.full(stride * row, -1, np.int32)
    for number, window in enumerate(layout.windows):
        ss, fs = np.meshgrid(np.arange(window.height), np.arange(window.width), indexing="ij")
        source = (window.start + ss * window.stride + fs).ravel()
        target = ((first_row[number] + ss) * stride + PAD + fs).ravel()
        place[source] = target
        pixel[target] = source
    return Canvas(stride, row, place, pixel, first_row)
