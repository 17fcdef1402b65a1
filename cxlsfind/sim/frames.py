"""Plain simulated frames: water background, round spots, gaps and dead pixels, counting noise.

There is no crystal behind the spots: this generator gives data with a known truth to run and
test the whole programme on, not patterns to index or to train on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from cxlsfind.errors import UsageError
from cxlsfind.sim.detector import Detector
from cxlsfind.sim.spots import (
    SpotArray,
    draw_spots,
    lattice_positions,
    random_positions,
    spot_pixels,
)
from cxlsfind.sim.water import water_background

#: Above this many photons per pixel it is cheaper to draw every pixel than every photon.
DENSE_BACKGROUND: Final = 0.5


@dataclass(frozen=True, slots=True)
class FrameSettings:
    """What simulated frames look like.

    Parameters
    ----------
    background
        Mean over usable pixels of the expected background, photons/px.
    spots
        Mean number of spots of a hit, before those centred on bad pixels are left out.
    photons
        Mean over spots of the expected photons.
    sigma_px
        Width of the spots (one sigma), px.
    hit_fraction
        Share of the frames with spots.
    on_lattice
        Whether the spots lie on a lattice rather than anywhere.
    dead_fraction
        Share of dead pixels.
    seed
        With the number of the frame, settles everything random in it.
    """

    detector: Detector
    background: float = 0.03
    spots: float = 40.0
    photons: float = 100.0
    sigma_px: float = 0.8
    hit_fraction: float = 0.5
    on_lattice: bool = False
    dead_fraction: float = 1e-4
    photon_energy_ev: float = 7000.0
    clen_m: float = 0.15
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers without a meaning."""
        for name in ("background", "spots", "photons"):
            if getattr(self, name) < 0:
                message = f"{name} is {getattr(self, name)}: give zero or more"
                raise UsageError(message)
        for name in ("sigma_px", "photon_energy_ev", "clen_m"):
            if getattr(self, name) <= 0:
                message = f"{name} is {getattr(self, name)}: give a number above zero"
                raise UsageError(message)
        for name in ("hit_fraction", "dead_fraction"):
            if not 0 <= getattr(self, name) <= 1:
                message = f"{name} is {getattr(self, name)}: give a number from 0 to 1"
                raise UsageError(message)


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedFrame:
    """One frame and its truth.

    Parameters
    ----------
    counts
        Photons per pixel, [ss, fs], int64; bad pixels hold 0.
    spots
        Array of :data:`cxlsfind.sim.spots.SPOT_DTYPE`; empty for a blank.
    is_hit
        Whether the frame was meant to hold spots.
    """

    counts: npt.NDArray[np.int64]
    spots: SpotArray
    is_hit: bool


class FrameSimulator:
    """Makes the frames of a run, each from its number alone.

    Parameters
    ----------
    settings
        What the frames look like.
    n_frames
        Length of the run; settles which frames are hits.
    """

    def __init__(self, settings: FrameSettings, n_frames: int) -> None:
        self.settings = settings
        self.pixel_mask = settings.detector.pixel_mask(settings.dead_fraction, settings.seed)
        self.usable = self.pixel_mask == 0
        shape = water_background(settings.detector, settings.photon_energy_ev, settings.clen_m)
        shape[~self.usable] = 0.0
        n_usable = np.count_nonzero(self.usable)
        self.background = shape * (settings.background * n_usable / shape.sum())
        self._cumulative = np.cumsum(self.background.ravel())
        self._hits = np.zeros(n_frames, np.bool_)
        self._hits[: round(settings.hit_fraction * n_frames)] = True
        np.random.default_rng(settings.seed).shuffle(self._hits)

    def frame(self, number: int) -> SimulatedFrame:
        """Return frame ``number``, from 0; the same on every call."""
        rng = np.random.default_rng((self.settings.seed, number))
        counts = self._draw_background(rng)
        spots = self._draw_spots(rng, is_hit=bool(self._hits[number]))
        shape = self.settings.detector.shape
        photons = spot_pixels(rng, spots, self.settings.sigma_px, shape)
        np.add.at(counts, photons, 1)
        counts[~self.usable.ravel()] = 0
        return SimulatedFrame(counts.reshape(shape), spots, bool(self._hits[number]))

    def _draw_background(self, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        if self.settings.background > DENSE_BACKGROUND:
            return np.asarray(rng.poisson(self.background.ravel()), np.int64)
        total = float(self._cumulative[-1])
        photons = rng.uniform(0.0, total, rng.poisson(total))
        # Sorted look-ups stay in cache; the photons of a frame have no order anyway.
        photons.sort()
        pixels = np.searchsorted(self._cumulative[:-1], photons, side="right")
        return np.bincount(pixels, minlength=self.background.size)

    def _draw_spots(self, rng: np.random.Generator, *, is_hit: bool) -> SpotArray:
        settings = self.settings
        number = int(rng.poisson(settings.spots)) if is_hit else 0
        place = lattice_positions if settings.on_lattice else random_positions
        positions = place(rng, number, settings.detector.shape)
        spots = draw_spots(rng, positions, settings.photons, self.usable)
        pixels = spots["ss"].astype(np.int64), spots["fs"].astype(np.int64)
        spots["background"] = self.background[pixels]
        return spots
