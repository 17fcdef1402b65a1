"""The light between the spots by distance and direction from the beam, for what runs tell with it.

Frames count by their brightness: the light expected in a cell is its exposure, photons per pixel of
every frame times the pixels that were looked at, times a shape that frames share.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from cxlsfind.finding.poisson.background import Sums
from cxlsfind.finding.poisson.surroundings import Surroundings
from cxlsfind.geometry.model import Geometry
from cxlsfind.kernels.sectors import sum_cells

FloatArray = npt.NDArray[np.float64]

#: Rings that make one of a cell, and sectors of the whole turn.
RINGS_PER_CELL: Final = 12
SECTORS: Final = 16


def is_flat(geometry: Geometry) -> bool:
    """Tell whether all panels lie in one plane across the beam, with pixels of one size."""
    panels = geometry.panels
    return len({(panel.res, panel.coffset) for panel in panels}) == 1 and not any(
        panel.fs[2] or panel.ss[2] for panel in panels
    )


class LightCells:
    """Sums photons by rings and sectors; built once per geometry.

    Parameters
    ----------
    around
        Surroundings of the canvas, with rings around the geometry's beam.
    sector
        Sector of every canvas pixel, from -x on; a multiple of :data:`SECTORS` make the turn.
    n_sectors
        How many.
    """

    def __init__(self, around: Surroundings, sector: npt.NDArray[np.uint8], n_sectors: int) -> None:
        self._ring, self._sector = around.ring, sector
        twice = 4.0 * np.pi * ((np.arange(n_sectors) + 0.5) / n_sectors - 0.5)
        self._waves = np.cos(twice), np.sin(twice)
        self._n_rings = (around.n_rings - 1) // RINGS_PER_CELL + 1
        coarse = sector // (n_sectors // SECTORS)
        self._cell = np.where(
            around.usable, around.ring // RINGS_PER_CELL * SECTORS + coarse, -1
        ).astype(np.int32)
        self._pixels = self._survey(np.flatnonzero(around.usable))

    def sum_up(
        self, kept: Sums, cut_out: Sequence[npt.NDArray[np.int32]], lying: npt.NDArray[np.int32]
    ) -> FloatArray:
        """Return the light of frames that share a shape of the background.

        Parameters
        ----------
        kept
            Their photons outside the pixels cut out.
        cut_out
            Per frame, canvas pixels of spots.
        lying
            Canvas pixels that hold nothing, as they do not tell the truth.

        Returns
        -------
        Photons; exposure; and that times the distance from the beam, px, and times cosine and sine
        of twice the angle; (5, rings, sectors).
        """
        photons = np.zeros(self._n_rings * SECTORS, np.int64)
        sum_cells(kept.totals, self._cell, photons)
        pixels, *moments = self._pixels - self._survey(lying)
        n_cut = np.array([cut.size for cut in cut_out])
        level = kept.bins.sum(axis=1) / np.maximum(pixels.sum() - n_cut, 1.0)
        places = self._cell[np.concatenate([np.empty(0, np.int32), *cut_out])]
        lost = np.bincount(places, np.repeat(level, n_cut), len(photons))
        exposure = np.maximum(level.sum() * pixels - lost, 0.0)
        means = np.array(moments) / np.maximum(pixels, 1.0)
        cells = np.stack([photons, exposure, *(exposure * means)])
        return cells.reshape(5, self._n_rings, SECTORS)

    def _survey(self, pixels: npt.NDArray[np.integer]) -> FloatArray:
        """Return how many usable canvas pixels lie in each cell, and sums over them."""
        size = self._n_rings * SECTORS
        cells, sector = self._cell[pixels], self._sector[pixels]
        weights = self._ring[pixels] + 0.5, *(wave[sector] for wave in self._waves)
        sums = [np.bincount(cells, weight, size) for weight in weights]
        return np.array([np.bincount(cells, minlength=size), *sums], np.float64)
