"""Photon energy and camera length from the photons between the spots, as a posterior.

A ring profile, photons by distance from the beam, is compared with what water scatters at every
energy E and camera length L. The radius of a ring fixes L / E; only the curvature of the scale of
q and the fall of solid angle and polarisation with the angle tell the two apart, and weakly. So
the answer is a probability over both, with its ridge, and often "not identifiable".

Headers come in as factors, and what the photons say without them is compared with them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from cxlsfind.models.ring_fit import (
    CLENS_M,
    ENERGIES_EV,
    ROUNDS,
    Nodes,
    RingProfile,
    log_likelihood,
    rebin,
    temperature,
)

FloatArray = npt.NDArray[np.float64]

#: A parameter is identified when this much of the probability lies within these of its best value.
IDENTIFIED_MASS: Final = 0.68
ENERGY_WINDOW_EV: Final = 50.0
CLEN_WINDOW_M: Final = 0.005

#: The scale of q of the template is known to this part: temperature and buffer move the ring.
Q_SCALE_SIGMA: Final = 0.005

#: With a larger deviance per degree of freedom something is in the beam that the template does not
#: know, and nothing is identified.
MOST_MISFIT: Final = 2.0

#: Fewest photons that are worth a fit.
_FEWEST_PHOTONS = 300


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says, and how far it is trusted: value and standard deviation."""

    value: float
    sigma: float


@dataclass(frozen=True, slots=True)
class ParameterPosterior:
    """What is known of photon energy and camera length.

    Parameters
    ----------
    photon_energy_ev, clen_m
        Posterior means, eV and metres.
    sigma_energy_ev, sigma_clen_m
        Posterior standard deviations.
    correlation
        Between the logarithms of both.
    ring_scale, sigma_ring_scale
        Mean of ln(L / E), metres per eV, which is what rings fix, and its standard deviation.
    is_energy_identified, is_clen_identified
        Whether the nearest 0.1 keV, the nearest cm, can be told.
    misfit
        Deviance of the best fit per degree of freedom; about 1 where the template does.
    conflict
        How many standard deviations photons and headers are apart along the ring scale; NaN
        without headers of both.
    energy_interval_ev, clen_interval_m
        68 and 95 % intervals: low 95, low 68, high 68, high 95.
    """

    photon_energy_ev: float
    sigma_energy_ev: float
    clen_m: float
    sigma_clen_m: float
    correlation: float
    ring_scale: float
    sigma_ring_scale: float
    is_energy_identified: bool
    is_clen_identified: bool
    misfit: float
    conflict: float
    energy_interval_ev: tuple[float, float, float, float]
    clen_interval_m: tuple[float, float, float, float]


def estimate_parameters(
    profile: RingProfile, *, energy: Header | None = None, clen: Header | None = None
) -> ParameterPosterior | None:
    """Return what a ring profile and headers say of photon energy and camera length.

    Parameters
    ----------
    energy, clen
        Headers, eV and metres; ``None``: the photons alone.

    Returns
    -------
    The posterior; ``None`` where there are too few photons to say anything.
    """
    profile = rebin(profile)
    if profile.photons.sum() < _FEWEST_PHOTONS or len(profile.photons) < 8:
        return None
    alone = _search(profile, _Prior(None, None))
    both = alone
    if energy is not None or clen is not None:
        both = _search(profile, _Prior(energy, clen))
    return _summarise(both, _conflict(alone, energy, clen))


class _Found(NamedTuple):
    """A posterior on its grid: places, weights, and how well the best one fits."""

    nodes: Nodes
    weights: FloatArray
    misfit: float


def _search(profile: RingProfile, prior: _Prior) -> _Found:
    """Refine a grid until it lies on the posterior."""
    nodes = Nodes.everywhere()
    for _ in range(ROUNDS):
        density, misfits = log_likelihood(profile, nodes)
        # What the template does not explain is no information: it widens everything.
        misfit = float(misfits[int(np.argmax(density))])
        density = density / max(misfit, 1.0) + prior.of(nodes)
        heat = temperature(density)
        weights = np.exp((density - density.max()) / heat)
        if heat == 1.0 and nodes.is_fine:
            break
        nodes = nodes.around(weights)
    return _Found(nodes, weights / weights.sum(), misfit)


