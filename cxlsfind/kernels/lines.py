"""Sums along the rows and columns of a panel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel

#: Pixels of a row that are looked at together.
_RUN = 64


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
        Results, what pixels have and were expected to have, shapes (2, height) and (2, width);
        overwritten.
    """
    top, left, height, width = window
    columns[:] = 0.0
    level = np.empty(width)
    expected, seen_here, mean_here = np.empty(_RUN), np.empty(_RUN), np.empty(_RUN)
    for row in range(height):
        if row == 0 or (top + row) % tile_side == 0:
            for column in range(width):
                level[column] = factor[(top + row) // tile_side, (left + column) // tile_side]
        # A sum for every pixel of a run, so that many pixels are added at once.
        seen_here[:] = 0.0
        mean_here[:] = 0.0
        for first in range(0, width, _RUN):
            length = min(_RUN, width - first)
            start = (top + row) * stride + left + first
            rings = ring[start : start + length]
            for w in range(length):
                expected[w] = hoped[np.uint64(rings[w] if rings[w] > 0 else 0)]
            here = votes[start : start + length]
            good = usable[start : start + length]
            levels = level[first : first + length]
            seen_column = columns[0, first : first + length]
            mean_column = columns[1, first : first + length]
            for w in range(length):
                mean = expected[w] * levels[w] if good[w] else 0.0
                seen = min(float(here[w]), 3.0 * mean + 4.0) if good[w] else 0.0
                seen_here[w] += seen
                mean_here[w] += mean
                seen_column[w] += seen
                mean_column[w] += mean
        rows[0, row] = seen_here.sum()
        rows[1, row] = mean_here.sum()
