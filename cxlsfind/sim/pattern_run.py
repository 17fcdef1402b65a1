"""Runs of simulated patterns: which frames are hits, and each as it goes to the files."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from cxlsfind.errors import UsageError
from cxlsfind.sim.dectris import ImageEncoder, RunHeader
from cxlsfind.sim.pattern import Pattern
from cxlsfind.sim.patterns import PatternSimulator
from cxlsfind.sim.randomness import Use, stream
from cxlsfind.sim.run import FrameRecord
from cxlsfind.sim.settings import PatternSettings
from cxlsfind.sim.truth import FRAME_DTYPE

#: Frames among which the hits are shuffled: any stretch of a run has nearly its share of them.
_GROUP: Final = 8


@dataclass(frozen=True, slots=True)
class RunSettings:
    """A run of patterns.

    Parameters
    ----------
    patterns
        What the frames look like.
    n_frames
        Length of the run.
    hit_fraction
        Share of the frames with crystals.
    dtype
        Type of the pixels in the files, unsigned; bad pixels hold its largest value.

    Raises
    ------
    UsageError
        The share is none.
    """

    patterns: PatternSettings
    n_frames: int
    hit_fraction: float = 0.5
    dtype: type[np.unsignedinteger] = np.uint16

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        if not 0.0 <= self.hit_fraction <= 1.0:
            raise UsageError(f"the share of hits is {self.hit_fraction}: expected 0 to 1")

    def is_hit(self, number: int) -> bool:
        """Return whether a frame has crystals; settled by the seed and its number alone."""
        group, place = divmod(number, _GROUP)
        # From group to group the fraction of a hit that is left over is carried on.
        start, end = (
            math.floor(self.hit_fraction * _GROUP * edge + 0.5) for edge in (group, group + 1)
        )
        order = stream(self.patterns.seed, Use.HITS, group).permutation(_GROUP)
        return bool(order[place] < end - start)


class PatternRun:
    """The frames of a run of patterns.

    Parameters
    ----------
    settings
        The run.
    """

    def __init__(self, settings: RunSettings) -> None:
        self._settings = settings
        patterns = settings.patterns
        self._simulator = PatternSimulator(patterns)
        detector = patterns.detector
        shift_x, shift_y = self._simulator.shift_m
        self.panels = tuple(
            replace(
                panel,
                corner_x=panel.corner_x + shift_x * panel.res,
                corner_y=panel.corner_y + shift_y * panel.res,
            )
            for panel in detector.panels
        )
        self.header = RunHeader(
            detector=detector,
            photon_energy_ev=patterns.photon_energy_ev,
            clen_m=patterns.clen_m,
            pixel_mask=self._simulator.pixel_mask,
            n_images=settings.n_frames,
            dtype=settings.dtype,
            frame_time_s=patterns.readout.frame_time_s,
            beam_centre_px=patterns.centre_px,
        )
        self._encoder = ImageEncoder(self.header)

    def record(self, number: int) -> FrameRecord:
        """Return a frame by its number."""
        pattern = self._simulator.frame(number, with_crystal=self._settings.is_hit(number))
        image = pattern.counts.reshape(self.header.detector.shape)
        return FrameRecord(self._encoder.encode(image), self._row(pattern), pattern.spots)

    def _row(self, pattern: Pattern) -> npt.NDArray[np.void]:
        row = np.zeros(1, FRAME_DTYPE)
        row["label"] = pattern.is_hit
        row["energy_eV"] = pattern.photon_energy_ev
        row["clen_m"] = pattern.clen_m
        row["orientation"] = pattern.orientation
        row["scale"] = pattern.scale
        row["pulses"] = self._settings.patterns.readout.pulses
        row["oracle_llr"] = pattern.oracle_llr
        row["centre"] = pattern.centre_px
        row["negatives"] = int(pattern.negatives)
        return row
