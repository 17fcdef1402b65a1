"""Where liquid water scatters to: the shape of the background on a flat detector."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from cxlsfind.sim.detector import Detector
from cxlsfind.units import wavelength_m

#: Analytic fit, good to 0.7 % for q <= 3.6 per angstrom, of the scattering of one water molecule
#: at 25 C (electrons squared), after Hura et al., Phys. Chem. Chem. Phys. 5, 1981 (2003) and
#: Clark et al., PNAS 107, 14003 (2010): polynomial, then (height, centre, width) of Gaussians.
_POLYNOMIAL: Final = (6.5285, -1.2454, 0.6768)
_GAUSSIANS: Final = ((46.4791, 2.0116, 0.3505), (1.4456, 1.19, 0.3158), (26.9279, 2.8349, 0.3814))


def water_form_factor(q: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the coherent scattering of a water molecule, electrons squared.

    Parameters
    ----------
    q
        4 pi sin(theta) / wavelength, per angstrom, at most 3.6.
    """
    result = np.polynomial.Polynomial(_POLYNOMIAL)(q)
    for height, centre, width in _GAUSSIANS:
        result = result + height * np.exp(-((q - centre) ** 2) / (2 * width**2))
    return np.asarray(result, np.float64)


def water_background(
    detector: Detector, photon_energy_ev: float, clen_m: float
) -> npt.NDArray[np.float64]:
    """Return the expected photons per pixel of scattering from water, [ss, fs], arbitrary scale.

    Unpolarised beam through the middle of the detector; solid angle and polarisation are in,
    Compton scattering and absorption are not.
    """
    centre_fs, centre_ss = detector.beam_centre
    ss, fs = (np.arange(size, dtype=np.float64) + 0.5 for size in detector.shape)
    radius_m = detector.pixel_size_m * np.hypot(fs[None, :] - centre_fs, ss[:, None] - centre_ss)
    # The pattern is round: fine steps of the radius spare four million sines and exponentials.
    steps = np.linspace(0.0, float(radius_m.max()), 4096)
    two_theta = np.arctan2(steps, clen_m)
    q = 4 * math.pi * np.sin(two_theta / 2) / (wavelength_m(photon_energy_ev) * 1e10)
    cosine = np.cos(two_theta)
    profile = water_form_factor(q) * cosine**3 * (1 + cosine**2) / 2
    return np.asarray(np.interp(radius_m, steps, profile), np.float64)
