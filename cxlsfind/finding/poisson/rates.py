"""Where the background of a frame lies, and what it makes by chance over the whole detector."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from cxlsfind.finding.poisson.scores import expected_photons
from cxlsfind.finding.poisson.thresholds import NullTail

FloatArray = npt.NDArray[np.float64]

#: Counts come in whole photons: below 0.01 photons per pixel the false peaks jump from step to
#: step. A step is taken while it stays within this factor of what was asked.
_STEP_TOLERANCE = 1.25


#: Cuts go no further than this above the number asked, lest parts of the detector with next to
#: no background supply what the others cannot.
_WIDEST_CUT = 5.0
_CUTS = np.geomspace(1.0, _WIDEST_CUT, 80)

#: Above this background steps are too fine to matter.
_CONTINUOUS = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """How many pixels of a frame have which background.

    Parameters
    ----------
    places
        Backgrounds as places among the nodes, 0 at the first; ascending, float64.
    pixels
        Pixels at each; float64.
    """

    places: FloatArray
    pixels: FloatArray

    @property
    def n_pixels(self) -> float:
        """Number of usable pixels."""
        return float(self.pixels.sum())


def levels_of(log_shape: FloatArray, pixels: FloatArray, scale: float, tail: NullTail) -> Levels:
    """Return the levels of a frame.

    Parameters
    ----------
    log_shape, pixels
        Histogram of the natural logarithm of the block's shape: middles of bins, and pixels.
    scale
        The frame's scale, counts per pixel.
    """
    filled = pixels > 0
    photons = expected_photons(np.exp(log_shape[filled]) * scale, tail.n_pulses)
    return Levels(tail.places(photons), pixels[filled])


def attainable(asked: float, levels: Levels, tail: NullTail) -> tuple[float, float]:
    """Return the cut on expected false peaks that comes closest to a number asked for.

    A peak is taken when the false peaks expected at or above its significance, over a detector
    that were everywhere like its place, do not exceed the cut. Where scores are continuous the
    cut is the number asked; where they are steps it lies between two of them.

    Returns
    -------
    The cut, and the false peaks per frame that it lets through.
    """
    cuts = asked * _CUTS
    total = levels.n_pixels
    passed = np.zeros(len(cuts))
    stepped = tail.nodes[levels.places.astype(np.int64)] < _CONTINUOUS
    passed += levels.pixels[~stepped].sum() / total * cuts
    eighths = np.rint(8.0 * levels.places[stepped]).astype(np.int64)
    pixels = np.bincount(eighths, levels.pixels[stepped]) if eighths.size else np.empty(0)
    filled = np.flatnonzero(pixels)
    if filled.size:
        each = [_passed(tail, eighth, asked, total) for eighth in filled.tolist()]
        passed += pixels[filled] @ np.array(each)
    fitting = passed <= _STEP_TOLERANCE * asked
    fitting[0] = True
    distance = np.where(fitting, np.abs(np.log(np.maximum(passed, 1e-30) / asked)), np.inf)
    best = int(np.argmin(distance))
    # The middle of the gap between two steps, so that the errors of the table do not decide.
    same = np.flatnonzero(np.abs(passed - passed[best]) <= 0.01 * passed[best])
    return float(np.sqrt(cuts[same[0]] * cuts[same[-1]])), float(passed[best])


@lru_cache(maxsize=4096)
def _passed(tail: NullTail, eighth: int, asked: float, total: float) -> FloatArray:
    """Return the maxima per pixel that the cuts let through, at an eighth of a node."""
    log_cuts, log_passed = tail.passed(eighth / 8.0)
    wanted = np.log(asked * _CUTS / total)
    reached = np.searchsorted(log_cuts, wanted, side="right")
    return np.exp(np.where(reached > 0, log_passed[np.maximum(reached - 1, 0)], -np.inf))
