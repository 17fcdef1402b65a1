"""Where directions meet the panels of a detector."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel


class PanelGrid(NamedTuple):
    """Panels as planes in space, and their pixels in the flat frame array.

    Parameters
    ----------
    matrix
        Turns (fs, ss, 1), pixels from the panel's corner, into a point (x, y, z), metres from the
        sample; shape (panels, 3, 3).
    inverse
        Its inverses: turn a direction into (fs, ss, 1) times a positive number, where the panel
        lies ahead.
    window
        First pixel in the frame array, pixels to the next row, width, height; shape (panels, 4).
    """

    matrix: npt.NDArray[np.float64]
    inverse: npt.NDArray[np.float64]
    window: npt.NDArray[np.int64]


@kernel
def find_pixel(grid: PanelGrid, x: float, y: float) -> int:
    """Return the pixel that the direction (x, y, 1) meets; -1 where it meets none."""
    for panel in range(grid.window.shape[0]):
        m = grid.inverse[panel]
        depth = m[2, 0] * x + m[2, 1] * y + m[2, 2]
        if depth <= 0.0:
            continue
        fs = (m[0, 0] * x + m[0, 1] * y + m[0, 2]) / depth
        ss = (m[1, 0] * x + m[1, 1] * y + m[1, 2]) / depth
        if 0.0 <= fs < grid.window[panel, 2] and 0.0 <= ss < grid.window[panel, 3]:
            return int(grid.window[panel, 0] + int(ss) * grid.window[panel, 1] + int(fs))
    return -1
