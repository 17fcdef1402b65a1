"""Charge sharing: the share of photons that fire two pixels, measured on the frames themselves."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cxlsfind.finding.poisson.background import PlacedFrame, Surroundings
from cxlsfind.kernels.photon_scan import count_neighbours

#: Shares for which null tails are made; a measured one is rounded up to the next.
_SHARES = (0.0, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.08, 0.12)

#: A share is believed when it is this many standard errors above nothing; up to half the lowest
#: step it makes no difference.
_BELIEVED = 4.0
_NEGLIGIBLE = 0.00125


class SharingMeter:
    """Gathers neighbouring photons outside spots over the frames of a block."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._usable = around.usable.copy()
        self._sums = np.zeros(3)

    def add(
        self,
        frame: PlacedFrame,
        sheet: npt.NDArray[np.uint16],
        cut: npt.NDArray[np.int32],
        cap: int,
    ) -> None:
        """Count the neighbours of a frame's photons, outside the pixels cut out."""
        self._usable[cut] = False
        stride = self._around.canvas.stride
        most = min(cap, np.iinfo(np.uint16).max)
        count_neighbours(frame.place, sheet, self._usable, stride, most, self._sums)
        self._usable[cut] = self._around.usable[cut]

    def share(self) -> float:
        """Return the share of photons that fire a neighbour, from the list of known shares."""
        sides, diagonals, photons = self._sums
        excess = (sides - diagonals) / max(photons, 1.0)
        error = np.sqrt(max(sides + diagonals, 1.0)) / max(photons, 1.0)
        if excess < max(_BELIEVED * error, _NEGLIGIBLE):
            return 0.0
        return next((share for share in _SHARES if share >= 0.9 * excess), _SHARES[-1])
