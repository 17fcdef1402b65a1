"""Beams that give what is wanted of a frame: so many spots, of so many photons each."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from cxlsfind.errors import UsageError
from cxlsfind.sim.patterns import PatternSettings, PatternSimulator
from cxlsfind.sim.spectrum import Spectrum

#: Frames whose mean is taken.
_FRAMES: Final = 64
#: Wider bands than this are no beam for stills.
_WIDEST: Final = 0.3
#: The number of spots is nearly, not quite, proportional to the bandwidth.
_ROUNDS: Final = 2


def tuned(
    settings: PatternSettings, *, spots: float | None = None, photons: float | None = None
) -> PatternSettings:
    """Return settings whose bandwidth and flux give means over frames with one crystal.

    Reflections that a blurred band takes in part count as that part, so that the numbers do not
    depend on where faint spots end: as many spots as a crystal without blur would have.

    Parameters
    ----------
    spots
        Mean number of spots on the detector; sets the bandwidth. ``None``: as it is.
    photons
        Mean expected photons of a spot; sets the photons of the beam. ``None``: as they are.

    Raises
    ------
    UsageError
        No beam gives that.
    """
    if spots is not None:
        settings = _with_spots(settings, spots)
    if photons is not None:
        _, mean = _means(settings)
        if not (mean > 0.0 and photons >= 0.0):
            raise UsageError(f"no beam gives {photons:g} photons per spot with these settings")
        settings = replace(settings, photons=settings.photons * photons / mean)
    return settings


def _with_spots(settings: PatternSettings, spots: float) -> PatternSettings:
    if isinstance(settings.spectrum, Spectrum):
        raise UsageError("the spectrum is given: a number of spots cannot be asked for as well")
    for _ in range(_ROUNDS):
        number, _ = _means(settings)
        bandwidth = settings.bandwidth * spots / max(number, np.finfo(float).tiny)
        if not 0.0 < bandwidth <= _WIDEST:
            raise UsageError(
                f"{spots:g} spots need a bandwidth of {bandwidth:.3g}: expected more than 0 and at "
                f"most {_WIDEST:g}; this crystal and detector have {number:.3g} at "
                f"{settings.bandwidth:g}"
            )
        settings = replace(settings, bandwidth=bandwidth)
    return settings


def _means(settings: PatternSettings) -> tuple[float, float]:
    """Return the mean number of spots of a frame, and of photons of a spot."""
    still = replace(settings, lattices=1.0, beam_spread=0.0)
    simulator = PatternSimulator(still)
    parts = [simulator.band_shares(number) for number in range(_FRAMES)]
    number = sum(share for share, _ in parts)
    photons = sum(photons for _, photons in parts)
    return number / _FRAMES, photons / number if number > 0.0 else 0.0
