"""What looks like diffraction and is no crystal of interest: ice, salt, precipitant.

Fine powders make smooth rings, a part of the background; coarse ones rings of spots. Salt is grains
of a kind, crystals like those of interest, but of a small cell: few spots, and strong ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntFlag
from typing import Final

import numpy as np
import numpy.typing as npt

from cxlsfind.errors import UsageError
from cxlsfind.kernels.sim_panels import PanelGrid
from cxlsfind.kernels.sim_spots import SpotShapes
from cxlsfind.sim.background.profile import Sample
from cxlsfind.sim.background.rings import POWDERS
from cxlsfind.sim.beam import polarisation_factor
from cxlsfind.sim.crystals.salts import SALT_NAMES
from cxlsfind.sim.laue import Lattice, turn_anyhow
from cxlsfind.sim.panels import land
from cxlsfind.units import wavelength_m

FloatArray = npt.NDArray[np.float64]


class Negative(IntFlag):
    """What a frame holds of it."""

    ICE_RING = 1  #: smooth rings of ice
    ICE_SPOTS = 2  #: spots on the rings of ice
    SALT = 4  #: grains of salt
    PEG = 8  #: spotty rings of the precipitant


@dataclass(frozen=True, slots=True)
class NegativeSettings:
    """How often frames hold what looks like diffraction; shares of the frames, hits or not.

    Parameters
    ----------
    ice_rings, ice_spots, salt, peg
        The shares.
    salts
        Which salts there are, by their names; each as often as the others.

    Raises
    ------
    UsageError
        A share is not from 0 to 1, or a salt is unknown.
    """

    ice_rings: float = 0.0
    ice_spots: float = 0.0
    salt: float = 0.0
    peg: float = 0.0
    salts: tuple[str, ...] = SALT_NAMES

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        for name in ("ice_rings", "ice_spots", "salt", "peg"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise UsageError(f"the share of {name} is {getattr(self, name)}: expected 0 to 1")
        if not self.salts or not set(self.salts) <= set(SALT_NAMES):
            known = ", ".join(SALT_NAMES)
            raise UsageError(f"the salts are {', '.join(self.salts)}: expected some of {known}")


#: Thickness of ice and precipitant in the beam, metres, evenly in the logarithm.
_POWDER_M: Final = (1e-6, 30e-6)
#: Crystallites that show in a ring of spots, on average, evenly in the logarithm.
_CRYSTALLITES: Final = (3.0, 300.0)
#: Grains of salt in or near the beam, on average, their edges, metres, and the full width at half
#: maximum of the orientations of their blocks, rad; all evenly in the logarithm.
_GRAINS: Final = (1.0, 100.0)
_GRAIN_M: Final = (1e-6, 50e-6)
_GRAIN_MOSAICITY_RAD: Final = (3e-4, 1e-2)
#: Width of the spots of powders (one sigma), px, and relative scatter of their spacings.
_SIGMA_PX: Final = (0.4, 1.2)
_SPACING_SIGMA: Final = 0.003


@dataclass(frozen=True, slots=True, eq=False)
class Impostors:
    """What a frame holds of it.

    Parameters
    ----------
    kinds
        Which kinds.
    powders
        Fine powders in the beam, by name, with their thickness in metres.
    directions
        Where the spots of powders go, shape (n, 3).
    photons
        Expected photons of each of these.
    salt, grains
        Which salt there is, empty for none, and its crystals.
    """

    kinds: Negative
    powders: tuple[tuple[str, float], ...]
    directions: FloatArray
    photons: FloatArray
    salt: str
    grains: tuple[Lattice, ...]

    def shapes(self, rng: np.random.Generator, grid: PanelGrid) -> SpotShapes:
        """Return the spots of powders that meet a panel, as round ones of random width."""
        landing = land(grid, self.directions, margin_px=8.0)
        number = len(landing.row)
        sigma = rng.uniform(*_SIGMA_PX, number)
        zero = np.zeros(number)
        # "Angles" of one pixel: these spots need no other unit.
        return SpotShapes(
            panel=landing.panel,
            fs=landing.fs,
            ss=landing.ss,
            radial=np.tile([1.0, 0.0], (number, 1)),
            across=np.tile([0.0, 1.0], (number, 1)),
            log_k=zero,
            sigma_k=np.full(number, 1e-9),
            slope=zero,
            sigma_radial=sigma,
            sigma_across=sigma,
            photons=self.photons[landing.row],
        )


def draw_impostors(
    rng: np.random.Generator,
    settings: NegativeSettings,
    sample: Sample,
    polarisation: float,
    beam_radius_m: float,
) -> Impostors:
    """Draw what a frame holds.

    Parameters
    ----------
    sample
        What the beam goes through beside.
    beam_radius_m
        Grains of salt lie as far from the middle of the beam (one sigma).
    """
    kinds = Negative(0)
    powders: list[tuple[str, float]] = []
    spots: list[tuple[FloatArray, FloatArray]] = []
    salt, grains = "", tuple[Lattice, ...]()
    lucky = rng.random(4) < (settings.ice_rings, settings.ice_spots, settings.salt, settings.peg)
    amounts = _between(rng, _POWDER_M, 3)
    if lucky[0]:
        kinds |= Negative.ICE_RING
        powders.append(("ice", float(amounts[0])))
    if lucky[1]:
        kinds |= Negative.ICE_SPOTS
        spots.append(_powder_spots(rng, "ice", float(amounts[1]), sample))
    if lucky[2]:
        kinds |= Negative.SALT
        salt, grains = str(rng.choice(settings.salts)), _draw_grains(rng, beam_radius_m)
    if lucky[3]:
        kinds |= Negative.PEG
        spots.append(_powder_spots(rng, "peg", float(amounts[2]), sample))
    directions = np.concatenate([np.zeros((0, 3)), *(where for where, _ in spots)])
    photons = np.concatenate([np.zeros(0), *(strength for _, strength in spots)])
    photons *= polarisation_factor(directions, polarisation)
    return Impostors(kinds, tuple(powders), directions, photons, salt, grains)


def _powder_spots(
    rng: np.random.Generator, name: str, thickness_m: float, sample: Sample
) -> tuple[FloatArray, FloatArray]:
    """Return the spots of a coarse powder: as many photons as its rings, from few crystallites."""
    wavelength = wavelength_m(sample.photon_energy_ev) * 1e10
    crystallites = float(_between(rng, _CRYSTALLITES, 1)[0])
    tangents, photons = [], []
    for line in POWDERS[name]:
        number = int(rng.poisson(crystallites))
        sine = wavelength / (2.0 * line.d) * (1.0 + _SPACING_SIGMA * rng.standard_normal(number))
        sine = sine[sine < math.sin(math.pi / 4)]
        tangent = np.tan(2.0 * np.arcsin(sine))
        total = _line_photons(sample, name, thickness_m, wavelength / (2.0 * line.d))
        tangents.append(tangent)
        photons.append(rng.exponential(total / crystallites, len(tangent)))
    return _around(rng, np.concatenate(tangents)), np.concatenate(photons)


def _line_photons(sample: Sample, name: str, thickness_m: float, sine: float) -> float:
    """Return the photons of the ring of a powder at this sine of theta, polarisation left out."""
    if sine >= math.sin(math.pi / 4):
        return 0.0
    middle = math.tan(2.0 * math.asin(sine))
    # The ring is narrow: all of it lies within a few of its widths.
    tangent = np.linspace(0.98, 1.02, 401) * middle
    lines = Sample(
        photons=sample.photons,
        photon_energy_ev=sample.photon_energy_ev,
        clen_m=sample.clen_m,
        water_m=0.0,
        powders=((name, thickness_m),),
        factor=sample.factor,
    )
    ring = lines.density(np.asarray(tangent, np.float64)) * sample.transmission(
        np.asarray(tangent, np.float64)
    )
    return float(np.trapezoid(ring * 2.0 * math.pi * tangent, tangent))


def _draw_grains(rng: np.random.Generator, beam_radius_m: float) -> tuple[Lattice, ...]:
    number = 1 + int(rng.poisson(_between(rng, _GRAINS, 1)[0]))
    sizes = _between(rng, _GRAIN_M, number)
    mosaicity = float(_between(rng, _GRAIN_MOSAICITY_RAD, 1)[0])
    offsets = beam_radius_m * rng.standard_normal((number, 2))
    return tuple(
        Lattice(turn_anyhow(rng), size, (x, y), mosaicity)
        for size, (x, y) in zip(sizes.tolist(), offsets.tolist(), strict=True)
    )


def _around(rng: np.random.Generator, tangent: FloatArray) -> FloatArray:
    """Return directions at these angles with the beam, anywhere around it."""
    turn = rng.uniform(0.0, 2.0 * math.pi, len(tangent))
    return np.column_stack([tangent * np.cos(turn), tangent * np.sin(turn), np.ones(len(tangent))])


def _between(rng: np.random.Generator, limits: tuple[float, float], number: int) -> FloatArray:
    """Return numbers evenly distributed in the logarithm."""
    low, high = limits
    return np.asarray(low * (high / low) ** rng.random(number))
