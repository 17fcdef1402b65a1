"""Backgrounds to score the parameter model on, and how well anything could do on them.

The draws come from the simulation's physics, with the amounts and the errors that the model's
family allows for. The limit is the Cramer-Rao bound of the same draws: Fisher information of the
counts plus what the family's priors know of everything that is not asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.models.ring_family import (
    AIR_M,
    BUFFER_M,
    NEAREST,
    Q_SCALE_SIGMA,
    SHAPE_REACH,
    SHAPE_SIGMA,
    SHAPE_TERMS,
    WATER_M,
    Amount,
)
from cxlsfind.models.ring_fit import RingProfile
from cxlsfind.models.ring_posterior import CLENS_M, ENERGIES_EV
from cxlsfind.sim.background.profile import Sample
from cxlsfind.units import wavelength_m

FloatArray = npt.NDArray[np.float64]

PIXEL_M: Final = 75e-6

#: Rings of an EIGER2 4M, px: their middles, and their usable pixels.
RADIUS_PX: Final[FloatArray] = np.arange(4.0, 1492.0, 4.0)
EXPOSURE: Final[FloatArray] = (
    2.0 * math.pi * RADIUS_PX * 4.0 * np.clip(1.0 - (RADIUS_PX - 1035.0) / 470.0, 0.01, 1.0)
)

#: Relative step of the differences.
_STEP = 1e-3


@dataclass(frozen=True, slots=True)
class Background:
    """A sample in the beam, with errors that no template knows.

    Parameters
    ----------
    energy_ev, clen_m
        Photon energy and camera length.
    q_scale
        Relative error of the template's scale of q.
    water_m, buffer_m, air_m
        As in the simulation.
    has_air
        Whether scattered photons go through air.
    shape
        Errors of the template: heights of cosines of q.
    """

    energy_ev: float
    clen_m: float
    q_scale: float
    water_m: float
    buffer_m: float
    air_m: float
    has_air: bool
    shape: tuple[float, ...]

    def expected(self) -> FloatArray:
        """Return expected photons by ring, up to a factor, (rings,)."""
        tangent = RADIUS_PX * PIXEL_M / self.clen_m
        polarised = 0.5 * (1.0 + 1.0 / (1.0 + tangent**2))
        expected: FloatArray = self.density(tangent) * polarised * EXPOSURE
        return expected

    def density(self, tangent: FloatArray) -> FloatArray:
        """Return expected photons of a pixel before polarisation, up to a factor.

        Parameters
        ----------
        tangent
            Tangent of the angle with the beam.
        """
        sample = Sample(
            photons=1.0,
            photon_energy_ev=self.energy_ev * (1.0 + self.q_scale),
            clen_m=self.clen_m,
            water_m=self.water_m,
            materials=(("buffer", self.buffer_m),),
            air_m=self.air_m,
            flight_in_air=self.has_air,
        )
        wavelength = wavelength_m(self.energy_ev) * 1e10
        q = 4.0 * math.pi * np.sin(0.5 * np.arctan(tangent)) / wavelength
        waves = (
            height * np.cos(math.pi * (k + 1) / SHAPE_REACH * q)
            for k, height in enumerate(self.shape)
        )
        return np.asarray(sample.density(tangent) * np.exp(sum(waves)), np.float64)

    def draw(self, generator: np.random.Generator, photons: float) -> RingProfile:
        """Return a profile with so many photons."""
        mean = self.expected()
        counts = generator.poisson(photons * mean / mean.sum()).astype(np.float64)
        return RingProfile(RADIUS_PX * PIXEL_M, counts, EXPOSURE)

    def bound(self, photons: float) -> Bound:
        """Return the bound on what can be known from so many photons."""
        mean = self.expected()
        changes, sigma = self._changes()
        slopes = np.column_stack([np.log(up.expected() / down.expected()) for up, down in changes])
        slopes /= 2.0 * _STEP
        # The number of photons is free: only differences between rings count.
        slopes -= (mean @ slopes) / mean.sum()
        information = (slopes * (photons * mean / mean.sum())[:, None]).T @ slopes
        information += np.diag(1.0 / sigma**2)
        covariance = np.linalg.inv(information)
        return Bound(
            self.energy_ev * math.sqrt(covariance[0, 0]), self.clen_m * math.sqrt(covariance[1, 1])
        )

    def _changes(self) -> tuple[list[tuple[Background, Background]], FloatArray]:
        """Return pairs of backgrounds, two steps apart in one number each, and its prior's sigma.

        Energy and camera length come first, in logarithms and without a prior; amounts are in parts
        of the width of their priors.
        """
        widths = {
            name: ends[1] - ends[0]
            for name, ends in (("water_m", WATER_M), ("buffer_m", BUFFER_M), ("air_m", AIR_M))
        }
        sizes = {"energy_ev": self.energy_ev, "clen_m": self.clen_m, "q_scale": 1.0, **widths}
        steps = {name: _STEP * size for name, size in sizes.items()}
        pairs = [
            (
                replace(self, **{name: getattr(self, name) + step}),
                replace(self, **{name: getattr(self, name) - step}),
            )
            for name, step in steps.items()
        ]
        waves = _STEP * np.eye(SHAPE_TERMS)
        pairs += [
            (replace(self, shape=tuple(self.shape + w)), replace(self, shape=tuple(self.shape - w)))
            for w in waves
        ]
        uniform = [1.0 / math.sqrt(12.0)] * len(widths)
        sigma = [math.inf, math.inf, Q_SCALE_SIGMA, *uniform, *[SHAPE_SIGMA] * SHAPE_TERMS]
        return pairs, np.array(sigma)


class Bound(NamedTuple):
    """Cramer-Rao bounds: standard deviations of photon energy, eV, and camera length, metres."""

    energy_ev: float
    clen_m: float


def draw_background(generator: np.random.Generator, energy_ev: float, clen_m: float) -> Background:
    """Return a random sample of the family."""
    return Background(
        energy_ev=energy_ev,
        clen_m=clen_m,
        q_scale=generator.normal(0.0, Q_SCALE_SIGMA),
        water_m=generator.uniform(*WATER_M),
        buffer_m=generator.uniform(*BUFFER_M),
        air_m=generator.uniform(*AIR_M),
        has_air=bool(generator.random() < 0.5),
        shape=tuple(generator.normal(0.0, SHAPE_SIGMA, SHAPE_TERMS)),
    )


def draw_anywhere(generator: np.random.Generator) -> Background:
    """Return a random sample from what the model takes for possible beforehand, all of it."""
    energy, clen = (
        math.exp(generator.uniform(math.log(ends[0]), math.log(ends[1])))
        for ends in (ENERGIES_EV, CLENS_M)
    )
    water, buffer, air = (
        float(Amount(ends).of(generator.standard_normal(1))[0][0])
        for ends in (WATER_M, BUFFER_M, AIR_M)
    )
    usual = draw_background(generator, energy, clen)
    return replace(usual, water_m=water, buffer_m=buffer, air_m=min(air, (1.0 - NEAREST) * clen))
