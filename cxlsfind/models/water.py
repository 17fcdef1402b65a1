"""What liquid water and air scatter, and absorb."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator

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
)  # fmt: skip
_JOINT: Final = (3.3, 3.6)

#: The same for Compton scattering (xraylib).
_COMPTON: Final = (
    (0.0, 0.0), (0.25, 0.08), (0.5, 0.31), (1.0, 1.13), (1.5, 2.20), (2.0, 3.31), (2.5, 4.31),
    (3.0, 5.16), (4.0, 6.41), (5.0, 7.21), (8.0, 8.7), (20.0, 10.0),
)  # fmt: skip

#: The same for a mean molecule of air, after Debye.
_AIR: Final = (
    (0.0, 208.6), (0.1, 208.0), (0.5, 195.0), (1.0, 161.0), (2.0, 80.5), (3.0, 32.9),
    (4.0, 16.3), (8.0, 5.0),
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


def water_scattering(q: FloatArray) -> FloatArray:
    """Return the scattering of a water molecule, Compton included, electrons squared.

    Beyond 8 per angstrom, where nothing was measured, the coherent part stays as it is there.
    """
    near = np.polynomial.Polynomial(_POLYNOMIAL)(np.minimum(q, _JOINT[1]))
    for height, centre, width in _GAUSSIANS:
        near = near + height * np.exp(-0.5 * ((q - centre) / width) ** 2)
    far = _far(np.clip(q, _FAR[0][0], _FAR[-1][0]))
    part = np.clip((q - _JOINT[0]) / (_JOINT[1] - _JOINT[0]), 0.0, 1.0)
    scattering: FloatArray = (
        (1.0 - part) * near + part * far + _compton(np.minimum(q, _COMPTON[-1][0]))
    )
    return scattering


def air_scattering(q: FloatArray) -> FloatArray:
    """Return the scattering of a mean molecule of air, electrons squared."""
    scattering: FloatArray = _air(np.minimum(q, _AIR[-1][0]))
    return scattering


def water_attenuation(photon_energy_ev: FloatArray) -> FloatArray:
    """Return the attenuation of liquid water per metre; from 4 to 30 keV, its ends beyond."""
    return _attenuation(photon_energy_ev, _WATER_ABSORBS) * 100.0


def air_attenuation(photon_energy_ev: FloatArray) -> FloatArray:
    """Return the attenuation of air per metre; from 4 to 30 keV, its ends beyond."""
    return _attenuation(photon_energy_ev, _AIR_ABSORBS) * _AIR_MASS * 100.0


def _attenuation(photon_energy_ev: FloatArray, table: tuple[float, ...]) -> FloatArray:
    logarithm = np.interp(np.log(photon_energy_ev / 1e3), np.log(_ENERGY_KEV), np.log(table))
    attenuation: FloatArray = np.exp(logarithm)
    return attenuation
