"""The X-ray beam: how many photons, of what energies and directions, on how much of a crystal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from cxlsfind.sim.spectrum import Spectrum
from cxlsfind.units import wavelength_m

#: Full width at half maximum over standard deviation of a Gaussian.
FWHM: Final = 2.0 * math.sqrt(2.0 * math.log(2.0))

#: The lit part of a crystal is sampled at this many points along each edge.
_SAMPLES: Final = 48
#: Beyond this many radii a Gaussian beam counts as nothing (5e-4 of its photons).
_GAUSSIAN_REACH: Final = 3.3

Profile = Literal["disc", "gaussian"]


@dataclass(frozen=True, slots=True)
class Beam:
    """A beam along +z.

    Parameters
    ----------
    photons
        Photons on the sample in a frame, the whole spectrum.
    radius_m
        Radius of an evenly lit disc, or of half the intensity of a Gaussian, metres.
    polarisation
        Share of the photons whose electric field points along x; the others' points along y.
    divergence_rad
        Full width at half maximum of the directions of photons, rad.
    """

    photons: float
    photon_energy_ev: float
    spectrum: Spectrum
    radius_m: float
    profile: Profile
    polarisation: float
    divergence_rad: float

    @property
    def wavenumber(self) -> float:
        """One over the nominal wavelength, per metre."""
        return 1.0 / wavelength_m(self.photon_energy_ev)

    def dose(self, size_m: float, offset_m: tuple[float, float]) -> float:
        """Return the fluence integrated over a cubic crystal: photons per square metre times m^3.

        Parameters
        ----------
        size_m
            Edge of the cube, which lies along the axes, metres.
        offset_m
            Centre of the cube from that of the beam (x, y), metres.
        """
        x, y = (self._lit(size_m, centre) for centre in offset_m)
        square = x[None, :] ** 2 + y[:, None] ** 2
        area = np.ptp(x) * np.ptp(y) * (_SAMPLES / (_SAMPLES - 1)) ** 2
        return float(self._fluence(square).mean() * area) * size_m

    def _lit(self, size_m: float, centre_m: float) -> npt.NDArray[np.float64]:
        """Return points along that part of an edge which may be lit, in the middle of steps."""
        reach = self.radius_m * (1.0 if self.profile == "disc" else _GAUSSIAN_REACH)
        low = max(centre_m - size_m / 2, -reach)
        high = max(min(centre_m + size_m / 2, reach), low)
        steps = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
        return np.asarray(low + (high - low) * steps, np.float64)

    def _fluence(self, square_m2: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        area = math.pi * self.radius_m**2
        if self.profile == "disc":
            return np.asarray((square_m2 <= self.radius_m**2) * (self.photons / area))
        # exp(-ln 2 r^2 / radius^2) integrates to the disc's area over ln 2.
        relative = square_m2 / self.radius_m**2
        return np.asarray(self.photons * math.log(2.0) / area * np.exp(-math.log(2.0) * relative))


def polarisation_factor(
    directions: npt.NDArray[np.float64], polarisation: float
) -> npt.NDArray[np.float64]:
    """Return the share of the scattering that polarisation leaves, shape (n,).

    Parameters
    ----------
    directions
        Where photons go, of any length, shape (n, 3).
    polarisation
        As in :class:`Beam`.
    """
    square = directions**2
    length = square.sum(axis=1)
    return np.asarray(
        1.0 - (polarisation * square[:, 0] + (1.0 - polarisation) * square[:, 1]) / length
    )
