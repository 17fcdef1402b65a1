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
from cxlsfind.finding.poisson.ring_centre import N_SECTORS, RingCentre
from cxlsfind.finding.poisson.surroundings import Surroundings
from cxlsfind.geometry.maps import sector_angles
from cxlsfind.geometry.model import Geometry
from cxlsfind.kernels.sectors import add_places, sum_sectors

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
    centre
        What knows the sectors of the canvas.
    """

    def __init__(self, around: Surroundings, centre: RingCentre) -> None:
        self._ring, self._centre = around.ring, centre
        self._rings = np.arange(0, around.n_rings, RINGS_PER_CELL)
        twice = 2.0 * sector_angles(N_SECTORS)
        self._radius = np.arange(around.n_rings) + 0.5
        self._cosine, self._sine = np.cos(twice)[:, None], np.sin(twice)[:, None]

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
        sector = self._centre.sector
        pixels = self._centre.pixels - self._centre.count(lying)
        photons, lost = np.zeros((2, *pixels.shape))
        sum_sectors(kept.totals, self._ring, sector, photons)
        n_cut = np.array([cut.size for cut in cut_out])
        levels = kept.bins.sum(axis=1) / np.maximum(pixels.sum() - n_cut, 1.0)
        for cut, level in zip(cut_out, levels.tolist(), strict=True):
            add_places(cut, level, self._ring, sector, lost)
        exposure = np.maximum(levels.sum() * pixels - lost, 0.0)
        seen, looked_at, far = (
            np.add.reduceat(each, self._rings, axis=1)
            for each in (photons, exposure, exposure * self._radius)
        )
        fine = np.stack([seen, looked_at, far, looked_at * self._cosine, looked_at * self._sine])
        by_sector = fine.reshape(len(fine), SECTORS, -1, len(self._rings)).sum(axis=2)
        return np.ascontiguousarray(by_sector.transpose(0, 2, 1))
