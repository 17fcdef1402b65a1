"""Simulated frames: crystals, background and detector together, each from its number alone."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from cxlsfind.errors import UsageError
from cxlsfind.kernels.sim_panels import PanelGrid
from cxlsfind.kernels.sim_spots import Ramp
from cxlsfind.sim.background.frame import FrameBackground, profile_photons
from cxlsfind.sim.background.profile import Sample, round_profile
from cxlsfind.sim.beam import Beam
from cxlsfind.sim.bragg import BraggScattering, SpotPainter, draw_lattices, spot_pixels_of
from cxlsfind.sim.conditions import REACH, Conditions, draw_conditions
from cxlsfind.sim.crystals.reflections import Crystal
from cxlsfind.sim.crystals.salts import load_salt
from cxlsfind.sim.negatives import Impostors, draw_impostors
from cxlsfind.sim.panels import PixelTables, beam_position, farthest_tangent, panel_grid, shift_to
from cxlsfind.sim.pattern import Pattern
from cxlsfind.sim.randomness import Use, stream
from cxlsfind.sim.readout import Readout
from cxlsfind.sim.settings import PatternSettings
from cxlsfind.sim.sparse import SparseImage
from cxlsfind.sim.spots import SpotArray
from cxlsfind.units import wavelength_m

__all__ = ["Pattern", "PatternSettings", "PatternSimulator", "SparseImage"]

#: Spots of what is no crystal have no wavelength: any will do.
_WHITE = Ramp(np.array([-1.0, 1.0]), np.ones(2))


class PatternSimulator:
    """Makes the frames of a run, each from the settings and its number alone.

    Parameters
    ----------
    settings
        What the frames look like.
    """

    def __init__(self, settings: PatternSettings) -> None:
        self.settings = settings
        detector = settings.detector
        #: Shift (x, y) of the detector that puts the beam where the settings have it.
        self.shift_m = shift_to(detector.panels[0], settings.centre_px)
        grid = self._grid(self.shift_m)
        self._tables = PixelTables(grid, detector.shape[0] * detector.shape[1])
        wander = REACH * settings.centre_spread_px * detector.pixel_size_m
        self._reach = farthest_tangent(grid) + math.sqrt(2.0) * wander / settings.clen_m
        self.readout = Readout(detector, settings.readout, beam_position(grid), settings.seed)
        spectrum = settings.make_spectrum()
        highest = settings.photon_energy_ev * (1.0 + REACH * settings.energy_spread)
        shortest = wavelength_m(highest) * math.exp(-float(spectrum.nodes[-1]))
        q_limit = 2.0 * math.sin(0.5 * math.atan(self._reach)) / shortest
        self._ramp = Ramp(spectrum.nodes, spectrum.density)
        self._q_limit = q_limit
        self._scattering = self._scattering_of(settings.crystal)
        self._salts: dict[str, BraggScattering] = {}
        self._painter = SpotPainter(self.readout)
        mean = settings.background.mean
        self._factor = 1.0 if mean is None else mean / self._average_background()

    @property
    def pixel_mask(self) -> npt.NDArray[np.uint32]:
        """Mask of the run's files, [ss, fs]."""
        return self.readout.pixel_mask

    def frame(self, number: int, *, with_crystal: bool) -> Pattern:
        """Return frame ``number``, from 0; the same on every call.

        Parameters
        ----------
        with_crystal
            Whether there are crystals in the beam. All else is the same without them, the
            photons of the background too.
        """
        settings = self.settings
        seed = settings.seed
        now = draw_conditions(stream(seed, Use.CONDITIONS, number))
        shift_m = now.shift_m(settings, self.shift_m)
        grid = self._grid(shift_m)
        sample = now.make_sample(settings, self._factor)
        beam = now.make_beam(settings)
        impostors, false = self._impostors(number, beam, sample, grid)
        sample = replace(sample, powders=impostors.powders)
        background = self._background(now, sample, grid)

        crystals = stream(seed, Use.LATTICES, number)
        lattices = draw_lattices(crystals, settings) if with_crystal else ()
        spots, shapes = self._scattering.spots(lattices, beam, sample, grid)
        bragg = self._painter.paint(shapes, self._ramp, grid)
        spots["background"] = background.at(spot_pixels_of(spots, settings.detector.shape[1]))

        photons = background.draw(stream(seed, Use.BACKGROUND, number))
        drawn = stream(seed, Use.BRAGG, number)
        photons[false.index] += _poisson(drawn, false)
        arrived = _poisson(drawn, bragg)
        counts = photons.copy()
        counts[bragg.index] += arrived
        counts = self.readout.count(counts, seed, number)
        return Pattern(
            number=number,
            is_hit=with_crystal,
            photon_energy_ev=now.photon_energy_ev(settings),
            clen_m=settings.clen_m,
            shift_m=shift_m,
            scale=now.scale(settings),
            orientations=np.array([one.orientation for one in lattices]).reshape(-1, 4),
            spots=spots,
            bragg_expected=bragg,
            bragg_counts=SparseImage(bragg.index, arrived, bragg.n_pixels),
            impostors=false,
            negatives=impostors.kinds,
            water_counts=photons,
            counts=counts,
            expected=background,
            usable=self.readout.usable,
            oracle_llr=_oracle(counts, bragg, false, background),
        )

    def impostor_photons(self, number: int) -> float:
        """Return the expected photons of spots that are no crystal's in frame ``number``.

        The frame itself is not made.
        """
        settings = self.settings
        now = draw_conditions(stream(settings.seed, Use.CONDITIONS, number))
        sample = now.make_sample(settings, self._factor)
        grid = self._grid(now.shift_m(settings, self.shift_m))
        _, false = self._impostors(number, now.make_beam(settings), sample, grid)
        return float(false.value.sum(dtype=np.float64))

    def spot_list(self, number: int) -> SpotArray:
        """Return the spots of frame ``number`` with its crystals, without making the frame.

        ``background`` is left zero.
        """
        settings = self.settings
        now = draw_conditions(stream(settings.seed, Use.CONDITIONS, number))
        lattices = draw_lattices(stream(settings.seed, Use.LATTICES, number), settings)
        sample = now.make_sample(settings, self._factor)
        grid = self._grid(now.shift_m(settings, self.shift_m))
        return self._scattering.spots(lattices, now.make_beam(settings), sample, grid)[0]

    def band_shares(self, number: int) -> tuple[float, float]:
        """Return the reflections of frame ``number`` that reach the detector, and their photons.

        Reflections that the band takes in part count as that part: densities of the spectrum are
        summed, and multiplied with the bandwidth.
        """
        settings = self.settings
        now = draw_conditions(stream(settings.seed, Use.CONDITIONS, number))
        lattices = draw_lattices(stream(settings.seed, Use.LATTICES, number), settings)
        sample = now.make_sample(settings, self._factor)
        grid = self._grid(now.shift_m(settings, self.shift_m))
        density, photons = self._scattering.band_shares(
            lattices, now.make_beam(settings), sample, grid
        )
        return density * settings.bandwidth, photons

    def _impostors(
        self, number: int, beam: Beam, sample: Sample, grid: PanelGrid
    ) -> tuple[Impostors, SparseImage[np.float32]]:
        """Return what is no crystal of interest in a frame, and its spots' expected counts."""
        settings = self.settings
        rng = stream(settings.seed, Use.NEGATIVES, number)
        drawn = draw_impostors(
            rng, settings.negatives, sample, settings.polarisation, settings.beam_radius_m
        )
        image = self._painter.paint([drawn.shapes(rng, grid)], _WHITE, grid)
        if drawn.salt:
            grains = self._salt(drawn.salt).spots(drawn.grains, beam, sample, grid)[1]
            image = image.plus(self._painter.paint(grains, self._ramp, grid))
        return drawn, image

    def _salt(self, name: str) -> BraggScattering:
        if name not in self._salts:
            self._salts[name] = self._scattering_of(load_salt(name))
        return self._salts[name]

    def _scattering_of(self, crystal: Crystal) -> BraggScattering:
        panels = self.settings.detector.panels
        return BraggScattering(crystal, panels, self._q_limit, self._tables, self.readout)

    def _grid(self, shift_m: tuple[float, float]) -> PanelGrid:
        detector = self.settings.detector
        return panel_grid(detector.panels, detector.shape, self.settings.clen_m, shift_m)

    def _background(self, now: Conditions, sample: Sample, grid: PanelGrid) -> FrameBackground:
        settings = self.settings
        # Half a pixel: the profile is flat in each bin.
        step = 0.5 * settings.detector.pixel_size_m / settings.clen_m
        profile = round_profile(sample, settings.polarisation, self._reach, step)
        streak = now.make_streak(settings, profile_photons(profile), self._reach)
        return FrameBackground(profile, streak, grid, self._tables, self.readout)

    def _average_background(self) -> float:
        """Return the mean over usable pixels of a frame of average beam and thickness.

        Raises
        ------
        UsageError
            There is nothing that scatters.
        """
        usual = Conditions()
        sample = usual.make_sample(self.settings, 1.0)
        image = self._background(usual, sample, self._grid(self.shift_m)).image()
        average = float(image[self.readout.usable].mean(dtype=np.float64))
        if not average > 2.0 * self.readout.dark:
            raise UsageError(
                "a mean background is asked for, but nothing scatters; give some water"
            )
        return average


def _poisson(rng: np.random.Generator, image: SparseImage[np.float32]) -> npt.NDArray[np.uint32]:
    """Draw photons; more than fit into any counter count as many as do."""
    return np.minimum(rng.poisson(image.value), 2**31).astype(np.uint32)


def _oracle(
    counts: npt.NDArray[np.uint32],
    bragg: SparseImage[np.float32],
    false: SparseImage[np.float32],
    background: FrameBackground,
) -> float:
    """Return the log likelihood ratio of a frame: n ln(1 + s / b) - s, over pixels with s."""
    signal = bragg.value.astype(np.float64)
    # Never zero: a detector counts in the dark, once in a long while.
    rest = background.at(bragg.index).astype(np.float64)
    if len(false.index):
        at = np.minimum(np.searchsorted(false.index, bragg.index), len(false.index) - 1)
        rest += np.where(false.index[at] == bragg.index, false.value[at], 0.0)
    return float((counts[bragg.index] * np.log1p(signal / rest) - signal).sum())
