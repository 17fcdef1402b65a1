"""Scattering and absorption of air at 20 C and 1 atm."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator

FloatArray = npt.NDArray[np.float64]

#: Molecules per cubic metre.
AIR_DENSITY: Final = 2.50e25

#: Scattering of the mean molecule, 0.79 nitrogen and 0.21 oxygen after Debye, electrons squared,
#: at q per angstrom.
_Q: Final = (0.0, 0.1, 0.5, 1.0, 2.0, 3.0, 4.0, 8.0)
_SQUARE: Final = (208.6, 208.0, 195.0, 161.0, 80.5, 32.9, 16.3, 5.0)

#: Attenuation: photon energy in keV, square cm per g (Hubbell & Seltzer, NISTIR 5632), g per cm3.
_ENERGY_KEV: Final = (4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0)
_ATTENUATION: Final = (77.88, 40.27, 23.41, 9.921, 5.120, 1.614, 0.7779, 0.3538)
_MASS_DENSITY: Final = 1.205e-3

_square = PchipInterpolator(_Q, _SQUARE, extrapolate=False)


def air_form_factor(q: FloatArray) -> FloatArray:
    """Return the coherent scattering of a molecule of air, electrons squared.

    Parameters
    ----------
    q
        4 pi sin(theta) / wavelength, per angstrom; beyond 8 the value at 8 stands.
    """
    return np.asarray(_square(np.clip(q, 0.0, _Q[-1])), np.float64)


def air_attenuation(photon_energy_ev: float) -> float:
    """Return the attenuation of air per metre; from 4 to 30 keV, its ends beyond."""
    logarithm = np.interp(np.log(photon_energy_ev / 1e3), np.log(_ENERGY_KEV), np.log(_ATTENUATION))
    return float(np.exp(logarithm) * _MASS_DENSITY * 100.0)
