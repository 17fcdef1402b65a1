"""Fitting the photons between the spots with what water and its company scatter.

The fit is linear but for photon energy and camera length: what is not water (buffer, air,
windows), what the template is not sure of, and what absorption and the detector do across the
radius are terms with Gaussian priors, integrated out in the Laplace approximation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from cxlsfind.errors import UsageError
from cxlsfind.models.water import (
    air_path,
    pixel_factor,
    scattering_vector,
    water_scattering,
)

FloatArray = npt.NDArray[np.float64]

#: Ranges that are searched, eV and metres.
ENERGIES_EV: Final = (4000.0, 20000.0)
CLENS_M: Final = (0.05, 0.6)

_MOST_BINS = 96
_NEWTON_STEPS = 6

#: Nodes per axis of the grids, how far they reach, rounds of refinement, and how many nodes must
#: share the posterior.
_GRID = 21
_REACH_SIGMA = 4.0
ROUNDS: Final = 12
_FINE = 20.0

#: The template's errors as cosines of q, up to this q (per angstrom), each by about this part.
_Q_REACH = 4.0
_Q_TERMS = 8
_Q_SIGMA = 0.0045

#: Paths through air, in parts of the camera length.
_AIR_PATHS = (0.1, 0.3, 0.6)

#: Standard deviations of the linear terms, relative to water: water itself (free), a constant,
#: two kinds of scattering at small angles, air, absorption on slanted ways, a tilt and a bend of
#: the efficiency with the radius, errors of the template.
_TERM_SIGMA: Final = np.array(
    [1e3, 0.2, 1.5, 1.5, 2.0, 2.0, 2.0, 0.5, 0.02, 0.02, *[_Q_SIGMA] * _Q_TERMS]
)


@dataclass(frozen=True, slots=True, eq=False)
class RingProfile:
    """Photons by distance from the beam, of one frame or of many.

    Parameters
    ----------
    radius_m
        Middles of the rings, metres, ascending, (rings,).
    photons
        Photons counted, outside spots, (rings,).
    exposure
        Usable pixels, times frames, (rings,).
    """

    radius_m: FloatArray
    photons: FloatArray
    exposure: FloatArray

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together."""
        shapes = {self.radius_m.shape, self.photons.shape, self.exposure.shape}
        if len(shapes) != 1 or self.radius_m.ndim != 1:
            raise UsageError(f"a ring profile needs three equal columns, found {sorted(shapes)}")


