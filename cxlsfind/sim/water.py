"""Where liquid water scatters to: the shape of the background of plain frames."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from cxlsfind.sim.background.water import water_form_factor
from cxlsfind.sim.detector import Detector
from cxlsfind.units import wavelength_m


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
