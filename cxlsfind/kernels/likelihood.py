"""Log likelihood ratio of "a spot is here" against "background only" around given pixels."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._components import add_exponentials, add_weighted, spread_counts
from cxlsfind.kernels._jit import kernel
from cxlsfind.kernels.bits import count_ones, lowest_one
from cxlsfind.kernels.plane_canvas import Words, find_near

#: Scores that are finished together.
_BATCH = 16

#: With more lit pixels than this all pixels of a window are looked at.
_CROWDED = 16


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


class _Logs(NamedTuple):
    """Logarithms of a batch of scores, by component.

    Parameters
    ----------
    rows
        Shape (components, batch), float32.
    halfway
        Largest of each column, and what the exponentials sum to as seen from it; float32.
    sums
        Logarithms of the sums of exponentials of each column, float32.
    """

    rows: npt.NDArray[np.float32]
    halfway: npt.NDArray[np.float32]
    sums: npt.NDArray[np.float32]


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
    n_planes = planes.shape[0]
    side = 2 * half + 1
    one = np.uint64(1)
    row_mask = (one << np.uint64(side)) - one
    # Components are summed sixteen at a time, over table rows in the order of the pixels.
    n_runs = (n_components + 15) // 16
    sums = np.zeros((_BATCH, 16 * n_runs), np.float32)
    logs = _make_logs(n_components)
    row_bytes = np.uint64(4 * n_components)
    node_bytes = np.uint64(tables.log_ratio.shape[1]) * row_bytes
    seen_first = np.uint64(tables.log_ratio.ctypes.data)
    unseen_first = np.uint64(tables.forgiven.ctypes.data)
    bits = np.zeros(n_planes, np.uint64)
    # Room for a multiple of sixteen.
    rows = np.empty(side * side + 15, np.uint64)
    weights = np.empty(side * side + 15, np.float32)
    # Where in the list the first pixels of the rows stood last: the next position is often beside.
    guesses = np.zeros(side, np.int64)
    for number in range(positions.size):
        here = node[number]
        seen = seen_first + np.uint64(here) * node_bytes
        corner = positions[number] - half * stride - half
        # A window that fits into a word is looked at as one.
        gone = ~np.uint64(0)
        if side * side <= 64:
            gone = np.uint64(0)
            bits[:] = 0
            for row in range(side):
                start = corner + row * stride
                word = np.uint64(start >> 6)
                right = np.uint64(start & 63)
                # A shift by 64 is no shift on this machine: shift by 63, and once more.
                left = np.uint64(63) - right
                up = np.uint64(row * side)
                gone |= ~(usable[word] >> right | usable[word + one] << left << one) & row_mask
                for plane in range(n_planes):
                    line = planes[plane, word] >> right | planes[plane, word + one] << left << one
                    bits[plane] |= (line & row_mask) << up
        if gone:
            unseen = unseen_first + np.uint64(here) * node_bytes
            n_rows = _list_rows(
                planes,
                places,
                counts,
                usable,
                stride,
                side,
                corner,
                seen,
                unseen,
                row_bytes,
                rows,
                weights,
            )
        else:
            lit, every = bits[0], bits[0]
            for plane in range(1, n_planes):
                lit |= bits[plane]
                every &= bits[plane]
            is_crowded = count_ones(lit) > _CROWDED
            n_rows = 0
            if is_crowded:
                # No weight does no harm, and takes less time than to find out.
                n_rows = side * side
                spread_counts(
                    np.uint64(bits.ctypes.data),
                    np.uint64(n_planes),
                    np.uint64(n_rows),
                    np.uint64(weights.ctypes.data),
                )
                for tap in range(n_rows):
                    rows[tap] = seen + np.uint64(tap) * row_bytes
            else:
                some = lit
                while some:
                    at = np.uint64(lowest_one(some))
                    some &= some - one
                    value = np.uint64(0)
                    for plane in range(n_planes):
                        value |= (bits[plane] >> at & one) << np.uint64(plane)
                    weights[n_rows] = np.float32(np.int64(value))
                    rows[n_rows] = seen + at * row_bytes
                    n_rows += 1
            guess = 0
            last_row = -1
            while every:
                tap = lowest_one(every)
                below = (one << np.uint64(tap)) - one
                every &= every - one
                line = tap // side
                if line != last_row:
                    guess = guesses[line]
                where = find_near(places, corner + line * stride + tap % side, guess)
                if where >= 0:
                    weights[tap if is_crowded else count_ones(lit & below)] = counts[where]
                    guess = where
                    if line != last_row:
                        guesses[line] = where
                    last_row = line
        row = number % _BATCH
        for k in range(n_components):
            sums[row, k] = tables.log_weight[k] - tables.total[here, k]
        for run in range(n_runs):
            add_weighted(
                np.uint64(rows.ctypes.data),
                np.uint64(weights.ctypes.data),
                np.uint64(n_rows),
                np.uint64(n_components - 16 * run),
                np.uint64(sums.ctypes.data) + np.uint64(64 * (n_runs * row + run)),
            )
            if run + 1 < n_runs:
                for tap in range(n_rows):
                    rows[tap] += np.uint64(64)
        if row + 1 < _BATCH and number + 1 < positions.size:
            continue
        for k in range(n_components):
            for column in range(_BATCH):
                logs.rows[k, column] = sums[column, k]
        _sum_up(logs)
        for column in range(row + 1):
            scores[number - row + column] = logs.sums[column]


@kernel
def _list_rows(
    planes: Words,
    places: npt.NDArray[np.int32],
    counts: npt.NDArray[np.uint32],
    usable: Words,
    stride: int,
    side: int,
    corner: int,
    seen: np.uint64,
    unseen: np.uint64,
    row_bytes: np.uint64,
    rows: Words,
    weights: npt.NDArray[np.float32],
) -> int:
    """List the table rows of a window: row by row unusable pixels, then lit ones."""
    one = np.uint64(1)
    row_mask = (one << np.uint64(side)) - one
    n_planes = planes.shape[0]
    full = (1 << n_planes) - 1
    n_rows = 0
    for row in range(side):
        start = corner + row * stride
        word = np.uint64(start >> 6)
        right = np.uint64(start & 63)
        left = np.uint64(63) - right
        first = np.uint64(row * side)
        some = ~(usable[word] >> right | usable[word + one] << left << one) & row_mask
        while some:
            rows[n_rows] = unseen + (first + np.uint64(lowest_one(some))) * row_bytes
            weights[n_rows] = 1.0
            n_rows += 1
            some &= some - one
        for plane in range(n_planes):
            some |= planes[plane, word] >> right | planes[plane, word + one] << left << one
        some &= row_mask
        guess = 0
        while some:
            at = np.uint64(lowest_one(some))
            some &= some - one
            value: Any = 0
            for plane in range(n_planes):
                line = planes[plane, word] >> right | planes[plane, word + one] << left << one
                value |= np.int64(line >> at & one) << plane
            if value == full:
                where = find_near(places, int(start + np.int64(at)), guess)
                if where >= 0:
                    value = np.int64(counts[where])
                    guess = where
            rows[n_rows] = seen + (first + at) * row_bytes
            weights[n_rows] = np.float32(value)
            n_rows += 1
    return n_rows


@kernel
def _make_logs(n_components: int) -> _Logs:
    return _Logs(
        np.zeros((n_components, _BATCH), np.float32),
        np.empty((2, _BATCH), np.float32),
        np.empty(_BATCH, np.float32),
    )


@kernel
def _sum_up(logs: _Logs) -> None:
    """Fill in the sums."""
    target = np.uint64(logs.halfway.ctypes.data)
    add_exponentials(np.uint64(logs.rows.ctypes.data), np.uint64(logs.rows.shape[0]), target)
    for column in range(_BATCH):
        logs.sums[column] = logs.halfway[0, column] + np.log(logs.halfway[1, column])


@kernel
def _score_at_node(
    counts: npt.NDArray[np.uint16],
    stride: int,
    position: int,
    node: int,
    tables: ScoreTables,
    half: int,
    logs: _Logs,
) -> float:
    """Score of one position at one node, all of whose window is usable."""
    n_components = tables.log_weight.size
    for k in range(n_components):
        logs.rows[k, 0] = tables.log_weight[k] - tables.total[node, k]
    tap = 0
    for dss in range(-half, half + 1):
        for dfs in range(-half, half + 1):
            pixel = position + dss * stride + dfs
            if counts[pixel] > 0:
                count = np.float32(counts[pixel])
                for k in range(n_components):
                    logs.rows[k, 0] += count * tables.log_ratio[node, tap, k]
            tap += 1
    _sum_up(logs)
    return float(logs.sums[0])


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
    logs = _make_logs(tables.log_weight.size)
    for number in range(patches.shape[0]):
        flat = patches[number].ravel()
        place = middle * side + middle
        scores[number] = np.nan
        if _box(flat, side, place) < box_need:
            continue
        own = _score_at_node(flat, side, place, node, tables, half, logs)
        if own < lowest:
            continue
        best = True
        for dss in range(-radius, radius + 1):
            for dfs in range(-radius, radius + 1):
                other = place + dss * side + dfs
                if best and other != place and _box(flat, side, other) >= box_need:
                    score = _score_at_node(flat, side, other, node, tables, half, logs)
                    best = score < own or (score == own and other > place)
        if best:
            scores[number, 0] = own
            scores[number, 1] = _score_at_node(flat, side, place, node + 1, tables, half, logs)


@kernel
def _box(counts: npt.NDArray[np.uint16], stride: int, place: int) -> int:
    """Photons in the 3x3 box around a pixel."""
    total = 0
    for dss in range(-1, 2):
        for dfs in range(-1, 2):
            total += counts[place + dss * stride + dfs]
    return total