@dataclass(frozen=True, slots=True)
class _Prior:
    """What is known beforehand: nothing but the ranges, and headers."""

    energy: Header | None
    clen: Header | None

    def of(self, nodes: Nodes) -> FloatArray:
        """Return its logarithm; flat in the logarithms of both."""
        energy, clen = nodes.energy_ev, nodes.clen_m
        inside = (energy >= ENERGIES_EV[0]) & (energy <= ENERGIES_EV[1])
        inside &= (clen >= CLENS_M[0]) & (clen <= CLENS_M[1])
        logarithm = np.where(inside, 0.0, -1e6)
        for header, value in ((self.energy, energy), (self.clen, clen)):
            if header is not None:
                logarithm = logarithm - 0.5 * ((value - header.value) / header.sigma) ** 2
        return logarithm


def _summarise(found: _Found, conflict: float) -> ParameterPosterior:
    nodes, weights = found.nodes, found.weights
    mean, covariance = nodes.moments(weights)
    # The scale of q of the template: an energy that is off by as much, at the same camera length.
    off = Q_SCALE_SIGMA * np.array([-1.0, 1.0])
    covariance = covariance + np.outer(off, off)
    to_clen = np.array([1.0, 1.0])
    energy = _Marginal(nodes.place[:, 1], weights, Q_SCALE_SIGMA)
    clen = _Marginal(nodes.place.sum(axis=1), weights, 0.0)
    spread = math.sqrt(covariance[1, 1]), math.sqrt(float(to_clen @ covariance @ to_clen))
    fits = found.misfit <= MOST_MISFIT
    return ParameterPosterior(
        photon_energy_ev=energy.middle,
        sigma_energy_ev=energy.middle * spread[0],
        clen_m=clen.middle,
        sigma_clen_m=clen.middle * spread[1],
        correlation=float(covariance[1] @ to_clen) / (spread[0] * spread[1]),
        ring_scale=float(mean[0]),
        sigma_ring_scale=math.sqrt(covariance[0, 0]),
        is_energy_identified=fits and energy.mass_within(ENERGY_WINDOW_EV) >= IDENTIFIED_MASS,
        is_clen_identified=fits and clen.mass_within(CLEN_WINDOW_M) >= IDENTIFIED_MASS,
        misfit=found.misfit,
        conflict=conflict,
        energy_interval_ev=energy.interval(),
        clen_interval_m=clen.interval(),
    )


class _Marginal:
    """What is known of one quantity.

    Parameters
    ----------
    logarithm, weights
        Its natural logarithm at the places of a grid, and their weights.
    blur
        A relative error on top of it.
    """

    def __init__(self, logarithm: FloatArray, weights: FloatArray, blur: float) -> None:
        order = np.argsort(logarithm)
        self._logarithm = logarithm[order]
        self._share = np.cumsum(weights[order]) - 0.5 * weights[order]
        self._centre = float(weights @ logarithm)
        self._blur = blur

    @property
    def middle(self) -> float:
        """The mean of the logarithm."""
        return math.exp(self._centre)

    def mass_within(self, window: float) -> float:
        """Return the probability within a window of the middle."""
        shares = np.linspace(0.0, 1.0, 400)
        ends = np.array([self._quantile(float(share)) for share in shares])
        inside = np.abs(ends - self.middle) <= window
        return float(inside.mean())

    def interval(self) -> tuple[float, float, float, float]:
        """Return the ends of the 95 and 68 % intervals, from low to high."""
        return (
            self._quantile(0.025),
            self._quantile(0.16),
            self._quantile(0.84),
            self._quantile(0.975),
        )

    def _quantile(self, share: float) -> float:
        apart = float(np.interp(share, self._share, self._logarithm)) - self._centre
        blurred = self._blur * float(ndtri(min(max(share, 1e-4), 1.0 - 1e-4)))
        return math.exp(self._centre + math.copysign(math.hypot(apart, blurred), apart))


def _conflict(alone: _Found, energy: Header | None, clen: Header | None) -> float:
    """Return how far photons and headers are apart along the ring scale, in standard deviations."""
    if energy is None or clen is None:
        return math.nan
    mean, covariance = alone.nodes.moments(alone.weights)
    variance = covariance[0, 0] + Q_SCALE_SIGMA**2
    variance += (energy.sigma / energy.value) ** 2 + (clen.sigma / clen.value) ** 2
    apart = float(mean[0]) - math.log(clen.value / energy.value)
    return apart / math.sqrt(variance)
