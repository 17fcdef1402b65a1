"""Fitting the photons between the spots with the family of ring profiles.

At a given photon energy, camera length and latents are found by Fisher scoring of a multinomial
likelihood (the number of photons says nothing), and integrated out in the Laplace approximation.
What is left is a curve: how likely an energy is, and where the camera length then lies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.errors import UsageError
from cxlsfind.models.ring_family import LATENTS, Places, light

FloatArray = npt.NDArray[np.float64]

_MOST_BINS = 96

#: The variance of what chance bends a ring by, times its photons: a second difference over 24.
_CHANCE_BEND: Final = 6.0 / 24.0**2

#: The change of the objective at which the scoring ends, and how far a step may go in the logarithm
#: of the camera length and in latents.
_DONE: Final = 1e-2
_LONGEST_STEP: Final = np.array([0.1, *[2.0] * LATENTS])


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


class Fit(NamedTuple):
    """The best camera length and latents at some places' energies.

    Parameters
    ----------
    places
        The places, moved to their best.
    log_likelihood
        With the camera length and the latents integrated out, up to a constant, (places,).
    clen_sigma
        Standard deviation of the logarithm of the camera length, (places,).
    misfit
        Deviance of the best fit per degree of freedom, (places,).
    """

    places: Places
    log_likelihood: FloatArray
    clen_sigma: FloatArray
    misfit: FloatArray


def fit_places(profile: RingProfile, start: Places, *, is_clen_free: bool, steps: int) -> Fit:
    """Return the best camera length and latents for every place's energy and way.

    Parameters
    ----------
    profile
        With photons.
    start
        Where to start.
    is_clen_free
        Whether the camera lengths may move.
    steps
        The most steps that are taken.
    """
    places = start.part(np.arange(len(start.clen_log)))
    state = _State.at(profile, places, is_clen_free)
    damping = np.full(len(places.clen_log), 1e-3)
    moving = np.arange(len(damping))
    for _ in range(steps):
        hessian, held = state.hessian[moving], np.arange(LATENTS + 1)
        hessian[:, held, held] *= 1.0 + damping[moving, None]
        step = np.linalg.solve(hessian, state.score[moving, :, None])[:, :, 0]
        longest = np.abs(step / _LONGEST_STEP).max(axis=1, keepdims=True)
        new_places = places.part(moving).moved(step / np.maximum(longest, 1.0))
        new = _State.at(profile, new_places, is_clen_free)
        gain = new.objective - state.objective[moving]
        better = gain >= 0.0
        for old, values in ((places, new_places), (state, new)):
            for column, value in zip(old, values, strict=True):
                column[moving[better]] = value[better]
        damping[moving] = np.where(better, 0.2 * damping[moving], 10.0 * damping[moving])
        moving = moving[np.abs(gain) > _DONE]
        if not len(moving):
            break
    inverse = np.linalg.inv(state.hessian)
    _, log_det = np.linalg.slogdet(state.hessian)
    # Latents that their priors hold take no freedom from the fit.
    taken = LATENTS + 1 - np.einsum("pkk->p", inverse[:, 1:, 1:])
    misfit = state.deviance / np.maximum(len(profile.photons) - 1.0 - taken, 1.0)
    return Fit(places, state.objective - 0.5 * log_det, np.sqrt(inverse[:, 0, 0]), misfit)


class _State(NamedTuple):
    """The objective at some places, its derivatives, and the deviance with the prior's part."""

    objective: FloatArray
    deviance: FloatArray
    score: FloatArray
    hessian: FloatArray

    @classmethod
    def at(cls, profile: RingProfile, places: Places, is_clen_free: bool) -> _State:
        counts, total = profile.photons, profile.photons.sum()
        logarithm, slope = light(profile.radius_m, places)
        share = np.log(profile.exposure) + logarithm
        share -= share.max(axis=1, keepdims=True)
        share -= np.log(np.exp(share).sum(axis=1, keepdims=True))
        expected = total * np.exp(share)
        slope = slope - np.einsum("pr,prk->pk", expected / total, slope)[:, None]
        if not is_clen_free:
            slope[:, :, 0] = 0.0
        full = counts > 0
        best = float((counts[full] * np.log(counts[full] / total)).sum())
        deviance = 2.0 * (best - share @ counts) + (places.latent**2).sum(axis=1)
        score = np.einsum("pr,prk->pk", counts - expected, slope)
        score[:, 1:] -= places.latent
        hessian = np.matmul((slope * expected[:, :, None]).transpose(0, 2, 1), slope)
        index = np.arange(1, LATENTS + 1)
        hessian[:, index, index] += 1.0
        hessian[:, 0, 0] += 1.0 if not is_clen_free else 1e-9
        return cls(-0.5 * deviance, deviance, score, hessian)


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
    moment, square, counted, seen = (
        np.bincount(place, values, minlength=_MOST_BINS).astype(np.float64)
        for values in (exposure * radius, exposure * radius**2, photons, exposure)
    )
    filled = seen > 0
    counted, seen = counted[filled], seen[filled]
    middle = moment[filled] / seen
    spread = np.maximum(square[filled] / seen - middle**2, 0.0)
    return RingProfile(middle, counted, seen * (1.0 + _bend(middle, counted, seen, spread)))


def _bend(
    middle: FloatArray, photons: FloatArray, exposure: FloatArray, spread: FloatArray
) -> FloatArray:
    """Return by how much, of itself, the mean light of wide rings exceeds that at their middles.

    Parameters
    ----------
    spread
        Variance of the radius within them, square metres.
    """
    light = photons / exposure
    steps = np.diff(middle)
    curvature = np.zeros_like(light)
    curvature[1:-1] = 2.0 * np.diff(np.diff(light) / steps) / (steps[:-1] + steps[1:])
    bend = np.zeros_like(light)
    np.divide(0.5 * curvature * spread, light, out=bend, where=light > 0.0)
    bend = np.clip(bend, -0.2, 0.2)
    # Chance bends rings too, and following it would make neighbours differ by more than chance.
    real = float(photons @ bend**2)
    chance = _CHANCE_BEND * len(bend)
    return bend * max(0.0, 1.0 - chance / max(real, 1e-300))
