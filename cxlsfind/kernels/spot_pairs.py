"""Two sharp spots that touch, told from one wide spot."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel
from cxlsfind.kernels.spot_fit import FIT_HALF, FitPriors, add_spot, fit_spot

#: Pixels from a candidate, along either axis, in which the two spots may lie, in which the models
#: are compared, and which are looked at.
_REACH = 5
_COMPARED = 7
PAIR_HALF = _REACH + FIT_HALF + 1
_SIDE = 2 * PAIR_HALF + 1

#: Tops that are tried in pairs, and rounds in which a pair is fitted in turn.
_MOST_TOPS = 6
_N_SWEEPS = 3


class PairRules(NamedTuple):
    """What two spots must be like to be told from one.

    Parameters
    ----------
    nearest_px, farthest_px
        Distance of the two.
    outer_share
        Least share of the photons outside the 3x3 box around a candidate that is worth a look.
    least_gain
        Nats by which two spots must explain the photons better than one.
    n_pulses
        X-ray pulses per frame, infinite for Poisson counts.
    """

    nearest_px: float
    farthest_px: float
    outer_share: float
    least_gain: float
    n_pulses: float


@kernel
def log_likelihood(
    counts: npt.NDArray[np.uint16],
    usable: npt.NDArray[np.bool_],
    model: npt.NDArray[np.float64],
    n_pulses: float,
) -> float:
    """Return the log likelihood of counts, up to what does not depend on the model.

    Parameters
    ----------
    model
        Photons expected; a pixel counts one per pulse at most.
    """
    total = 0.0
    for ss in range(counts.shape[0]):
        for fs in range(counts.shape[1]):
            if usable[ss, fs]:
                mean = model[ss, fs]
                total -= mean
                if counts[ss, fs] > 0:
                    odds = mean
                    if not math.isinf(n_pulses):
                        odds = n_pulses * math.expm1(mean / n_pulses)
                    total += counts[ss, fs] * math.log(odds)
    return total


@kernel
def _is_worth_a_look(
    counts: npt.NDArray[np.uint16],
    usable: npt.NDArray[np.bool_],
    stride: int,
    position: int,
    background: float,
    outer_share: float,
) -> bool:
    """Return whether enough of the photons within four pixels lie outside the 3x3 box."""
    outer = 0.0
    inner = 0.0
    n_outer = 0
    for dss in range(-4, 5):
        for dfs in range(-4, 5):
            pixel = position + dss * stride + dfs
            if usable[pixel]:
                excess = counts[pixel] - background
                if max(abs(dss), abs(dfs)) > 1:
                    outer += excess
                    n_outer += 1
                else:
                    inner += excess
    return outer > max(1.5, outer_share * (outer + inner), math.sqrt(n_outer * background))


@kernel
def _best_tops(
    counts: npt.NDArray[np.uint16],
    usable: npt.NDArray[np.bool_],
    background: float,
    rules: PairRules,
    best: npt.NDArray[np.int64],
) -> bool:
    """Find the two sharpest tops that are far enough from each other; False if there are none.

    Or if the lesser of the two cannot explain as much as it must.
    """
    side = 2 * _REACH + 3
    sharp = np.zeros((side, side))
    first = PAIR_HALF - _REACH - 1
    for ss in range(side):
        for fs in range(side):
            for dss in range(-1, 2):
                for dfs in range(-1, 2):
                    row = first + ss + dss
                    column = first + fs + dfs
                    if usable[row, column]:
                        weight = (2 - abs(dss)) * (2 - abs(dfs))
                        sharp[ss, fs] += weight * (counts[row, column] - background)
    top = np.full((_MOST_TOPS, 2), -1)
    height = np.zeros(_MOST_TOPS)
    for ss in range(1, side - 1):
        for fs in range(1, side - 1):
            own = sharp[ss, fs]
            is_top = own > 0.0
            for dss in range(-1, 2):
                for dfs in range(-1, 2):
                    other = sharp[ss + dss, fs + dfs]
                    before = dss < 0 or (dss == 0 and dfs < 0)
                    if other > own or (other == own and before):
                        is_top = False
            if not is_top:
                continue
            last = _MOST_TOPS - 1
            if own > height[last]:
                while last > 0 and own > height[last - 1]:
                    height[last] = height[last - 1]
                    top[last] = top[last - 1]
                    last -= 1
                height[last] = own
                top[last, 0] = first + ss
                top[last, 1] = first + fs
    highest = 0.0
    for i in range(_MOST_TOPS):
        for j in range(i):
            if height[i] <= 0.0:
                continue
            apart = math.hypot(top[i, 0] - top[j, 0], top[i, 1] - top[j, 1])
            if rules.nearest_px <= apart <= rules.farthest_px and height[i] + height[j] > highest:
                highest = height[i] + height[j]
                best[0] = top[j, 0] * _SIDE + top[j, 1]
                best[1] = top[i, 0] * _SIDE + top[i, 1]
    if highest <= 0.0:
        return False
    return _most_gain(counts, usable, background, best[1], rules.n_pulses) >= rules.least_gain


@kernel
def _most_gain(
    counts: npt.NDArray[np.uint16],
    usable: npt.NDArray[np.bool_],
    background: float,
    place: int,
    n_pulses: float,
) -> float:
    """Return what no spot exceeds in explaining a 3x3 box better than background does, nats."""
    gain = 0.0
    for dss in range(-1, 2):
        for dfs in range(-1, 2):
            pixel = place + dss * _SIDE + dfs
            count = counts.ravel()[pixel]
            if usable.ravel()[pixel] and count > background:
                gain += count * math.log(count / background)
                if math.isinf(n_pulses):
                    gain -= count - background
    return gain


@kernel
def _fit_spots(
    counts: npt.NDArray[np.uint16],
    usable: npt.NDArray[np.bool_],
    background: float,
    places: npt.NDArray[np.int64],
    priors: FitPriors,
    n_pulses: float,
    values: npt.NDArray[np.float64],
) -> float:
    """Fit one spot or two in turn; return the log likelihood of the photons around."""
    side = 2 * FIT_HALF + 1
    expected = np.empty((side, side))
    errors = np.empty(4)
    n_spots = places.size
    for number in range(n_spots):
        surplus = 0.0
        for dss in range(-1, 2):
            for dfs in range(-1, 2):
                pixel = places[number] + dss * _SIDE + dfs
                surplus += counts.ravel()[pixel] - background
        values[number, 0] = max(surplus, 1.0)
        values[number, 1] = 0.0
        values[number, 2] = 0.0
        values[number, 3] = math.log(priors.sigma_px)
    for _ in range(_N_SWEEPS if n_spots > 1 else 1):
        for number in range(n_spots):
            expected[:] = background
            for other in range(n_spots):
                if other != number:
                    fs = places[other] % _SIDE - places[number] % _SIDE + values[other, 1]
                    ss = places[other] // _SIDE - places[number] // _SIDE + values[other, 2]
                    add_spot(fs, ss, values[other, 0], math.exp(values[other, 3]), expected)
            fit_spot(
                counts.ravel(),
                usable.ravel(),
                _SIDE,
                places[number],
                expected,
                priors,
                FIT_HALF,
                n_pulses,
                values[number],
                errors,
            )
    around = 2 * _COMPARED + 1
    model = np.full((around, around), background)
    for number in range(n_spots):
        fs = places[number] % _SIDE - PAIR_HALF + values[number, 1]
        ss = places[number] // _SIDE - PAIR_HALF + values[number, 2]
        add_spot(fs, ss, values[number, 0], math.exp(values[number, 3]), model)
    inner = slice(PAIR_HALF - _COMPARED, PAIR_HALF + _COMPARED + 1)
    return log_likelihood(counts[inner, inner], usable[inner, inner], model, n_pulses)


@kernel
def find_pairs(
    counts: npt.NDArray[np.uint16],
    usable: npt.NDArray[np.bool_],
    stride: int,
    positions: npt.NDArray[np.int32],
    background: npt.NDArray[np.float64],
    priors: FitPriors,
    rules: PairRules,
    pairs: npt.NDArray[np.int32],
) -> None:
    """Tell where candidates are two spots rather than one.

    Parameters
    ----------
    counts, usable
        Per pixel of a canvas of ``stride`` pixels a row, as far as ``PAIR_HALF`` rows and columns
        around the candidates.
    positions, background
        Canvas pixels of candidates, and photons per pixel under them.
    pairs
        Result, shape (candidates, 2): canvas pixels of the two spots; -1 where there is one.
    """
    window = np.empty((_SIDE, _SIDE), np.uint16)
    good = np.empty((_SIDE, _SIDE), np.bool_)
    two = np.empty(2, np.int64)
    one = np.full(1, PAIR_HALF * _SIDE + PAIR_HALF)
    values = np.empty((2, 4))
    n_rows = usable.size // stride
    for number in range(positions.size):
        pairs[number] = -1
        level = background[number]
        if not _is_worth_a_look(
            counts, usable, stride, positions[number], level, rules.outer_share
        ):
            continue
        row = positions[number] // stride - PAIR_HALF
        column = positions[number] % stride - PAIR_HALF
        for ss in range(_SIDE):
            for fs in range(_SIDE):
                inside = 0 <= row + ss < n_rows and 0 <= column + fs < stride
                pixel = (row + ss) * stride + column + fs
                good[ss, fs] = inside and usable[pixel]
                window[ss, fs] = 0
                if good[ss, fs]:
                    window[ss, fs] = counts[pixel]
        if not _best_tops(window, good, level, rules, two):
            continue
        alone = _fit_spots(window, good, level, one, priors, rules.n_pulses, values)
        together = _fit_spots(window, good, level, two, priors, rules.n_pulses, values)
        if together - alone < rules.least_gain:
            continue
        for spot in range(2):
            fs = column + two[spot] % _SIDE + values[spot, 1]
            ss = row + two[spot] // _SIDE + values[spot, 2]
            pairs[number, spot] = round(ss) * stride + round(fs)
