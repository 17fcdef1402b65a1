"""Round backgrounds: photons by the angle with the beam, of everything in the beam's way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels.sim_photons import RoundProfile
from cxlsfind.sim.background.air import AIR_DENSITY, air_attenuation, air_form_factor
from cxlsfind.sim.background.rings import (
    MATERIALS,
    POWDERS,
    powder_form_factor,
    ring_form_factor,
)
from cxlsfind.sim.background.water import (
    WATER_DENSITY,
    water_attenuation,
    water_compton,
    water_form_factor,
)
from cxlsfind.sim.laue import ELECTRON_RADIUS_M
from cxlsfind.units import wavelength_m

FloatArray = npt.NDArray[np.float64]

#: Points along the path in air, with their weights, on the interval from -1 to 1.
_SLICES: Final = np.polynomial.legendre.leggauss(12)
#: Air this near to the detector, relative to its distance, is not followed.
_NEAREST: Final = 0.02
#: Relative standard deviation of the spacings of powders: crystallites of some 0.1 um.
_POWDER_WIDTH: Final = 0.003


@dataclass(frozen=True, slots=True)
class Sample:
    """What a frame's beam goes through.

    Parameters
    ----------
    photons
        Photons of the beam.
    photon_energy_ev, clen_m
        Energy, and distance of the detector.
    water_m, materials, powders
        Thickness of water, of materials and of powders, by name, metres.
    air_m, flight_in_air
        As in the settings.
    factor
        Multiplies all of it.
    """

    photons: float
    photon_energy_ev: float
    clen_m: float
    water_m: float
    materials: tuple[tuple[str, float], ...] = ()
    powders: tuple[tuple[str, float], ...] = ()
    air_m: float = 0.0
    flight_in_air: bool = False
    factor: float = 1.0

    def transmission(self, tangent: FloatArray) -> FloatArray:
        """Return the share of the photons that leave the sample and reach the detector.

        Parameters
        ----------
        tangent
            Tangent of the angle with the beam.
        """
        secant = np.sqrt(1.0 + tangent**2)
        # Scattered half-way, on average: exp(-mu t (1 + 1 / cos) / 2).
        thickness = self.water_m + sum(size for _, size in self.materials)
        exponent = water_attenuation(self.photon_energy_ev) * thickness * (1.0 + secant) / 2.0
        if self.flight_in_air:
            exponent = exponent + air_attenuation(self.photon_energy_ev) * self.clen_m * secant
        return np.asarray(np.exp(-exponent), np.float64)

    def density(self, tangent: FloatArray) -> FloatArray:
        """Return the photons per unit of area of the plane at distance one, without polarisation.

        Parameters
        ----------
        tangent
            Distance from the beam in that plane.
        """
        q = _q(tangent, self.photon_energy_ev)
        square = self.water_m * (water_form_factor(q) + water_compton(q))
        for name, size in self.materials:
            square += size * ring_form_factor(MATERIALS[name], q)
        for name, size in self.powders:
            square += size * powder_form_factor(POWDERS[name], _POWDER_WIDTH, q)
        cosine = 1.0 / np.sqrt(1.0 + tangent**2)
        scatterers = self.photons * WATER_DENSITY * ELECTRON_RADIUS_M**2
        result = scatterers * square * cosine**3 + self._air(tangent)
        return np.asarray(self.factor * result * self.transmission(tangent), np.float64)

    def _air(self, tangent: FloatArray) -> FloatArray:
        """Return the photons from air behind the sample, seen at the angle from the sample."""
        result = np.zeros_like(tangent)
        length = min(self.air_m, (1.0 - _NEAREST) * self.clen_m)
        if length <= 0.0:
            return result
        for place, weight in zip(*_SLICES, strict=True):
            # From a point further on the same pixel lies at a wider angle.
            nearer = self.clen_m / (self.clen_m - length * (1.0 + place) / 2.0)
            wide = tangent * nearer
            cosine = 1.0 / np.sqrt(1.0 + wide**2)
            # The polarisation that is left out is that of the angle from the sample.
            polarisation = _unpolarised(wide) / _unpolarised(tangent)
            square = air_form_factor(_q(wide, self.photon_energy_ev))
            result += weight / 2.0 * square * polarisation * cosine**3 * nearer**2
        return self.photons * AIR_DENSITY * ELECTRON_RADIUS_M**2 * length * result


def round_profile(sample: Sample, polarisation: float, reach: float, step: float) -> RoundProfile:
    """Return a sample's scattering in bins.

    Parameters
    ----------
    polarisation
        Share of the beam polarised along x.
    reach
        Largest tangent of the angle with the beam that matters.
    step
        Width of the bins of the tangent.
    """
    number = math.ceil(reach / step)
    middle = (np.arange(number) + 0.5) * step
    return RoundProfile(step, sample.density(np.asarray(middle, np.float64)), polarisation)


def _q(tangent: FloatArray, photon_energy_ev: float) -> FloatArray:
    """Return q, per angstrom, at the tangent of the angle with the beam."""
    wavelength = wavelength_m(photon_energy_ev) * 1e10
    return np.asarray(4.0 * math.pi * np.sin(0.5 * np.arctan(tangent)) / wavelength)


def _unpolarised(tangent: FloatArray) -> FloatArray:
    return np.asarray(1.0 - 0.5 * tangent**2 / (1.0 + tangent**2))
