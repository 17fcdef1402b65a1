"""Shapes of Bragg spots: which ways they are blurred, and how far.

Beam direction, orientation of mosaic blocks and position within a node of the reciprocal lattice
all change both the wavenumber that a reflection takes and the direction it goes to. To first order
in these small quantities the direction along the radius is a line in the wavenumber, with normal
scatter about it: a streak, as long as the band lets it be. A perfect crystal in a parallel beam
makes a point whatever the band.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels.sim_panels import PanelGrid
from cxlsfind.kernels.sim_spots import SpotShapes
from cxlsfind.sim.beam import FWHM, Beam
from cxlsfind.sim.laue import Lattice, Reflections
from cxlsfind.sim.panels import land

FloatArray = npt.NDArray[np.float64]

#: Spots centred this far off a panel may still reach it, px.
MARGIN_PX = 40.0


def spot_shapes(
    reflections: Reflections, lattice: Lattice, beam: Beam, grid: PanelGrid
) -> tuple[npt.NDArray[np.intp], SpotShapes]:
    """Return which reflections land on or beside a panel, and the shapes of their spots."""
    wavenumber = beam.wavenumber * np.exp(reflections.log_k)
    outgoing = reflections.q.copy()
    outgoing[:, 2] += wavenumber
    landing = land(grid, outgoing, MARGIN_PX)
    row = landing.row
    q, outgoing, wavenumber = reflections.q[row], outgoing[row], wavenumber[row]

    across = np.hypot(q[:, 0], q[:, 1])
    radius = q[:, :2] / across[:, None]
    cosine, sine = outgoing[:, 2] / wavenumber, across / wavenumber
    zero = np.zeros(len(row))
    up = np.column_stack([radius * cosine[:, None], -sine])  # where a larger angle goes
    side = np.column_stack([-radius[:, 1], radius[:, 0], zero])

    inverse = grid.inverse[landing.panel]
    depth = landing.depth[:, None, None]
    place = np.stack([landing.fs, landing.ss], axis=1)[:, :, None]
    # Derivative of the place on the panel by the direction, px per radian.
    change = (inverse[:, :2, :] - place * inverse[:, 2:, :]) / depth * wavenumber[:, None, None]
    distance = wavenumber / landing.depth

    variance, covariance, var_side = _scatter(q, wavenumber, lattice, beam)
    sigma_k = reflections.sigma[row]
    slope = covariance / sigma_k**2
    # What is lit of the crystal, as seen from the detector.
    extent = min(lattice.size_m, 2.0 * beam.radius_m) / np.sqrt(12.0) / distance
    rest = np.maximum(variance - covariance * slope, 0.0)
    return row, SpotShapes(
        panel=landing.panel,
        fs=landing.fs,
        ss=landing.ss,
        radial=np.einsum("nij,nj->ni", change, up),
        across=np.einsum("nij,nj->ni", change, side),
        log_k=reflections.log_k[row],
        sigma_k=sigma_k,
        slope=slope,
        sigma_radial=np.hypot(np.sqrt(rest), extent),
        sigma_across=np.hypot(np.sqrt(var_side), extent),
        photons=reflections.photons[row],
    )


def _scatter(
    q: FloatArray, wavenumber: FloatArray, lattice: Lattice, beam: Beam
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return how directions scatter along and across the radius.

    Returns
    -------
    Variance along the radius; covariance with the logarithm of the wavenumber; variance across.
    """
    beam_var = (beam.divergence_rad / FWHM) ** 2
    block_var = (lattice.mosaicity_rad / FWHM) ** 2
    node_var = lattice.node_sigma**2
    across, along = np.hypot(q[:, 0], q[:, 1]), q[:, 2]
    square = across**2 + along**2
    cotangent = -across / along
    cosine, sine = 1.0 + along / wavenumber, across / wavenumber  # of twice theta
    # A node displaced along the radius or the beam changes the wavenumber by these ...
    by_radius, by_beam = 2.0 * across / square, 2.0 * along / square - 1.0 / along
    # ... and the direction by these.
    turn_radius = (cosine - sine * wavenumber * by_radius) / wavenumber
    turn_beam = -sine * (1.0 + wavenumber * by_beam) / wavenumber
    # A tilt of the beam turns the reflected ray back by as much; one of the lattice, by twice.
    variance = beam_var + 4.0 * block_var + node_var * (turn_radius**2 + turn_beam**2)
    covariance = -(beam_var + 2.0 * block_var) * cotangent
    covariance += node_var * (turn_radius * by_radius + turn_beam * by_beam)
    side = beam_var + (block_var * square + node_var) / wavenumber**2
    return variance, covariance, side
