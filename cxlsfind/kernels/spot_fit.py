"""Maximum-likelihood fit of a round Gaussian spot on a known background."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel

#: Half the side of the window that is fitted, pixels; and the most steps of a fit.
FIT_HALF = 3
_N_STEPS = 12


class FitPriors(NamedTuple):
    """What is known of a spot before its photons are seen.

    Parameters
    ----------
    sigma_px, log_sigma_spread
        Typical width, and standard deviation of its logarithm.
    offset_spread_px
        Standard deviation of the centre about the middle of the best pixel.
    """

    sigma_px: float
    log_sigma_spread: float
    offset_spread_px: float


@kernel
def _profile(
    centre: float,
    sigma: float,
    share: npt.NDArray[np.float64],
    by_centre: npt.NDArray[np.float64],
    by_log_sigma: npt.NDArray[np.float64],
) -> None:
    """Share of a one-dimensional Gaussian in each pixel of the window, and its derivatives."""
    half = share.size // 2
    scale = 1.0 / (sigma * math.sqrt(2.0))
    norm = 1.0 / (sigma * math.sqrt(2.0 * math.pi))
    edge = -half - 0.5 - centre
    before = math.erf(edge * scale)
    density_before = norm * math.exp(-((edge * scale) ** 2))
    for pixel in range(share.size):
        after_edge = edge + 1.0
        after = math.erf(after_edge * scale)
        density_after = norm * math.exp(-((after_edge * scale) ** 2))
        share[pixel] = 0.5 * (after - before)
        by_centre[pixel] = density_before - density_after
        by_log_sigma[pixel] = edge * density_before - after_edge * density_after
        edge = after_edge
        before = after
        density_before = density_after


@kernel
def _solve(matrix: npt.NDArray[np.float64], inverse: npt.NDArray[np.float64]) -> bool:
    """Invert a symmetric positive 4x4 matrix in place; False where it is singular."""
    size = matrix.shape[0]
    inverse[:] = 0.0
    for i in range(size):
        inverse[i, i] = 1.0
    for i in range(size):
        pivot = matrix[i, i]
        if not pivot > 1e-12:
            return False
        for j in range(size):
            matrix[i, j] /= pivot
            inverse[i, j] /= pivot
        for row in range(size):
            if row != i:
                factor = matrix[row, i]
                for j in range(size):
                    matrix[row, j] -= factor * matrix[i, j]
                    inverse[row, j] -= factor * inverse[i, j]
    return True


@kernel
def add_spot(
    offset_fs: float,
    offset_ss: float,
    photons: float,
    sigma: float,
    window: npt.NDArray[np.float64],
) -> None:
    """Add the expected photons of a round Gaussian to a square window around offset zero."""
    side = window.shape[0]
    along_fs = np.empty(side)
    along_ss = np.empty(side)
    unused = np.empty(side)
    _profile(offset_fs, sigma, along_fs, unused, unused)
    _profile(offset_ss, sigma, along_ss, unused, unused)
    for ss in range(side):
        for fs in range(side):
            window[ss, fs] += photons * along_ss[ss] * along_fs[fs]


@kernel
def fit_spot(
    counts: npt.NDArray[np.uint16],
    usable: npt.NDArray[np.bool_],
    stride: int,
    position: int,
    expected: npt.NDArray[np.float64],
    priors: FitPriors,
    reach: int,
    n_pulses: float,
    values: npt.NDArray[np.float64],
    errors: npt.NDArray[np.float64],
) -> None:
    """Fit photons, centre and width by Fisher scoring.

    Parameters
    ----------
    position
        Canvas pixel in the middle of the window.
    reach
        Pixels farther from the middle than this, along either axis, are left out; at most 3.
    n_pulses
        X-ray pulses per frame, infinite for Poisson counts.
    expected
        Photons expected in the window without the spot, shape (7, 7).
    values
        Start and result: photons, offset along fs and ss from the middle of the pixel (px),
        natural logarithm of the width (px).
    errors
        Result: their standard deviations, from the Fisher information.
    """
    side = 2 * FIT_HALF + 1
    fs_share = np.empty(side)
    fs_centre = np.empty(side)
    fs_sigma = np.empty(side)
    ss_share = np.empty(side)
    ss_centre = np.empty(side)
    ss_sigma = np.empty(side)
    gradient = np.empty(4)
    information = np.empty((4, 4))
    inverse = np.empty((4, 4))
    is_poisson = math.isinf(n_pulses)
    for _ in range(_N_STEPS):
        sigma = math.exp(values[3])
        _profile(values[1], sigma, fs_share, fs_centre, fs_sigma)
        _profile(values[2], sigma, ss_share, ss_centre, ss_sigma)
        g0 = g1 = g2 = g3 = 0.0
        i00 = i01 = i02 = i03 = i11 = i12 = i13 = i22 = i23 = i33 = 0.0
        for ss in range(FIT_HALF - reach, FIT_HALF + reach + 1):
            for fs in range(FIT_HALF - reach, FIT_HALF + reach + 1):
                pixel = position + (ss - FIT_HALF) * stride + fs - FIT_HALF
                if not usable[pixel]:
                    continue
                # Slopes of the mean, one per value.
                s0 = fs_share[fs] * ss_share[ss]
                mean = expected[ss, fs] + values[0] * s0
                s1 = values[0] * fs_centre[fs] * ss_share[ss]
                s2 = values[0] * fs_share[fs] * ss_centre[ss]
                s3 = values[0] * (fs_sigma[fs] * ss_share[ss] + fs_share[fs] * ss_sigma[ss])
                # Binomial counts in n pulses: the mean count is n q with q = 1 - exp(-mean / n).
                dark = 1.0
                if not is_poisson:
                    lit = -math.expm1(-mean / n_pulses)
                    mean = n_pulses * lit
                    dark = 1.0 - lit
                surplus = counts[pixel] / mean - 1.0
                g0 += surplus * s0
                g1 += surplus * s1
                g2 += surplus * s2
                g3 += surplus * s3
                weight = dark / mean
                w0, w1, w2, w3 = weight * s0, weight * s1, weight * s2, weight * s3
                i00 += w0 * s0
                i01 += w0 * s1
                i02 += w0 * s2
                i03 += w0 * s3
                i11 += w1 * s1
                i12 += w1 * s2
                i13 += w1 * s3
                i22 += w2 * s2
                i23 += w2 * s3
                i33 += w3 * s3
        gradient[0], gradient[1], gradient[2], gradient[3] = g0, g1, g2, g3
        information[0, 0], information[1, 1] = i00, i11
        information[2, 2], information[3, 3] = i22, i33
        information[0, 1] = information[1, 0] = i01
        information[0, 2] = information[2, 0] = i02
        information[0, 3] = information[3, 0] = i03
        information[1, 2] = information[2, 1] = i12
        information[1, 3] = information[3, 1] = i13
        information[2, 3] = information[3, 2] = i23
        place = 1.0 / priors.offset_spread_px**2
        width = 1.0 / priors.log_sigma_spread**2
        gradient[1] -= place * values[1]
        gradient[2] -= place * values[2]
        gradient[3] -= width * (values[3] - math.log(priors.sigma_px))
        information[1, 1] += place
        information[2, 2] += place
        information[3, 3] += width
        if not _solve(information, inverse):
            break
        largest = 0.0
        for i in range(4):
            step = 0.0
            for j in range(4):
                step += inverse[i, j] * gradient[j]
            if i == 0:
                values[0] = max(values[0] + step, 0.3 * values[0], 0.1)
                largest = max(largest, abs(step) / values[0])
            elif i < 3:
                step = min(max(step, -0.4), 0.4)
                values[i] = min(max(values[i] + step, -1.5), 1.5)
                largest = max(largest, abs(step))
            else:
                step = min(max(step, -0.3), 0.3)
                values[3] = min(max(values[3] + step, math.log(0.25)), math.log(2.5))
                largest = max(largest, abs(step))
        for i in range(4):
            errors[i] = math.sqrt(max(inverse[i, i], 0.0))
        if largest < 1e-3:
            break