@dataclass(frozen=True, slots=True, eq=False)
class Nodes:
    """Places, (ln(L / E), ln E), on a grid along the axes of an ellipse.

    Parameters
    ----------
    place
        Shape (nodes, 2).
    is_fine
        Whether the ellipse was the posterior's own.
    """

    place: FloatArray
    is_fine: bool

    @property
    def energy_ev(self) -> FloatArray:
        """Photon energies, eV."""
        energy: FloatArray = np.exp(self.place[:, 1])
        return energy

    @property
    def clen_m(self) -> FloatArray:
        """Camera lengths, metres."""
        clen: FloatArray = np.exp(self.place.sum(axis=1))
        return clen

    @classmethod
    def everywhere(cls) -> Nodes:
        """Return a grid over all energies and camera lengths."""
        energy = np.linspace(math.log(ENERGIES_EV[0]), math.log(ENERGIES_EV[1]), 24)
        clen = np.linspace(math.log(CLENS_M[0]), math.log(CLENS_M[1]), 36)
        a, b = np.meshgrid(clen, energy, indexing="ij")
        return cls(np.column_stack([(a - b).ravel(), b.ravel()]), is_fine=False)

    def moments(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return mean and covariance of the places."""
        mean = weights @ self.place
        apart = self.place - mean
        return mean, (weights[:, None] * apart).T @ apart

    def around(self, weights: FloatArray) -> Nodes:
        """Return a grid along the axes of what the weights describe."""
        weights = weights / weights.sum()
        mean, covariance = self.moments(weights)
        axes = np.linalg.cholesky(covariance + 1e-14 * np.eye(2))
        steps = np.linspace(-_REACH_SIGMA, _REACH_SIGMA, _GRID)
        a, b = np.meshgrid(steps, steps, indexing="ij")
        place = mean + np.column_stack([a.ravel(), b.ravel()]) @ axes.T
        return Nodes(place, is_fine=effective_nodes(weights) >= _FINE)


def effective_nodes(weights: FloatArray) -> float:
    """Return how many nodes share the weight."""
    return float(weights.sum() ** 2 / (weights**2).sum())


def temperature(log_density: FloatArray) -> float:
    """Return by what to divide a log density so that enough nodes have a part of it; at least 1."""
    low, high = 0.0, 40.0
    relative = log_density - log_density.max()
    if effective_nodes(np.exp(relative)) >= _FINE:
        return 1.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        if effective_nodes(np.exp(relative / math.exp(middle))) < _FINE:
            low = middle
        else:
            high = middle
    return math.exp(high)


def log_likelihood(profile: RingProfile, nodes: Nodes) -> tuple[FloatArray, FloatArray]:
    """Return the log likelihood with the linear terms integrated out, and the misfit.

    Poisson counts, mean ``exposure * basis @ terms``; the terms' priors are Gaussian, the integral
    is Laplace's.
    """
    basis = _basis(profile.radius_m, nodes)
    counts, exposure = profile.photons, profile.exposure
    n_nodes, _, n_terms = basis.shape
    total = counts.sum() / np.einsum("r,grj->gj", exposure, basis)[:, 0]
    sigma = total[:, None] * _TERM_SIGMA
    precision = 1.0 / sigma**2
    terms = np.zeros((n_nodes, n_terms))
    terms[:, 0] = total
    floor = 1e-3 * total[:, None] * basis[:, :, 0]
    target = np.zeros(n_terms)
    for _ in range(_NEWTON_STEPS):
        mean = np.maximum(np.einsum("grj,gj->gr", basis, terms), floor)
        weight = exposure / mean
        hessian = np.einsum("grj,gr,grk->gjk", basis, weight, basis, optimize=True)
        index = np.arange(n_terms)
        hessian[:, index, index] += precision
        right = np.einsum("grj,gr->gj", basis, counts / mean) + precision * target
        terms = np.linalg.solve(hessian, right[:, :, None])[:, :, 0]
    mean = np.maximum(np.einsum("grj,gj->gr", basis, terms), floor)
    expected = exposure * mean
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = np.where(counts > 0, counts * np.log(counts / expected), 0.0)
    deviance = 2.0 * (gain - (counts - expected)).sum(axis=1)
    penalty = ((terms[:, 1:] / sigma[:, 1:]) ** 2).sum(axis=1)
    _, log_det = np.linalg.slogdet(hessian * sigma[:, :, None] * sigma[:, None, :])
    # Terms that their priors hold take no freedom from the fit.
    inverse = np.linalg.inv(hessian)
    taken = (1.0 - np.einsum("gjj,gj->gj", inverse, precision)).sum(axis=1)
    misfit = (deviance + penalty) / np.maximum(len(counts) - taken, 1.0)
    return -0.5 * (deviance + penalty + log_det), misfit


def _basis(radius_m: FloatArray, nodes: Nodes) -> FloatArray:
    """Return what every term scatters into a pixel, (nodes, rings, terms); the first is water."""
    q = scattering_vector(radius_m, nodes.clen_m[:, None], nodes.energy_ev[:, None])
    factor = pixel_factor(radius_m, nodes.clen_m[:, None])
    water = water_scattering(q) * factor
    secant = np.sqrt(1.0 + (radius_m / nodes.clen_m[:, None]) ** 2)
    share = radius_m / radius_m[-1]
    columns = [
        water,
        factor,
        6.5 * np.exp(-0.5 * (q / 0.45) ** 2) * factor,
        6.5 * np.exp(-0.5 * (q / 0.2) ** 2) * factor,
        *(
            air_path(radius_m, nodes.clen_m[:, None], nodes.energy_ev[:, None], length)
            for length in _AIR_PATHS
        ),
        water * (secant - 1.0),
        water * (share - 0.5),
        water * (share**2 - 1.0 / 3.0),
        *(water * np.cos(math.pi * k * q / _Q_REACH) for k in range(1, _Q_TERMS + 1)),
    ]
    return np.stack(columns, axis=2)


def rebin(profile: RingProfile) -> RingProfile:
    """Return the profile without empty rings, in at most as many as the fit can take."""
    kept = profile.exposure > 0
    radius, photons, exposure = (
        array[kept].astype(np.float64)
        for array in (profile.radius_m, profile.photons, profile.exposure)
    )
    if len(radius) <= _MOST_BINS:
        return RingProfile(radius, photons, exposure)
    edges = np.linspace(radius[0], radius[-1] * (1 + 1e-9), _MOST_BINS + 1)
    place = np.searchsorted(edges, radius, side="right") - 1
    moment, counted, seen = (
        np.bincount(place, values, minlength=_MOST_BINS).astype(np.float64)
        for values in (exposure * radius, photons, exposure)
    )
    filled = seen > 0
    return RingProfile(moment[filled] / seen[filled], counted[filled], seen[filled])
