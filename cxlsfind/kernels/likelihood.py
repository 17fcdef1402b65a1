"""Log likelihood ratio of "a spot is here" against "background only" around given pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel


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
    counts: npt.NDArray[np.uint16],
    usable: npt.NDArray[np.bool_],
    stride: int,
    positions: npt.NDArray[np.int32],
    node: npt.NDArray[np.int32],
    tables: ScoreTables,
    half: int,
    scores: npt.NDArray[np.float32],
) -> None:
    """Marginal log likelihood ratio at each position, for the two nodes around its background.

    Counts at unusable pixels are zero, and what a spot would have put there is forgiven as far
    as the tables say. Nodes are not blended: below 0.01 photons per pixel scores take few
    distinct values, and only at a node is it known how common each is.

    Parameters
    ----------
    counts, usable
        Flat canvas of ``stride`` pixels a row; ``half`` pixels around every position lie in it.
    positions
        Flat indices of the middle pixels.
    node
        Lower node of each position; the other is the next.
    tables
        Made for windows of ``2 * half + 1`` pixels a side.
    scores
        Result, shape (positions, 2).
    """
    n_components = tables.log_weight.size
    low = np.empty(n_components, np.float32)
    high = np.empty(n_components, np.float32)
    for number in range(positions.size):
        lower = node[number]
        for k in range(n_components):
            low[k] = tables.log_weight[k] - tables.total[lower, k]
            high[k] = tables.log_weight[k] - tables.total[lower + 1, k]
        tap = 0
        for dss in range(-half, half + 1):
            row = positions[number] + dss * stride
            for dfs in range(-half, half + 1):
                pixel = row + dfs
                if not usable[pixel]:
                    for k in range(n_components):
                        low[k] += tables.forgiven[lower, tap, k]
                        high[k] += tables.forgiven[lower + 1, tap, k]
                elif counts[pixel] > 0:
                    count = np.float32(counts[pixel])
                    for k in range(n_components):
                        low[k] += count * tables.log_ratio[lower, tap, k]
                        high[k] += count * tables.log_ratio[lower + 1, tap, k]
                tap += 1
        scores[number, 0] = _log_sum(low)
        scores[number, 1] = _log_sum(high)


@kernel
def _log_sum(logs: npt.NDArray[np.float32]) -> float:
    """Logarithm of the sum of exponentials."""
    largest = logs[0]
    for k in range(1, logs.size):
        largest = max(largest, logs[k])
    total = np.float32(0.0)
    for k in range(logs.size):
        total += np.exp(logs[k] - largest)
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
