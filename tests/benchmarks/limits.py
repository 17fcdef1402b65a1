"""The physical limits that the benchmarks compare with.

Nothing here is shared with the finder: the likelihood ratio is computed anew, pixel by pixel, with
the true background, the true bad pixels and the true spot shape, marginal over nine centres inside
the pixel. A peak is the largest ratio up to two pixels around, as it is for the finder.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
from photon_frames import (
    ROUND,
    Counts,
    Detector,
    FloatArray,
    SpotShape,
    radial_angle,
    spot_shares,
)
from scipy.stats import poisson

#: Pixels around the frame, so that windows need no check.
PAD = 16
RADIUS = 2

#: Directions of elongated spots that are told apart, and sub-pixel centres.
_DIRECTIONS = 48
_CENTRES = [(fs, ss) for ss in (0.0, -1 / 3, 1 / 3) for fs in (0.0, -1 / 3, 1 / 3)]

#: Share of blank pixels that are looked at because their 3x3 box is rich enough, and the ratio
#: (log) of the middle centre below which no other centre is tried: far below what matters.
_BOX_SHARE = 2e-3
_FLOOR = 2.0

_TYPICAL_BACKGROUND = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1000.0)
_TYPICAL_PHOTONS = (1.8, 1.9, 2.1, 2.7, 4.4, 7.9, 17.6, 46.3, 140.0, 430.0)


def typical_photons(background: float | FloatArray) -> FloatArray:
    """Return about the photons of a round spot that the limit finds half of the time."""
    photons: FloatArray = np.exp(
        np.interp(np.log(background), np.log(_TYPICAL_BACKGROUND), np.log(_TYPICAL_PHOTONS))
    )
    return photons


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """What is true of a frame besides its spots, with ``PAD`` unusable pixels around.

    Parameters
    ----------
    background
        Photons per pixel, shape (ss, fs).
    usable
        Pixels that tell the truth.
    needs
        Photons that the 3x3 box around a pixel must hold to be looked at.
    """

    background: FloatArray
    usable: npt.NDArray[np.bool_]
    needs: npt.NDArray[np.uint16]


def make_world(
    detector: Detector,
    background: float | FloatArray,
    liars: npt.NDArray[np.int64] | None = None,
    box_share: float = _BOX_SHARE,
) -> World:
    """Return the world of frames with a background (photons per pixel) and pixels that lie."""
    usable = detector.usable.copy()
    if liars is not None:
        usable[liars] = False
    flat = np.broadcast_to(np.asarray(background, np.float64), usable.shape)
    levels = np.geomspace(1e-8, 1e3, 1101)
    needs = np.maximum(poisson.isf(box_share, 9 * levels) + 1, 1)
    number = np.rint(100 * np.log10(np.maximum(flat, 1e-8) / 1e-8)).astype(np.int64)
    return World(
        pad(flat.reshape(detector.shape), 1.0),
        pad(usable.reshape(detector.shape), False),
        pad(needs[number].astype(np.uint16).reshape(detector.shape), 65535),
    )


def pad(values: npt.NDArray[np.generic], filling: object) -> npt.NDArray[np.generic]:
    """Return an image with ``PAD`` more pixels on all sides."""
    return np.pad(values, PAD, constant_values=filling)  # type: ignore[call-overload]


class Limit:
    """The likelihood ratio that knows the truth.

    Parameters
    ----------
    photons, weights
        Intensities that spots may have, and how common they are, in units of
        :func:`typical_photons` of the background under them.
    pulses
        X-ray pulses per frame.
    """

    def __init__(
        self,
        detector: Detector,
        *,
        shape: SpotShape = ROUND,
        pulses: float = math.inf,
        photons: FloatArray | float = 1.0,
        weights: FloatArray | float = 1.0,
        floor: float = _FLOOR,
    ) -> None:
        self._detector = detector
        self._half = 3 if shape == ROUND else math.ceil(2.7 * shape.long_px)
        self._round = shape.long_px == shape.across_px
        angles = np.zeros(1) if self._round else np.arange(_DIRECTIONS) * math.pi / _DIRECTIONS
        self._taps = np.array(
            [
                [spot_shares(shape, self._half, fs, ss, angle).ravel() for fs, ss in _CENTRES]
                for angle in angles
            ]
        )
        self._pulses = pulses
        self._photons = np.atleast_1d(np.asarray(photons, np.float64))
        self._log_weights = np.log(np.atleast_1d(np.asarray(weights, np.float64))) - math.log(
            len(_CENTRES)
        )
        self._floor = floor
        sheet = detector.shape[0] + 2 * PAD, detector.shape[1] + 2 * PAD
        self._sheet = np.full(sheet, -np.inf)

    def near(self, counts: Counts, world: World, spots: FloatArray, radius: float) -> FloatArray:
        """Return the score of the best peak within a radius of each spot; -inf if there is none."""
        padded = pad(counts.reshape(self._detector.shape), 0)
        reach = math.ceil(radius) + RADIUS
        steps = np.arange(-reach, reach + 1)
        window = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
        middle = np.floor(spots[:, :2]).astype(np.int64)
        places = np.unique((middle[:, None] + window).reshape(-1, 2), axis=0)
        positions = np.sort((places[:, 1] + PAD) * padded.shape[1] + places[:, 0] + PAD)
        positions = positions[world.usable.ravel()[positions]]
        found, scores, _ = self.maxima(padded, world, positions)
        at = self._places(found)
        best = np.full(len(spots), -np.inf)
        for number, spot in enumerate(spots):
            close = np.hypot(at[:, 0] - spot[0], at[:, 1] - spot[1]) <= radius
            best[number] = scores[close].max(initial=-np.inf)
        return best

    def everywhere(self, counts: Counts, world: World) -> tuple[FloatArray, FloatArray]:
        """Return the scores of all peaks of a frame, and the logarithms of their 5x5 sums."""
        padded = pad(counts.reshape(self._detector.shape), 0)
        positions = _rich_boxes(padded, world)
        _, scores, sums = self.maxima(padded, world, positions)
        return scores, sums

    def score_at(
        self, padded: npt.NDArray[np.uint16], world: World, positions: npt.NDArray[np.int64]
    ) -> FloatArray:
        """Return log likelihood ratios at flat positions of a padded image."""
        background = world.background.ravel()[positions]
        directions = np.zeros(len(positions), np.int64)
        if not self._round:
            angle = radial_angle(self._places(positions), self._detector)
            directions = np.rint(angle * _DIRECTIONS / math.pi).astype(np.int64) % _DIRECTIONS
        scores = np.empty(len(positions))
        _score(
            padded.ravel(),
            world.background.ravel(),
            world.usable.ravel(),
            padded.shape[1],
            positions,
            directions,
            typical_photons(background),
            self._photons,
            self._log_weights,
            self._taps,
            self._half,
            self._pulses,
            self._floor,
            scores,
        )
        return scores

    def maxima(
        self, padded: npt.NDArray[np.uint16], world: World, positions: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], FloatArray, FloatArray]:
        """Return the peaks among flat positions: where, scores, and logarithms of 5x5 sums."""
        scores = self.score_at(padded, world, positions)
        if self._sheet.shape != padded.shape:
            self._sheet = np.full(padded.shape, -np.inf)
        sums = np.empty(len(positions))
        is_maximum = np.empty(len(positions), np.bool_)
        _mark(positions, scores, padded.shape[1], self._sheet.ravel(), is_maximum, sums)
        return positions[is_maximum], scores[is_maximum], sums[is_maximum]

    def _places(self, positions: npt.NDArray[np.int64]) -> FloatArray:
        row, column = np.divmod(positions, self._detector.shape[1] + 2 * PAD)
        return np.column_stack([column - PAD + 0.5, row - PAD + 0.5])


def position_variance(
    photons: FloatArray, background: float, shape: SpotShape = ROUND, pulses: float = math.inf
) -> FloatArray:
    """Return the Cramer-Rao bound of a coordinate's variance, px^2, by photons.

    The flux is free, and the variance is averaged over places of the centre inside the pixel.
    """
    step = 1e-3
    half = shape.half
    total = np.zeros(len(photons))
    for ss in np.linspace(-0.4, 0.4, 5):
        for fs in np.linspace(-0.4, 0.4, 5):
            here = spot_shares(shape, half, fs, ss, 0.0)
            by_fs = spot_shares(shape, half, fs + step, ss, 0.0)
            by_ss = spot_shares(shape, half, fs, ss + step, 0.0)
            slopes = [(by_fs - here) / step, (by_ss - here) / step, here]
            for number, flux in enumerate(photons):
                mean = background + flux * here
                weight = 1.0 / mean
                if math.isfinite(pulses):
                    weight = np.exp(-mean / pulses) / (-np.expm1(-mean / pulses) * pulses)
                matrix = [[(flux**2 * a * b * weight).sum() for b in slopes] for a in slopes]
                total[number] += np.linalg.inv(np.array(matrix))[0, 0] / 25
    return total


def _rich_boxes(padded: npt.NDArray[np.uint16], world: World) -> npt.NDArray[np.int64]:
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    boxes = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    rich = (boxes >= world.needs[1:-1, 1:-1]) & world.usable[1:-1, 1:-1]
    row, column = np.nonzero(rich)
    return (row + 1) * padded.shape[1] + column + 1


@numba.njit(cache=True)
def _score(  # type: ignore[no-untyped-def]
    counts,
    background,
    usable,
    stride,
    positions,
    directions,
    typical,
    photons,
    log_weights,
    taps,
    half,
    pulses,
    floor,
    scores,
):
    """Log likelihood ratio of positions, marginal over centres and intensities."""
    n_taps = taps.shape[2]
    n_centres = taps.shape[1]
    lit = np.empty(n_taps, np.int64)
    dead = np.empty(n_taps, np.int64)
    offset = np.empty(n_taps, np.int64)
    number = 0
    for row in range(-half, half + 1):
        for column in range(-half, half + 1):
            offset[number] = row * stride + column
            number += 1
    logs = np.empty(n_centres * photons.size)
    many = math.isinf(pulses)
    for place in range(positions.size):
        n_lit = 0
        n_dead = 0
        for tap in range(n_taps):
            pixel = positions[place] + offset[tap]
            if not usable[pixel]:
                dead[n_dead] = tap
                n_dead += 1
            elif counts[pixel] > 0:
                lit[n_lit] = tap
                n_lit += 1
        largest = -np.inf
        for k in range(logs.size):
            centre = k // photons.size
            strength = photons[k % photons.size] * typical[place]
            shares = taps[directions[place], centre]
            expected = shares.sum()
            for j in range(n_dead):
                expected -= shares[dead[j]]
            total = log_weights[k % photons.size] - strength * expected
            for j in range(n_lit):
                pixel = positions[place] + offset[lit[j]]
                spot = strength * shares[lit[j]]
                b = background[pixel]
                if many:
                    total += counts[pixel] * math.log1p(spot / b)
                else:
                    ratio = math.expm1(-(b + spot) / pulses) / math.expm1(-b / pulses)
                    total += counts[pixel] * (math.log(ratio) + spot / pulses)
            logs[k] = total
            largest = max(largest, total)
            if k == photons.size - 1 and largest - log_weights.max() < floor:
                break
        if largest - log_weights.max() < floor and k == photons.size - 1:
            scores[place] = -np.inf
            continue
        total = 0.0
        for k in range(logs.size):
            total += math.exp(logs[k] - largest)
        scores[place] = largest + math.log(total)


@numba.njit(cache=True)
def _mark(positions, scores, stride, sheet, is_maximum, sums):  # type: ignore[no-untyped-def]
    """Mark the largest score up to two pixels around; of equals the first in reading order."""
    for number in range(positions.size):
        sheet[positions[number]] = scores[number]
    for number in range(positions.size):
        own = scores[number]
        best = own > -np.inf
        total = 0.0
        if best:
            for row in range(-2, 3):
                for column in range(-2, 3):
                    pixel = positions[number] + row * stride + column
                    other = sheet[pixel]
                    if other > own or (other == own and pixel < positions[number]):
                        best = False
                    total += math.exp(min(other - own, 0.0))
        is_maximum[number] = best
        sums[number] = own + math.log(total) if best else -np.inf
    for number in range(positions.size):
        sheet[positions[number]] = -np.inf
