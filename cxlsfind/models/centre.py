"""Where the beam hits the detector, from the background's roundness and from Friedel pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from cxlsfind.errors import UsageError

FloatArray = npt.NDArray[np.float64]

#: The beam is looked for this near to where the geometry has it, px.
SEARCH_PX: Final = 30.0

#: Log likelihood ratio from which a concentration of midpoints is believed.
_BELIEVED = 12.0

#: Errors of a midpoint: of the peaks themselves, px, and in parts of the distance from the beam,
#: since the two spots of a pair need not have the same wavelength.
_PAIR_SIGMA_PX = 0.5
_PAIR_SIGMA_SHARE = 0.002

#: Spots farther out have no partner: the sphere of reflection bends away.
_FARTHEST_PX = 900.0

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


def centre_from_sectors(
    photons: FloatArray, exposure: FloatArray, radius_px: FloatArray, angle: FloatArray
) -> BeamCentre | None:
    """Return the beam centre from photons by ring and sector.

    Where the background falls with the radius, the side that is nearer to the beam has more of it.
    Polarisation and a straight streak treat opposite sides alike, and are fitted along.

    Parameters
    ----------
    photons, exposure
        Photons outside spots and usable pixels, (rings, sectors), sectors equally wide.
    radius_px
        Middles of the rings, px, (rings,).
    angle
        Middles of the sectors, rad, (sectors,).

    Returns
    -------
    The centre; ``None`` where there are too few photons or no slope.
    """
    if photons.shape != exposure.shape or photons.shape != (len(radius_px), len(angle)):
        raise UsageError(
            f"photons {photons.shape} and exposure {exposure.shape} must have one row per ring "
            f"({len(radius_px)}) and one column per sector ({len(angle)})"
        )
    full = exposure.sum(axis=1) > 0
    photons, exposure, radius_px = photons[full], exposure[full], radius_px[full]
    if photons.sum() < 1000 or len(radius_px) < 8:
        return None
    profile = _smooth(photons.sum(axis=1), exposure.sum(axis=1))
    slope = -np.gradient(np.log(profile), radius_px)
    bend = (radius_px / radius_px[-1]) ** 2
    design = np.stack(
        [
            slope[:, None] * np.cos(angle),
            slope[:, None] * np.sin(angle),
            bend[:, None] * np.cos(2 * angle),
            bend[:, None] * np.sin(2 * angle),
            np.broadcast_to(np.cos(2 * angle), photons.shape),
            np.broadcast_to(np.sin(2 * angle), photons.shape),
        ],
        axis=2,
    )
    expected = exposure * profile[:, None]
    # Each ring's own level is free: only differences around it count.
    weight = expected.sum(axis=1)
    design = design - (design * expected[:, :, None]).sum(axis=1)[:, None] / weight[:, None, None]
    terms = np.zeros(6)
    information = np.eye(6)
    for _ in range(4):
        mean = np.maximum(expected * (1.0 + design @ terms), 1e-3 * expected)
        mean *= photons.sum(axis=1, keepdims=True) / mean.sum(axis=1, keepdims=True).clip(1e-9)
        ratio = np.divide(expected, mean, out=np.zeros_like(mean), where=mean > 0)
        score = np.einsum("rsk,rs->k", design, ratio * (photons - mean))
        information = np.einsum("rsk,rs,rsl->kl", design, ratio * expected, design)
        information += 1e-9 * np.eye(6)
        terms = terms + np.linalg.solve(information, score)
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
    midpoints, sigma = _midpoints(peaks)
    if len(midpoints) < 8:
        return None
    start = _densest(midpoints, sigma)
    centre, share = start, 0.1
    weights = np.zeros(len(midpoints))
    area = math.pi * SEARCH_PX**2
    for _ in range(60):
        square = ((midpoints - centre) ** 2).sum(axis=1)
        near = np.exp(-0.5 * square / sigma**2) / (2.0 * math.pi * sigma**2)
        weights = share * near / (share * near + (1.0 - share) / area)
        share = float(np.clip(weights.mean(), 1e-6, 0.999))
        pull = weights / sigma**2
        centre = (pull[:, None] * midpoints).sum(axis=0) / max(float(pull.sum()), 1e-30)
    gain = float(np.log(share * near * area + (1.0 - share)).sum())
    # The place of the densest spot was searched for among many.
    trials = math.log(area / (math.pi * float(np.median(sigma)) ** 2))
    if gain < _BELIEVED + trials:
        return None
    error = 1.0 / math.sqrt(float((weights / sigma**2).sum()))
    return BeamCentre(float(centre[0]), float(centre[1]), error, error)


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


def _midpoints(peaks: Sequence[FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Return midpoints near the centre of all couples of a frame's peaks, and their errors."""
    points, errors = [np.empty((0, 2))], [np.empty(0)]
    for frame in peaks:
        radius = np.hypot(frame[:, 0], frame[:, 1])
        near = frame[radius < _FARTHEST_PX]
        first, second = np.triu_indices(len(near), 1)
        middle = 0.5 * (near[first] + near[second])
        kept = np.hypot(middle[:, 0], middle[:, 1]) < SEARCH_PX
        apart = 0.5 * np.hypot(*(near[first[kept]] - near[second[kept]]).T)
        points.append(middle[kept])
        errors.append(np.hypot(_PAIR_SIGMA_PX, _PAIR_SIGMA_SHARE * apart))
    return np.concatenate(points), np.concatenate(errors)


def _densest(midpoints: FloatArray, sigma: FloatArray) -> FloatArray:
    """Return where midpoints are densest, on a grid."""
    steps = np.arange(-SEARCH_PX, SEARCH_PX + _STEP_PX, _STEP_PX)
    weight = 1.0 / sigma**2
    histogram, _, _ = np.histogram2d(
        midpoints[:, 0], midpoints[:, 1], bins=[steps, steps], weights=weight
    )
    padded = np.pad(histogram, 1)
    box = sum(
        padded[i : i + histogram.shape[0], j : j + histogram.shape[1]]
        for i in range(3)
        for j in range(3)
    )
    row, column = np.unravel_index(int(np.argmax(box)), histogram.shape)
    return np.array([steps[row], steps[column]]) + 0.5 * _STEP_PX


def _smooth(photons: FloatArray, exposure: FloatArray) -> FloatArray:
    """Return photons per pixel by ring, averaged over enough rings to have a slope."""
    window = max(3, len(photons) // 12) | 1
    kernel = np.hanning(window + 2)[1:-1]
    total = np.convolve(photons, kernel, mode="same")
    seen = np.convolve(exposure, kernel, mode="same")
    smooth: FloatArray = np.maximum(total, 0.5) / np.maximum(seen, 1e-9)
    return smooth
