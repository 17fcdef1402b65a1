"""Spots that touch: two where the score, which knows wide spots too, has one maximum."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cxlsfind.finding.poisson.canvas import PlacedFrame
from cxlsfind.finding.poisson.surroundings import Surroundings
from cxlsfind.kernels.plane_canvas import paint_windows, wipe_windows
from cxlsfind.kernels.spot_fit import FitPriors
from cxlsfind.kernels.spot_pairs import PAIR_HALF, PairRules, find_pairs

#: Spots nearer than two and a half pixels look like a wide one; farther than seven they have
#: maxima of their own.
_NEAREST_PX = 2.5
_FARTHEST_PX = 7.0
_OUTER_SHARE = 0.15

#: With less, more than three in a hundred wide spots would be taken for two.
_LEAST_GAIN = 6.0

#: What lies this near to another candidate, along either axis, is that candidate.
_SAME = 1


def split_touching(
    frame: PlacedFrame,
    sheet: npt.NDArray[np.uint16],
    around: Surroundings,
    positions: npt.NDArray[np.int32],
    background: npt.NDArray[np.float64],
    priors: FitPriors,
    n_pulses: float,
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int32]]:
    """Find candidates that are two spots, or hide one.

    Parameters
    ----------
    sheet
        A canvas of zeros, given back as it was.
    positions, background
        Canvas pixels of candidates, and photons per pixel under them.

    Returns
    -------
    Which candidates stand, those between two spots do not; and further spots, ascending.
    """
    pairs = np.empty((len(positions), 2), np.int32)
    rules = PairRules(_NEAREST_PX, _FARTHEST_PX, _OUTER_SHARE, _LEAST_GAIN, n_pulses)
    stride = around.canvas.stride
    paint_windows(frame.planes, frame.place, frame.count, stride, positions, PAIR_HALF, sheet)
    find_pairs(
        sheet,
        around.usable,
        stride,
        positions,
        background,
        priors,
        rules,
        pairs,
    )
    wipe_windows(stride, positions, PAIR_HALF, sheet)
    stands = np.ones(len(positions), np.bool_)
    further = np.empty(0, np.int32)
    for number in np.flatnonzero(pairs[:, 0] >= 0).tolist():
        pair = pairs[number]
        pair = pair[around.usable[pair]]
        # A maximum one pixel from a spot lies between the two: it would be fitted to both.
        stands[number] = not pair.size or bool((pair == positions[number]).any())
        known = np.concatenate([positions[stands], further])
        new = [spot for spot in pair.tolist() if not _is_near(known, spot, stride).any()]
        further = np.concatenate([further, np.array(new, np.int32)])
    return stands, np.sort(further)


def is_far(
    positions: npt.NDArray[np.int32], peaks: npt.NDArray[np.int32], stride: int
) -> npt.NDArray[np.bool_]:
    """Tell which replaced candidates have no peak where their spots were."""
    far: npt.NDArray[np.bool_] = np.all(_apart(positions, peaks, stride) > _FARTHEST_PX, axis=1)
    return far


def _is_near(positions: npt.NDArray[np.int32], position: int, stride: int) -> npt.NDArray[np.bool_]:
    near: npt.NDArray[np.bool_] = (
        _apart(positions, np.array([position], np.int32), stride)[:, 0] <= _SAME
    )
    return near


def _apart(
    some: npt.NDArray[np.int32], others: npt.NDArray[np.int32], stride: int
) -> npt.NDArray[np.int64]:
    """Return how far canvas pixels are apart along the axis on which they are farther."""
    row, column = np.divmod(some.astype(np.int64), stride)
    down, right = np.divmod(others.astype(np.int64), stride)
    apart: npt.NDArray[np.int64] = np.maximum(
        np.abs(row[:, None] - down[None, :]), np.abs(column[:, None] - right[None, :])
    )
    return apart
