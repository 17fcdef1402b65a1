"""Scoring the parameter model: errors, coverage and honesty, on simulated backgrounds."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from cxlsfind.models.parameters import ParameterPosterior, estimate_parameters
from cxlsfind.models.ring_fit import RingProfile
from cxlsfind.sim.background.profile import Sample
from cxlsfind.training.reports import Section, Table
from cxlsfind.training.scores import rate

FloatArray = npt.NDArray[np.float64]

#: Photons between the spots: of a frame at 3e8 photons, of ten, of a run.
_PHOTONS: Final = (1e5, 1e6, 1e8)

_CLENS_M: Final = (0.15, 0.25, 0.35)

#: Errors of the scale of q, and of the scattering along q, that real samples have.
_Q_SCALE: Final = 0.005
_SHAPE: Final = 0.004

_PIXEL_M: Final = 75e-6


def evaluate_parameters(number: int, seed: int) -> list[Section]:
    """Return how photon energy and camera length come out of random backgrounds.

    Parameters
    ----------
    number
        Backgrounds of each kind.
    """
    rows = []
    for clen in _CLENS_M:
        for photons in _PHOTONS:
            found = []
            for k in range(number):
                generator = np.random.default_rng((seed, int(1000 * clen), int(photons), k))
                energy = generator.uniform(6000.0, 8000.0)
                profile = draw_profile(generator, energy, clen, photons)
                posterior = estimate_parameters(profile)
                if posterior is not None:
                    found.append((energy, posterior))
            rows.append(_row(clen, photons, found))
    header = ("camera length", "photons", "error of E (eV)", "error over said", "68 % holds",
              "95 % holds", "nearest keV", "nearest cm", "E called identified",
              "L called identified")  # fmt: skip
    return [
        Section(
            "Photon energy and camera length from the background alone",
            ("Water, buffer and air of random amounts, the scale of q off by 0.5 % and the "
             "scattering by 0.4 %, 6 to 8 keV, an EIGER2 4M.",),
            (Table("Coverage and errors", header, tuple(rows)),),
        )
    ]  # fmt: skip


def draw_profile(
    generator: np.random.Generator, energy_ev: float, clen_m: float, photons: float
) -> RingProfile:
    """Return a ring profile of a random sample, with errors that no template knows."""
    radius_px = np.arange(2, 1490, 4) + 2.0
    corners = np.clip(1.0 - (radius_px - 1035.0) / 470.0, 0.01, 1.0)
    exposure = np.asarray(2.0 * math.pi * radius_px * 4.0 * corners, np.float64)
    tangent = np.asarray(radius_px * _PIXEL_M / clen_m, np.float64)
    sample = Sample(
        photons=3e8,
        photon_energy_ev=energy_ev * (1.0 + generator.normal(0.0, _Q_SCALE)),
        clen_m=clen_m,
        water_m=generator.uniform(3e-5, 2e-4),
        materials=(("buffer", generator.uniform(0.0, 5e-5)),),
        air_m=generator.uniform(0.0, 0.01),
        flight_in_air=bool(generator.random() < 0.5),
    )
    cosine = 1.0 / np.sqrt(1.0 + tangent**2)
    waves = generator.normal(0.0, _SHAPE, 6)
    q = energy_ev / 1973.27 * 2.0 * np.sin(0.5 * np.arctan(tangent))
    wrong = sum(wave * np.cos(math.pi * (k + 1) * q / 4.0) for k, wave in enumerate(waves))
    mean = sample.density(tangent) * 0.5 * (1.0 + cosine**2) * np.exp(wrong) * exposure
    counts = generator.poisson(photons * mean / mean.sum()).astype(np.float64)
    return RingProfile(np.asarray(radius_px * _PIXEL_M, np.float64), counts, exposure)


def _row(
    clen: float, photons: float, found: list[tuple[float, ParameterPosterior]]
) -> tuple[str, ...]:
    energy = np.array([truth for truth, _ in found])
    said = np.array([one.photon_energy_ev for _, one in found])
    sigma = np.array([one.sigma_energy_ev for _, one in found])
    length = np.array([one.clen_m for _, one in found])
    ends = np.array([one.energy_interval_ev for _, one in found])
    return (
        f"{clen:g} m",
        f"{photons:g}",
        f"{math.sqrt(float(((said - energy) ** 2).mean())):.0f}",
        f"{math.sqrt(float((((said - energy) / sigma) ** 2).mean())):.2f}",
        str(rate((energy > ends[:, 1]) & (energy < ends[:, 2]))),
        str(rate((energy > ends[:, 0]) & (energy < ends[:, 3]))),
        str(rate(np.abs(said - energy) < 500.0)),
        str(rate(np.abs(length - clen) < 0.005)),
        str(rate(np.array([one.is_energy_identified for _, one in found]))),
        str(rate(np.array([one.is_clen_identified for _, one in found]))),
    )
