"""Rows and columns with too many photons: the wide pixels at the edges of chips and modules."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from cxlsfind.finding.poisson.background import Background
from cxlsfind.finding.poisson.canvas import PAD
from cxlsfind.finding.poisson.surroundings import Surroundings
from cxlsfind.finding.poisson.tiles import SIDE
from cxlsfind.kernels.lines import sum_lines

FloatArray = npt.NDArray[np.float64]

#: A line is odd when it has so many times the photons of its neighbours, by so many standard
#: errors. Pixels that are as wide as two, or three where chips meet, have two or three times.
_BRIGHTER = 1.3
_SIGNIFICANT = 8.0

#: With fewer photons than this expected of it a line is not judged.
_FEWEST_PHOTONS = 20.0

#: Lines to both sides that a line is compared with.
_NEIGHBOURS = 6


def find_odd_lines(
    votes: npt.NDArray[np.uint32],
    hoped: FloatArray,
    background: Background,
    around: Surroundings,
) -> npt.NDArray[np.int32]:
    """Return the usable canvas pixels of rows and columns that are brighter than their neighbours.

    Parameters
    ----------
    votes
        Photons of canvas pixels summed over frames, or the frames in which they fired.
    hoped
        Votes that each ring expects per pixel, before the factor of the background's tiles.
    """
    stride = around.canvas.stride
    pieces = [np.empty(0, np.int64)]
    for _, _, height, width, top in around.canvas.windows.tolist():
        rows, columns = np.empty((2, height)), np.empty((2, width))
        sum_lines(
            votes,
            hoped,
            background.factor,
            SIDE,
            around.ring,
            around.usable,
            stride,
            np.array([top, PAD, height, width]),
            rows,
            columns,
        )
        across, down = np.arange(PAD, PAD + width), np.arange(top, top + height) * stride
        pieces += [(top + row) * stride + across for row in _brighter(rows)]
        pieces += [PAD + column + down for column in _brighter(columns)]
    pixels = np.unique(np.concatenate(pieces))
    return pixels[around.usable[pixels]].astype(np.int32)


def _brighter(lines: FloatArray) -> list[int]:
    """Return the lines that have more than their neighbours; seen and expected photons of each."""
    seen, expected = lines
    ratio = np.where(expected > 0, seen / np.maximum(expected, 1e-300), np.nan)
    padded = np.pad(ratio, _NEIGHBOURS, constant_values=np.nan)
    near = sliding_window_view(padded, 2 * _NEIGHBOURS + 1)
    known = np.isfinite(near).sum(axis=1) > _NEIGHBOURS
    base = np.ones(len(ratio))
    base[known] = np.nanmedian(near[known], axis=1)
    # Neighbours that are darker than expected, or have no photon by chance, make no line bright.
    hoped = np.maximum(base, 1.0) * expected
    odd = (seen > _BRIGHTER * hoped) & (seen - hoped > _SIGNIFICANT * np.sqrt(hoped))
    odd &= hoped >= _FEWEST_PHOTONS
    lines_found: list[int] = np.flatnonzero(odd & known).tolist()
    return lines_found
