"""Whole simulated frames and what the default finder makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cxlsfind.errors import UsageError
from cxlsfind.finding.photons import normalise
from cxlsfind.finding.poisson.finder import PoissonFinder
from cxlsfind.finding.poisson.settings import PoissonResult, PoissonSettings
from cxlsfind.geometry.layout import Layout, build_layout, slab_key
from cxlsfind.geometry.maps import inverse_d, position_px
from cxlsfind.geometry.model import BeamKind, Geometry, Quantity
from cxlsfind.models.cutting import Candidates, FrameArrays, Patches, cut_patches
from cxlsfind.models.hit_inputs import Evidence
from cxlsfind.models.searched import SearchedFrame
from cxlsfind.records import DenseFrame
from cxlsfind.sim.patterns import Pattern, PatternSettings, PatternSimulator
from cxlsfind.units import wavelength_m


@dataclass(frozen=True, slots=True, eq=False)
class FoundFrame:
    """A simulated frame, and what the finder says of it.

    Parameters
    ----------
    pattern
        The frame with its truth.
    result
        The finder's.
    patches
        What is around the result's peaks.
    pattern_width
        Pixels of a row of the frame.
    """

    pattern: Pattern
    result: PoissonResult
    patches: Patches
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
        self.usable = np.ascontiguousarray(self.simulator.pixel_mask.ravel() == 0)
        self._finder = PoissonFinder(
            PoissonSettings(false_peaks=false_peaks),
            self.geometry,
            self.layout,
            self.usable,
        )

    def block(self, first: int, with_crystal: Sequence[bool]) -> list[FoundFrame]:
        """Return consecutive frames, from number ``first``, with and without crystals."""
        return self.search(
            [
                self.simulator.frame(first + number, with_crystal=flag)
                for number, flag in enumerate(with_crystal)
            ]
        )

    def search(self, patterns: Sequence[Pattern]) -> list[FoundFrame]:
        """Return what the finder makes of frames of a block."""
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
        patches = cut_patches(
            [
                Candidates(result.peaks, result.background, result.ring_centre_px)
                for result in found.frames
            ],
            FrameArrays(self.geometry, self.layout, found.usable),
            lambda number, pixels: patterns[number].counts[pixels],
        )
        return [
            FoundFrame(*parts, width) for parts in zip(patterns, found.frames, patches, strict=True)
        ]

    def searched(self, found: FoundFrame) -> SearchedFrame:
        """Return a frame as models take it."""
        result = found.result
        peaks = result.peaks.copy()
        place = peaks["fs"], peaks["ss"]
        peaks["inverse_d"] = inverse_d(
            self.geometry,
            0,
            *place,
            wavelength_m=wavelength_m(self.settings.photon_energy_ev),
            clen_m=self.settings.clen_m,
        )
        return SearchedFrame(
            peaks=peaks,
            n_peaks=result.n_peaks,
            evidence=Evidence(result.hit_log_bayes_factor, result.hit_p_value),
            mean_background=float(result.background.mean()) if len(result.background) else 0.0,
            position_px=position_px(self.geometry, 0, *place),
            patches=found.patches.first(result.n_peaks),
        )


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
