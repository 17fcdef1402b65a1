"""One simulated frame: what was expected, what was counted, and the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxlsfind.sim.background.frame import FrameBackground
from cxlsfind.sim.negatives import Negative
from cxlsfind.sim.panels import beam_position
from cxlsfind.sim.sparse import SparseImage
from cxlsfind.sim.spots import SpotArray


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """One frame.

    Parameters
    ----------
    number
        Its number in the run.
    is_hit
        Whether there was a crystal.
    photon_energy_ev, clen_m, shift_m, scale
        What held for this frame: energy, camera length, shift (x, y) of the detector that puts the
        beam's centre where it was, and photons of the beam over those of the run.
    orientations
        Unit quaternion (w, x, y, z) of each crystal, shape (n, 4).
    spots
        Array of :data:`~cxlsfind.sim.spots.SPOT_DTYPE`: spots centred on usable pixels.
    bragg_expected
        Expected counts of the crystals alone.
    bragg_counts
        Photons drawn from that.
    impostors
        Expected counts of spots that are not of the crystal: ice, salt, precipitant.
    negatives
        Which of these there are.
    water_counts
        Photons of all but the crystals, flat, uint32; before shared charge and pulses.
    counts
        What the detector reads, flat, uint32; 0 on unusable pixels.
    expected
        The background, by formula; :attr:`background` has it by pixel.
    usable
        Pixels that the mask of the run leaves, flat, bool.
    oracle_llr
        Log likelihood ratio of this frame with its crystals to without, all known.
    """

    number: int
    is_hit: bool
    photon_energy_ev: float
    clen_m: float
    shift_m: tuple[float, float]
    scale: float
    orientations: npt.NDArray[np.float64]
    spots: SpotArray
    bragg_expected: SparseImage[np.float32]
    bragg_counts: SparseImage[np.uint32]
    impostors: SparseImage[np.float32]
    negatives: Negative
    water_counts: npt.NDArray[np.uint32]
    counts: npt.NDArray[np.uint32]
    expected: FrameBackground
    usable: npt.NDArray[np.bool_]
    oracle_llr: float

    @property
    def orientation(self) -> npt.NDArray[np.float64]:
        """Quaternion (w, x, y, z) of the first crystal, NaN without one; shape (4,)."""
        return self.orientations[0] if len(self.orientations) else np.full(4, np.nan)

    @property
    def centre_px(self) -> tuple[float, float]:
        """Where the direct beam met the data array (fs, ss), px from the corner of pixel 0."""
        return beam_position(self.expected.grid)

    @property
    def background(self) -> npt.NDArray[np.float32]:
        """Expected counts of all but the crystals, flat, float32; made on each call."""
        result = self.expected.image()
        result[self.impostors.index] += self.impostors.value
        return result
