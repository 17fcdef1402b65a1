"""The family of ring profiles: what may lie between the spots, each part as uncertain as it is.

Water, buffer and air of unknown amounts scatter; water and buffer absorb on slanted ways, air on
the flight to the detector does or does not; and the scattering of all of it is known to some
parts in a thousand. Every unknown is written as a standard normal number, its *latent*, so that
the prior of a whole sample is a unit sphere.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from cxlsfind.kernels.ring_light import LightPlaces, LightTables, fill_light
from cxlsfind.models.water import (
    AIR_DENSITY,
    WATER_DENSITY,
    air_attenuation,
    air_scattering,
    water_attenuation,
    water_scattering,
)
from cxlsfind.units import wavelength_m

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

#: Thickness of water and of buffer, and path of the direct beam through air behind the sample,
#: metres: uniform between these, and now and then beyond.
WATER_M: Final = (3e-5, 2e-4)
BUFFER_M: Final = (0.0, 5e-5)
AIR_M: Final = (0.0, 0.01)

#: The template's errors: its scale of q, since temperature and buffer move the ring, and cosines of
#: q up to this q (per angstrom), each by about this part.
Q_SCALE_SIGMA: Final = 0.005
SHAPE_TERMS: Final = 6
SHAPE_SIGMA: Final = 0.004
SHAPE_REACH: Final = 4.0

#: Buffer: scattering in the middle per molecule of water, electrons squared, and width in q.
_BUFFER_HEIGHT = 8.0
_BUFFER_WIDTH = 0.45

#: Latents: water, buffer, air, and the shape.
LATENTS: Final = 3 + SHAPE_TERMS
AIR_LATENT: Final = 2

#: Air this near to the detector, relative to its distance, is not followed.
NEAREST: Final = 0.02

#: Places on the way through air, from 0 to 1, and their weights.
_SLICES: Final = 0.5 * (np.array(np.polynomial.legendre.leggauss(3)) + np.array([[1.0], [0.0]]))

#: Scattering is tabulated up to this q, per angstrom, in these steps.
_Q_END: Final = 30.0
_Q_STEP: Final = 0.0005


def _tabulate() -> LightTables:
    """Return what a metre of everything scatters, in molecules of water."""
    q = np.arange(0.0, _Q_END + 2 * _Q_STEP, _Q_STEP)
    buffer = _BUFFER_HEIGHT * np.exp(-0.5 * (q / _BUFFER_WIDTH) ** 2)
    air = AIR_DENSITY / WATER_DENSITY * air_scattering(q)
    water, buffer, air = (
        np.stack([values, np.gradient(values, _Q_STEP)])
        for values in (water_scattering(q), buffer, air)
    )
    return LightTables(water, buffer, air, _Q_STEP, math.pi / SHAPE_REACH, NEAREST)


_TABLES: Final = _tabulate()


class Amount:
    """An amount that is uniform between two ends, and now and then beyond them.

    A twentieth of the prior is above; another one below, unless the low end is zero.

    Parameters
    ----------
    ends
        Low and high.
    """

    _BEYOND: Final = 0.05
    #: The logarithm bends by this much per square of the latent, and is followed so far.
    _BEND: Final = 1.5
    _FARTHEST: Final = 3.5

    def __init__(self, ends: tuple[float, float]) -> None:
        self._low, self._width = ends[0], ends[1] - ends[0]
        self._below = self._BEYOND if ends[0] > 0.0 else 0.0
        self._inside = 1.0 - self._BEYOND - self._below
        self._joints = float(ndtri(self._below)), float(ndtri(1.0 - self._BEYOND))

    def of(self, latent: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the amount of a latent, and its derivative."""
        low_joint, high_joint = self._joints
        within = np.clip(latent, low_joint, high_joint)
        amount = self._low + self._width * (ndtr(within) - self._below) / self._inside
        slope = self._width * bell(within) / self._inside
        # Beyond the joints the logarithm goes on with the slope that the inside ends with.
        above = np.clip(latent - high_joint, 0.0, self._FARTHEST)
        growth = float(bell(np.array(high_joint))) / self._inside
        more = self._width * np.exp(growth * above + 0.5 * self._BEND * above**2)
        amount = np.where(above > 0.0, self._low + more, amount)
        slope = np.where(above > 0.0, more * (growth + self._BEND * above), slope)
        if self._below:
            under = np.clip(low_joint - latent, 0.0, self._FARTHEST)
            growth = float(bell(np.array(low_joint))) / self._inside * self._width / self._low
            less = self._low * np.exp(-growth * under - 0.5 * self._BEND * under**2)
            amount = np.where(under > 0.0, less, amount)
            slope = np.where(under > 0.0, less * (growth + self._BEND * under), slope)
        return amount, slope


def bell(latent: FloatArray) -> FloatArray:
    """Return the density of a standard normal number."""
    density: FloatArray = np.exp(-0.5 * latent**2) / math.sqrt(2.0 * math.pi)
    return density


_WATER: Final = Amount(WATER_M)
_BUFFER: Final = Amount(BUFFER_M)
_AIR: Final = Amount(AIR_M)


class Places(NamedTuple):
    """Where profiles are looked at.

    Parameters
    ----------
    clen_log, energy_log
        Natural logarithms of camera length, metres, and photon energy, eV, (places,).
    has_air
        Whether the way to the detector goes through air, (places,).
    latent
        Standard normal numbers, (places, :data:`LATENTS`).
    """

    clen_log: FloatArray
    energy_log: FloatArray
    has_air: BoolArray
    latent: FloatArray

    def part(self, which: npt.NDArray[Any]) -> Places:
        """Return some of the places."""
        return Places(*(column[which] for column in self))

    def moved(self, step: FloatArray) -> Places:
        """Return places with other camera lengths and latents, (places, 1 + latents)."""
        return self._replace(clen_log=self.clen_log + step[:, 0], latent=self.latent + step[:, 1:])


class Light(NamedTuple):
    """What a pixel sees: its logarithm up to a constant, and derivatives.

    Parameters
    ----------
    logarithm
        Shape (places, rings).
    slope
        By ``clen_log`` and by every latent, (places, rings, 1 + latents).
    """

    logarithm: FloatArray
    slope: FloatArray


def light(radius_m: FloatArray, places: Places) -> Light:
    """Return the expected light of a pixel at a distance from the beam, and its derivatives.

    Parameters
    ----------
    radius_m
        Metres, (rings,).
    """
    energy = np.exp(places.energy_log)
    (water, d_water), (buffer, d_buffer), (air, d_air) = (
        amount.of(places.latent[:, i]) for i, amount in enumerate((_WATER, _BUFFER, _AIR))
    )
    where = LightPlaces(
        np.exp(places.clen_log),
        2.0 * math.pi / (wavelength_m(1.0) * 1e10) * energy,
        np.stack([water, buffer, air], axis=1),
        np.stack([d_water, d_buffer, d_air], axis=1),
        0.5 * water_attenuation(energy),
        places.has_air * air_attenuation(energy),
        SHAPE_SIGMA * places.latent[:, 3:],
        SHAPE_SIGMA,
    )
    logarithm = np.empty((len(energy), len(radius_m)))
    slope = np.empty((*logarithm.shape, 1 + LATENTS))
    fill_light(radius_m, where, _TABLES, _SLICES, logarithm, slope)
    return Light(logarithm, slope)
