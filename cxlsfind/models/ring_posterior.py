"""The posterior of photon energy and camera length: a mixture of Gaussians along the ridge.

At every energy of a fine grid the camera length is a Gaussian. The error of the template's scale
of q and headers are Gaussian too, so that they are folded in exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator
from scipy.special import ndtr

from cxlsfind.models.ring_family import AIR_LATENT, LATENTS, Q_SCALE_SIGMA, Places, bell
from cxlsfind.models.ring_fit import Fit, RingProfile, fit_places

FloatArray = npt.NDArray[np.float64]

#: What is possible beforehand, eV and metres: the logarithms of both are uniform between these.
ENERGIES_EV: Final = (4000.0, 20000.0)
CLENS_M: Final = (0.05, 0.6)

#: The first look: energies and camera lengths, and latents of air.
_FIRST: Final = (5, 40)
_FIRST_AIR: Final = (0.0, 2.8)

#: Steps of a fit to some of the photons, and to all.
_FIRST_STEPS = 5
_STEPS = 20

#: How many photons are believed in the first round, and times how many more in every next.
_FIRST_PHOTONS: Final = 1e4
_MORE_PHOTONS: Final = 10.0

#: Energies of a round, the most rounds, by how much log likelihood the ends of the grid lie below
#: its top, how many nodes must lie between, and by how much of itself a grid grows that is cut off.
_NODES = 33
_ROUNDS = 24
_DEPTH = 12.0
_FEWEST_NODES = 12
_GROWTH = 2.0

#: A misfit that is above one by less is chance: 2.7 standard deviations with 96 rings. Where it is
#: more, the search goes on as long as a round makes it this much smaller.
_CHANCE = 0.41
_GAIN = 0.99

#: Energies of the final grid, and points at which distributions are known.
_FINE = 401
_POINTS = 601


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says, and how far it is trusted: value and standard deviation."""

    value: float
    sigma: float

    @property
    def logarithm(self) -> float:
        """The logarithm of the value."""
        return math.log(self.value)

    @property
    def variance(self) -> float:
        """The variance of the logarithm."""
        return (self.sigma / self.value) ** 2


