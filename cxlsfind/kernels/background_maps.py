"""Passes over the canvas that tie pixels to rings, tiles and words."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel
from cxlsfind.kernels.plane_canvas import find_near

Flags = npt.NDArray[np.bool_]
Rings = npt.NDArray[np.int32]
Places = npt.NDArray[np.int32]
Factor = npt.NDArray[np.float32]

#: Every so many pixels the background of a word is looked at.
_STEP = 8

#: Pixels of a row that are looked at together.
_RUN = 64

#: Pixels to both sides between which the direction of the radius is taken.
_BASE = 16


@kernel
def factor_at(factor: Factor, side: int, row: int, column: int) -> float:
    """Return a factor known in the middles of tiles at a pixel, linearly in between."""
    down = min(max((row + 0.5) / side - 0.5, 0.0), factor.shape[0] - 1.0)
    across = min(max((column + 0.5) / side - 0.5, 0.0), factor.shape[1] - 1.0)
    top = int(down)
    left = int(across)
    bottom = min(top + 1, factor.shape[0] - 1)
    right = min(left + 1, factor.shape[1] - 1)
    down -= top
    across -= left
    upper = (1.0 - across) * factor[top, left] + across * factor[top, right]
    lower = (1.0 - across) * factor[bottom, left] + across * factor[bottom, right]
    return float((1.0 - down) * upper + down * lower)


@kernel
def bin_words(
    ring: Rings, usable: Flags, rings_per_bin: int, word_bin: npt.NDArray[np.int32]
) -> None:
    """Find the bin of radius of every word: that of the mean ring of its usable pixels, or -1."""
    for word in range(word_bin.size):
        total = 0
        number = 0
        for pixel in range(64 * word, 64 * word + 64):
            if usable[pixel]:
                total += ring[pixel]
                number += 1
        word_bin[word] = total // number // rings_per_bin if number else -1


@kernel
def list_tile_rings(
    ring: Rings,
    usable: Flags,
    stride: int,
    side: int,
    first: npt.NDArray[np.int64],
    entry_ring: npt.NDArray[np.int32],
    entry_pixels: npt.NDArray[np.int32],
) -> int:
    """List, tile after tile, the rings that cross it and with how many usable pixels.

    Parameters
    ----------
    side
        Rows and columns of a tile.
    first
        Result, one longer than there are tiles: where the entries of each begin.
    entry_ring, entry_pixels
        Results, rings ascending within a tile.

    Returns
    -------
    Number of entries, which may exceed the size of the results; the rest is not written.
    """
    n_rows = ring.size // stride
    down = -(-n_rows // side)
    across = -(-stride // side)
    counts = np.zeros(4 * side + 4, np.int32)
    n = 0
    for tile in range(down * across):
        first[tile] = n
        top = tile // across * side
        left = tile % across * side
        bottom = min(top + side, n_rows)
        right = min(left + side, stride)
        lowest = np.int64(1) << 60
        highest = np.int64(-1)
        for row in range(top, bottom):
            for pixel in range(row * stride + left, row * stride + right):
                if usable[pixel]:
                    lowest = min(lowest, np.int64(ring[pixel]))
                    highest = max(highest, np.int64(ring[pixel]))
        if highest < 0:
            continue
        if highest - lowest >= counts.size:
            counts = np.zeros(highest - lowest + 1, np.int32)
        counts[: highest - lowest + 1] = 0
        for row in range(top, bottom):
            for pixel in range(row * stride + left, row * stride + right):
                if usable[pixel]:
                    counts[ring[pixel] - lowest] += 1
        for step in range(highest - lowest + 1):
            if counts[step]:
                if n < entry_ring.size:
                    entry_ring[n] = lowest + step
                    entry_pixels[n] = counts[step]
                n += 1
    first[down * across] = n
    return n


@kernel
def drop_from_tiles(
    pixels: Places,
    ring: Rings,
    stride: int,
    side: int,
    first: npt.NDArray[np.int64],
    entry_ring: npt.NDArray[np.int32],
    entry_pixels: npt.NDArray[np.int32],
) -> None:
    """Take pixels out of the numbers that :func:`list_tile_rings` found."""
    across = -(-stride // side)
    for number in range(pixels.size):
        pixel = pixels[number]
        tile = pixel // stride // side * across + pixel % stride // side
        for entry in range(first[tile], first[tile + 1]):
            if entry_ring[entry] == ring[pixel]:
                entry_pixels[entry] -= 1


@kernel
def drop_values(
    pixels: Places,
    ring: Rings,
    per_pixel: npt.NDArray[np.float64],
    stride: int,
    side: int,
    sums: npt.NDArray[np.float64],
) -> None:
    """Take what every ring expects per pixel from the sums of the pixels' tiles.

    Parameters
    ----------
    sums
        Shape (down, across).
    """
    for number in range(pixels.size):
        row = pixels[number] // stride
        column = pixels[number] - row * stride
        sums[row // side, column // side] -= per_pixel[ring[pixels[number]]]


@kernel
def count_members(
    pixels: Places,
    ring: Rings,
    group: npt.NDArray[np.int32],
    by_ring: npt.NDArray[np.int64],
    by_group: npt.NDArray[np.int64],
) -> None:
    """Add the numbers of pixels to those of their rings, and of their words' groups.

    Parameters
    ----------
    group
        Group of every word, not -1 for those of the pixels.
    """
    for number in range(pixels.size):
        pixel = pixels[number]
        by_ring[ring[pixel]] += 1
        by_group[group[pixel >> 6]] += 1


@kernel
def count_shapes(
    first: npt.NDArray[np.int64],
    entry_ring: npt.NDArray[np.int32],
    entry_pixels: npt.NDArray[np.int32],
    log_profile: npt.NDArray[np.float64],
    log_factor: npt.NDArray[np.float64],
    lowest: float,
    width: float,
    pixels: npt.NDArray[np.int64],
) -> None:
    """Add the pixels of tiles to bins of the logarithm of the background's shape.

    Parameters
    ----------
    first, entry_ring, entry_pixels
        As :func:`list_tile_rings` found them.
    log_profile, log_factor
        Logarithms of the shape, by ring and by tile, to be added.
    lowest, width
        Where the bins begin, and their width; what lies beyond is counted in the last.
    """
    for tile in range(log_factor.size):
        offset = log_factor[tile] - lowest
        for entry in range(first[tile], first[tile + 1]):
            place = int((log_profile[entry_ring[entry]] + offset) / width)
            pixels[min(place, pixels.size - 1)] += entry_pixels[entry]


@kernel
def expect_tiles(
    first: npt.NDArray[np.int64],
    entry_ring: npt.NDArray[np.int32],
    entry_pixels: npt.NDArray[np.int32],
    per_pixel: npt.NDArray[np.float64],
    expected: npt.NDArray[np.float64],
) -> None:
    """Sum over tiles what every ring expects per pixel; the result is overwritten."""
    for tile in range(expected.size):
        total = 0.0
        for entry in range(first[tile], first[tile + 1]):
            total += entry_pixels[entry] * per_pixel[entry_ring[entry]]
        expected[tile] = total


@kernel
def sum_tiles(
    values: npt.NDArray[np.uint32],
    usable: Flags,
    stride: int,
    side: int,
    sums: npt.NDArray[np.float64],
) -> None:
    """Add values at usable pixels to the sums of their tiles."""
    across = -(-stride // side)
    columns = np.zeros(stride, np.int64)
    n_rows = values.size // stride
    for row in range(n_rows):
        here = values[row * stride : (row + 1) * stride]
        good = usable[row * stride : (row + 1) * stride]
        for column in range(stride):
            columns[column] += here[column] if good[column] else 0
        if (row + 1) % side == 0 or row + 1 == n_rows:
            tiles = sums[row // side * across : (row // side + 1) * across]
            for tile in range(across):
                tiles[tile] += columns[tile * side : min((tile + 1) * side, stride)].sum()
            columns[:] = 0


@kernel
def sum_rings(
    values: npt.NDArray[np.uint32], ring: Rings, usable: Flags, sums: npt.NDArray[np.int64]
) -> None:
    """Add values at usable pixels to the sums of their rings."""
    for pixel in range(values.size):
        if usable[pixel]:
            sums[ring[pixel]] += values[pixel]


@kernel
def lowest_of_words(
    profile: npt.NDArray[np.float64],
    factor: Factor,
    side: int,
    ring: Rings,
    words_per_row: int,
    lowest: npt.NDArray[np.float32],
) -> None:
    """Find about the lowest shape of the background in every word; 1 where there is no pixel."""
    for word in range(lowest.size):
        row = word // words_per_row
        column = word % words_per_row * 64
        least = np.inf
        for bit in range(_STEP // 2, 64, _STEP):
            where = ring[64 * word + bit]
            if where >= 0:
                level = profile[where] * factor_at(factor, side, row, column + bit)
                least = min(least, level)
        lowest[word] = least if least < np.inf else 1.0


@kernel
def list_odd_pixels(
    votes: npt.NDArray[np.uint32],
    hoped: npt.NDArray[np.float64],
    factor: Factor,
    side: int,
    ring: Rings,
    usable: Flags,
    stride: int,
    odd: Places,
    mean: npt.NDArray[np.float64],
) -> int:
    """List the usable pixels whose votes are more than three sigma and one off.

    Parameters
    ----------
    hoped
        Votes that each ring expects per pixel.
    odd, mean
        Results: pixels, ascending, and what they were expected to have.

    Returns
    -------
    Number of odd pixels, which may exceed the size of the results; the rest is not written.
    """
    n = 0
    level = np.empty(stride)
    expected = np.empty(_RUN)
    is_odd = np.empty(_RUN, np.int64)
    for row in range(votes.size // stride):
        if row % side == 0:
            for column in range(stride):
                level[column] = factor[row // side, column // side]
        for first in range(0, stride, _RUN):
            length = min(_RUN, stride - first)
            start = row * stride + first
            # Look-ups, with unsigned numbers, apart from arithmetic on many pixels at once.
            rings = ring[start : start + length]
            for w in range(length):
                expected[w] = hoped[np.uint64(rings[w] if rings[w] > 0 else 0)]
            seen = votes[start : start + length]
            good = usable[start : start + length]
            levels = level[first : first + length]
            some = np.int64(0)
            for w in range(length):
                here = expected[w] * levels[w]
                off = abs(seen[w] - here) - 1.0
                is_odd[w] = (off > 0.0) & (off * off > 9.0 * here) & good[w]
                some |= is_odd[w]
            if some == 0:
                continue
            for w in range(length):
                if is_odd[w]:
                    if n < odd.size:
                        odd[n] = start + w
                        mean[n] = expected[w] * factor_at(factor, side, row, first + w)
                    n += 1
    return n


@kernel
def take_from(
    source: npt.NDArray[np.uint32], chosen: Flags, ring: Rings, target: npt.NDArray[np.uint32]
) -> None:
    """Copy the pixels of chosen rings."""
    for pixel in range(source.size):
        where = np.uint64(ring[pixel] if ring[pixel] > 0 else 0)
        target[pixel] = source[pixel] if chosen[where] else target[pixel]


@kernel
def find_directions(
    positions: Places,
    ring: Rings,
    stride: int,
    n_directions: int,
    directions: npt.NDArray[np.int64],
) -> None:
    """Find the direction in which the radius grows, from fs towards ss, in steps of half a turn.

    Parameters
    ----------
    positions
        Canvas pixels.
    n_directions
        Steps in half a turn.
    directions
        Result, from 0 to below ``n_directions``.
    """
    for number in range(positions.size):
        pixel = positions[number]
        slope = np.zeros(2)
        for axis in range(2):
            step = 1 if axis == 0 else stride
            ahead = pixel
            while ahead + step < ring.size and ring[ahead + step] >= 0:
                ahead += step
                if ahead - pixel >= _BASE * step:
                    break
            behind = pixel
            while behind >= step and ring[behind - step] >= 0:
                behind -= step
                if pixel - behind >= _BASE * step:
                    break
            if ahead > behind:
                slope[axis] = (ring[ahead] - ring[behind]) * step / (ahead - behind)
        turn = np.arctan2(slope[1], slope[0]) / np.pi * n_directions
        directions[number] = np.int64(np.rint(turn)) % n_directions


@kernel
def spot_moments(
    planes: npt.NDArray[np.uint64],
    places: Places,
    counts: npt.NDArray[np.uint32],
    usable: Flags,
    stride: int,
    positions: Places,
    angle: npt.NDArray[np.float64],
    background: npt.NDArray[np.float64],
    half: int,
    sums: npt.NDArray[np.float64],
) -> None:
    """Measure how far the photons of spots lie from their middles.

    Parameters
    ----------
    planes, places, counts
        A frame on the canvas.
    positions, angle, background
        Middles of spots, the direction of the radius there, and background per pixel.
    half
        Half the length of the two strips, along the radius and across it, in which photons are
        looked for; they are a quarter as wide.
    sums
        Result, shape (spots, 4): of the strip along the radius photons less background, the same
        times squared distances along it, and photons; of the strip across, the same as the second.
    """
    full = (1 << planes.shape[0]) - 1
    one = np.uint64(1)
    for number in range(positions.size):
        cosine, sine = np.cos(angle[number]), np.sin(angle[number])
        sums[number] = 0.0
        for dss in range(-half, half + 1):
            guess = 0
            for dfs in range(-half, half + 1):
                along = abs(dfs * cosine + dss * sine)
                across = abs(dss * cosine - dfs * sine)
                if max(along, across) > half or min(along, across) > 0.25 * half:
                    continue
                pixel = positions[number] + dss * stride + dfs
                if not usable[pixel]:
                    continue
                count: Any = 0
                word, bit = np.uint64(pixel >> 6), np.uint64(pixel & 63)
                for k in range(planes.shape[0]):
                    count |= np.int64(planes[k, word] >> bit & one) << k
                if count == full:
                    where = find_near(places, pixel, guess)
                    if where >= 0:
                        count = np.int64(counts[where])
                        guess = where
                excess = count - background[number]
                if across <= 0.25 * half:
                    sums[number, 0] += excess
                    sums[number, 1] += excess * along**2
                    sums[number, 2] += count
                if along <= 0.25 * half:
                    sums[number, 3] += excess * across**2
