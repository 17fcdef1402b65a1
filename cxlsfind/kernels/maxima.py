"""Background at candidate pixels, and the candidates that are local maxima of the score."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel

#: Above every score that is not bright, and low enough to leave single precision its fractions.
_BRIGHT_RANK = 1000.0


@kernel
def describe_positions(
    positions: npt.NDArray[np.int32],
    counts: npt.NDArray[np.uint16],
    shape: npt.NDArray[np.float32],
    scale: npt.NDArray[np.float32],
    ring: npt.NDArray[np.int32],
    stride: int,
    background: npt.NDArray[np.float32],
    boxes: npt.NDArray[np.int64],
    sharpness: npt.NDArray[np.float32],
) -> None:
    """Background under a spot, and photons, in the 3x3 box around each position.

    The background is weighted as a spot is: taking the middle pixel alone would call the foot
    of a sharp ring a spot.

    Parameters
    ----------
    positions
        Canvas pixels.
    shape, scale, ring
        The background of canvas pixel x is ``shape[x] * scale[ring[x]]``.
    background, boxes, sharpness
        Results: photons per pixel, above zero; photons in the box; photons weighted as a spot.
    """
    for number in range(positions.size):
        total = 0.0
        weights = 0.0
        photons = 0
        sharp = 0.0
        for dss in range(-1, 2):
            for dfs in range(-1, 2):
                pixel = positions[number] + dss * stride + dfs
                weight = (0.5 if dss == 0 else 0.25) * (0.5 if dfs == 0 else 0.25)
                photons += counts[pixel]
                sharp += weight * counts[pixel]
                if ring[pixel] >= 0:
                    total += weight * shape[pixel] * scale[ring[pixel]]
                    weights += weight
        background[number] = max(total / max(weights, 1e-30), 1e-12)
        boxes[number] = photons
        sharpness[number] = sharp


@kernel
def mark_maxima(
    positions: npt.NDArray[np.int32],
    scores: npt.NDArray[np.float32],
    sharpness: npt.NDArray[np.float32],
    bright: float,
    stride: int,
    radius: int,
    sheet: npt.NDArray[np.float32],
    is_maximum: npt.NDArray[np.bool_],
) -> None:
    """Mark positions whose score no other position up to ``radius`` away exceeds.

    Among scores above ``bright`` the sharpness decides: with photons in plenty, a wide shape
    over two touching spots scores more than a sharp one over either. Of equals the first
    position in reading order is taken.

    Parameters
    ----------
    positions
        Canvas pixels, ascending.
    sheet
        Canvas of minus infinity, given back as it was.
    """
    for number in range(positions.size):
        rank = scores[number]
        if rank > bright:
            rank = np.float32(_BRIGHT_RANK) + sharpness[number]
        sheet[positions[number]] = rank
    for number in range(positions.size):
        middle = positions[number]
        own = sheet[middle]
        best = True
        for dss in range(-radius, radius + 1):
            for dfs in range(-radius, radius + 1):
                pixel = middle + dss * stride + dfs
                if sheet[pixel] > own or (sheet[pixel] == own and pixel < middle):
                    best = False
        is_maximum[number] = best
    for number in range(positions.size):
        sheet[positions[number]] = -np.inf
