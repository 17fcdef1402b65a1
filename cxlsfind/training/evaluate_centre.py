"""Scoring the beam centre: errors, coverage, and alarms, from the background and from pairs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from cxlsfind.models.centre import BeamCentre, centre_from_pairs, centre_from_sectors
from cxlsfind.training.centre_draws import draw_peaks, draw_sectors
from cxlsfind.training.reports import Section, Table
from cxlsfind.training.ring_draws import draw_background
from cxlsfind.training.scores import rate

FloatArray = npt.NDArray[np.float64]

_PHOTONS: Final = (1e5, 1e6, 1e8)
_CLENS_M: Final = (0.15, 0.25, 0.35)

#: Frames, and of each: Friedel pairs, and peaks without a partner.
_PEAKS: Final = ((1, 10, 0), (1, 10, 10), (1, 5, 10), (10, 1, 18), (100, 1, 18), (100, 0, 20))

#: The beam is so far from where it should be, px, along both axes; and in the trial of alarms.
_OFF_PX: Final = 3.0
_WRONG_PX: Final = 1.5

#: Widths of the intervals, in standard deviations.
_WIDTHS: Final = (0.9945, 1.96)

_Finder = Callable[[np.random.Generator, tuple[float, float]], BeamCentre | None]


def evaluate_centre(number: int, seed: int) -> Section:
    """Return how the beam centre comes out of random backgrounds and peaks.

    Parameters
    ----------
    number
        Frames or runs of each kind.
    """
    rows = [
        (f"{clen:g} m, {photons:g} photons", *_score(_background(clen, photons), number, seed))
        for clen in _CLENS_M
        for photons in _PHOTONS
    ]
    rows += [
        (
            f"{frames} x {pairs} pairs, {others} others",
            *_score(_pairs(frames, pairs, others), number, seed),
        )
        for frames, pairs, others in _PEAKS
    ]
    header = ("from", "found", "error of x, y (px)", "error over said", "68 % holds", "95 % holds",
              "within 0.5 px", f"alarm, {_WRONG_PX:g} px off", "alarm, not off")  # fmt: skip
    return Section(
        "Beam centre",
        (f"The beam up to {_OFF_PX:g} px off along both axes. From the background: the family of "
         "samples, polarised by half to wholly along x, an EIGER2 4M with its gaps. From pairs: "
         "peaks found to 0.3 px, wavelengths from a band of 1 %. Frames without pairs must have "
         "no centre.",),
        (Table("Errors, coverage and alarms", header, tuple(rows)),),
    )  # fmt: skip


def _background(clen: float, photons: float) -> _Finder:
    def find(generator: np.random.Generator, centre: tuple[float, float]) -> BeamCentre | None:
        background = draw_background(generator, generator.uniform(6000.0, 8000.0), clen)
        polarisation = generator.uniform(0.5, 1.0)
        return centre_from_sectors(
            *draw_sectors(generator, background, photons, centre, polarisation)
        )

    return find


def _pairs(frames: int, pairs: int, others: int) -> _Finder:
    def find(generator: np.random.Generator, centre: tuple[float, float]) -> BeamCentre | None:
        return centre_from_pairs(
            [draw_peaks(generator, pairs, others, centre) for _ in range(frames)]
        )

    return find


def _score(find: _Finder, number: int, seed: int) -> tuple[str, ...]:
    tried: list[tuple[FloatArray, BeamCentre | None]] = []
    wrong: list[bool] = []
    right: list[bool] = []
    for k in range(number):
        generator = np.random.default_rng((seed, 3, k))
        truth = generator.uniform(-_OFF_PX, _OFF_PX, 2)
        tried.append((truth, find(generator, (truth[0], truth[1]))))
        angle = generator.uniform(0.0, 2.0 * math.pi)
        off = _WRONG_PX * math.cos(angle), _WRONG_PX * math.sin(angle)
        for alarms, centre in ((wrong, off), (right, (0.0, 0.0))):
            found = find(generator, centre)
            alarms.append(found is not None and found.is_off)
    known = [(truth, found) for truth, found in tried if found is not None]
    apart = np.array([(f.x - truth[0], f.y - truth[1]) for truth, f in known]).reshape(-1, 2)
    pulls = np.abs(apart / np.array([(f.sigma_x, f.sigma_y) for _, f in known]).reshape(-1, 2))
    return (
        str(rate(np.array([found is not None for _, found in tried]))),
        *(f"{_rms(a):.2f}" for a in (apart, pulls)),
        *(str(rate(pulls.ravel() < width)) for width in _WIDTHS),
        str(rate(np.hypot(apart[:, 0], apart[:, 1]) < 0.5)),
        *(str(rate(np.array(alarms))) for alarms in (wrong, right)),
    )


def _rms(values: FloatArray) -> float:
    return math.sqrt(float((values**2).mean())) if values.size else math.nan
