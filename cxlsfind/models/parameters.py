"""Photon energy and camera length from the photons between the spots, as a posterior.

A ring profile, photons by distance from the beam, is compared with what water and its company
scatter at every energy E and camera length L. The radius of a ring fixes L / E; only the curvature
of the scale of q, absorption, and the fall of solid angle and polarisation with the angle tell the
two apart, and weakly. So the answer is a probability over both, with its ridge, and often "not
identifiable".

Headers come in as factors, and what the photons say without them is compared with them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from cxlsfind.models.ring_fit import RingProfile, rebin
from cxlsfind.models.ring_posterior import Header, Mixture, find_posterior

#: A parameter is identified when this much of the probability lies within these of its best value.
IDENTIFIED_MASS: Final = 0.68
ENERGY_WINDOW_EV: Final = 50.0
CLEN_WINDOW_M: Final = 0.005

#: With a larger deviance per degree of freedom something is in the beam that the template does not
#: know, and nothing is identified.
MOST_MISFIT: Final = 2.0

#: Fewest photons that are worth a fit.
_FEWEST_PHOTONS = 300


#: Photons and headers that are this many standard deviations apart raise an alarm.
ALARM_SIGMA: Final = 3.0

#: Probabilities of the intervals.
_MASSES: Final = (0.95, 0.68)


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
        How many standard deviations the camera length that the photons and the energy of the
        header say is above that of the header; NaN without headers of both.
    energy_interval_ev, clen_interval_m
        The shortest 68 and 95 % intervals: low 95, low 68, high 68, high 95.
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

    @property
    def is_in_conflict(self) -> bool:
        """Whether photons and headers disagree, and the photons are those of water."""
        return abs(self.conflict) > ALARM_SIGMA and self.misfit <= MOST_MISFIT


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
    conflict = math.nan
    if energy is not None and clen is not None:
        conflict = _conflict(find_posterior(profile, energy, None), clen)
    return _summarise(find_posterior(profile, energy, clen), conflict)


def _summarise(found: Mixture, conflict: float) -> ParameterPosterior:
    energy, clen, scale = (
        found.energy_marginal(),
        found.clen_marginal(),
        found.scale_marginal(),
    )
    fits = found.misfit <= MOST_MISFIT
    (energy_95, energy_68), (clen_95, clen_68) = (
        [marginal.shortest(mass) for mass in _MASSES] for marginal in (energy, clen)
    )
    return ParameterPosterior(
        photon_energy_ev=energy.middle,
        sigma_energy_ev=energy.middle * math.sqrt(energy.variance),
        clen_m=clen.middle,
        sigma_clen_m=clen.middle * math.sqrt(clen.variance),
        correlation=found.covariance() / math.sqrt(energy.variance * clen.variance),
        ring_scale=scale.mean,
        sigma_ring_scale=math.sqrt(scale.variance),
        is_energy_identified=fits and energy.mass_within(ENERGY_WINDOW_EV) >= IDENTIFIED_MASS,
        is_clen_identified=fits and clen.mass_within(CLEN_WINDOW_M) >= IDENTIFIED_MASS,
        misfit=found.misfit,
        conflict=conflict,
        energy_interval_ev=(energy_95[0], energy_68[0], energy_68[1], energy_95[1]),
        clen_interval_m=(clen_95[0], clen_68[0], clen_68[1], clen_95[1]),
    )


def _conflict(found: Mixture, clen: Header) -> float:
    """Return how far a header is from the camera length found without it, in sigma."""
    marginal = found.clen_marginal()
    apart = marginal.mean - clen.logarithm
    return apart / math.sqrt(marginal.variance + clen.variance)
