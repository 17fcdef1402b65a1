"""Backgrounds by ring and sector, and peaks of stills, with the beam beside where it should be."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.training.ring_draws import PIXEL_M, Background

FloatArray = npt.NDArray[np.float64]

#: An EIGER2 4M: pixels, modules and gaps, (slow, fast); one pixel of so many along both is looked
#: at, which is enough for what is smooth.
_SHAPE: Final = (2162, 2068)
_MODULE: Final = (512, 1028)
_GAP: Final = (38, 12)
_STRIDE: Final = 3

#: Width of a ring, px, and number of sectors.
_RING_PX: Final = 10.0
_SECTORS: Final = 24

#: Peaks: how far from the beam, px, error of a position, px, and relative difference of the
#: wavelengths of a pair, those of a band of 1 %.
_FARTHEST_PX: Final = 900.0
_PEAK_SIGMA_PX: Final = 0.3
_PAIR_BAND: Final = 0.01

#: Tangents at which the density is computed.
_TANGENTS: Final = 2000


class Sectors(NamedTuple):
    """Photons and usable pixels by ring and sector; mean distance, px, and angle, rad, of those."""

    photons: FloatArray
    exposure: FloatArray
    radius_px: FloatArray
    angle: FloatArray


def draw_sectors(
    generator: np.random.Generator,
    background: Background,
    photons: float,
    centre: tuple[float, float],
    polarisation: float,
) -> Sectors:
    """Return what a detector counts.

    Parameters
    ----------
    centre
        Where the beam hits, (x, y) from where it should, px.
    polarisation
        Share of the beam polarised along x.
    """
    axes = []
    for length, module, gap in zip(_SHAPE, _MODULE, _GAP, strict=True):
        place = np.arange(0, length, _STRIDE)
        axes.append(place[place % (module + gap) < module] + 0.5 - 0.5 * length)
    y, x = np.meshgrid(*axes, indexing="ij")
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    ring = (radius / _RING_PX).astype(np.intp)
    sector = ((angle / (2.0 * math.pi) + 0.5) * _SECTORS).astype(np.intp) % _SECTORS
    to_tangent = PIXEL_M / background.clen_m
    u, v = (x - centre[0]) * to_tangent, (y - centre[1]) * to_tangent
    square = u**2 + v**2
    grid = np.linspace(0.0, 1.01 * math.sqrt(float(square.max())), _TANGENTS)
    mean = np.interp(np.sqrt(square), grid, background.density(grid))
    mean *= 1.0 - (polarisation * u**2 + (1.0 - polarisation) * v**2) / (1.0 + square)
    place = (ring * _SECTORS + sector).ravel()
    rings = int(ring.max()) + 1
    expected, pixels, distances, angles = (
        np.bincount(place, weights.ravel(), rings * _SECTORS).reshape(rings, _SECTORS)
        for weights in (mean, np.ones_like(mean), radius, angle)
    )
    counts = generator.poisson(photons * expected / expected.sum()).astype(np.float64)
    number = np.maximum(pixels, 1.0)
    exposure = np.asarray(_STRIDE**2 * pixels, np.float64)
    return Sectors(counts, exposure, distances / number, angles / number)


def draw_peaks(
    generator: np.random.Generator, pairs: int, others: int, centre: tuple[float, float]
) -> FloatArray:
    """Return found peaks of a frame: Friedel pairs, and others that have no partner.

    Returns
    -------
    (x, y) from where the beam should hit, px, (2 pairs + others, 2).
    """
    number = pairs + others
    # As dense near the beam as far from it.
    radius = _FARTHEST_PX * np.sqrt(generator.random(number))
    angle = generator.uniform(0.0, 2.0 * math.pi, number)
    spots = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    partners = -spots[:pairs] * (1.0 + _PAIR_BAND * (generator.random((pairs, 1)) - 0.5))
    found: FloatArray = np.concatenate([spots, partners])
    found += generator.normal(0.0, _PEAK_SIGMA_PX, found.shape) + np.array(centre)
    return found
