"""What liquid water and air scatter into a pixel: the template of the parameter model."""

from __future__ import annotations

import math
from typing import Final

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

_far = PchipInterpolator(*np.array(_FAR).T)
_compton = PchipInterpolator(*np.array(_COMPTON).T)
_air = PchipInterpolator(*np.array(_AIR).T)
_Q_END: Final = 30.0


def scattering_vector(
    radius_m: FloatArray, clen_m: npt.ArrayLike, photon_energy_ev: npt.ArrayLike
) -> FloatArray:
    """Return q, per angstrom, at a distance from the beam on a flat detector; arguments broadcast.

    Parameters
    ----------
    radius_m
        Metres.
    """
    wavelength = wavelength_m(1.0) * 1e10 / np.asarray(photon_energy_ev, np.float64)
    angle = np.arctan(radius_m / np.asarray(clen_m, np.float64))
    q: FloatArray = 4.0 * math.pi * np.sin(0.5 * angle) / wavelength
    return q


def pixel_factor(radius_m: FloatArray, clen_m: npt.ArrayLike) -> FloatArray:
    """Return solid angle of a pixel and polarisation, averaged around the beam; 1 in the middle."""
    cosine = 1.0 / np.sqrt(1.0 + (radius_m / np.asarray(clen_m, np.float64)) ** 2)
    factor: FloatArray = cosine**3 * 0.5 * (1.0 + cosine**2)
    return factor


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
    """Return the scattering of air in units of that of water in the middle, 6.5."""
    scattering: FloatArray = 6.5 / 208.6 * _air(np.minimum(q, _Q_END))
    return scattering


def air_path(
    radius_m: FloatArray, clen_m: FloatArray, photon_energy_ev: FloatArray, length: float
) -> FloatArray:
    """Return what air along the direct beam behind the sample puts on a pixel.

    Parameters
    ----------
    length
        Path through air, in parts of the camera length.
    """
    total = np.zeros(np.broadcast_shapes(radius_m.shape, clen_m.shape, photon_energy_ev.shape))
    for place, weight in zip(*np.polynomial.legendre.leggauss(4), strict=True):
        nearer = 1.0 - 0.5 * length * (1.0 + float(place))
        q = scattering_vector(radius_m, clen_m * nearer, photon_energy_ev)
        light = air_scattering(q) * pixel_factor(radius_m, clen_m * nearer)
        total += 0.5 * float(weight) * light / nearer**2
    return total
