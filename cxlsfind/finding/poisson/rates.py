"""Where the background of a frame lies, and what it makes by chance over the whole detector."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxlsfind.finding.poisson.thresholds import NullTail

FloatArray = npt.NDArray[np.float64]

#: Counts come in whole photons: below 0.01 photons per pixel the false peaks jump from step to
#: step. A step is taken while it stays within this factor of what was asked.
_STEP_TOLERANCE = 1.25


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
        The frame's scale, photons per pixel.
    """
    filled = pixels > 0
    return Levels(tail.places(np.exp(log_shape[filled]) * scale), pixels[filled])


def attainable(asked: float, levels: Levels, tail: NullTail) -> tuple[float, float]:
    """Return the cut on expected false peaks that comes closest to a number asked for.

    A peak is taken when the false peaks expected at or above its significance, over a detector
    that were everywhere like its place, do not exceed the cut. Where scores are continuous the
    cut is the number asked; where they are steps it lies between two of them.

    Returns
    -------
    The cut, and the false peaks per frame that it lets through.
    """
    cuts = asked * np.geomspace(1.0, 40.0, 160)
    total = levels.n_pixels
    passed = np.zeros(len(cuts))
    stepped = tail.nodes[levels.places.astype(np.int64)] < _CONTINUOUS
    passed += levels.pixels[~stepped].sum() / total * cuts
    for place, pixels in zip(levels.places[stepped], levels.pixels[stepped], strict=True):
        node = int(place)
        part = place - node
        samples = tail.sample_log_rates(node)
        rates = np.sort((1.0 - part) * samples[:, 0] + part * samples[:, 1]) + math.log(total)
        reached = np.searchsorted(rates, np.log(cuts), side="right")
        step = np.where(reached > 0, rates[np.maximum(reached - 1, 0)], -np.inf)
        passed += pixels / total * np.exp(step)
    fitting = passed <= _STEP_TOLERANCE * asked
    fitting[0] = True
    distance = np.where(fitting, np.abs(np.log(np.maximum(passed, 1e-30) / asked)), np.inf)
    best = int(np.argmin(distance))
    # The middle of the gap between two steps, so that the errors of the table do not decide.
    same = np.flatnonzero(np.abs(passed - passed[best]) <= 0.01 * passed[best])
    return float(np.sqrt(cuts[same[0]] * cuts[same[-1]])), float(passed[best])
