"""Sums over rings and sectors, and how well they fit rings around another centre."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel


@kernel
def sum_sectors(
    values: npt.NDArray[np.uint32],
    caps: npt.NDArray[np.int64],
    ring: npt.NDArray[np.int32],
    sector: npt.NDArray[np.uint8],
    usable: npt.NDArray[np.bool_],
    sums: npt.NDArray[np.float64],
    pixels: npt.NDArray[np.float64],
) -> None:
    """Sum the values of usable pixels, and count the pixels, by sector and ring.

    Parameters
    ----------
    caps
        Largest value that counts as more, by ring.
    sums, pixels
        Results, shape (sectors, rings), added to.
    """
    for pixel in range(values.size):
        if usable[pixel]:
            where = ring[pixel]
            sums[sector[pixel], where] += min(np.int64(values[pixel]), caps[where])
            pixels[sector[pixel], where] += 1.0


@kernel
def fit_of_rings(
    sums: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64],
    cosine: npt.NDArray[np.float64],
    sine: npt.NDArray[np.float64],
    along_x: float,
    along_y: float,
) -> float:
    """Return the log likelihood ratio of rings around a centre against no rings.

    Every sector is moved along its radius by whole rings, and rings are summed over sectors.

    Parameters
    ----------
    sums, weights
        Photons, and photons expected without rings, shape (sectors, rings).
    cosine, sine
        Directions of the sectors.
    along_x, along_y
        Where the centre is, in rings.
    """
    n_sectors, n_rings = sums.shape
    photons = np.zeros(n_rings)
    expected = np.zeros(n_rings)
    for number in range(n_sectors):
        # A ring around a centre that lies ahead is met farther out.
        step = round(along_x * cosine[number] + along_y * sine[number])
        for ring in range(max(0, -step), min(n_rings, n_rings - step)):
            photons[ring] += sums[number, ring + step]
            expected[ring] += weights[number, ring + step]
    fit = 0.0
    for ring in range(n_rings):
        if photons[ring] > 0.0 and expected[ring] > 0.0:
            fit += photons[ring] * math.log(photons[ring] / expected[ring])
            fit -= photons[ring] - expected[ring]
    return fit
