"""Where the rings of the background are centred, told from the frames of a stretch.

A geometry may miss the beam by some pixels. A smooth background does not mind, since tiles correct
it, but sharp rings, such as those of ice, then lie across the rings of the model. What is sharp is
compared sector by sector: where the detector is off by ``c``, a ring is met farther out by
``c cos(angle)``. Slow changes with radius and angle say nothing here, so that polarisation and
shadows do not pull, and what some sectors say alone does not count: a streak that passes the beam,
or the edge of a shadow, is no ring.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from cxlsfind.finding.poisson.surroundings import Surroundings
from cxlsfind.geometry.layout import Layout
from cxlsfind.geometry.maps import sector_angles, sectors
from cxlsfind.geometry.model import Geometry
from cxlsfind.kernels.sectors import clip_sectors, fit_of_rings, sum_sectors

FloatArray = npt.NDArray[np.float64]
Offset = tuple[float, float]

#: Sectors of the whole turn.
N_SECTORS: Final = 64

#: The centre is looked for this near to where the geometry has it, px, in steps from coarse to
#: fine; rings are pooled by as many.
_FARTHEST = 32
_STEPS = (4, 2, 1)

#: What changes more slowly with the radius than this many rings says nothing.
_SLOW = 24

#: Nats by which rings around another centre must fit better in the half of the sectors that likes
#: them least, for every unit of the scatter that single photons would have; and the smallest
#: offset that matters, px.
_GAIN = 40.0
_SMALLEST_PX = 0.75

#: Offsets are rounded to this, px: frames that share them share a survey.
_ROUNDED_PX = 0.25

_AT_GEOMETRY: Offset = (0.0, 0.0)


class RingCentre:
    """Finds the centre of rings; built once per geometry.

    Parameters
    ----------
    geometry, layout
        The panels. Where their pixels differ in size an offset is none in pixels, and not looked
        for.
    around
        Surroundings of the canvas, with rings around the geometry's beam.
    shift_m
        Shift (x, y) of the detector, metres.
    """

    def __init__(
        self,
        geometry: Geometry,
        layout: Layout,
        around: Surroundings,
        shift_m: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self._around = around
        self._is_even = len({panel.res for panel in geometry.panels}) == 1
        #: Sector of every canvas pixel.
        self.sector = around.canvas.spread(sectors(geometry, layout, N_SECTORS, shift_m), 0)
        #: Usable canvas pixels by sector and ring.
        self.pixels = self.count(np.flatnonzero(around.usable))
        angle = sector_angles(N_SECTORS)
        self._cosine, self._sine = np.cos(angle), np.sin(angle)

    def find(self, totals: npt.NDArray[np.uint32], lying: npt.NDArray[np.int32]) -> Offset:
        """Return where the rings are centred, px (x, y) from the geometry's beam.

        Parameters
        ----------
        totals
            Photons summed over frames, by canvas pixel; none where pixels cannot be used.
        lying
            Usable canvas pixels that have none because they do not tell the truth.

        Returns
        -------
        The offset, rounded; (0, 0) where the rings do not fit much better elsewhere.
        """
        if not self._is_even:
            return _AT_GEOMETRY
        sums, weights = self._sharp_profiles(totals, lying)
        best = _AT_GEOMETRY
        for step in _STEPS:
            reach = _FARTHEST // step if step == _STEPS[0] else 2
            pooled = _pool(sums, step), _pool(weights, step)
            grid = step * np.arange(-reach, reach + 1)
            fits = {
                (best[0] + x, best[1] + y): self._fit(pooled, best[0] + x, best[1] + y, step)
                for x in grid.tolist()
                for y in grid.tolist()
            }
            best = max(fits, key=lambda offset: fits[offset])
        fine = sums, weights
        gains = np.sort(self._by_sector(fine, best) - self._by_sector(fine, _AT_GEOMETRY))
        if gains[: N_SECTORS // 2].sum() < _GAIN * _clumping(sums, weights):
            return _AT_GEOMETRY
        offset = tuple(
            _ROUNDED_PX * round((at + self._summit(fine, best, axis)) / _ROUNDED_PX)
            for axis, at in enumerate(best)
        )
        x, y = offset
        return (x, y) if np.hypot(x, y) >= _SMALLEST_PX else _AT_GEOMETRY

    def _sharp_profiles(
        self, totals: npt.NDArray[np.uint32], lying: npt.NDArray[np.int32]
    ) -> tuple[FloatArray, FloatArray]:
        """Return photons by sector and ring, and those expected of what changes slowly."""
        around = self._around
        pixels = self.pixels - self.count(lying)
        sums = np.zeros((N_SECTORS, around.n_rings))
        sum_sectors(totals, around.ring, self.sector, sums)
        mean = sums.sum(axis=0) / np.maximum(pixels.sum(axis=0), 1.0)
        caps = np.ceil(mean + 3.0 * np.sqrt(mean) + 2.0).astype(np.uint32)
        clip_sectors(totals, caps, around.ring, self.sector, sums)  # bright spots are no rings
        return sums, pixels * _slowly(sums) / np.maximum(_slowly(pixels), 1.0)

    def count(self, pixels: npt.NDArray[np.integer]) -> FloatArray:
        """Return how many canvas pixels lie in each sector and ring."""
        n_rings = self._around.n_rings
        where = self.sector[pixels].astype(np.int64) * n_rings + self._around.ring[pixels]
        number = np.bincount(where, minlength=N_SECTORS * n_rings)
        return number.reshape(N_SECTORS, n_rings).astype(np.float64)

    def _fit(self, profiles: tuple[FloatArray, FloatArray], x: float, y: float, step: int) -> float:
        return fit_of_rings(*profiles, self._cosine, self._sine, x / step, y / step)

    def _by_sector(self, profiles: tuple[FloatArray, FloatArray], at: Offset) -> FloatArray:
        """Return how well the rings of all sectors fit each of them, nats."""
        steps = np.rint(at[0] * self._cosine + at[1] * self._sine).astype(np.int64)
        ring = np.arange(self._around.n_rings) + steps[:, None]
        inside = (ring >= 0) & (ring < self._around.n_rings)
        ring = np.where(inside, ring, 0)
        sums, weights = (np.take_along_axis(each, ring, axis=1) * inside for each in profiles)
        ratio = np.maximum(sums.sum(axis=0), 0.5) / np.maximum(weights.sum(axis=0), 0.5)
        fits: FloatArray = (sums * np.log(ratio) - weights * (ratio - 1.0)).sum(axis=1)
        return fits

    def _summit(self, profiles: tuple[FloatArray, FloatArray], best: Offset, axis: int) -> float:
        """Return how far the summit of a parabola through three fits lies from the middle one."""
        values = []
        for step in (-2.0, 0.0, 2.0):
            place = list(best)
            place[axis] += step
            values.append(self._fit(profiles, place[0], place[1], 1))
        low, middle, high = values
        bend = low - 2.0 * middle + high
        return float(np.clip((low - high) / bend, -1.0, 1.0)) if bend < 0.0 else 0.0


def _slowly(values: FloatArray) -> FloatArray:
    """Return sums over neighbouring rings."""
    total = np.cumsum(np.pad(values, ((0, 0), (1, 0))), axis=1)
    ring = np.arange(values.shape[1])
    low = np.maximum(ring - _SLOW, 0)
    high = np.minimum(ring + _SLOW + 1, values.shape[1])
    sums: FloatArray = total[:, high] - total[:, low]
    return sums


def _pool(values: FloatArray, number: int) -> FloatArray:
    pooled: FloatArray = np.add.reduceat(values, np.arange(0, values.shape[1], number), axis=1)
    return pooled


def _clumping(sums: FloatArray, weights: FloatArray) -> float:
    """Return by how much the scatter between sectors typically exceeds that of single photons."""
    mean = sums.sum(axis=0) / np.maximum(weights.sum(axis=0), 1e-9)
    hoped = weights * mean
    judged = hoped > 1.0
    square = np.where(judged, (sums - hoped) ** 2 / np.maximum(hoped, 1.0), 0.0).sum(axis=0)
    n_judged = judged.sum(axis=0)
    well = n_judged >= 8
    if not well.any():
        return 1.0
    return max(1.0, float(np.median(square[well] / (n_judged[well] - 1))))
