"""Structure of the background that rings do not have: shadows, jet streaks, gradients."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels.background_maps import (
    drop_from_tiles,
    drop_values,
    expect_tiles,
    list_tile_rings,
    sum_tiles,
)

FloatArray = npt.NDArray[np.float64]

#: Side of the tiles, pixels, and how many of them a side make the tiles of each level, coarse to
#: fine; a finer level corrects what the coarser left.
SIDE = 12
_LEVELS = (36, 12, 3, 1)

#: Fewest expected photons of a tile that is judged, and the squared significance at which a
#: tile stands for itself, whatever the others do.
_FEWEST_PHOTONS = 20.0
_SIGNIFICANT = 16.0


@dataclass(frozen=True, slots=True, eq=False)
class TileRings:
    """How many usable pixels of each ring lie in each tile.

    Parameters
    ----------
    stride
        Canvas pixels a row.
    shape
        Number of tiles down and across.
    first
        Where the entries of each tile begin, and the end of the last; int64.
    ring, pixels
        Entries: ring and usable pixels; int32.
    """

    stride: int
    shape: tuple[int, int]
    first: npt.NDArray[np.int64]
    ring: npt.NDArray[np.int32]
    pixels: npt.NDArray[np.int32]

    def without(self, pixels: npt.NDArray[np.int32], ring: npt.NDArray[np.int32]) -> TileRings:
        """Return the numbers less some canvas pixels, whose rings ``ring`` knows."""
        left = self.pixels.copy()
        drop_from_tiles(pixels, ring, self.stride, SIDE, self.first, self.ring, left)
        return replace(self, pixels=left)

    def expected(self, per_pixel: FloatArray) -> FloatArray:
        """Return what the tiles expect, given what each ring expects per pixel."""
        result = np.empty(self.shape)
        expect_tiles(self.first, self.ring, self.pixels, per_pixel, result.ravel())
        return result

    def seen(self, totals: npt.NDArray[np.uint32], usable: npt.NDArray[np.bool_]) -> FloatArray:
        """Return the sums of canvas pixels over tiles."""
        result = np.zeros(self.shape)
        sum_tiles(totals, usable, self.stride, SIDE, result.ravel())
        return result

    def drop(
        self,
        pixels: npt.NDArray[np.int32],
        ring: npt.NDArray[np.int32],
        per_pixel: FloatArray,
        sums: FloatArray,
    ) -> None:
        """Take what each ring expects per pixel from the sums of the tiles of canvas pixels."""
        drop_values(pixels, ring, per_pixel, self.stride, SIDE, sums)

    def of(self, pixels: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """Return the flat numbers of the tiles of canvas pixels."""
        row, column = np.divmod(pixels.astype(np.int64), self.stride)
        tiles: npt.NDArray[np.int64] = row // SIDE * self.shape[1] + column // SIDE
        return tiles


def tile_rings(
    ring: npt.NDArray[np.int32], usable: npt.NDArray[np.bool_], stride: int
) -> TileRings:
    """Survey the tiles of a canvas."""
    shape = -(-(ring.size // stride) // SIDE), -(-stride // SIDE)
    first = np.empty(shape[0] * shape[1] + 1, np.int64)
    size = 24 * len(first)
    while True:
        entry_ring, pixels = np.empty(size, np.int32), np.empty(size, np.int32)
        n = list_tile_rings(ring, usable, stride, SIDE, first, entry_ring, pixels)
        if n <= size:
            return TileRings(stride, shape, first, entry_ring[:n].copy(), pixels[:n].copy())
        size = n


def no_correction(tiles: TileRings) -> npt.NDArray[np.float32]:
    """Return the factor of a background that has rings alone."""
    return np.ones(tiles.shape, np.float32)


def tile_correction(seen: FloatArray, expected: FloatArray) -> npt.NDArray[np.float32]:
    """Return the factor by which the background exceeds expectation, tile by tile.

    Tiles are drawn towards 1 as far as their scatter is no more than chance, so that a
    background with rings alone is left as it is.

    Parameters
    ----------
    seen, expected
        Photons summed over frames, and what rings alone expect, shape (down, across).
    """
    hoped = expected.copy()
    factor = np.ones(seen.shape)
    for group in _LEVELS:
        excess = _shrink(_pool(seen, group), _pool(hoped, group))
        if not excess.any():
            continue
        level = _interpolate(1.0 + excess, group, seen.shape)
        factor *= level
        hoped *= level
    return factor.astype(np.float32)


def _pool(values: FloatArray, group: int) -> FloatArray:
    rows = np.arange(0, values.shape[0], group)
    columns = np.arange(0, values.shape[1], group)
    pooled: FloatArray = np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)
    return pooled


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


def _interpolate(tiles: FloatArray, group: int, shape: tuple[int, ...]) -> FloatArray:
    """Spread the values of a level over the finest tiles, linearly between middles."""
    if group == 1:
        return tiles
    down = _weights(shape[0], tiles.shape[0], group)
    across = _weights(shape[1], tiles.shape[1], group)
    spread: FloatArray = down @ tiles @ across.T
    return spread


def _weights(n_fine: int, n_tiles: int, group: int) -> FloatArray:
    place = np.clip((np.arange(n_fine) + 0.5) / group - 0.5, 0.0, n_tiles - 1.0)
    lower = np.minimum(place.astype(np.int64), max(n_tiles - 2, 0))
    part = place - lower
    weights = np.zeros((n_fine, n_tiles))
    weights[np.arange(n_fine), lower] = 1.0 - part
    weights[np.arange(n_fine), np.minimum(lower + 1, n_tiles - 1)] += part
    return weights
