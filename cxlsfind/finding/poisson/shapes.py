"""Spot shapes: the share of a spot's photons that falls into each pixel around its centre."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import erf

FloatArray = npt.NDArray[np.float64]

#: Points per pixel side at which slanted shapes, which have no closed form, are sampled.
_SUBSAMPLES = 8

#: Half the sides of the windows of round spots, and of streaks.
_HALF = 3
_STREAK_HALF = 5

#: Directions of streaks, their width, and the streaks of each: length in units of the longest, and
#: pixels that they pass the middle at.
N_DIRECTIONS = 16
_STREAK_WIDTH_PX = 0.64
_STREAKS = ((0.6, 0.0), (1.0, -0.25), (1.0, 0.25))

#: Where spots are streaks few are round: at more than this share the false peaks among these cost
#: streaks a hundredth of their sensitivity. And photons of a streak that stands out, in units of
#: those of a sharp spot: 1.4 at 0.01 photons per pixel, 1.8 at 1.
_ROUND_SHARE = 0.05
_STREAK_TYPICAL = 1.7


@dataclass(frozen=True, slots=True, eq=False)
class ShapeBank:
    """The spot shapes among which a spot is looked for, and how common each is.

    Parameters
    ----------
    half
        Shapes cover ``2 * half + 1`` pixels squared.
    taps
        Share of the photons per pixel, shape (shapes, (2 * half + 1)**2), float64; a shape's
        shares sum to less than one where its tails leave the window.
    weights
        Prior probability of each shape; sums to one.
    typical
        Photons of the spot that half of the time stands out, in units of those of a sharp one.
    """

    half: int
    taps: FloatArray
    weights: FloatArray
    typical: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class ShapeFamily:
    """The shapes of a search, which may depend on the direction of the radius.

    Parameters
    ----------
    banks
        One per direction of the radius, from fs towards ss in equal steps of half a turn; one
        alone where the direction does not matter.
    streak_px
        Standard deviation along the radius of the longest streaks, pixels; 0 for round spots.
    """

    banks: tuple[ShapeBank, ...]
    streak_px: float


def gaussian_taps(sigma_px: float, half: int, *, fs: float = 0.0, ss: float = 0.0) -> FloatArray:
    """Integrate a round Gaussian over pixels.

    Parameters
    ----------
    sigma_px
        Standard deviation, pixels.
    half
        The window has ``2 * half + 1`` pixels a side.
    fs, ss
        Centre of the Gaussian relative to the centre of the middle pixel, pixels.

    Returns
    -------
    Shares, shape ``((2 * half + 1)**2,)``, rows of ss.
    """
    edges = np.arange(-half, half + 2) - 0.5
    scale = sigma_px * math.sqrt(2.0)
    along_fs = 0.5 * np.diff(erf((edges - fs) / scale))
    along_ss = 0.5 * np.diff(erf((edges - ss) / scale))
    shares: FloatArray = np.outer(along_ss, along_fs).ravel()
    return shares


def elongated_taps(
    sigma_long_px: float,
    sigma_short_px: float,
    angle_rad: float,
    half: int,
    *,
    aside_px: float = 0.0,
) -> FloatArray:
    """Integrate an elongated Gaussian over pixels.

    Parameters
    ----------
    sigma_long_px, sigma_short_px
        Standard deviations along and across, pixels.
    angle_rad
        Direction of the long axis, from fs towards ss.
    half
        The window has ``2 * half + 1`` pixels a side.
    aside_px
        How far the long axis passes the middle of the window, to its right.

    Returns
    -------
    Shares, shape ``((2 * half + 1)**2,)``, rows of ss.
    """
    side = 2 * half + 1
    offsets = (np.arange(side * _SUBSAMPLES) + 0.5) / _SUBSAMPLES - side / 2
    ss, fs = np.meshgrid(offsets, offsets, indexing="ij")
    along = fs * math.cos(angle_rad) + ss * math.sin(angle_rad)
    across = ss * math.cos(angle_rad) - fs * math.sin(angle_rad) - aside_px
    density = np.exp(-0.5 * ((along / sigma_long_px) ** 2 + (across / sigma_short_px) ** 2))
    density /= 2.0 * math.pi * sigma_long_px * sigma_short_px * _SUBSAMPLES**2
    shares: FloatArray = (
        density.reshape(side, _SUBSAMPLES, side, _SUBSAMPLES).sum(axis=(1, 3)).ravel()
    )
    return shares


def round_shapes() -> ShapeFamily:
    """Return the shapes of ordinary spots: a sharp one at four sub-pixel centres, and a wide one.

    One centre in the middle of the pixel needs 1 to 3 % more photons above 1 photon per pixel;
    nine centres gain nothing more.
    """
    shapes, weights = _round_shapes(_HALF)
    return ShapeFamily((ShapeBank(_HALF, shapes, weights),), 0.0)


def streak_shapes(sigma_px: float) -> ShapeFamily:
    """Return the shapes of spots that a wide spectrum or a mosaic crystal draws out radially.

    Round spots are among them, since streaks are short near the beam.

    Parameters
    ----------
    sigma_px
        Standard deviation along the radius, pixels.
    """
    shapes, weights = _round_shapes(_STREAK_HALF)
    banks = []
    for number in range(N_DIRECTIONS):
        angle = math.pi * number / N_DIRECTIONS
        streaks = [
            elongated_taps(length * sigma_px, _STREAK_WIDTH_PX, angle, _STREAK_HALF, aside_px=aside)
            for length, aside in _STREAKS
        ]
        banks.append(
            ShapeBank(
                _STREAK_HALF,
                np.concatenate([shapes, streaks]),
                np.concatenate(
                    [
                        _ROUND_SHARE * weights,
                        np.full(len(streaks), (1.0 - _ROUND_SHARE) / len(streaks)),
                    ]
                ),
                _STREAK_TYPICAL,
            )
        )
    return ShapeFamily(tuple(banks), sigma_px)


def _round_shapes(half: int) -> tuple[FloatArray, FloatArray]:
    sharp = [
        gaussian_taps(0.62, half, fs=fs, ss=ss) for ss in (-0.25, 0.25) for fs in (-0.25, 0.25)
    ]
    wide = gaussian_taps(1.2, half)
    return np.array([*sharp, wide]), np.array([0.2125, 0.2125, 0.2125, 0.2125, 0.15])
