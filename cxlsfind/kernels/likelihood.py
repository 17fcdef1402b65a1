"""Log likelihood ratio of "a spot is here" against "background only" around given pixels."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel
from cxlsfind.kernels.bits import lowest_one
from cxlsfind.kernels.plane_canvas import Words, find_place

#: What is this far below the largest adds nothing in single precision.
_NOTHING = np.float32(-17.0)


class ScoreTables(NamedTuple):
    """What the likelihood ratio needs, tabulated at ascending background levels (nodes).

    Parameters
    ----------
    log_ratio
        Log likelihood ratio that one count at a tap adds, shape (nodes, taps, components),
        float32. A component is one spot shape with one intensity.
    strength
        Expected spot photons at a tap, same shape, float32.
    forgiven
        What an unusable tap gives back of ``strength``, same shape, float32.
    total
        Sum of ``strength`` over the taps, shape (nodes, components), float32.
    log_weight
        Log of the components' prior weights, shape (components,), float32.
    log_background
        Natural logarithm of the nodes' background, photons per pixel, shape (nodes,), float64;
        equally spaced.
    """

    log_ratio: npt.NDArray[np.float32]
    strength: npt.NDArray[np.float32]
    forgiven: npt.NDArray[np.float32]
    total: npt.NDArray[np.float32]
    log_weight: npt.NDArray[np.float32]
    log_background: npt.NDArray[np.float64]


@kernel
def score_positions(
    planes: Words,
    places: npt.NDArray[np.int32],
    counts: npt.NDArray[np.uint32],
    usable: Words,
    stride: int,
    positions: npt.NDArray[np.int32],
    node: npt.NDArray[np.int64],
    tables: ScoreTables,
    half: int,
    scores: npt.NDArray[np.float32],
) -> None:
    """Marginal log likelihood ratio at each position, for a background node.

    Counts at unusable pixels are zero, and what a spot would have put there is forgiven as far
    as the tables say.

    Parameters
    ----------
    planes, places, counts
        Frame on a canvas of ``stride`` pixels a row, as bit planes, with the pixels that have all
        bits set, ascending, and their counts; ``half`` pixels around every position lie in it.
    usable
        Usable pixels, as the bits of words.
    positions
        Flat indices of the middle pixels.
    node
        Background node of each.
    tables
        Made for windows of ``2 * half + 1`` pixels a side.
    scores
        Result.
    """
    n_components = tables.log_weight.size
    log_ratio, forgiven, total = tables.log_ratio, tables.forgiven, tables.total
    log_weight = tables.log_weight
    n_planes = planes.shape[0]
    full = (1 << n_planes) - 1
    side = 2 * half + 1
    row_mask = (np.uint64(1) << np.uint64(side)) - np.uint64(1)
    one = np.uint64(1)
    sums = np.empty(n_components, np.float32)
    lines = np.empty(n_planes, np.uint64)
    for number in range(positions.size):
        here = node[number]
        for k in range(n_components):
            sums[k] = log_weight[k] - total[here, k]
        for row in range(side):
            start = positions[number] + (row - half) * stride - half
            word = start >> 6
            right = np.uint64(start & 63)
            # A shift by 64 is no shift on this machine: shift by 63, and once more.
            left = np.uint64(63) - right
            gone = ~(usable[word] >> right | usable[word + 1] << left << one) & row_mask
            while gone:
                tap = row * side + lowest_one(gone)
                gone &= gone - one
                for k in range(n_components):
                    sums[k] += forgiven[here, tap, k]
            lit = np.uint64(0)
            for plane in range(n_planes):
                lines[plane] = planes[plane, word] >> right | planes[plane, word + 1] << left << one
                lit |= lines[plane]
            lit &= row_mask
            while lit:
                column = lowest_one(lit)
                lit &= lit - one
                value: Any = 0
                for plane in range(n_planes):
                    value |= np.int64(lines[plane] >> np.uint64(column) & one) << plane
                if value == full:
                    where = find_place(places, start + column)
                    if where >= 0:
                        value = np.int64(counts[where])
                count = np.float32(value)
                tap = row * side + column
                for k in range(n_components):
                    sums[k] += count * log_ratio[here, tap, k]
        scores[number] = _log_sum(sums)


@kernel
def _log_sum(logs: npt.NDArray[np.float32]) -> float:
    """Logarithm of the sum of exponentials."""
    largest = logs[0]
    for k in range(1, logs.size):
        largest = max(largest, logs[k])
    total = np.float32(0.0)
    for k in range(logs.size):
        below = logs[k] - largest
        if below > _NOTHING:
            total += np.exp(below)
    return float(largest + np.log(total))


@kernel
def _score_at_node(
    counts: npt.NDArray[np.uint16],
    stride: int,
    position: int,
    node: int,
    tables: ScoreTables,
    half: int,
    sums: npt.NDArray[np.float32],
) -> float:
    """Score of one position at one node, all of whose window is usable."""
    for k in range(sums.size):
        sums[k] = tables.log_weight[k] - tables.total[node, k]
    tap = 0
    for dss in range(-half, half + 1):
        for dfs in range(-half, half + 1):
            pixel = position + dss * stride + dfs
            if counts[pixel] > 0:
                count = np.float32(counts[pixel])
                for k in range(sums.size):
                    sums[k] += count * tables.log_ratio[node, tap, k]
            tap += 1
    return _log_sum(sums)


@kernel
def score_patches(
    patches: npt.NDArray[np.uint16],
    node: int,
    tables: ScoreTables,
    half: int,
    radius: int,
    box_need: int,
    lowest: float,
    scores: npt.NDArray[np.float32],
) -> None:
    """Score the middles of patches, at a node and the next, where they are local maxima.

    Parameters
    ----------
    patches
        Shape (patches, side, side), with ``half + radius`` pixels around the middle.
    radius
        The middle must beat the pixels up to this far from it, and of equals come first.
    box_need
        Only pixels whose 3x3 box holds so many photons take part.
    lowest
        Middles with a lower score are not looked at further.
    scores
        Result, shape (patches, 2); NaN where the middle is no maximum.
    """
    side = patches.shape[1]
    middle = side // 2
    sums = np.empty(tables.log_weight.size, np.float32)
    for number in range(patches.shape[0]):
        flat = patches[number].ravel()
        place = middle * side + middle
        scores[number] = np.nan
        if _box(flat, side, place) < box_need:
            continue
        own = _score_at_node(flat, side, place, node, tables, half, sums)
        if own < lowest:
            continue
        best = True
        for dss in range(-radius, radius + 1):
            for dfs in range(-radius, radius + 1):
                other = place + dss * side + dfs
                if best and other != place and _box(flat, side, other) >= box_need:
                    score = _score_at_node(flat, side, other, node, tables, half, sums)
                    best = score < own or (score == own and other > place)
        if best:
            scores[number, 0] = own
            scores[number, 1] = _score_at_node(flat, side, place, node + 1, tables, half, sums)


@kernel
def _box(counts: npt.NDArray[np.uint16], stride: int, place: int) -> int:
    """Photons in the 3x3 box around a pixel."""
    total = 0
    for dss in range(-1, 2):
        for dfs in range(-1, 2):
            total += counts[place + dss * stride + dfs]
    return total
