"""Photons of round backgrounds: drawn one by one, and expected pixel by pixel.

Directions are given as (x, y, 1): by the tangent of their angle with the beam. An amount per
direction is one per unit of area in that plane.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel
from cxlsfind.kernels.sim_panels import PanelGrid, find_pixel


class RoundProfile(NamedTuple):
    """Scattering that depends on the angle with the beam, and polarisation beside.

    Parameters
    ----------
    step
        Width of the bins of the tangent, which begin at zero.
    density
        Expected photons per unit of area of the plane, before polarisation, by bin.
    polarisation
        Share of the beam polarised along x.
    """

    step: float
    density: npt.NDArray[np.float64]
    polarisation: float


class Streak(NamedTuple):
    """Scattering along a line through the beam.

    Parameters
    ----------
    photons
        Expected photons in all directions.
    angle
        Direction of the line from x, rad.
    spread
        Standard deviation of directions about the line, rad.
    reach
        Mean tangent of the angle with the beam.
    """

    photons: float
    angle: float
    spread: float
    reach: float


#: Pixels of a tile, along ss and fs: photons of a tile are drawn at its brightest pixel's rate, and
#: those too many are thrown away again.
TILE = (16, 32)


@kernel
def bound_tiles(
    profile: RoundProfile, grid: PanelGrid, tiles: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Return, for each tile, a number of photons that no pixel of it exceeds.

    Parameters
    ----------
    tiles
        Panel, first and one past the last ss, first and one past the last fs, counted in the
        panel; shape (n, 5).
    """
    result = np.zeros(tiles.shape[0])
    n_bins = profile.density.shape[0]
    for i in range(tiles.shape[0]):
        m = grid.matrix[tiles[i, 0]]
        x0, y0, area = _pixel_direction(
            m, 0.5 * (tiles[i, 3] + tiles[i, 4]), 0.5 * (tiles[i, 1] + tiles[i, 2])
        )
        # No pixel is farther from the middle than the farthest corner, nor looks larger than the
        # largest corner does.
        away = 0.0
        for k in range(4):
            x, y, size = _pixel_direction(m, tiles[i, 3 + k % 2], tiles[i, 1 + k // 2])
            away = max(away, math.hypot(x - x0, y - y0))
            area = max(area, size)
        middle = math.hypot(x0, y0)
        first = max(int((middle - away) / profile.step), 0)
        last = min(int((middle + away) / profile.step) + 1, n_bins)
        most = 0.0
        for k in range(first, last):
            most = max(most, profile.density[k])
        result[i] = most * area
    return result


@kernel
def draw_photons(
    generator: np.random.Generator,
    number: npt.NDArray[np.int64],
    bound: npt.NDArray[np.float64],
    tiles: npt.NDArray[np.int64],
    profile: RoundProfile,
    grid: PanelGrid,
    efficiency: npt.NDArray[np.float32],
    counts: npt.NDArray[np.uint32],
) -> None:
    """Add photons of a round background to the counts.

    Parameters
    ----------
    number
        Photons to draw in each tile: of a Poisson distribution whose mean is the tile's number of
        pixels times its bound.
    bound
        Photons that no pixel of the tile exceeds, efficiency included.
    tiles
        As in :func:`bound_tiles`.
    efficiency
        Chance that a photon on a pixel is counted, flat.
    """
    for i in range(tiles.shape[0]):
        m = grid.matrix[tiles[i, 0]]
        width = tiles[i, 4] - tiles[i, 3]
        n_pixels = width * (tiles[i, 2] - tiles[i, 1])
        start, stride = grid.window[tiles[i, 0], 0], grid.window[tiles[i, 0], 1]
        for _ in range(number[i]):
            # One random number tells the pixel; what is left of it, whether the photon stays.
            place = generator.random() * n_pixels
            at = int(place)
            row, column = tiles[i, 1] + at // width, tiles[i, 3] + at % width
            pixel = start + row * stride + column
            if efficiency[pixel] == 0.0:
                continue
            x, y, area = _pixel_direction(m, column + 0.5, row + 0.5)
            rate = _round_density(profile, x, y) * area * efficiency[pixel]
            if (place - at) * bound[i] < rate:
                counts[pixel] += 1


@kernel
def count_directions(
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    luck: npt.NDArray[np.float64],
    grid: PanelGrid,
    efficiency: npt.NDArray[np.float32],
    best: float,
    counts: npt.NDArray[np.uint32],
) -> None:
    """Add photons that go in given directions to the counts.

    Parameters
    ----------
    luck
        A number for each photon, evenly distributed from 0 to 1: it settles whether it counts.
    """
    for i in range(x.shape[0]):
        pixel = find_pixel(grid, x[i], y[i])
        if pixel >= 0 and luck[i] * best < efficiency[pixel]:
            counts[pixel] += 1


@kernel
def expected_photons(
    index: npt.NDArray[np.int32],
    panel_of: npt.NDArray[np.int16],
    profile: RoundProfile,
    streak: Streak,
    grid: PanelGrid,
    efficiency: npt.NDArray[np.float32],
    expected: npt.NDArray[np.float32],
) -> None:
    """Give the expected photons of some pixels, as at their centres.

    Parameters
    ----------
    index
        Pixels, flat.
    panel_of
        Panel of every pixel of the frame array; -1 for none.
    expected
        Output, one per element of ``index``.
    """
    for i in range(index.shape[0]):
        pixel = index[i]
        panel = panel_of[pixel]
        if panel < 0 or efficiency[pixel] == 0.0:
            expected[i] = 0.0
            continue
        row, column = divmod(pixel - grid.window[panel, 0], grid.window[panel, 1])
        x, y, area = _pixel_direction(grid.matrix[panel], column + 0.5, row + 0.5)
        value = _round_density(profile, x, y)
        if streak.photons > 0.0:
            value += _streak_density(streak, x, y, math.sqrt(area))
        expected[i] = value * area * efficiency[pixel]


@kernel
def _pixel_direction(
    m: npt.NDArray[np.float64], fs: float, ss: float
) -> tuple[float, float, float]:
    """Return the direction of a place on a panel, and the area of a pixel there in its plane."""
    z = m[2, 0] * fs + m[2, 1] * ss + m[2, 2]
    x = (m[0, 0] * fs + m[0, 1] * ss + m[0, 2]) / z
    y = (m[1, 0] * fs + m[1, 1] * ss + m[1, 2]) / z
    volume = (
        m[0, 0] * (m[1, 1] * m[2, 2] - m[1, 2] * m[2, 1])
        - m[0, 1] * (m[1, 0] * m[2, 2] - m[1, 2] * m[2, 0])
        + m[0, 2] * (m[1, 0] * m[2, 1] - m[1, 1] * m[2, 0])
    )
    return x, y, abs(volume) / z**3


@kernel
def _round_density(profile: RoundProfile, x: float, y: float) -> float:
    square = x * x + y * y
    k = int(math.sqrt(square) / profile.step)
    if k >= profile.density.shape[0]:
        return 0.0
    f = profile.polarisation
    return float(profile.density[k] * (1.0 - (f * x * x + (1.0 - f) * y * y) / (1.0 + square)))


@kernel
def _streak_density(streak: Streak, x: float, y: float, pixel: float) -> float:
    # The middle of the pattern is a point; half a pixel is as near as a pixel can look.
    radius = max(math.sqrt(x * x + y * y), 0.5 * pixel)
    away = math.atan2(y, x) - streak.angle
    away -= math.pi * math.floor(away / math.pi + 0.5)
    across = math.exp(-0.5 * (away / streak.spread) ** 2) / (
        2.0 * math.sqrt(2.0 * math.pi) * streak.spread
    )
    return streak.photons * across * math.exp(-radius / streak.reach) / (streak.reach * radius)