class Marginal:
    """What is known of one quantity: a mixture of Gaussians of its logarithm.

    Parameters
    ----------
    weight, mean, variance
        Of the Gaussians, weights with sum one.
    """

    def __init__(self, weight: FloatArray, mean: FloatArray, variance: FloatArray) -> None:
        self.mean = float(weight @ mean)
        self.variance = float(weight @ (variance + (mean - self.mean) ** 2))
        relevant = weight > 1e-9
        self._parts = weight[relevant], mean[relevant], np.sqrt(variance[relevant])

    @property
    def middle(self) -> float:
        """The quantity at the mean of the logarithm."""
        return math.exp(self.mean)

    @cached_property
    def _shares(self) -> tuple[FloatArray, FloatArray]:
        """Points of the logarithm, and the probability below each."""
        weight, mean, sigma = self._parts
        low, high = float((mean - 5.0 * sigma).min()), float((mean + 5.0 * sigma).max())
        place = np.linspace(low, high, _POINTS)
        return place, ndtr((place[:, None] - mean) / sigma) @ weight / weight.sum()

    def mass_within(self, window: float) -> float:
        """Return the probability within a window of the middle."""
        ends = [max(self.middle - window, 1e-300), self.middle + window]
        below, above = np.interp(np.log(ends), *self._shares)
        return float(above - below)

    def shortest(self, mass: float) -> tuple[float, float]:
        """Return the ends of the shortest interval, of the logarithm, that holds a probability."""
        place, share = self._shares
        starts = np.linspace(0.0, 1.0 - mass, _POINTS)
        low = np.interp(starts, share, place)
        high = np.interp(starts + mass, share, place)
        best = int(np.argmin(high - low))
        return math.exp(float(low[best])), math.exp(float(high[best]))


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """Weighted Gaussians in (ln E, ln L), each without correlation, along the ridge.

    Parameters
    ----------
    log_weight
        Logarithms of the weights, up to a constant, (points,).
    energy, energy_variance, clen, clen_variance
        Means and variances of both, (points,).
    misfit
        Deviance of the best fit per degree of freedom.
    """

    log_weight: FloatArray
    energy: FloatArray
    energy_variance: FloatArray
    clen: FloatArray
    clen_variance: FloatArray
    misfit: float

    @classmethod
    def of(cls, fit: Fit) -> Mixture:
        """Return what a fit says; first places without air on the way, then those with."""
        # What the family does not explain is no information: it widens everything.
        mass, _, _ = _truncated(fit.places.clen_log, fit.clen_sigma**2)
        misfit = float(fit.misfit[np.argmax(fit.log_likelihood + np.log(mass))])
        heat = misfit if misfit > 1.0 + _CHANCE else 1.0
        energy = fit.places.energy_log
        return cls(
            fit.log_likelihood / heat,
            energy,
            np.full(len(energy), Q_SCALE_SIGMA**2),
            fit.places.clen_log,
            fit.clen_sigma**2 * heat,
            misfit,
        )

    def finer(self) -> Mixture:
        """Return it at many energies instead of a few."""
        old = self.energy.reshape(2, -1)[0]
        new = np.linspace(old[0], old[-1], _FINE)
        log_weight, clen, clen_variance = (
            PchipInterpolator(old, column.reshape(2, -1), axis=1)(new).ravel()
            for column in (self.log_weight, self.clen, self.clen_variance)
        )
        energy = np.tile(new, 2)
        variance = np.full(len(energy), Q_SCALE_SIGMA**2)
        return Mixture(log_weight, energy, variance, clen, clen_variance, self.misfit)

    def with_headers(self, energy: Header | None, clen: Header | None) -> Mixture:
        """Return it times what headers and the limits of the camera length say."""
        log_weight = self.log_weight
        places = [self.energy, self.clen]
        variances = [self.energy_variance, self.clen_variance]
        for i, header in enumerate((energy, clen)):
            if header is not None:
                total = variances[i] + header.variance
                apart = header.logarithm - places[i]
                log_weight = log_weight - 0.5 * apart**2 / total - 0.5 * np.log(total)
                places[i] = places[i] + apart * variances[i] / total
                variances[i] = variances[i] * header.variance / total
        mass, places[1], variances[1] = _truncated(places[1], variances[1])
        log_weight = log_weight + np.log(mass)
        return Mixture(log_weight, places[0], variances[0], places[1], variances[1], self.misfit)

    @property
    def weight(self) -> FloatArray:
        """The weights; their sum is one."""
        weight = np.exp(self.log_weight - self.log_weight.max())
        return np.asarray(weight / weight.sum(), np.float64)

    def energy_marginal(self) -> Marginal:
        """Return what is known of the photon energy."""
        return Marginal(self.weight, self.energy, self.energy_variance)

    def clen_marginal(self) -> Marginal:
        """Return what is known of the camera length."""
        return Marginal(self.weight, self.clen, self.clen_variance)

    def scale_marginal(self) -> Marginal:
        """Return what is known of their ratio L / E, metres per eV."""
        variance = self.energy_variance + self.clen_variance
        return Marginal(self.weight, self.clen - self.energy, variance)

    def covariance(self) -> float:
        """Return the covariance of the logarithms of both."""
        apart = self.energy - self.weight @ self.energy
        return float(self.weight @ (apart * self.clen))


def find_posterior(profile: RingProfile, energy: Header | None, clen: Header | None) -> Mixture:
    """Return what a ring profile and headers say of photon energy and camera length.

    Parameters
    ----------
    profile
        At most as many rings as the fit can take, all with pixels.
    energy, clen
        Headers, eV and metres.
    """
    # Many photons make the likelihood steep, with places to get stuck: the search begins with few.
    photons = float(profile.photons.sum())
    believed = _FIRST_PHOTONS
    start = _look_around(_part(profile, believed / photons))
    nodes = _evenly(ENERGIES_EV, _NODES)
    before = math.inf
    for _ in range(_ROUNDS):
        fit = fit_places(
            _part(profile, believed / photons),
            _along(nodes, start),
            is_clen_free=True,
            steps=_STEPS if believed >= photons else _FIRST_STEPS,
        )
        start = fit.places
        found = Mixture.of(fit)
        density = found.with_headers(energy, clen).log_weight.reshape(2, -1).max(axis=0)
        inside = np.flatnonzero(density > density.max() - _DEPTH)
        ends = _ends_around(nodes, inside)
        is_cut = ends[0] < nodes[0] or ends[1] > nodes[-1]
        is_best = found.misfit <= 1.0 + _CHANCE or found.misfit > _GAIN * before
        if believed >= photons and len(inside) >= _FEWEST_NODES and not is_cut and is_best:
            break
        before = found.misfit if believed >= photons else math.inf
        believed *= _MORE_PHOTONS
        nodes = np.linspace(*ends, _NODES)
    return found.finer().with_headers(energy, clen)


