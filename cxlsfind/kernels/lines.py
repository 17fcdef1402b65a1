"""Sums along the rows and columns of a panel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel


@kernel
def sum_lines(
    votes: npt.NDArray[np.uint32],
    hoped: npt.NDArray[np.float64],
    factor: npt.NDArray[np.float32],
    tile_side: int,
    ring: npt.NDArray[np.int32],
    usable: npt.NDArray[np.bool_],
    stride: int,
    window: npt.NDArray[np.int64],
    rows: npt.NDArray[np.float64],
    columns: npt.NDArray[np.float64],
) -> None:
    """Sum what pixels have and what they were expected to have over rows and columns.

    Parameters
    ----------
    votes
        What canvas pixels have; what exceeds three times the expected by more than four is cut.
    hoped, factor, tile_side, ring
        Canvas pixel x was expected to have ``hoped[ring[x]]`` times the factor of its tile.
    window
        First canvas row and column of the panel, its height and its width.
    rows, columns
        Results, shapes (height, 2) and (width, 2); overwritten.
    """
    top, left, height, width = window
    rows[:] = 0.0
    columns[:] = 0.0
    for row in range(height):
        tiles = factor[(top + row) // tile_side]
        for column in range(width):
            pixel = (top + row) * stride + left + column
            if usable[pixel]:
                mean = hoped[ring[pixel]] * tiles[(left + column) // tile_side]
                seen = min(float(votes[pixel]), 3.0 * mean + 4.0)
                rows[row, 0] += seen
                rows[row, 1] += mean
                columns[column, 0] += seen
                columns[column, 1] += mean
