"""Charge sharing: the share of photons that fire two pixels, measured on the frames themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import log_ndtr, ndtri_exp

from cxlsfind.finding.poisson.canvas import PlacedFrame
from cxlsfind.finding.poisson.surroundings import Surroundings
from cxlsfind.kernels.plane_canvas import clear_pixels
from cxlsfind.kernels.plane_sums import multiply_neighbours

#: Words of the frames that are looked at, which are spread over the block: eight frames of 4.5
#: million pixels. Frames with more planes than a few hold more photons and cost more: a quarter.
_WORDS = 8 * 75_000
_FEW_PLANES = 2
_CROWDED_WORDS = _WORDS // 4

#: Shares for which null tails are made; a measured one is rounded up to the next.
_SHARES = (0.0, 0.00125, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.08, 0.12)

#: Mean of the prior of the share, which falls exponentially: where few photons say nothing, a
#: little is taken for granted. Up to half the lowest step it makes no difference.
_PRIOR_MEAN = 0.003
_NEGLIGIBLE = 0.0006

#: Probability that the share is larger than what is taken for it. A single frame of some thousand
#: photons leaves it open by a factor of two: too little makes false peaks, too much costs little.
_CAUTION = 0.16


def measure_sharing(
    frames: Sequence[PlacedFrame], around: Surroundings, cut_out: Sequence[npt.NDArray[np.int32]]
) -> float:
    """Return the share of photons that fire a neighbour, from the list of known shares.

    Neighbouring photons outside spots are counted on some of the frames.

    Parameters
    ----------
    cut_out
        Per frame, canvas pixels that belong to spots.
    """
    words_per_row = around.canvas.words_per_row
    whole = _whole_neighbourhoods(around)
    sums = np.zeros(3)
    fullest = max(len(frame.planes) for frame in frames)
    words = _WORDS if fullest <= _FEW_PLANES else _CROWDED_WORDS
    step = -(-len(frames) * around.canvas.n_words // words)
    for frame, cut in list(zip(frames, cut_out, strict=True))[::step]:
        planes = frame.planes
        if cut.size:
            planes = planes.copy()
            clear_pixels(planes, cut)
        multiply_neighbours(planes, whole, words_per_row, sums)
    sides, diagonals, photons = sums
    excess = (sides - diagonals) / max(photons, 1.0)
    error = math.sqrt(max(sides + diagonals, 1.0)) / max(photons, 1.0)
    highest = _highest_share(excess, error)
    if highest < _NEGLIGIBLE:
        return 0.0
    return next((share for share in _SHARES if share >= 0.9 * highest), _SHARES[-1])


def _highest_share(excess: float, error: float) -> float:
    """Return what a share, which is not negative and was measured with an error, hardly exceeds."""
    middle = excess - error**2 / _PRIOR_MEAN
    # The normal density above zero, whose integral underflows far below it.
    log_above = math.log(_CAUTION) + float(log_ndtr(middle / error))
    return middle - error * float(ndtri_exp(log_above))


def _whole_neighbourhoods(around: Surroundings) -> npt.NDArray[np.uint64]:
    """Return the pixels all of whose neighbours to the right and below are usable, as words.

    At an edge there are fewer diagonals than sides: only whole neighbourhoods compare.
    """
    usable, stride = around.usable, around.canvas.stride
    whole = usable.copy()
    for shift in (1, stride - 1, stride, stride + 1):
        whole[:-shift] &= usable[shift:]
        whole[-shift:] = False
    return around.canvas.words(whole)
