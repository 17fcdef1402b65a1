"""Sums over rings and sectors, and how well they fit rings around another centre."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel

#: Pixels that are looked at together.
_RUN = 64


@kernel
def sum_sectors(
    values: npt.NDArray[np.uint32],
    ring: npt.NDArray[np.int32],
    sector: npt.NDArray[np.uint8],
    sums: npt.NDArray[np.float64],
) -> None:
    """Sum values by sector and ring.

    Parameters
    ----------
    values, ring, sector
        Of pixels; those on no ring, -1, have no value.
    sums
        Result, shape (sectors, rings), added to.
    """
    for pixel in range(values.size):
        sums[sector[pixel], max(ring[pixel], 0)] += values[pixel]


@kernel
def clip_sectors(
    values: npt.NDArray[np.uint32],
    caps: npt.NDArray[np.uint32],
    ring: npt.NDArray[np.int32],
    sector: npt.NDArray[np.uint8],
    sums: npt.NDArray[np.float64],
) -> None:
    """Take from sums by sector and ring what values exceed the cap of their ring by."""
    most = np.empty(_RUN, np.uint32)
    zero = np.uint32(0)
    for start in range(0, values.size, _RUN):
        length = min(_RUN, values.size - start)
        seen = values[start : start + length]
        rings = ring[start : start + length]
        # Look-ups, with unsigned numbers, apart from arithmetic on many pixels at once.
        for w in range(length):
            most[w] = caps[np.uint64(rings[w] if rings[w] > 0 else 0)]
        over = zero
        for w in range(length):
            over |= seen[w] - most[w] if seen[w] > most[w] else zero
        if over == zero:
            continue
        for w in range(length):
            if seen[w] > most[w]:
                sums[sector[start + w], rings[w]] -= seen[w] - most[w]


@kernel
def add_places(
    places: npt.NDArray[np.int32],
    weight: float,
    ring: npt.NDArray[np.int32],
    sector: npt.NDArray[np.uint8],
    sums: npt.NDArray[np.float64],
) -> None:
    """Add a weight for each of some pixels to the sums by sector and ring; all are on a ring."""
    for place in places:
        sums[sector[place], ring[place]] += weight


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
        first, stop = max(0, -step), max(0, min(n_rings, n_rings - step))
        length = max(0, stop - first)
        # Parts of their own, so that many rings are added at once.
        photons_here, expected_here = photons[first:stop], expected[first:stop]
        sums_here = sums[number, first + step : stop + step]
        weights_here = weights[number, first + step : stop + step]
        for ring in range(length):
            photons_here[ring] += sums_here[ring]
            expected_here[ring] += weights_here[ring]
    fit = 0.0
    for ring in range(n_rings):
        if photons[ring] > 0.0 and expected[ring] > 0.0:
            fit += photons[ring] * math.log(photons[ring] / expected[ring])
            fit -= photons[ring] - expected[ring]
    return fit
