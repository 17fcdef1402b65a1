"""Scattering and absorption of liquid water."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator

FloatArray = npt.NDArray[np.float64]

#: Molecules per cubic metre at 1 g/cm3.
WATER_DENSITY: Final = 3.33679e28

#: Analytic fit, good to 0.7 % for q <= 3.6 per angstrom, of the coherent scattering of one water
#: molecule at 25 C (electrons squared), after Hura et al., Phys. Chem. Chem. Phys. 5, 1981 (2003)
#: and Clark et al., PNAS 107, 14003 (2010): polynomial, then (height, centre, width) of Gaussians.
_POLYNOMIAL: Final = (6.5285, -1.2454, 0.6768)
_GAUSSIANS: Final = ((46.4791, 2.0116, 0.3505), (1.4456, 1.19, 0.3158), (26.9279, 2.8349, 0.3814))

#: The same data beyond the fit, at q per angstrom.
_FAR_Q: Final = (3.2, 3.3, 3.4, 3.6, 3.8, 4.0, 4.3, 4.6, 5.0, 5.5, 6.0, 6.5, 7.0, 8.0)
_FAR: Final = (26.7, 22.7, 19.1, 14.5, 12.9, 12.5, 12.5, 11.9, 10.1, 7.2, 5.4, 4.9, 4.5, 3.3)
#: From the fit to the table between these.
_JOINT: Final = (3.3, 3.6)

#: Compton scattering of a molecule, electrons squared, at q per angstrom (xraylib's SF_Compt); all
#: ten electrons far out.
_COMPTON_Q: Final = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 8.0, 20.0)
_COMPTON: Final = (0.0, 0.08, 0.31, 1.13, 2.20, 3.31, 4.31, 5.16, 6.41, 7.21, 8.7, 10.0)

#: Attenuation of liquid water: photon energy in keV, per cm (Hubbell & Seltzer, NISTIR 5632).
_ENERGY_KEV: Final = (4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0)
_ATTENUATION: Final = (82.78, 42.58, 24.64, 10.37, 5.329, 1.673, 0.8096, 0.3756)

_far = PchipInterpolator(_FAR_Q, _FAR, extrapolate=False)
_compton = PchipInterpolator(_COMPTON_Q, _COMPTON, extrapolate=False)


def water_form_factor(q: FloatArray) -> FloatArray:
    """Return the coherent scattering of a water molecule, electrons squared.

    Parameters
    ----------
    q
        4 pi sin(theta) / wavelength, per angstrom; beyond 8 the value at 8 stands.
    """
    fit = np.polynomial.Polynomial(_POLYNOMIAL)(q)
    for height, centre, width in _GAUSSIANS:
        fit = fit + height * np.exp(-((q - centre) ** 2) / (2 * width**2))
    table = _far(np.clip(q, _FAR_Q[0], _FAR_Q[-1]))
    share = np.clip((q - _JOINT[0]) / (_JOINT[1] - _JOINT[0]), 0.0, 1.0)
    return np.asarray((1.0 - share) * fit + share * table, np.float64)


def water_compton(q: FloatArray) -> FloatArray:
    """Return the incoherent scattering of a water molecule, electrons squared.

    Parameters
    ----------
    q
        As in :func:`water_form_factor`.
    """
    return np.asarray(_compton(np.clip(q, 0.0, _COMPTON_Q[-1])), np.float64)


def water_attenuation(photon_energy_ev: float) -> float:
    """Return the attenuation of liquid water per metre; from 4 to 30 keV, its ends beyond."""
    logarithm = np.interp(np.log(photon_energy_ev / 1e3), np.log(_ENERGY_KEV), np.log(_ATTENUATION))
    return float(np.exp(logarithm) * 100.0)
