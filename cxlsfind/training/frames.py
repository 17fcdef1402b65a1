"""Whole simulated frames and what the default finder makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxlsfind.errors import UsageError
from cxlsfind.finding.photons import normalise
from cxlsfind.finding.poisson.finder import PoissonFinder
from cxlsfind.finding.poisson.settings import PoissonResult, PoissonSettings
from cxlsfind.geometry.layout import Layout, build_layout, slab_key
from cxlsfind.geometry.maps import rings
from cxlsfind.geometry.model import BeamKind, Geometry, Quantity
from cxlsfind.models.cutting import patch_backgrounds, patch_pixels
from cxlsfind.records import DenseFrame, PeakArray
from cxlsfind.sim.patterns import Pattern, PatternSettings, PatternSimulator


@dataclass(frozen=True, slots=True, eq=False)
class FoundFrame:
    """A simulated frame, and what the finder says of it.

    Parameters
    ----------
    pattern
        The frame with its truth.
    result
        The finder's.
    counts, background, mask
        Patches around the result's peaks, as the peak model takes them, (n, 11, 11).
    pattern_width
        Pixels of a row of the frame.
    """

    pattern: Pattern
    result: PoissonResult
    counts: npt.NDArray[np.uint16]
    background: npt.NDArray[np.float32]
    mask: npt.NDArray[np.uint8]
    pattern_width: int


class FrameSource:
    """Frames of one run, searched block by block.

    Parameters
    ----------
    settings
        What the frames look like.
    false_peaks
        Asked of the finder; its peaks go down to ten times that.
    """

    def __init__(self, settings: PatternSettings, false_peaks: float = 1.0) -> None:
        self.settings = settings
        self.simulator = PatternSimulator(settings)
        self.geometry = _geometry(settings)
        panel = self.geometry.panels[0]
        self.layout: Layout = build_layout(
            self.geometry, {slab_key(panel): settings.detector.shape}
        )
        self.bins = rings(self.geometry, self.layout)
        self.usable = np.ascontiguousarray(self.simulator.pixel_mask.ravel() == 0)
        self._finder = PoissonFinder(
            PoissonSettings(false_peaks=false_peaks),
            self.geometry,
            self.layout,
            self.usable,
        )

    def block(self, first: int, with_crystal: Sequence[bool]) -> list[FoundFrame]:
        """Return consecutive frames, from number ``first``, with and without crystals."""
        patterns = [
            self.simulator.frame(first + number, with_crystal=flag)
            for number, flag in enumerate(with_crystal)
        ]
        frames = []
        for pattern in patterns:
            frame = normalise(
                pattern.counts.astype(np.uint16),
                self.usable,
                self.geometry,
                self.layout,
                pattern.photon_energy_ev,
            )
            if isinstance(frame, DenseFrame):
                raise UsageError("simulated frames are counts, found readings")
            frames.append(frame)
        found = self._finder.find_block(frames)
        width = self.settings.detector.shape[1]
        return [
            FoundFrame(pattern, result, *self._patches(pattern, result, found.usable), width)
            for pattern, result in zip(patterns, found.frames, strict=True)
        ]

    def position(self, peaks: PeakArray) -> npt.NDArray[np.float64]:
        """Return positions (x, y) from the geometry's centre, px, (n, 2)."""
        panel = self.geometry.panels[0]
        return np.column_stack([peaks["fs"] + panel.corner_x, peaks["ss"] + panel.corner_y])

    def _patches(
        self, pattern: Pattern, result: PoissonResult, usable: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
        pixels = patch_pixels(result.peaks, self.layout)
        mask = usable[pixels.pixel] & pixels.inside
        counts = np.minimum(pattern.counts[pixels.pixel], 65535) * mask
        background = patch_backgrounds(pixels, result.peaks, result.background, self.bins)
        return counts.astype(np.uint16), background, mask.astype(np.uint8)


def _geometry(settings: PatternSettings) -> Geometry:
    """Return the geometry of the detector, as a file would give it."""
    return Geometry(
        file="simulated",
        text="",
        panels=settings.detector.panels,
        beam_kind=BeamKind.PHOTON_ENERGY,
        beam=Quantity(settings.photon_energy_ev),
        clen=Quantity(settings.clen_m),
    )
