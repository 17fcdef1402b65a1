"""The background of one frame: expected counts of any pixel, and photons drawn from them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels.sim_panels import PanelGrid
from cxlsfind.kernels.sim_photons import (
    RoundProfile,
    Streak,
    bound_tiles,
    count_directions,
    draw_photons,
    expected_photons,
)
from cxlsfind.sim.panels import PixelTables
from cxlsfind.sim.readout import Readout

#: Above this many photons per pixel it is cheaper to draw every pixel than every photon.
_DENSE: Final = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class FrameBackground:
    """The expected background of one frame.

    Parameters
    ----------
    profile, streak
        What is round, and what is not.
    grid
        Where the detector's panels are in this frame.
    tables
        Which pixels belong to which panel.
    readout
        The detector's efficiency and dark counts.
    """

    profile: RoundProfile
    streak: Streak
    grid: PanelGrid
    tables: PixelTables
    readout: Readout

    def at(self, index: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """Return the expected counts of some pixels; on unusable ones those of the dark."""
        result = np.empty(len(index), np.float32)
        expected_photons(
            index,
            self.tables.panel_of,
            self.profile,
            self.streak,
            self.grid,
            self.readout.efficiency,
            result,
        )
        result += np.float32(self.readout.dark)
        return result

    def image(self) -> npt.NDArray[np.float32]:
        """Return the expected counts of all pixels, flat."""
        return self.at(np.arange(len(self.tables.panel_of), dtype=np.int32))

    def draw(self, rng: np.random.Generator) -> npt.NDArray[np.uint32]:
        """Return photons of every pixel, Poisson about what is expected; flat."""
        best = self.readout.best
        bound = bound_tiles(self.profile, self.grid, self.tables.tiles) * best
        total = bound * self.tables.tile_pixels
        if total.sum() > _DENSE * len(self.tables.panel_of):
            image = self.image()
            image[~self.readout.usable] = 0.0
            return rng.poisson(image).astype(np.uint32)
        counts = np.zeros(len(self.tables.panel_of), np.uint32)
        draw_photons(
            rng,
            rng.poisson(total),
            bound,
            self.tables.tiles,
            self.profile,
            self.grid,
            self.readout.efficiency,
            counts,
        )
        if self.streak.photons > 0.0:
            self._draw_streak(rng, counts)
        good = self.readout.good
        dark = rng.integers(0, max(len(good), 1), rng.poisson(self.readout.dark * len(good)))
        np.add.at(counts, good[dark], np.uint32(1))
        return counts

    def _draw_streak(self, rng: np.random.Generator, counts: npt.NDArray[np.uint32]) -> None:
        streak, best = self.streak, self.readout.best
        number = int(rng.poisson(streak.photons * best))
        radius = rng.exponential(streak.reach, number)
        turn = streak.angle + streak.spread * rng.standard_normal(number)
        turn += math.pi * rng.integers(0, 2, number)
        count_directions(
            radius * np.cos(turn),
            radius * np.sin(turn),
            rng.random(number),
            self.grid,
            self.readout.efficiency,
            best,
            counts,
        )


def profile_photons(profile: RoundProfile) -> float:
    """Return the photons of a round background in all directions, before polarisation."""
    edges = (np.arange(len(profile.density) + 1) * profile.step) ** 2
    return float((profile.density * np.diff(edges)).sum() * math.pi)
