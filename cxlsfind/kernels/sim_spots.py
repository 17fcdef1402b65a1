"""Expected photons of Bragg spots, pixel by pixel."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel
from cxlsfind.kernels.sim_panels import PanelGrid

#: Gaussians are cut off here, in sigma.
_REACH = 4.5
#: A profile is sampled this many times per sigma, at steps between these limits, px.
_PER_SIGMA = 3.5
_FINEST, _COARSEST = 0.04, 0.5
#: Even the smallest spot has this many samples along either axis.
_FEWEST = 9


class SpotShapes(NamedTuple):
    """Spots as a streak along the radius, blurred by a Gaussian along it and across.

    A share of the spot is diffracted with each logarithm u of the wavenumber: u is normally
    distributed, and weighted with what the spectrum has there. Arrays, one element per spot.

    Parameters
    ----------
    panel
        Panel that holds the centre.
    fs, ss
        Where ``u = 0`` lands, px from the corner of the panel.
    radial, across
        What an angle of one radian along and across the radius is on the panel, px; shape (n, 2).
    log_k, sigma_k
        Place of ``u = 0`` on the spectrum; standard deviation of u.
    slope
        Angle along the radius for each unit of u, rad.
    sigma_radial, sigma_across
        Standard deviations of the blur, rad.
    photons
        Expected photons in all.
    """

    panel: npt.NDArray[np.int64]
    fs: npt.NDArray[np.float64]
    ss: npt.NDArray[np.float64]
    radial: npt.NDArray[np.float64]
    across: npt.NDArray[np.float64]
    log_k: npt.NDArray[np.float64]
    sigma_k: npt.NDArray[np.float64]
    slope: npt.NDArray[np.float64]
    sigma_radial: npt.NDArray[np.float64]
    sigma_across: npt.NDArray[np.float64]
    photons: npt.NDArray[np.float64]


class Ramp(NamedTuple):
    """A spectrum as a line through points: logarithms of the energy, and density there."""

    nodes: npt.NDArray[np.float64]
    density: npt.NDArray[np.float64]


@kernel
def deposit_spots(
    spots: SpotShapes,
    spectrum: Ramp,
    grid: PanelGrid,
    efficiency: npt.NDArray[np.float32],
    image: npt.NDArray[np.float64],
    touched: npt.NDArray[np.int32],
) -> int:
    """Add expected photons to an image of zeros; return how many pixels are no longer zero.

    Parameters
    ----------
    efficiency
        Chance that a photon on a pixel is counted, flat.
    image
        Expected counts, flat; zeros on entry.
    touched
        Output: the pixels above zero, in no order; as long as ``image``.
    """
    n_touched = 0
    for i in range(spots.photons.shape[0]):
        along, step_along, start_along = _radial_profile(spots, i, spectrum)
        blur = spots.sigma_across[i]
        length = math.hypot(spots.across[i, 0], spots.across[i, 1])
        n_across, step_across = _sampling(2.0 * _REACH * blur, blur, length)
        across = np.empty(n_across)
        for j in range(n_across):
            at = (j - 0.5 * (n_across - 1)) * step_across
            across[j] = math.exp(-0.5 * (at / blur) ** 2)
        across *= spots.photons[i] / across.sum()
        reach = math.hypot(spots.radial[i, 0], spots.radial[i, 1])
        box = max(step_along * reach, step_across * length)
        for m in range(along.shape[0]):
            radial = start_along + m * step_along
            for j in range(n_across):
                share = along[m] * across[j]
                tangential = (j - 0.5 * (n_across - 1)) * step_across
                fs = spots.fs[i] + radial * spots.radial[i, 0] + tangential * spots.across[i, 0]
                ss = spots.ss[i] + radial * spots.radial[i, 1] + tangential * spots.across[i, 1]
                n_touched = _spread(
                    fs, ss, share, box, grid.window[spots.panel[i]], efficiency, image,
                    touched, n_touched,
                )  # fmt: skip
    return n_touched


@kernel
def _spread(
    fs: float,
    ss: float,
    photons: float,
    box: float,
    window: npt.NDArray[np.int64],
    efficiency: npt.NDArray[np.float32],
    image: npt.NDArray[np.float64],
    touched: npt.NDArray[np.int32],
    n_touched: int,
) -> int:
    """Share photons among the pixels under a small square; return the touched pixels so far."""
    left, top = math.floor(fs - 0.5 * box), math.floor(ss - 0.5 * box)
    # The part of the square beyond the first pixel's far edge.
    right = min(max((fs + 0.5 * box - left - 1.0) / box, 0.0), 1.0)
    below = min(max((ss + 0.5 * box - top - 1.0) / box, 0.0), 1.0)
    for row in range(2):
        y = int(top) + row
        part = below if row else 1.0 - below
        if part == 0.0 or y < 0 or y >= window[3]:
            continue
        for column in range(2):
            x = int(left) + column
            share = part * (right if column else 1.0 - right)
            if share == 0.0 or x < 0 or x >= window[2]:
                continue
            pixel = window[0] + y * window[1] + x
            value = photons * share * efficiency[pixel]
            if value > 0.0:
                if image[pixel] == 0.0:
                    touched[n_touched] = pixel
                    n_touched += 1
                image[pixel] += value
    return n_touched


@kernel
def _sampling(width: float, sigma: float, scale: float) -> tuple[int, float]:
    """Return number and distance of samples across a width, all in units of px over ``scale``."""
    step = min(max(sigma * scale / _PER_SIGMA, _FINEST), _COARSEST)
    number = max(math.ceil(width * scale / step), _FEWEST)
    return number, width / number


@kernel
def _radial_profile(
    spots: SpotShapes, i: int, spectrum: Ramp
) -> tuple[npt.NDArray[np.float64], float, float]:
    """Return the shares of a spot along the radius; their distance and the first's place, rad."""
    sigma_k, blur, slope = spots.sigma_k[i], spots.sigma_radial[i], spots.slope[i]
    low = max(-_REACH * sigma_k, spectrum.nodes[0] - spots.log_k[i])
    high = min(_REACH * sigma_k, spectrum.nodes[-1] - spots.log_k[i])
    first = min(slope * low, slope * high) - _REACH * blur
    last = max(slope * low, slope * high) + _REACH * blur
    reach = math.hypot(spots.radial[i, 0], spots.radial[i, 1])
    # The band may cut the streak short, and evenly then.
    length = min(abs(slope) * sigma_k, abs(slope) * max(high - low, 0.0) / math.sqrt(12.0))
    number, step = _sampling(last - first, math.hypot(length, blur), reach)
    # Where the band cuts, a sample stands for the mean over its step.
    blur = math.hypot(blur, step / math.sqrt(12.0))
    variance = (slope * sigma_k) ** 2 + blur**2
    profile = np.empty(number)
    start = first + 0.5 * step
    # Given the place on the radius, u is normal with this standard deviation.
    spread = sigma_k * blur / math.sqrt(variance)
    for j in range(number):
        at = start + j * step
        mean = spots.log_k[i] + slope * sigma_k**2 * at / variance
        profile[j] = math.exp(-0.5 * at * at / variance) * _mean_density(spectrum, mean, spread)
    total = profile.sum()
    if total > 0.0:
        profile /= total
    return profile, step, start


@kernel
def _mean_density(spectrum: Ramp, mean: float, sigma: float) -> float:
    """Return the mean of a spectrum over a normal distribution."""
    result = 0.0
    for j in range(spectrum.nodes.shape[0] - 1):
        left = (spectrum.nodes[j] - mean) / sigma
        right = (spectrum.nodes[j + 1] - mean) / sigma
        if right < -_REACH or left > _REACH:
            continue
        slope = (spectrum.density[j + 1] - spectrum.density[j]) / (right - left)
        level = spectrum.density[j] - slope * left
        share = 0.5 * (math.erf(right / math.sqrt(2.0)) - math.erf(left / math.sqrt(2.0)))
        fall = (math.exp(-0.5 * left * left) - math.exp(-0.5 * right * right)) / math.sqrt(
            2.0 * math.pi
        )
        result += level * share + slope * fall
    return max(result, 0.0)
