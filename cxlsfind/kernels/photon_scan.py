"""Passes over the photons of one frame: scatter them, sum them by ring, look for crowded boxes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel

#: Canvas rows are scanned in runs of this many pixels, each with one threshold.
SEGMENT = 64

#: Counts are stored in 16 bits on the canvas, and boxes of nine are summed in 16 bits; a larger
#: count adds nothing to a decision that is already certain.
LARGEST_COUNT = 4095


@kernel
def scatter_photons(
    pixel: npt.NDArray[np.int32],
    count: npt.NDArray[np.uint32],
    usable: npt.NDArray[np.bool_],
    canvas: npt.NDArray[np.uint16],
) -> int:
    """Write counts at usable pixels to a canvas of zeros; return the sum of what was written.

    Negative pixels are not on the canvas and are left out. Counts above ``LARGEST_COUNT`` are
    written as that.
    """
    total = 0
    for number in range(pixel.size):
        place = pixel[number]
        if place >= 0 and usable[place]:
            value = min(count[number], LARGEST_COUNT)
            canvas[place] = value
            total += value
    return total


@kernel
def clear_photons(pixel: npt.NDArray[np.int32], canvas: npt.NDArray[np.uint16]) -> None:
    """Set a canvas back to zero at the pixels that a scatter may have written."""
    for number in range(pixel.size):
        if pixel[number] >= 0:
            canvas[pixel[number]] = 0


@kernel
def sum_by_ring(
    pixel: npt.NDArray[np.int32],
    count: npt.NDArray[np.uint32],
    usable: npt.NDArray[np.bool_],
    ring: npt.NDArray[np.int32],
    cap: npt.NDArray[np.int64],
    sums: npt.NDArray[np.int64],
) -> None:
    """Add counts, each cut at its ring's cap, to the sums of the rings.

    Parameters
    ----------
    pixel, count
        Photons of one frame on the canvas.
    usable, ring
        Per canvas pixel; rings below zero are left out.
    cap
        Largest count a pixel contributes, per ring.
    sums
        Added to, per ring.
    """
    for number in range(pixel.size):
        place = pixel[number]
        if place >= 0 and usable[place]:
            where = ring[place]
            if where >= 0:
                sums[where] += min(np.int64(count[number]), cap[where])


@kernel
def histogram_by_ring(
    pixel: npt.NDArray[np.int32],
    count: npt.NDArray[np.uint32],
    usable: npt.NDArray[np.bool_],
    ring: npt.NDArray[np.int32],
    histogram: npt.NDArray[np.int64],
) -> None:
    """Add the non-zero counts of a frame to histograms per ring; the last bin takes the rest.

    Parameters
    ----------
    histogram
        Added to, shape (rings, bins); column 0 stays as it is.
    """
    last = histogram.shape[1] - 1
    for number in range(pixel.size):
        place = pixel[number]
        if place >= 0 and usable[place]:
            where = ring[place]
            if where >= 0:
                histogram[where, min(np.int64(count[number]), last)] += 1


@kernel
def add_capped(
    pixel: npt.NDArray[np.int32],
    count: npt.NDArray[np.uint32],
    usable: npt.NDArray[np.bool_],
    ring: npt.NDArray[np.int32],
    cap: npt.NDArray[np.int64],
    total: npt.NDArray[np.uint32],
) -> None:
    """Add counts, each cut at its ring's cap, to a canvas of sums over frames."""
    for number in range(pixel.size):
        place = pixel[number]
        if place >= 0 and usable[place]:
            where = ring[place]
            if where >= 0:
                total[place] += np.uint32(min(np.int64(count[number]), cap[where]))


@kernel
def scan_boxes(
    canvas: npt.NDArray[np.uint16],
    stride: int,
    usable: npt.NDArray[np.bool_],
    row_photons: npt.NDArray[np.int64],
    thresholds: npt.NDArray[np.uint16],
    found: npt.NDArray[np.int32],
) -> int:
    """List usable pixels whose 3x3 box holds at least as many photons as its segment asks.

    Parameters
    ----------
    canvas
        Counts, ``stride`` pixels a row; zero at unusable pixels; stride is a multiple of
        ``SEGMENT``.
    row_photons
        Photons in each row; rows far from any photon are skipped.
    thresholds
        Per segment, row after row; at least 1.
    found
        Result: flat pixels, ascending.

    Returns
    -------
    Number of pixels that qualify, which may exceed ``found.size``; the rest is not written.
    """
    n_rows = canvas.size // stride
    per_row = stride // SEGMENT
    column = np.zeros(stride + 2, np.uint16)
    box = np.zeros(stride, np.uint16)
    n_found = 0
    for row in range(1, n_rows - 1):
        if row_photons[row - 1] + row_photons[row] + row_photons[row + 1] == 0:
            continue
        above = canvas[(row - 1) * stride : row * stride]
        here = canvas[row * stride : (row + 1) * stride]
        below = canvas[(row + 1) * stride : (row + 2) * stride]
        for fs in range(stride):
            column[fs + 1] = above[fs] + here[fs] + below[fs]
        for fs in range(stride):
            box[fs] = column[fs] + column[fs + 1] + column[fs + 2]
        for segment in range(per_row):
            threshold = thresholds[row * per_row + segment]
            part = box[segment * SEGMENT : (segment + 1) * SEGMENT]
            largest = np.uint16(0)
            for fs in range(SEGMENT):
                largest = max(largest, part[fs])
            if largest < threshold:
                continue
            for fs in range(SEGMENT):
                if part[fs] >= threshold:
                    pixel = row * stride + segment * SEGMENT + fs
                    if usable[pixel]:
                        if n_found < found.size:
                            found[n_found] = pixel
                        n_found += 1
    return n_found


@kernel
def count_neighbours(
    pixel: npt.NDArray[np.int32],
    canvas: npt.NDArray[np.uint16],
    usable: npt.NDArray[np.bool_],
    stride: int,
    cap: int,
    sums: npt.NDArray[np.float64],
) -> None:
    """Add products of counts of side neighbours, of diagonal neighbours, and the photons.

    Where background varies smoothly both products are alike, unless photons fire two pixels.

    Parameters
    ----------
    pixel
        Canvas pixels with photons.
    cap
        Pixels with more photons are left out.
    sums
        Added to: products along the sides, products along the diagonals, photons.
    """
    for number in range(pixel.size):
        place = pixel[number]
        if place < 0 or not usable[place] or canvas[place] > cap:
            continue
        right, below = place + 1, place + stride
        # At an edge there are fewer diagonals than sides: only whole neighbourhoods compare.
        if not (usable[right] and usable[below] and usable[below + 1] and usable[below - 1]):
            continue
        if max(canvas[right], canvas[below], canvas[below + 1], canvas[below - 1]) > cap:
            continue
        here = float(canvas[place])
        sums[0] += here * (canvas[right] + canvas[below])
        sums[1] += here * (canvas[below + 1] + canvas[below - 1])
        sums[2] += here
