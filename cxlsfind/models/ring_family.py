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

from cxlsfind.models.water import (
    AIR_DENSITY,
    WATER_DENSITY,
    Tabulated,
    air_attenuation,
    air_scattering,
    directions,
    water_attenuation,
    water_scattering,
)

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
_NEAREST = 0.02

_SLICES: Final = np.polynomial.legendre.leggauss(3)
#: Step of the logarithm of the camera length in differences.
_STEP = 1e-3

_water = Tabulated(water_scattering)
_air = Tabulated(air_scattering)


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
        slope = self._width * _bell(within) / self._inside
        # Beyond the joints the logarithm goes on with the slope that the inside ends with.
        above = np.clip(latent - high_joint, 0.0, self._FARTHEST)
        growth = float(_bell(np.array(high_joint))) / self._inside
        more = self._width * np.exp(growth * above + 0.5 * self._BEND * above**2)
        amount = np.where(above > 0.0, self._low + more, amount)
        slope = np.where(above > 0.0, more * (growth + self._BEND * above), slope)
        if self._below:
            under = np.clip(low_joint - latent, 0.0, self._FARTHEST)
            growth = float(_bell(np.array(low_joint))) / self._inside * self._width / self._low
            less = self._low * np.exp(-growth * under - 0.5 * self._BEND * under**2)
            amount = np.where(under > 0.0, less, amount)
            slope = np.where(under > 0.0, less * (growth + self._BEND * under), slope)
        return amount, slope


def _bell(latent: FloatArray) -> FloatArray:
    bell: FloatArray = np.exp(-0.5 * latent**2) / math.sqrt(2.0 * math.pi)
    return bell


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
    energy = np.exp(places.energy_log)[:, None]
    clen = np.exp(places.clen_log)[:, None]
    (water, d_water), (buffer, d_buffer), (air, d_air) = (
        (value[:, None], slope[:, None])
        for value, slope in (
            amount.of(places.latent[:, i]) for i, amount in enumerate((_WATER, _BUFFER, _AIR))
        )
    )
    longest = (1.0 - _NEAREST) * clen
    d_air = np.where(air < longest, d_air, 0.0)
    amounts = water, buffer, air
    middle = _Parts.at(radius_m, clen, energy, amounts)
    total = water * middle.water + buffer * middle.buffer + middle.air
    slant = 0.5 * water_attenuation(energy) * middle.secant
    slope = np.empty((*total.shape, 1 + LATENTS))
    ends = [
        _logarithm(radius_m, clen * math.exp(step), energy, amounts, places)
        for step in (-_STEP, _STEP)
    ]
    slope[:, :, 0] = (ends[1] - ends[0]) / (2.0 * _STEP)
    slope[:, :, 1] = d_water * (middle.water / total - slant)
    slope[:, :, 2] = d_buffer * (middle.buffer / total - slant)
    slope[:, :, 3] = d_air * _air_slice(radius_m, clen, energy, np.minimum(air, longest)) / total
    slope[:, :, 4:] = SHAPE_SIGMA * _cosines(middle.q)
    return Light(_finish(middle, total, clen, energy, amounts, places), slope)


class _Parts(NamedTuple):
    """What the parts of a sample scatter into a pixel, water and buffer per metre."""

    q: FloatArray
    secant: FloatArray
    water: FloatArray
    buffer: FloatArray
    air: FloatArray

    @classmethod
    def at(
        cls, radius_m: FloatArray, clen: FloatArray, energy: FloatArray, amounts: _Amounts
    ) -> _Parts:
        seen = directions(radius_m, clen, energy)
        length = np.minimum(amounts[2], (1.0 - _NEAREST) * clen)
        air = np.zeros_like(seen.q)
        for place, weight in zip(*_SLICES, strict=True):
            behind = 0.5 * length * (1.0 + float(place))
            air += 0.5 * float(weight) * length * _air_slice(radius_m, clen, energy, behind)
        width = -0.5 / _BUFFER_WIDTH**2
        return cls(
            seen.q,
            seen.secant,
            _water(seen.q) * seen.factor,
            _BUFFER_HEIGHT * np.exp(width * seen.q * seen.q) * seen.factor,
            air,
        )


_Amounts = tuple[FloatArray, FloatArray, FloatArray]


def _air_slice(
    radius_m: FloatArray, clen: FloatArray, energy: FloatArray, behind: FloatArray
) -> FloatArray:
    """Return what a metre of air scatters, so far behind the sample, in molecules of water."""
    left = clen - behind
    seen = directions(radius_m, left, energy)
    return AIR_DENSITY / WATER_DENSITY * (clen / left) ** 2 * _air(seen.q) * seen.factor


def _logarithm(
    radius_m: FloatArray, clen: FloatArray, energy: FloatArray, amounts: _Amounts, places: Places
) -> FloatArray:
    parts = _Parts.at(radius_m, clen, energy, amounts)
    total = amounts[0] * parts.water + amounts[1] * parts.buffer + parts.air
    return _finish(parts, total, clen, energy, amounts, places)


def _finish(
    parts: _Parts,
    total: FloatArray,
    clen: FloatArray,
    energy: FloatArray,
    amounts: _Amounts,
    places: Places,
) -> FloatArray:
    """Return the logarithm of the light with absorption and errors of the template."""
    absorbed = 0.5 * water_attenuation(energy) * (amounts[0] + amounts[1])
    absorbed = absorbed + places.has_air[:, None] * air_attenuation(energy) * clen
    shape = np.einsum("prk,pk->pr", _cosines(parts.q), SHAPE_SIGMA * places.latent[:, 3:])
    result: FloatArray = np.log(total) - absorbed * parts.secant + shape
    return result


def _cosines(q: FloatArray) -> FloatArray:
    """Return the cosines of the template's errors, (..., terms)."""
    first = np.cos(math.pi / SHAPE_REACH * q)
    terms = [np.ones_like(q), first]
    while len(terms) <= SHAPE_TERMS:
        terms.append(2.0 * first * terms[-1] - terms[-2])
    return np.stack(terms[1:], axis=-1)
