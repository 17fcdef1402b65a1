"""Lit pixels in a row: the tracks of charged particles."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel
from cxlsfind.kernels.plane_canvas import Words, count_at


class TrackRules(NamedTuple):
    """What lit pixels that touch each other must be like to be a track.

    Parameters
    ----------
    half
        Pixels from a peak, along either axis, in which they are looked for.
    most_pixels
        More of them are a crowd.
    longest_px2, shortest_px2
        Least variance of their places along the longer axis, and most along the shorter.
    most_photons
        Most photons per lit pixel, on average: a particle fires each pixel once.
    """

    half: int
    most_pixels: int
    longest_px2: float
    shortest_px2: float
    most_photons: float


@kernel
def measure_tracks(
    planes: Words,
    places: npt.NDArray[np.int32],
    counts: npt.NDArray[np.uint32],
    stride: int,
    positions: npt.NDArray[np.int32],
    rules: TrackRules,
    is_track: npt.NDArray[np.bool_],
    angle: npt.NDArray[np.float64],
) -> None:
    """Tell which peaks lie on a track, and in which direction it goes.

    Parameters
    ----------
    planes, places, counts
        A frame on a canvas of ``stride`` pixels a row; ``rules.half`` pixels around every position
        lie on it.
    positions
        Canvas pixels in the middle of peaks.
    is_track, angle
        Results; direction of the long axis, rad from fs towards ss.
    """
    half = rules.half
    side = 2 * half + 1
    window = np.empty((side, side), np.int64)
    row = np.empty(side * side, np.int64)
    column = np.empty(side * side, np.int64)
    for number in range(positions.size):
        is_track[number] = False
        angle[number] = 0.0
        start = positions[number] - half * stride - half
        for ss in range(side):
            for fs in range(side):
                window[ss, fs] = count_at(planes, places, counts, start + ss * stride + fs)
        best_ss = half
        best_fs = half
        for ss in range(half - 1, half + 2):
            for fs in range(half - 1, half + 2):
                if window[ss, fs] > window[best_ss, best_fs]:
                    best_ss = ss
                    best_fs = fs
        if window[best_ss, best_fs] == 0:
            continue
        # The list of pixels is the queue as well: whoever is taken up is set to zero.
        row[0] = best_ss
        column[0] = best_fs
        photons = window[best_ss, best_fs]
        window[best_ss, best_fs] = 0
        n = 1
        done = 0
        while done < n and n <= rules.most_pixels:
            for ss in range(max(row[done] - 1, 0), min(row[done] + 2, side)):
                for fs in range(max(column[done] - 1, 0), min(column[done] + 2, side)):
                    if window[ss, fs] > 0:
                        row[n] = ss
                        column[n] = fs
                        photons += window[ss, fs]
                        window[ss, fs] = 0
                        n += 1
            done += 1
        if n > rules.most_pixels or photons > rules.most_photons * n:
            continue
        mean_ss = row[:n].mean()
        mean_fs = column[:n].mean()
        ss_ss = ((row[:n] - mean_ss) ** 2).mean()
        fs_fs = ((column[:n] - mean_fs) ** 2).mean()
        both = ((row[:n] - mean_ss) * (column[:n] - mean_fs)).mean()
        middle = 0.5 * (ss_ss + fs_fs)
        spread = math.hypot(0.5 * (fs_fs - ss_ss), both)
        is_track[number] = (
            middle + spread >= rules.longest_px2 and middle - spread <= rules.shortest_px2
        )
        angle[number] = 0.5 * math.atan2(2.0 * both, fs_fs - ss_ss)
