"""Spots drawn out along the radius, told from round ones by the bright spots of a block."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cxlsfind.finding.poisson.candidates import Candidates, directions_at
from cxlsfind.finding.poisson.canvas import PAD, PlacedFrame
from cxlsfind.finding.poisson.surroundings import Surroundings
from cxlsfind.kernels.background_maps import spot_moments

FloatArray = npt.NDArray[np.float64]

#: Steps of half a turn in which the direction of the radius is taken.
_N_DIRECTIONS = 180

#: Pixels from the middle of a spot in which its photons are looked for.
_HALF = 8

#: Spots are streaks when their variance along the radius exceeds that across by this much (square
#: pixels) and by this many standard errors, over so many spots at least.
_LONGER = 1.0
_BELIEVED = 4.0
_FEWEST_SPOTS = 16

#: Some frames are enough when they have so many spots.
_ENOUGH_SPOTS = 600

#: Lengths (one sigma, pixels) for which shapes are made; a measured one becomes the nearest.
_LENGTHS = (1.5, 2.1, 2.8, 3.5, 4.4)

#: A streak reaches this far, in units of its length, and this far across; what lies there is
#: part of it.
_REACH = 2.2
_REACH_ACROSS_PX = 2.5


def measure_streaks(
    frames: Sequence[PlacedFrame], around: Surroundings, found: Sequence[Candidates]
) -> float:
    """Return the length of streaks, one sigma in pixels; 0 where spots are round.

    Strips along the radius are compared with strips across it, so that neighbours, which lie
    anywhere, do not look like streaks.

    Parameters
    ----------
    found
        Significant spots of every frame.
    """
    n_spots = sum(len(spots.position) for spots in found)
    step = max(1, n_spots // _ENOUGH_SPOTS)
    sums = np.concatenate(
        [np.empty((0, 4))]
        + [
            _moments(frame, around, spots.position, spots.background, _HALF)
            for frame, spots in list(zip(frames, found, strict=True))[::step]
        ]
    )
    lit = sums[:, 0] > 0.0
    if np.count_nonzero(lit) < _FEWEST_SPOTS:
        return 0.0
    photons, along, _, across = sums[lit].T
    total = float(photons.sum())
    longer = float((along - across).sum()) / total
    error = float(np.linalg.norm(along - across - longer * photons)) / total
    if longer < max(_LONGER, _BELIEVED * error):
        return 0.0
    length = math.sqrt(float(along.sum()) / total)
    return min(_LENGTHS, key=lambda known: abs(math.log(known / length)))


def first_of_streaks(
    positions: npt.NDArray[np.int32], around: Surroundings, length_px: float
) -> npt.NDArray[np.bool_]:
    """Tell which candidates do not lie on the streak of one before them.

    Parameters
    ----------
    positions
        Canvas pixels, most significant first.
    length_px
        Length of the streaks, one sigma.
    """
    angle = radial_angles(positions, around)
    row, column = np.divmod(positions.astype(np.float64), around.canvas.stride)
    first = np.ones(len(positions), np.bool_)
    for number in range(1, len(positions)):
        before = np.flatnonzero(first[:number])
        down, right = row[number] - row[before], column[number] - column[before]
        along = right * np.cos(angle[before]) + down * np.sin(angle[before])
        across = down * np.cos(angle[before]) - right * np.sin(angle[before])
        on_it = (np.abs(along) < _REACH * length_px) & (np.abs(across) < _REACH_ACROSS_PX)
        first[number] = not on_it.any()
    return first


def streak_photons(
    frame: PlacedFrame,
    around: Surroundings,
    positions: npt.NDArray[np.int32],
    background: FloatArray,
    length_px: float,
) -> tuple[FloatArray, FloatArray]:
    """Return the photons of streaks above background, at least one, and their errors."""
    half = min(round(_REACH * length_px), PAD)
    sums = _moments(frame, around, positions, background, half)
    return np.maximum(sums[:, 0], 1.0), np.sqrt(np.maximum(sums[:, 2], 1.0))


def _moments(
    frame: PlacedFrame,
    around: Surroundings,
    positions: npt.NDArray[np.int32],
    background: FloatArray,
    half: int,
) -> FloatArray:
    """Return :func:`spot_moments` of spots, shape (spots, 4)."""
    sums = np.empty((len(positions), 4))
    spot_moments(
        frame.planes,
        frame.place,
        frame.count,
        around.usable,
        around.canvas.stride,
        positions,
        radial_angles(positions, around),
        background,
        half,
        sums,
    )
    return sums


def radial_angles(positions: npt.NDArray[np.int32], around: Surroundings) -> FloatArray:
    """Return the direction of the radius at canvas pixels, rad from fs towards ss, half a turn."""
    turns = directions_at(positions, around, _N_DIRECTIONS)
    angles: FloatArray = np.asarray(math.pi / _N_DIRECTIONS * turns, np.float64)
    return angles
