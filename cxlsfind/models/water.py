"""What liquid water and air scatter into a pixel, and absorb."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator

from cxlsfind.units import wavelength_m

FloatArray = npt.NDArray[np.float64]

#: Coherent scattering of a water molecule at 25 C, electrons squared, by q = 4 pi sin(theta) /
#: wavelength, per angstrom: a fit good to 0.7 % up to 3.3, polynomial and (height, centre, width)
#: of Gaussians, and a table beyond; after Clark et al., PNAS 107, 14003 (2010) below 0.8 and Hura
#: et al., Phys. Chem. Chem. Phys. 5, 1981 (2003) above.
_POLYNOMIAL: Final = (6.5285, -1.2454, 0.6768)
_GAUSSIANS: Final = ((46.4791, 2.0116, 0.3505), (1.4456, 1.19, 0.3158), (26.9279, 2.8349, 0.3814))
_FAR: Final = (
    (3.2, 26.7), (3.3, 22.7), (3.4, 19.1), (3.6, 14.5), (3.8, 12.9), (4.0, 12.5), (4.3, 12.5),
    (4.6, 11.9), (5.0, 10.1), (5.5, 7.2), (6.0, 5.4), (6.5, 4.9), (7.0, 4.5), (8.0, 3.3),
    (30.0, 0.0),
)  # fmt: skip
_JOINT: Final = (3.3, 3.6)

#: The same for Compton scattering (xraylib).
_COMPTON: Final = (
    (0.0, 0.0), (0.25, 0.08), (0.5, 0.31), (1.0, 1.13), (1.5, 2.20), (2.0, 3.31), (2.5, 4.31),
    (3.0, 5.16), (4.0, 6.41), (5.0, 7.21), (8.0, 8.6), (30.0, 10.0),
)  # fmt: skip

#: The same for a mean molecule of air, after Debye.
_AIR: Final = (
    (0.0, 208.6), (0.1, 208.0), (0.5, 195.0), (1.0, 161.0), (2.0, 80.5), (3.0, 32.9),
    (4.0, 16.3), (8.0, 5.0), (30.0, 0.0),
)  # fmt: skip

#: Attenuation at photon energies in keV: of water, per cm, and of air, square cm per g (Hubbell &
#: Seltzer, NISTIR 5632); density of air, g per cm3.
_ENERGY_KEV: Final = (4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0)
_WATER_ABSORBS: Final = (82.78, 42.58, 24.64, 10.37, 5.329, 1.673, 0.8096, 0.3756)
_AIR_ABSORBS: Final = (77.88, 40.27, 23.41, 9.921, 5.120, 1.614, 0.7779, 0.3538)
_AIR_MASS: Final = 1.205e-3

#: Molecules per cubic metre: water, and air at 20 C and 1 atm.
WATER_DENSITY: Final = 3.33679e28
AIR_DENSITY: Final = 2.50e25

_far = PchipInterpolator(*np.array(_FAR).T)
_compton = PchipInterpolator(*np.array(_COMPTON).T)
_air = PchipInterpolator(*np.array(_AIR).T)
_Q_END: Final = 30.0


class Directions(NamedTuple):
    """Where pixels look.

    Parameters
    ----------
    q
        4 pi sin(theta) / wavelength, per angstrom.
    factor
        Solid angle of a pixel and polarisation, averaged around the beam; 1 in the middle.
    secant
        One over the cosine of the angle with the beam.
    """

    q: FloatArray
    factor: FloatArray
    secant: FloatArray


def directions(
    radius_m: FloatArray, clen_m: npt.ArrayLike, photon_energy_ev: npt.ArrayLike
) -> Directions:
    """Return where pixels of a flat detector look; arguments broadcast.

    Parameters
    ----------
    radius_m
        Distance from the beam, metres.
    """
    wavelength = wavelength_m(1.0) * 1e10 / np.asarray(photon_energy_ev, np.float64)
    tangent = radius_m / np.asarray(clen_m, np.float64)
    secant = np.sqrt(1.0 + tangent * tangent)
    # Tangent over this is twice the sine of half the angle.
    half = np.sqrt(0.5 * secant * (secant + 1.0))
    cosine = 1.0 / secant
    square = cosine * cosine
    return Directions(
        (2.0 * math.pi / wavelength) * tangent / half,
        0.5 * square * cosine * (1.0 + square),
        secant,
    )


def water_scattering(q: FloatArray) -> FloatArray:
    """Return the scattering of a water molecule, Compton included, electrons squared."""
    near = np.polynomial.Polynomial(_POLYNOMIAL)(np.minimum(q, _JOINT[1]))
    for height, centre, width in _GAUSSIANS:
        near = near + height * np.exp(-0.5 * ((q - centre) / width) ** 2)
    far = _far(np.clip(q, _FAR[0][0], _Q_END))
    part = np.clip((q - _JOINT[0]) / (_JOINT[1] - _JOINT[0]), 0.0, 1.0)
    scattering: FloatArray = (1.0 - part) * near + part * far + _compton(np.minimum(q, _Q_END))
    return scattering


def air_scattering(q: FloatArray) -> FloatArray:
    """Return the scattering of a mean molecule of air, electrons squared."""
    scattering: FloatArray = _air(np.minimum(q, _Q_END))
    return scattering


def water_attenuation(photon_energy_ev: FloatArray) -> FloatArray:
    """Return the attenuation of liquid water per metre; from 4 to 30 keV, its ends beyond."""
    return _attenuation(photon_energy_ev, _WATER_ABSORBS) * 100.0


def air_attenuation(photon_energy_ev: FloatArray) -> FloatArray:
    """Return the attenuation of air per metre; from 4 to 30 keV, its ends beyond."""
    return _attenuation(photon_energy_ev, _AIR_ABSORBS) * _AIR_MASS * 100.0


class Tabulated:
    """A function of q at the price of a look-up, linear between steps of 0.002 per angstrom.

    Parameters
    ----------
    function
        Of q, per angstrom, from 0 to 30.
    """

    _STEP: Final = 0.002

    def __init__(self, function: Callable[[FloatArray], FloatArray]) -> None:
        self._values = function(np.arange(0.0, _Q_END + 2 * self._STEP, self._STEP))

    def __call__(self, q: FloatArray) -> FloatArray:
        """Return the function's values; beyond 30 the last one."""
        place = np.minimum(q, _Q_END) / self._STEP
        below = place.astype(np.intp)
        value = self._values[below]
        result: FloatArray = value + (place - below) * (self._values[below + 1] - value)
        return result


def _attenuation(photon_energy_ev: FloatArray, table: tuple[float, ...]) -> FloatArray:
    logarithm = np.interp(np.log(photon_energy_ev / 1e3), np.log(_ENERGY_KEV), np.log(table))
    attenuation: FloatArray = np.exp(logarithm)
    return attenuation
