"""Integrated intensities of a still crystal: photons of every reflection that the beam meets.

The intensity is the Laue integral: a reflection takes what the spectrum has at its wavelength,

    N = r_e^2 F V |F_hkl|^2 P lambda^3 S / (2 V_c^2 sin^2 theta),

with the fluence integrated over the crystal (F V), polarisation P, volume of the cell V_c, and the
density S of the spectrum per logarithm of the energy, one over the bandwidth for a top hat.
Divergence, mosaicity and the size of the crystal blur the reflection's wavelength, and with it S.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels.sim_reflections import Band, select_reflections
from cxlsfind.sim.beam import FWHM, Beam, polarisation_factor
from cxlsfind.sim.crystals.reflections import Crystal

FloatArray = npt.NDArray[np.float64]

#: Classical radius of the electron, metres (CODATA 2018).
ELECTRON_RADIUS_M: Final = 2.8179403e-15
#: Width of the node of a cube of edge one: full width at half maximum of sinc squared.
_NODE_FWHM: Final = 0.886


@dataclass(frozen=True, slots=True)
class Lattice:
    """One crystal in the beam.

    Parameters
    ----------
    orientation
        Unit quaternion (w, x, y, z) that turns the cell's standard setting.
    size_m
        Edge of the cube, metres.
    offset_m
        Its centre from that of the beam (x, y), metres.
    mosaicity_rad
        Full width at half maximum of the orientations of its blocks, rad.
    """

    orientation: tuple[float, float, float, float]
    size_m: float
    offset_m: tuple[float, float]
    mosaicity_rad: float

    @property
    def rotation(self) -> FloatArray:
        """The orientation as a matrix, shape (3, 3)."""
        w, x, y, z = self.orientation
        return np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
            ]
        )

    @property
    def node_sigma(self) -> float:
        """Standard deviation of the nodes of the reciprocal lattice, per metre."""
        return _NODE_FWHM / self.size_m / FWHM


def turn_anyhow(rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Draw an orientation, all alike, as a unit quaternion (w, x, y, z)."""
    # Normal in four dimensions has no direction: so have the turns.
    w, x, y, z = rng.standard_normal(4).tolist()
    length = math.sqrt(w * w + x * x + y * y + z * z)
    return w / length, x / length, y / length, z / length


@dataclass(frozen=True, slots=True, eq=False)
class Reflections:
    """Reflections that the beam meets; arrays of equal length.

    Parameters
    ----------
    hkl
        Miller indices, int16, shape (n, 3).
    q
        Nodes of the reciprocal lattice in the laboratory, per metre, shape (n, 3).
    log_k
        Logarithm of the wavenumber that the middle of the node diffracts, over the nominal one.
    sigma
        Standard deviation of that over angles of beam and blocks and the size of the node.
    shift
        Mean over what really diffracts of that logarithm, minus ``log_k``.
    density
        Mean of the spectrum's density over the profile of each.
    photons
        Expected photons, before absorption and the detector.
    """

    hkl: npt.NDArray[np.int16]
    q: FloatArray
    log_k: FloatArray
    sigma: FloatArray
    shift: FloatArray
    density: FloatArray
    photons: FloatArray

    def select(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> Reflections:
        """Return some of them."""
        return Reflections(
            self.hkl[chosen],
            self.q[chosen],
            self.log_k[chosen],
            self.sigma[chosen],
            self.shift[chosen],
            self.density[chosen],
            self.photons[chosen],
        )

    def __len__(self) -> int:
        """Return their number."""
        return len(self.photons)


class LaueCamera:
    """Finds the reflections of still crystals of one kind.

    Parameters
    ----------
    crystal
        Kind of crystal.
    q_limit
        Largest |q| that the detector can see, per metre.
    """

    def __init__(self, crystal: Crystal, q_limit: float) -> None:
        self.crystal = crystal
        self._reciprocal = crystal.cell.reciprocal
        self._limit = q_limit
        capacity = len(crystal.hkl)
        self._row = np.empty(capacity, np.int32)
        self._q = np.empty((capacity, 3))
        self._log_k = np.empty(capacity)
        self._sigma = np.empty(capacity)

    def reflections(self, lattice: Lattice, beam: Beam) -> Reflections:
        """Return the reflections of a crystal that take photons of a beam."""
        angle = np.hypot(beam.divergence_rad, lattice.mosaicity_rad) / FWHM
        band = Band(
            wavenumber=beam.wavenumber,
            low=float(beam.spectrum.nodes[0]),
            high=float(beam.spectrum.nodes[-1]),
            angle=float(angle),
            node=lattice.node_sigma,
            limit=self._limit,
        )
        turned = np.ascontiguousarray(lattice.rotation @ self._reciprocal)
        number = select_reflections(
            self.crystal.hkl, turned, band, self._row, self._q, self._log_k, self._sigma
        )
        row = self._row[:number]
        is_mate = row < 0
        source = np.where(is_mate, -1 - row, row)
        hkl = self.crystal.hkl[source]
        hkl[is_mate] *= -1
        log_k, sigma = self._log_k[:number].copy(), self._sigma[:number].copy()
        q = self._q[:number].copy()
        density, shift = beam.spectrum.overlap(log_k, sigma)
        photons = self._photons(lattice, beam, q, log_k) * density * self.crystal.intensity[source]
        return Reflections(hkl, q, log_k, sigma, shift, density, photons)

    def _photons(
        self, lattice: Lattice, beam: Beam, q: FloatArray, log_k: FloatArray
    ) -> FloatArray:
        """Return the Laue formula without the structure factor and the spectrum."""
        wavenumber = beam.wavenumber * np.exp(log_k)
        outgoing = q.copy()
        outgoing[:, 2] += wavenumber
        sine_squared = (q**2).sum(axis=1) / (2.0 * wavenumber) ** 2
        scale = ELECTRON_RADIUS_M**2 * beam.dose(lattice.size_m, lattice.offset_m)
        return np.asarray(
            scale
            / self.crystal.cell.volume_m3**2
            * polarisation_factor(outgoing, beam.polarisation)
            / (2.0 * wavenumber**3 * sine_squared)
        )
