"""The truth behind a simulated image: what was expected, not what happened to arrive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

#: Pixels that the photons of spots may fall on: flat index into the image; expected photons of
#: the crystal, of spots that are not the crystal's (ice, salt), and of the background under both.
TRUTH_PIXEL_DTYPE: Final = np.dtype(
    [("index", "i4"), ("bragg", "f4"), ("impostor", "f4"), ("background", "f4")]
)


@dataclass(frozen=True, slots=True, eq=False)
class FrameTruth:
    """What was expected in one frame.

    Parameters
    ----------
    pixels
        Array of :data:`TRUTH_PIXEL_DTYPE`, ascending in ``index``; usable pixels only.
    spots
        Structured array with at least ``fs``, ``ss`` (px, from the corner of pixel 0) and
        ``photons`` (expected, of the whole spot).
    """

    pixels: npt.NDArray[np.void]
    spots: npt.NDArray[np.void]

    @classmethod
    def nothing(cls) -> Self:
        """Return the truth of a frame without a crystal."""
        spots = np.zeros(0, [("fs", "f8"), ("ss", "f8"), ("photons", "f8")])
        return cls(np.zeros(0, TRUTH_PIXEL_DTYPE), spots)

    @property
    def bragg_photons(self) -> float:
        """Expected photons of the crystal on usable pixels."""
        return float(self.pixels["bragg"].sum(dtype=np.float64))
