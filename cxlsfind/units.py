"""Physical constants and conversions between units of energy and wavelength."""

from __future__ import annotations

#: hc in eV metre, from the constants that CrystFEL compiles in (h = 6.62606896e-34 J s,
#: e = 1.6021773e-19 C), so that wavelengths agree with its outputs to the last digit.
#: CODATA 2019 gives 1.23984198e-6: the difference of 6e-7 is far below any beamline's calibration.
HC_EV_M = 6.62606896e-34 * 299792458.0 / 1.6021773e-19


def wavelength_m(photon_energy_ev: float) -> float:
    """Return the wavelength, in metres, of photons of this energy in eV."""
    return HC_EV_M / photon_energy_ev


def photon_energy_ev(wavelength_m: float) -> float:
    """Return the energy, in eV, of photons of this wavelength in metres."""
    return HC_EV_M / wavelength_m
