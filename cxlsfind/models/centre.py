"""Where the beam hits the detector, from the background's roundness and from Friedel pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from numpy.polynomial import legendre
from scipy.ndimage import uniform_filter

from cxlsfind.errors import UsageError

FloatArray = npt.NDArray[np.float64]

#: The beam is looked for this near to where the geometry has it, px.
SEARCH_PX: Final = 30.0

#: A beam that is farther from where it should be raises an alarm, px, if chance does not explain
#: the distance, squared and in standard deviations: once in 1000.
ALARM_PX: Final = 1.0
_ALARM_PULL = 13.8

#: Log likelihood ratio from which a concentration of midpoints is believed.
_BELIEVED = 12.0

#: Errors of a midpoint: of the peaks themselves, px, and along the pair in parts of the distance
#: from the beam, since its two spots need not have the same wavelength. What the pairs say of both
#: together counts as much as this when there are so many of them.
_PAIR_SIGMA_PX = 0.212
_PAIR_SIGMA_SHARE = 0.0015
_PAIRS_BEFOREHAND = 8.0

#: Fewest midpoints that are worth a search; places it starts from, its steps, by how much the
#: variances of the errors are widened at first, and how fast that is over.
_FEWEST_MIDPOINTS = 4
_STARTS = 5
_PAIR_STEPS = 60
_PAIR_START: Final = 25.0
_PAIR_DECAY: Final = 0.85

#: Spots farther out have no partner: the sphere of reflection bends away.
_FARTHEST_PX = 900.0

#: Degrees of polynomials in the radius that are tried, and steps to fit one.
_DEGREES: Final = (2, 20)
_SMOOTH_STEPS = 5

#: Steps of the fit of the centre.
_SCORING_STEPS = 5

#: Step of the first search, px.
_STEP_PX = 0.5


@dataclass(frozen=True, slots=True)
class BeamCentre:
    """Where the beam hits, relative to where the geometry has it.

    Parameters
    ----------
    x, y
        px.
    sigma_x, sigma_y
        Standard deviations, px.
    """

    x: float
    y: float
    sigma_x: float
    sigma_y: float

    @property
    def is_off(self) -> bool:
        """Whether the beam is farther than 1 px from where the geometry has it, beyond doubt."""
        pull = (self.x / self.sigma_x) ** 2 + (self.y / self.sigma_y) ** 2
        return math.hypot(self.x, self.y) > ALARM_PX and pull > _ALARM_PULL


def centre_from_sectors(
    photons: FloatArray, exposure: FloatArray, radius_px: FloatArray, angle: FloatArray
) -> BeamCentre | None:
    """Return the beam centre from photons by ring and sector.

    Where the background falls with the radius, the side that is nearer to the beam has more of it.
    Polarisation and a straight streak treat opposite sides alike, and are fitted along.

    Parameters
    ----------
    photons, exposure
        Photons outside spots and usable pixels, (rings, sectors).
    radius_px, angle
        Means over the usable pixels of the distance from the geometry's centre, px, and the angle,
        rad, (rings, sectors); whatever without such pixels.

    Returns
    -------
    The centre; ``None`` where there are too few photons or no slope.
    """
    if len({photons.shape, exposure.shape, radius_px.shape, angle.shape}) != 1:
        raise UsageError(
            f"photons {photons.shape}, exposure {exposure.shape}, radius {radius_px.shape} and "
            f"angle {angle.shape} must have one row per ring and one column per sector"
        )
    full = exposure.sum(axis=1) > 0
    photons, exposure, radius_px, angle = (
        array[full] for array in (photons, exposure, radius_px, angle)
    )
    if photons.sum() < 1000 or len(radius_px) < 8:
        return None
    middle = (radius_px * exposure).sum(axis=1) / exposure.sum(axis=1)
    smooth = _Smooth(middle, photons.sum(axis=1), exposure.sum(axis=1))
    x, y, far = radius_px * np.cos(angle), radius_px * np.sin(angle), float(middle[-1])
    terms, information = np.zeros(6), np.eye(6)
    for _ in range(_SCORING_STEPS):
        u, v = x - terms[0], y - terms[1]
        radius = np.maximum(np.hypot(u, v), 1.0)
        slope = smooth.slope(radius) / radius
        twofold = np.stack([u**2 - v**2, 2.0 * u * v], axis=2)
        around = np.concatenate([(twofold / far**2), twofold / radius[:, :, None] ** 2], axis=2)
        even, odd = 2.0 * terms[2:4] / far**2
        shifts = [-(slope * u + even * u + odd * v), -(slope * v - even * v + odd * u)]
        design = np.concatenate([np.stack(shifts, axis=2), around], axis=2)
        # Each ring's own level is free: only differences around it count.
        mean = exposure * np.exp(np.clip(smooth.logarithm(radius) + around @ terms[2:], -50, 50))
        total = mean.sum(axis=1, keepdims=True)
        design = design - ((design * mean[:, :, None]).sum(axis=1) / total)[:, None]
        mean *= photons.sum(axis=1, keepdims=True) / total
        score = np.einsum("rsk,rs->k", design, photons - mean)
        information = np.einsum("rsk,rs,rsl->kl", design, mean, design) + 1e-9 * np.eye(6)
        step = np.linalg.solve(information, score)
        terms = terms + step * min(1.0, SEARCH_PX / float(np.abs(step[:2]).max()))
    covariance = np.linalg.inv(information)
    sigma = np.sqrt(np.diag(covariance)[:2])
    if not np.all(sigma < SEARCH_PX):
        return None
    return BeamCentre(float(terms[0]), float(terms[1]), float(sigma[0]), float(sigma[1]))


def centre_from_pairs(peaks: Sequence[FloatArray]) -> BeamCentre | None:
    """Return the beam centre from Friedel pairs: spots on opposite sides of the beam.

    Midpoints of pairs lie on the beam, those of all other couples of spots anywhere.

    Parameters
    ----------
    peaks
        Positions (x, y) of the peaks of each frame relative to the geometry's centre, px, (n, 2).

    Returns
    -------
    The centre; ``None`` where no concentration of midpoints stands out.
    """
    midpoints, across, sigma = _midpoints(peaks)
    if len(midpoints) < _FEWEST_MIDPOINTS:
        return None
    area = math.pi * SEARCH_PX**2
    gain, centre = max(
        (_concentrate(midpoints, across, sigma, start) for start in _densest(midpoints, sigma)),
        key=lambda found: found[0],
    )
    # The place of the densest spot was searched for among many.
    trials = math.log(area / (math.pi * float(np.median(sigma)) ** 2))
    return centre if gain >= _BELIEVED + trials else None


def _concentrate(
    midpoints: FloatArray, across: FloatArray, sigma: FloatArray, start: FloatArray
) -> tuple[float, BeamCentre]:
    """Return the concentration of midpoints near a start, and what it gains in log likelihood.

    Midpoints are a mixture of pairs and of couples that are spread evenly; by expectation and
    maximisation.
    """
    area = math.pi * SEARCH_PX**2
    # Precision of every midpoint: errors across the pair, and greater ones along it.
    outer = across[:, :, None] * across[:, None, :]
    precision = outer / _PAIR_SIGMA_PX**2 + (np.eye(2) - outer) / sigma[:, None, None] ** 2
    centre, share, scale = start, 0.1, 1.0
    for step in range(_PAIR_STEPS):
        # Larger errors at first lead from a rough start to the right place.
        widened = max(scale, _PAIR_START * _PAIR_DECAY**step)
        apart = midpoints - centre
        square = np.einsum("mi,mij,mj->m", apart, precision, apart) / widened
        near = np.exp(-0.5 * square) / (2.0 * math.pi * _PAIR_SIGMA_PX * sigma * widened)
        weights = share * near / (share * near + (1.0 - share) / area)
        share = float(np.clip(weights.mean(), 1e-6, 0.999))
        scale = float(weights @ square) * widened + 2.0 * _PAIRS_BEFOREHAND
        scale /= 2.0 * float(weights.sum() + _PAIRS_BEFOREHAND)
        pull = weights[:, None, None] * precision
        information = pull.sum(axis=0) + 1e-12 * np.eye(2)
        centre = np.linalg.solve(information, np.einsum("mij,mj->i", pull, midpoints))
    gain = float(np.log(share * near * area + (1.0 - share)).sum())
    error = np.sqrt(scale * np.diag(np.linalg.inv(information)))
    return gain, BeamCentre(float(centre[0]), float(centre[1]), float(error[0]), float(error[1]))


def combine_centres(centres: Sequence[BeamCentre | None]) -> BeamCentre | None:
    """Return the weighted mean of independent estimates; ``None`` without any."""
    known = [centre for centre in centres if centre is not None]
    if not known:
        return None
    weight_x = [1.0 / centre.sigma_x**2 for centre in known]
    weight_y = [1.0 / centre.sigma_y**2 for centre in known]
    return BeamCentre(
        sum(w * c.x for w, c in zip(weight_x, known, strict=True)) / sum(weight_x),
        sum(w * c.y for w, c in zip(weight_y, known, strict=True)) / sum(weight_y),
        1.0 / math.sqrt(sum(weight_x)),
        1.0 / math.sqrt(sum(weight_y)),
    )


def _midpoints(peaks: Sequence[FloatArray]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the midpoints near the centre of all couples of a frame's peaks.

    Returns
    -------
    The midpoints, unit vectors across the couples, both (midpoints, 2), and errors along them.
    """
    points, across, errors = [np.empty((0, 2))], [np.empty((0, 2))], [np.empty(0)]
    for frame in peaks:
        radius = np.hypot(frame[:, 0], frame[:, 1])
        near = frame[radius < _FARTHEST_PX]
        first, second = np.triu_indices(len(near), 1)
        middle = 0.5 * (near[first] + near[second])
        kept = np.hypot(middle[:, 0], middle[:, 1]) < SEARCH_PX
        apart = near[first[kept]] - near[second[kept]]
        length = np.maximum(np.hypot(apart[:, 0], apart[:, 1]), 1e-9)
        points.append(middle[kept])
        across.append(np.column_stack([-apart[:, 1], apart[:, 0]]) / length[:, None])
        errors.append(np.hypot(_PAIR_SIGMA_PX, _PAIR_SIGMA_SHARE * 0.5 * length))
    return np.concatenate(points), np.concatenate(across), np.concatenate(errors)