def posterior_at(profile: RingProfile, energies_ev: FloatArray) -> Mixture:
    """Return what a ring profile says where the photon energy is one of a few, ascending.

    Parameters
    ----------
    profile
        As for :func:`find_posterior`.
    """
    photons = float(profile.photons.sum())
    believed = _FIRST_PHOTONS
    start = _look_around(_part(profile, believed / photons))
    while True:
        places = _along(np.log(energies_ev), start)
        part = _part(profile, believed / photons)
        fit = fit_places(part, places, is_clen_free=True, steps=_STEPS)
        if believed >= photons:
            return Mixture.of(fit)
        start, believed = fit.places, believed * _MORE_PHOTONS


def _truncated(mean: FloatArray, variance: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return mass, mean and variance of Gaussians within the limits of the camera length."""
    sigma = np.sqrt(variance)
    low, high = ((math.log(end) - mean) / sigma for end in CLENS_M)
    bells = bell(low), bell(high)
    mass = np.maximum(ndtr(high) - ndtr(low), 1e-30)
    shift = (bells[0] - bells[1]) / mass
    shrink = 1.0 + (low * bells[0] - high * bells[1]) / mass - shift**2
    # Far outside the limits nothing of this means anything, and weighs nothing.
    valid = mass > 1e-6
    return (
        mass,
        np.where(valid, mean + sigma * shift, mean),
        np.where(valid, variance * np.clip(shrink, 1e-3, 1.0), variance),
    )


def _evenly(ends: tuple[float, float], number: int) -> FloatArray:
    """Return evenly spaced logarithms."""
    return np.linspace(math.log(ends[0]), math.log(ends[1]), number)


def _ends_around(nodes: FloatArray, inside: npt.NDArray[np.intp]) -> tuple[float, float]:
    """Return where a grid should begin and end so that it holds what matters, and little else.

    Few photons, or steps, may have led astray: a grid that is cut off grows again.
    """
    lowest, highest = (math.log(end) for end in ENERGIES_EV)
    low, high = (
        float(nodes[max(inside[0] - 1, 0)]),
        float(nodes[min(inside[-1] + 1, len(nodes) - 1)]),
    )
    if inside[0] == 0:
        low = max(low - _GROWTH * (high - low), lowest)
    if inside[-1] == len(nodes) - 1:
        high = min(high + _GROWTH * (high - low), highest)
    return low, high


def _part(profile: RingProfile, share: float) -> RingProfile:
    """Return a profile as if only a share of its photons, at most all, had been counted."""
    return replace(profile, photons=profile.photons * min(share, 1.0))


def _look_around(profile: RingProfile) -> Places:
    """Return a rough camera length and latents for some energies, with and without air."""
    energies = _evenly(ENERGIES_EV, _FIRST[0])
    trials = [a.ravel() for a in np.meshgrid(_evenly(CLENS_M, _FIRST[1]), _FIRST_AIR)]
    clen, air = (np.tile(trial, len(energies)) for trial in trials)
    latent = np.zeros((len(clen), LATENTS))
    latent[:, AIR_LATENT] = air
    everywhere = Places(
        clen, np.repeat(energies, len(trials[0])), np.zeros(len(clen), np.bool_), latent
    )
    fit = fit_places(profile, everywhere, is_clen_free=False, steps=_FIRST_STEPS)
    tried = fit.log_likelihood.reshape(len(energies), -1)
    best = fit.places.part(tried.argmax(axis=1) + tried.shape[1] * np.arange(len(energies)))
    return Places(
        np.tile(best.clen_log, 2),
        np.tile(best.energy_log, 2),
        np.repeat([False, True], len(energies)),
        np.tile(best.latent, (2, 1)),
    )


def _along(nodes: FloatArray, start: Places) -> Places:
    """Return places at other energies, between those at hand; first without air, then with."""
    old = start.energy_log.reshape(2, -1)[0]
    columns = np.column_stack([start.clen_log, start.latent]).reshape(2, len(old), -1)
    between = np.stack(
        [[np.interp(nodes, old, column) for column in half.T] for half in columns], axis=0
    )
    # Beyond those at hand rings stay where they are.
    between[:, 0] += nodes - np.clip(nodes, old[0], old[-1])
    unknown = between.transpose(0, 2, 1).reshape(2 * len(nodes), -1)
    return Places(
        unknown[:, 0], np.tile(nodes, 2), np.repeat([False, True], len(nodes)), unknown[:, 1:]
    )
