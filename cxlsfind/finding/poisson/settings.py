"""Settings of the Poisson finder, and what it reports of a frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from cxlsfind.errors import UsageError
from cxlsfind.records import PeakArray


@dataclass(frozen=True, slots=True)
class PoissonSettings:
    """What the user may ask of the finder.

    Parameters
    ----------
    false_peaks
        False peaks expected per frame, over the whole detector.
    max_peaks
        Most peaks reported per frame: the most significant ones.
    hit_fpr
        Share of blank frames that may be called hits.
    pulses_per_frame
        X-ray pulses summed in a frame: a pixel counts one photon per pulse at most.
    min_peaks
        Fewest peaks of a hit, the classical rule, instead of the pooled likelihood ratio.

    Raises
    ------
    UsageError
        A number is out of range.
    """

    false_peaks: float = 1.0
    max_peaks: int = 500
    hit_fpr: float = 1e-3
    pulses_per_frame: float = math.inf
    min_peaks: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.false_peaks <= 1000.0:
            raise UsageError(f"--false-peaks={self.false_peaks}: must be above 0 and at most 1000")
        if self.max_peaks < 1:
            raise UsageError(f"--max-peaks={self.max_peaks}: must be at least 1")
        if not 0.0 < self.hit_fpr < 1.0:
            raise UsageError(f"--hit-fpr={self.hit_fpr}: must lie between 0 and 1")
        if not self.pulses_per_frame >= 1.0:
            raise UsageError(f"--pulses-per-frame={self.pulses_per_frame}: must be at least 1")


class FrameClass(Enum):
    """What kind of frame it is."""

    BEAM_OFF = "beam_off"
    NO_JET = "no_jet"
    BLANK = "blank"
    HIT = "hit"


@dataclass(frozen=True, slots=True)
class SharpRing:
    """A sharp ring.

    Parameters
    ----------
    radius_px
        Its middle, by weight, px from the middle of the rings.
    first, last
        Rings that it covers.
    excess
        Photons per pixel above the trend, in units of the trend, where it is strongest.
    """

    radius_px: float
    first: int
    last: int
    excess: float


@dataclass(frozen=True, slots=True, eq=False)
class PoissonResult:
    """What the finder says of a frame.

    Parameters
    ----------
    peaks
        Array of :data:`~cxlsfind.records.PEAK_DTYPE`, most significant first, down to ten times
        the false peaks asked for. ``p_value`` is the probability that a blank frame holds a
        peak at least as significant anywhere.
    n_peaks
        How many of them, from the first, keep to the false peaks asked for.
    expected_false
        False peaks per frame that this cut really lets through; counts come in whole photons.
    hit_statistic, hit_p_value
        Pooled log likelihood ratio, and the probability that a blank frame reaches it.
    hit_log_bayes_factor
        Natural logarithm of the factor by which the photons change the odds of a hit.
    is_hit
        Whether the frame is kept.
    frame_class
        Kind of frame.
    background
        Mean background photons per pixel of each ring; float32.
    ring_centre_px
        Where the rings of the background are centred, px (x, y) from the geometry's beam; (0, 0)
        unless it is plainly elsewhere.
    rings
        Sharp rings of the background that the frame shares with its neighbours.
    """

    peaks: PeakArray
    n_peaks: int
    expected_false: float
    hit_statistic: float
    hit_p_value: float
    hit_log_bayes_factor: float
    is_hit: bool
    frame_class: FrameClass
    background: npt.NDArray[np.float32]
    ring_centre_px: tuple[float, float]
    rings: tuple[SharpRing, ...]
