"""Candidates one after the other: touching spots told apart, firing pixels refused."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel
from cxlsfind.kernels.spot_fit import FIT_HALF, FitPriors, add_spot, fit_spot

#: With fewer pulses a frame than this, pixels saturate long before a firing one stands out.
_FEW_PULSES = 20.0

#: Spots of fewer photons than this have no tails to speak of.
_FAINT = 50.0

#: Rounds in which touching spots are fitted in turn.
_N_SWEEPS = 2


class SpotRules(NamedTuple):
    """How spots that touch are told apart.

    Parameters
    ----------
    reach_px
        Spots farther apart than this, along either axis, do not see each other.
    halo_share, halo_sigma_px
        Photons of a spot, and their width, that a round Gaussian may have missed: tails are
        not taken for spots.
    n_pulses
        X-ray pulses per frame, infinite for Poisson counts.
    sharpest_px
        Width of the sharpest spot that is told from a firing pixel.
    spike_gain
        Nats by which a firing pixel must be the better explanation to be taken for one.
    """

    reach_px: int
    halo_share: float
    halo_sigma_px: float
    n_pulses: float
    sharpest_px: float
    spike_gain: float


@kernel
def _gain_of_spike(
    counts: npt.NDArray[np.uint16],
    usable: npt.NDArray[np.bool_],
    stride: int,
    position: int,
    expected: npt.NDArray[np.float64],
    values: npt.NDArray[np.float64],
    sharpest: float,
    n_pulses: float,
) -> float:
    """How much better one firing pixel explains the window than the fitted spot does, nats."""
    side = 2 * FIT_HALF + 1
    if n_pulses < _FEW_PULSES:
        # A pixel that counts each photon of a pulse once cannot be told by its counts.
        return -math.inf
    model = expected.copy()
    add_spot(values[1], values[2], values[0], max(math.exp(values[3]), sharpest), model)
    brightest = position
    for dss in range(-1, 2):
        for dfs in range(-1, 2):
            pixel = position + dss * stride + dfs
            if counts[pixel] > counts[brightest]:
                brightest = pixel
    gain = 0.0
    for ss in range(1, side - 1):
        for fs in range(1, side - 1):
            pixel = position + (ss - FIT_HALF) * stride + fs - FIT_HALF
            if not usable[pixel]:
                continue
            spike = expected[ss, fs]
            if pixel == brightest:
                spike = max(spike, float(counts[pixel]))
            gain -= spike - model[ss, fs]
            if counts[pixel] > 0:
                gain += counts[pixel] * math.log(spike / model[ss, fs])
    return gain


@kernel
def _score_window(
    counts: npt.NDArray[np.uint16],
    usable: npt.NDArray[np.bool_],
    stride: int,
    position: int,
    expected: npt.NDArray[np.float64],
    strength: npt.NDArray[np.float32],
    log_weight: npt.NDArray[np.float32],
    n_pulses: float,
) -> float:
    """Marginal log likelihood ratio where every pixel of the window expects its own photons."""
    n_components = log_weight.size
    sums = np.empty(n_components)
    for k in range(n_components):
        sums[k] = log_weight[k]
    side = 2 * FIT_HALF + 1
    for ss in range(side):
        for fs in range(side):
            pixel = position + (ss - FIT_HALF) * stride + fs - FIT_HALF
            if not usable[pixel]:
                continue
            base = expected[ss, fs]
            for k in range(n_components):
                spot = strength[ss * side + fs, k]
                sums[k] -= spot
                if counts[pixel] > 0:
                    if math.isinf(n_pulses):
                        ratio = math.log1p(spot / base)
                    else:
                        lit = -math.expm1(-(base + spot) / n_pulses)
                        dark = -math.expm1(-base / n_pulses)
                        ratio = math.log(lit / dark) + spot / n_pulses
                    sums[k] += counts[pixel] * ratio
    largest = sums.max()
    return float(largest + math.log(np.exp(sums - largest).sum()))


@kernel
def _expect(
    number: int,
    stride: int,
    positions: npt.NDArray[np.int32],
    values: npt.NDArray[np.float64],
    accepted: npt.NDArray[np.bool_],
    last: int,
    rules: SpotRules,
    window: npt.NDArray[np.float64],
) -> bool:
    """Add the accepted neighbours of a spot to its window; False where there is none."""
    row = positions[number] // stride
    column = positions[number] % stride
    touched = False
    for other in range(last):
        if other == number or not accepted[other]:
            continue
        dss = positions[other] // stride - row
        dfs = positions[other] % stride - column
        if abs(dss) > rules.reach_px or abs(dfs) > rules.reach_px:
            continue
        touched = True
        fs = dfs + values[other, 1]
        ss = dss + values[other, 2]
        add_spot(fs, ss, values[other, 0], math.exp(values[other, 3]), window)
        halo = rules.halo_share * values[other, 0] ** 2 / (values[other, 0] + _FAINT)
        add_spot(fs, ss, halo, rules.halo_sigma_px, window)
    return touched


@kernel
def resolve_spots(
    counts: npt.NDArray[np.uint16],
    usable: npt.NDArray[np.bool_],
    stride: int,
    positions: npt.NDArray[np.int32],
    background: npt.NDArray[np.float64],
    needed: npt.NDArray[np.float64],
    strength: npt.NDArray[np.float32],
    log_weight: npt.NDArray[np.float32],
    node: npt.NDArray[np.int64],
    priors: FitPriors,
    rules: SpotRules,
    scores: npt.NDArray[np.float64],
    local: npt.NDArray[np.float64],
    values: npt.NDArray[np.float64],
    errors: npt.NDArray[np.float64],
    accepted: npt.NDArray[np.bool_],
) -> None:
    """Fit candidates one after the other, each on top of the spots accepted before it.

    Parameters
    ----------
    positions
        Canvas pixels of the local maxima, most significant first.
    background
        Photons per pixel under each.
    needed
        Score that each must reach once its neighbours are accounted for.
    strength, log_weight, node
        Components of the score, by background node, and the node of each candidate.
    scores, local
        In: scores as found. Out: scores, and background in the middle pixel, with neighbours.
    values, errors
        Result of the fits, shape (candidates, 4), as in :func:`fit_spot`.
    accepted
        Result: which candidates stand.
    """
    side = 2 * FIT_HALF + 1
    window = np.empty((side, side))
    for number in range(positions.size):
        window[:] = background[number]
        touched = _expect(number, stride, positions, values, accepted, number, rules, window)
        local[number] = window[FIT_HALF, FIT_HALF]
        if touched:
            scores[number] = _score_window(
                counts,
                usable,
                stride,
                positions[number],
                window,
                strength[node[number]],
                log_weight,
                rules.n_pulses,
            )
        if scores[number] < needed[number]:
            continue
        accepted[number] = True
        surplus = 0.0
        for ss in range(1, side - 1):
            for fs in range(1, side - 1):
                pixel = positions[number] + (ss - FIT_HALF) * stride + fs - FIT_HALF
                if usable[pixel]:
                    surplus += counts[pixel] - window[ss, fs]
        values[number, 0] = max(surplus, 1.0)
        values[number, 1] = 0.0
        values[number, 2] = 0.0
        values[number, 3] = math.log(priors.sigma_px)
        fit_spot(
            counts,
            usable,
            stride,
            positions[number],
            window,
            priors,
            FIT_HALF - 1,
            rules.n_pulses,
            values[number],
            errors[number],
        )
        gain = _gain_of_spike(
            counts,
            usable,
            stride,
            positions[number],
            window,
            values[number],
            rules.sharpest_px,
            rules.n_pulses,
        )
        accepted[number] = gain < rules.spike_gain
    # Neighbours are known now: fit on, with all of the window, until they agree with each other.
    for _ in range(_N_SWEEPS):
        for number in range(positions.size):
            if not accepted[number]:
                continue
            window[:] = background[number]
            _expect(number, stride, positions, values, accepted, positions.size, rules, window)
            fit_spot(
                counts,
                usable,
                stride,
                positions[number],
                window,
                priors,
                FIT_HALF,
                rules.n_pulses,
                values[number],
                errors[number],
            )
