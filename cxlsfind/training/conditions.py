"""Random experiments: crystals, beams, backgrounds and detectors' faults, by seed and kind."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from cxlsfind.sim.background.settings import BackgroundSettings
from cxlsfind.sim.crystals.catalogue import load_crystal
from cxlsfind.sim.crystals.cell import UnitCell
from cxlsfind.sim.crystals.reflections import Crystal
from cxlsfind.sim.crystals.salts import SALT_NAMES
from cxlsfind.sim.detector import Detector
from cxlsfind.sim.negatives import NegativeSettings
from cxlsfind.sim.patterns import PatternSettings
from cxlsfind.sim.readout import ReadoutSettings
from cxlsfind.units import wavelength_m

#: What can be wrong with the frames of a run, beside nothing.
FRAME_KINDS: Final = ("clean", "hot", "cosmic", "sharing", "streak", "ice", "salt", "peg")

#: Crystals that no model is trained on: the paper's, and those of its future work.
HELD_OUT_CRYSTALS: Final = ("proteinase_k", "lysozyme", "pyp", "insulin")

#: A detector of one module row: frames are made and searched in a few milliseconds.
SMALL_DETECTOR: Final = Detector("small", "Dectris EIGER2 Si", (2, 1))

_GROUPS: Final = ("P 1 21 1", "P 21 21 21", "C 2 2 21", "P 43 21 2", "P 61 2 2", "P 2 3")


def draw_settings(
    seed: int,
    kind: str = "clean",
    *,
    background: tuple[float, float] = (1e-4, 3.0),
    crystal: Crystal | None = None,
    detector: Detector = SMALL_DETECTOR,
    salts: tuple[str, ...] = SALT_NAMES,
) -> PatternSettings:
    """Return a random experiment.

    Parameters
    ----------
    seed
        Settles it, and the photons of its frames.
    kind
        One of :data:`FRAME_KINDS`, or ``all`` for a bit of everything.
    background
        Range of its mean, photons per pixel.
    crystal
        Instead of one with a random cell and random intensities.
    salts
        Which salts there are.
    """
    generator = np.random.default_rng((seed, 20))
    energy_ev, clen_m = generator.uniform(5500.0, 12000.0), _log_uniform(generator, 0.08, 0.35)
    if crystal is None:
        reach_m = 0.5 * math.hypot(*detector.shape) * detector.pixel_size_m
        sine = math.sin(0.5 * math.atan(reach_m / clen_m))
        # No reflections that cannot reach the detector: large cells have millions of them.
        crystal = _draw_crystal(generator, seed, 0.45 * wavelength_m(energy_ev) / sine)
    has = {name: kind in (name, "all") for name in FRAME_KINDS}
    return PatternSettings(
        detector=detector,
        crystal=crystal,
        photon_energy_ev=energy_ev,
        clen_m=clen_m,
        photons=_log_uniform(generator, 3e6, 5e9),
        bandwidth=_log_uniform(generator, 1e-3, 3e-2),
        divergence_rad=generator.uniform(0.0, 1.5e-3),
        mosaicity_rad=_log_uniform(generator, 5e-5, 1.5e-3),
        polarisation=generator.uniform(0.5, 1.0),
        crystal_size_m=_log_uniform(generator, 5e-7, 2e-5),
        size_spread=0.3,
        lattices=generator.choice([1.0, 1.0, 1.0, 1.5]),
        centre_spread_px=generator.choice([0.0, 1.0]),
        beam_spread=generator.uniform(0.0, 0.3),
        background=BackgroundSettings(
            water_m=_log_uniform(generator, 1e-5, 3e-4),
            materials=(("buffer", generator.uniform(0.0, 1e-4)),),
            air_m=generator.choice([0.0, generator.uniform(0.0, 0.03)]),
            streak=_log_uniform(generator, 0.01, 0.3) if has["streak"] else 0.0,
            streak_angle=generator.uniform(0.0, math.pi),
            mean=_log_uniform(generator, *background),
        ),
        readout=ReadoutSettings(
            pulses=int(generator.choice([0, 1000])),
            charge_sharing=generator.uniform(0.003, 0.04) if has["sharing"] else 0.0,
            hot_pixels=int(generator.integers(5, 50)) if has["hot"] else 0,
            twinkling_pixels=int(generator.integers(5, 100)) if has["hot"] else 0,
            cosmics=_log_uniform(generator, 0.5, 8.0) if has["cosmic"] else 0.0,
        ),
        negatives=NegativeSettings(
            ice_rings=0.5 if has["ice"] else 0.0,
            ice_spots=0.7 if has["ice"] else 0.0,
            salt=0.8 if has["salt"] else 0.0,
            peg=0.8 if has["peg"] else 0.0,
            salts=salts,
        ),
        seed=seed,
    )


def _draw_crystal(generator: np.random.Generator, seed: int, d_min_m: float) -> Crystal:
    group = str(generator.choice(_GROUPS))
    a, b, c = np.exp(generator.uniform(math.log(35.0), math.log(140.0), 3))
    if group in ("P 43 21 2", "P 61 2 2"):
        b = a
    if group == "P 2 3":
        b = c = a
    beta = generator.uniform(92.0, 115.0) if group == "P 1 21 1" else 90.0
    cell = UnitCell(a, b, c, 90.0, beta, 120.0 if group == "P 61 2 2" else 90.0)
    return load_crystal("wilson", cell=cell, symmetry=group, seed=seed, d_min_m=d_min_m)


def _log_uniform(generator: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(generator.uniform(math.log(low), math.log(high))))
