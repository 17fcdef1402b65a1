"""What varies from frame to frame without a crystal: beam, centre, energy, thickness, streak."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from cxlsfind.kernels.sim_photons import Streak
from cxlsfind.sim.background.profile import Sample
from cxlsfind.sim.beam import Beam
from cxlsfind.sim.settings import PatternSettings

#: Numbers of frames keep within this many standard deviations.
REACH: Final = 5.0

#: Standard deviation of directions about a jet's streak, and of the streak's own, rad.
_STREAK_SPREAD: Final = 0.02
_STREAK_WANDER: Final = 0.05
#: Mean angle of photons in the streak, over the largest that the detector sees.
_STREAK_REACH: Final = 0.15


@dataclass(frozen=True, slots=True)
class Conditions:
    """What holds for one frame, in standard deviations of the run's settings.

    Parameters
    ----------
    beam, centre_x, centre_y, energy, thickness, streak
        Deviations of the beam's photons, of its centre, of the energy, of the thickness of the
        background and of the direction of the streak.
    """

    beam: float = 0.0
    centre_x: float = 0.0
    centre_y: float = 0.0
    energy: float = 0.0
    thickness: float = 0.0
    streak: float = 0.0

    def scale(self, settings: PatternSettings) -> float:
        """Return the beam's photons over those of the run."""
        return math.exp(settings.beam_spread * self.beam)

    def photon_energy_ev(self, settings: PatternSettings) -> float:
        """Return the photon energy."""
        return settings.photon_energy_ev * (1.0 + settings.energy_spread * self.energy)

    def shift_m(
        self, settings: PatternSettings, base_m: tuple[float, float]
    ) -> tuple[float, float]:
        """Return the shift (x, y) of the detector, metres, about that of the run."""
        spread = settings.centre_spread_px * settings.detector.pixel_size_m
        return base_m[0] + spread * self.centre_x, base_m[1] + spread * self.centre_y

    def make_beam(self, settings: PatternSettings) -> Beam:
        """Return the beam."""
        return Beam(
            photons=settings.photons * self.scale(settings),
            photon_energy_ev=self.photon_energy_ev(settings),
            spectrum=settings.make_spectrum(),
            radius_m=settings.beam_radius_m,
            profile=settings.beam_profile,
            polarisation=settings.polarisation,
            divergence_rad=settings.divergence_rad,
        )

    def make_sample(self, settings: PatternSettings, factor: float) -> Sample:
        """Return what the beam goes through.

        Parameters
        ----------
        factor
            Multiplies what it scatters.
        """
        background = settings.background
        return Sample(
            photons=settings.photons * self.scale(settings),
            photon_energy_ev=self.photon_energy_ev(settings),
            clen_m=settings.clen_m,
            water_m=background.water_m * math.exp(background.spread * self.thickness),
            materials=background.materials,
            air_m=background.air_m,
            flight_in_air=background.flight_in_air,
            factor=factor,
        )

    def make_streak(self, settings: PatternSettings, photons: float, reach: float) -> Streak:
        """Return the streak of a jet.

        Parameters
        ----------
        photons
            Photons of the round background.
        reach
            Largest tangent of the angle with the beam that the detector sees.
        """
        background = settings.background
        return Streak(
            photons=background.streak * photons,
            angle=background.streak_angle + _STREAK_WANDER * self.streak,
            spread=_STREAK_SPREAD,
            reach=_STREAK_REACH * reach,
        )


def draw_conditions(rng: np.random.Generator) -> Conditions:
    """Draw the conditions of a frame."""
    return Conditions(*np.clip(rng.standard_normal(6), -REACH, REACH).tolist())
