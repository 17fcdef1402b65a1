"""Structure of the background that rings do not have: shadows, jet streaks, gradients."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cxlsfind.finding.poisson.canvas import Canvas

FloatArray = npt.NDArray[np.float64]

#: Sides of the tiles, pixels, coarse to fine; a finer level corrects what the coarser left.
_SIDES = (128, 32, 12)

#: Fewest expected photons of a tile that is judged, and the squared significance at which a
#: tile stands for itself, whatever the others do.
_FEWEST_PHOTONS = 20.0
_SIGNIFICANT = 16.0


def tile_correction(
    total: npt.NDArray[np.uint32], expected: npt.NDArray[np.float32], canvas: Canvas
) -> npt.NDArray[np.float32]:
    """Return the factor by which the background exceeds expectation, pixel by pixel.

    Tiles are drawn towards 1 as far as their scatter is no more than chance, so that a
    background with rings alone is left as it is.

    Parameters
    ----------
    total
        Photons summed over frames, on the canvas.
    expected
        What rings alone expect there; zero at unusable pixels.
    """
    shape = (canvas.n_rows, canvas.stride)
    seen = total.reshape(shape)
    hoped = expected.reshape(shape).copy()
    factor = np.ones(shape, np.float32)
    for side in _SIDES:
        tiles_seen = _sum_tiles(seen, side)
        tiles_hoped = _sum_tiles(hoped, side)
        excess = _shrink(tiles_seen, tiles_hoped)
        if not excess.any():
            continue
        level = _interpolate(1.0 + excess, side, shape)
        factor *= level
        hoped *= level
    return factor.ravel()


def _sum_tiles(values: npt.NDArray[np.generic], side: int) -> FloatArray:
    rows = np.arange(0, values.shape[0], side)
    columns = np.arange(0, values.shape[1], side)
    by_row = np.add.reduceat(values, rows, axis=0, dtype=np.float64)
    tiles: FloatArray = np.add.reduceat(by_row, columns, axis=1)
    return tiles


def _shrink(seen: FloatArray, hoped: FloatArray) -> FloatArray:
    judged = hoped >= _FEWEST_PHOTONS
    n_judged = int(judged.sum())
    if n_judged < 4:
        return np.zeros_like(seen)
    safe = np.where(judged, hoped, 1.0)
    excess = np.where(judged, seen / safe - 1.0, 0.0)
    square = safe * excess**2
    # Tiles that stand out alone, such as one under a streak, say nothing of the others.
    crowd = judged & (square <= _SIGNIFICANT)
    n_crowd = int(crowd.sum())
    surplus = square[crowd].sum() - n_crowd - 3.0 * np.sqrt(2.0 * n_crowd)
    spread = max(surplus, 0.0) / max(safe[crowd].sum(), 1.0)
    common = spread / (spread + 1.0 / safe)
    alone = np.where(square > _SIGNIFICANT, 1.0 - 1.0 / np.maximum(square, 1.0), 0.0)
    shrunk: FloatArray = np.clip(excess * np.maximum(common, alone), -0.98, 50.0)
    return shrunk


def _interpolate(tiles: FloatArray, side: int, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Spread tile values over pixels, linearly between the tiles' middles."""
    down = _weights(shape[0], tiles.shape[0], side)
    across = _weights(shape[1], tiles.shape[1], side)
    spread: npt.NDArray[np.float32] = down @ tiles.astype(np.float32) @ across.T
    return spread


def _weights(n_pixels: int, n_tiles: int, side: int) -> npt.NDArray[np.float32]:
    place = np.clip((np.arange(n_pixels) + 0.5) / side - 0.5, 0.0, n_tiles - 1.0)
    lower = np.minimum(place.astype(np.int64), max(n_tiles - 2, 0))
    part = place - lower
    weights = np.zeros((n_pixels, n_tiles), np.float32)
    weights[np.arange(n_pixels), lower] = 1.0 - part
    weights[np.arange(n_pixels), np.minimum(lower + 1, n_tiles - 1)] += part
    return weights
