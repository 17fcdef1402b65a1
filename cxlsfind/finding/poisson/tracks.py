"""Tracks of charged particles: muons and electrons that fire the pixels on their way once each."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from cxlsfind.finding.poisson.canvas import PAD, PlacedFrame
from cxlsfind.finding.poisson.streaks import radial_angles
from cxlsfind.finding.poisson.surroundings import Surroundings
from cxlsfind.kernels.tracks import TrackRules, measure_tracks

#: Five pixels in a row have a variance of 2; a slanted row has steps, and some breadth. Of round
#: spots of five photons one in a thousand looks like that.
_RULES = TrackRules(
    half=PAD - 1, most_pixels=30, longest_px2=1.9, shortest_px2=0.3, most_photons=1.3
)

#: With more background than this, photons per pixel, chance makes rows.
_CROWDED = 0.02

#: Where spots are streaks, what points away from the beam within this angle is a spot, rad.
_RADIAL = math.radians(25.0)


def find_tracks(
    frame: PlacedFrame,
    around: Surroundings,
    positions: npt.NDArray[np.int32],
    background: npt.NDArray[np.float64],
    streak_px: float,
) -> npt.NDArray[np.bool_]:
    """Tell which peaks lie on the track of a particle.

    Parameters
    ----------
    positions, background
        Canvas pixels of peaks, and photons per pixel under them.
    streak_px
        Length of spots drawn out along the radius, one sigma; 0 where spots are round.
    """
    is_track = np.zeros(len(positions), np.bool_)
    clear = np.flatnonzero(background < _CROWDED)
    if not clear.size:
        return is_track
    found, angle = np.empty(clear.size, np.bool_), np.empty(clear.size)
    measure_tracks(
        frame.planes,
        frame.place,
        frame.count,
        around.canvas.stride,
        positions[clear],
        _RULES,
        found,
        angle,
    )
    if streak_px:
        turn = angle - radial_angles(positions[clear], around)
        found &= np.abs(np.sin(turn)) > math.sin(_RADIAL)
    is_track[clear] = found
    return is_track
