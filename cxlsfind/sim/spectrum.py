"""Spectra of X-ray beams, and how much of one a blurred reflection takes."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from cxlsfind.errors import InputError, UsageError

FloatArray = npt.NDArray[np.float64]

_FWHM: Final = 2.0 * math.sqrt(2.0 * math.log(2.0))
#: A Gaussian is drawn with straight lines between this many points, to this many sigma: its
#: height is then right to 0.2 %.
_GAUSSIAN_POINTS: Final = 65
_GAUSSIAN_REACH: Final = 4.0
#: Profiles narrower than this count as lines; relative, far below any crystal's.
_NARROWEST: Final = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """Photons per logarithm of the energy, as a line through points; nothing outside them.

    In logarithms of the energy the Laue formula has no other factor of the spectrum, and a top
    hat is equally one in energy and in wavelength.

    Parameters
    ----------
    nodes
        Logarithm of the energy over the nominal energy, ascending.
    density
        Photons per unit of that logarithm, of a beam of one photon.
    """

    nodes: FloatArray
    density: FloatArray

    @property
    def width(self) -> float:
        """Width between the ends."""
        return float(self.nodes[-1] - self.nodes[0])

    def overlap(self, log_k: FloatArray, sigma: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return what reflections with Gaussian profiles take of the spectrum.

        Parameters
        ----------
        log_k, sigma
            Centre and standard deviation of their profiles; logarithms.

        Returns
        -------
        The mean of the density over the profile, and the mean distance of what diffracts from the
        profile's centre.
        """
        width = np.maximum(sigma, _NARROWEST)[:, None]
        left = (self.nodes[None, :] - log_k[:, None]) / width
        below, height = ndtr(left), np.exp(-0.5 * left**2) / math.sqrt(2.0 * math.pi)
        step = np.diff(self.nodes)
        slope = np.diff(self.density) / step
        # density = level + slope * width * t, with t in sigma from the centre of the profile.
        level = self.density[None, :-1] - slope * width * left[:, :-1]
        share, fall = np.diff(below), -np.diff(height)
        # Moments of t within each step: t has the mean fall / share, and so on.
        second = share - np.diff(left * height)
        slope = slope * width
        weight = (level * share + slope * fall).sum(axis=1)
        first = (level * fall + slope * second).sum(axis=1)
        weight = np.maximum(weight, 0.0)
        shift = np.divide(first, weight, out=np.zeros_like(weight), where=weight > 0.0)
        return weight, shift * width[:, 0]


def top_hat(bandwidth: float) -> Spectrum:
    """Return a flat spectrum of this full relative width.

    Raises
    ------
    UsageError
        The width is not above 0 and at most 1.
    """
    _check_bandwidth(bandwidth)
    return Spectrum(np.array([-0.5, 0.5]) * bandwidth, np.full(2, 1.0 / bandwidth))


def gaussian(bandwidth: float) -> Spectrum:
    """Return a Gaussian spectrum of this relative full width at half maximum.

    Raises
    ------
    UsageError
        The width is not above 0 and at most 1.
    """
    _check_bandwidth(bandwidth)
    steps = np.linspace(-_GAUSSIAN_REACH, _GAUSSIAN_REACH, _GAUSSIAN_POINTS)
    return _normalised(steps * bandwidth / _FWHM, np.exp(-0.5 * steps**2))


def tabulated(
    energies_ev: FloatArray, photons_per_ev: FloatArray, photon_energy_ev: float
) -> Spectrum:
    """Return a measured spectrum.

    Parameters
    ----------
    energies_ev
        Ascending, at least two.
    photons_per_ev
        Photons per interval of energy there, in any unit; the line between them is followed.
    photon_energy_ev
        Nominal energy.

    Raises
    ------
    UsageError
        The table is no spectrum.
    """
    is_table = energies_ev.ndim == 1 and energies_ev.shape == photons_per_ev.shape
    if (
        not is_table
        or len(energies_ev) < 2
        or not np.isfinite(photons_per_ev).all()
        or not (energies_ev[0] > 0.0 and (np.diff(energies_ev) > 0.0).all())
        or not ((photons_per_ev >= 0.0).all() and photons_per_ev.sum() > 0.0)
    ):
        raise UsageError(
            "the spectrum is none: expected at least two energies in eV, ascending, each with a "
            "number of photons of zero or more, not all zero"
        )
    return _normalised(np.log(energies_ev / photon_energy_ev), photons_per_ev * energies_ev)


def read_spectrum(path: Path, photon_energy_ev: float) -> Spectrum:
    """Read a spectrum from a text file of two columns: energy in eV, photons per eV.

    Raises
    ------
    InputError
        The file cannot be read, or holds no spectrum.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # an empty file: told below
            table = np.loadtxt(path, dtype=np.float64, ndmin=2)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a spectrum: {error}") from error
    if table.shape[1:] != (2,):
        raise InputError(f"{path}: expected two columns, energy in eV and photons")
    try:
        return tabulated(table[:, 0], table[:, 1], photon_energy_ev)
    except UsageError as error:
        raise InputError(f"{path}: {error}") from error


def _normalised(nodes: FloatArray, density: FloatArray) -> Spectrum:
    return Spectrum(nodes, density / np.trapezoid(density, nodes))


def _check_bandwidth(bandwidth: float) -> None:
    if not 0.0 < bandwidth <= 1.0:
        raise UsageError(f"the bandwidth is {bandwidth}: expected more than 0 and at most 1")