def _densest(midpoints: FloatArray, sigma: FloatArray) -> list[FloatArray]:
    """Return some places where midpoints are densest, on a grid."""
    steps = np.arange(-SEARCH_PX, SEARCH_PX + _STEP_PX, _STEP_PX)
    weight = 1.0 / sigma**2
    histogram, _, _ = np.histogram2d(
        midpoints[:, 0], midpoints[:, 1], bins=[steps, steps], weights=weight
    )
    box = uniform_filter(histogram, 3, mode="constant")
    places = []
    for _ in range(_STARTS):
        row, column = np.unravel_index(int(np.argmax(box)), box.shape)
        places.append(np.array([steps[row], steps[column]]) + 0.5 * _STEP_PX)
        box[max(row - 3, 0) : row + 4, max(column - 3, 0) : column + 4] = 0.0
    return places


class _Smooth:
    """The logarithm of photons per pixel by radius, as smooth as it is.

    A polynomial of the degree that Schwarz's criterion chooses: a slope that follows the noise
    would pull every centre to where the geometry has it.

    Parameters
    ----------
    radius_px, photons, exposure
        Of rings, (rings,).
    """

    def __init__(self, radius_px: FloatArray, photons: FloatArray, exposure: FloatArray) -> None:
        self._first, self._half = float(radius_px[0]), 0.5 * float(radius_px[-1] - radius_px[0])
        best = math.inf
        terms = np.full(1, math.log(photons.sum() / exposure.sum()))
        for degree in range(_DEGREES[0], _DEGREES[1] + 1):
            basis = np.asarray(legendre.legvander(self._place(radius_px), degree), np.float64)
            terms = np.asarray(np.append(terms, np.zeros(degree + 1 - len(terms))), np.float64)
            for _ in range(_SMOOTH_STEPS):
                mean = exposure * np.exp(basis @ terms)
                information = (basis * mean[:, None]).T @ basis + 1e-9 * np.eye(degree + 1)
                step = np.linalg.solve(information, basis.T @ (photons - mean))
                terms += step * min(1.0, 2.0 / float(np.abs(basis @ step).max()))
            logarithm = basis @ terms
            likelihood = photons @ logarithm - exposure @ np.exp(logarithm)
            criterion = math.log(len(photons)) * (degree + 1) - 2.0 * float(likelihood)
            if criterion < best:
                best, self._terms = criterion, terms

    def logarithm(self, radius_px: FloatArray) -> FloatArray:
        """Return the logarithm at any radius, px."""
        logarithm: FloatArray = legendre.legval(self._place(radius_px), self._terms)
        return logarithm

    def slope(self, radius_px: FloatArray) -> FloatArray:
        """Return its derivative, per px."""
        derivative = legendre.legder(self._terms)
        slope = legendre.legval(self._place(radius_px), derivative) / self._half
        return np.asarray(slope, np.float64)

    def _place(self, radius_px: FloatArray) -> FloatArray:
        """Return radii as -1 to 1, those outside as the ends."""
        return np.clip((radius_px - self._first) / self._half - 1.0, -1.0, 1.0)
