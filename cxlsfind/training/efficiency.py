"""Photon efficiency: photons that the physical limit needs over photons that a model needs.

The limit is the likelihood ratio with the true background and the true shape of the spots, on the
same photons, with the same rule of local maxima, at the same rate of false peaks. Nothing that
looks at one spot alone can do better.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import nn

from cxlsfind.finding.poisson.scores import typical_photons
from cxlsfind.finding.poisson.shapes import ShapeBank, gaussian_taps
from cxlsfind.models.likelihood import LikelihoodRatio, SpotTables
from cxlsfind.training.calibrate import log_rate_per_pixel, odds_on_flat
from cxlsfind.training.null import PATCH_SIDE, draw_null, score_at_rate, score_maps
from cxlsfind.training.scores import Curve, crossing
from cxlsfind.training.tables import spot_tables

FloatArray = npt.NDArray[np.float64]

#: Width of the planted spots, px.
SPOT_SIGMA_PX: Final = 0.6

#: Photons of the planted spots, in units of those that are found half of the time.
_FACTORS: Final = np.array([0.4, 0.6, 0.75, 0.9, 1.05, 1.25, 1.6, 2.2, 3.5])

_SIDE = 17
_REACH = 2


class Efficiency(NamedTuple):
    """What spots must have to be found half of the time, at one background.

    Parameters
    ----------
    background
        Photons per pixel.
    limit, ratio, model
        Photons per spot that the limit, the likelihood ratio of the finder and the model need.
    sigma
        Relative error of their quotients.
    curves
        Found share by photons, of the three.
    """

    background: float
    limit: float
    ratio: float
    model: float
    sigma: float
    curves: tuple[Curve, Curve, Curve]

    @property
    def eta(self) -> float:
        """Photon efficiency of the model."""
        return self.limit / self.model

    @property
    def eta_ratio(self) -> float:
        """Photon efficiency of the finder's likelihood ratio."""
        return self.limit / self.ratio


def measure_efficiency(
    model: nn.Module,
    artefact_odds: float,
    background: float,
    seed: int,
    *,
    false_peaks: float = 1.0,
    n_spots: int = 1200,
    n_patches: int = 16000,
) -> Efficiency:
    """Plant spots on patches and find them by three ways, at equal rates of false peaks.

    Parameters
    ----------
    artefact_odds
        Log odds from which the model's artefacts are cut.
    false_peaks
        Per frame of an EIGER2 4M.
    n_spots
        Spots of each brightness.
    n_patches
        Weighted patches that the thresholds are measured with.
    """
    log_rate = log_rate_per_pixel(false_peaks)
    finder, limit = spot_tables(), _limit_tables()
    ratio, best = LikelihoodRatio(finder), LikelihoodRatio(limit)
    generator = np.random.default_rng((seed, 11))
    null = draw_null(finder, ratio, background, generator, n_patches)
    null_limit = draw_null(limit, best, background, generator, n_patches)
    is_artefact = odds_on_flat(model, null.counts, background, null.usable) > artefact_odds
    left = np.where(is_artefact, -np.inf, null.score)
    needed = (
        score_at_rate(null_limit.score, null_limit.log_weight, log_rate),
        score_at_rate(null.score, null.log_weight, log_rate),
        score_at_rate(left, null.log_weight, log_rate),
    )
    photons = _FACTORS * float(typical_photons(np.array([background]))[0])
    found = np.empty((3, len(photons)))
    for column, level in enumerate(photons):
        counts = _plant(generator, background, float(level), n_spots)
        for row, layer in enumerate((best, ratio)):
            scores, _ = _highest(layer, counts, background)
            found[row, column] = (scores >= needed[row]).mean()
        scores, place = _highest(ratio, counts, background)
        patches = _around(counts, place)
        is_artefact = odds_on_flat(model, patches, background) > artefact_odds
        found[2, column] = ((scores >= needed[2]) & ~is_artefact).mean()
    names = ("limit", "likelihood ratio", "model")
    curves = tuple(Curve(n, photons, y) for n, y in zip(names, found, strict=True))
    at_half = [crossing(photons, y, 0.5) for y in found]
    # The slope of the curve turns the error of the share into one of the photons.
    slope = np.gradient(found[0], np.log(photons))
    steepest = float(np.interp(math.log(at_half[0]), np.log(photons), slope))
    sigma = 0.5 / math.sqrt(n_spots) / max(steepest, 0.05)
    return Efficiency(
        background, at_half[0], at_half[1], at_half[2], sigma, (curves[0], curves[1], curves[2])
    )


def _limit_tables() -> SpotTables:
    """Return the score that knows the width of the spots."""
    centres = (-1.0 / 3.0, 0.0, 1.0 / 3.0)
    taps = [gaussian_taps(SPOT_SIGMA_PX, 3, fs=fs, ss=ss) for ss in centres for fs in centres]
    return spot_tables(ShapeBank(3, np.array(taps), np.full(len(taps), 1.0 / len(taps))))


def _plant(
    generator: np.random.Generator, background: float, photons: float, number: int
) -> npt.NDArray[np.uint16]:
    centre = generator.uniform(-0.5, 0.5, (number, 2))
    half = _SIDE // 2
    taps = np.stack(
        [gaussian_taps(SPOT_SIGMA_PX, half, fs=float(fs), ss=float(ss)) for ss, fs in centre]
    )
    mean = background + photons * taps.reshape(number, _SIDE, _SIDE)
    return generator.poisson(mean).astype(np.uint16)


def _highest(
    layer: LikelihoodRatio, counts: npt.NDArray[np.uint16], background: float
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Return the highest score within two pixels of the middles, and where it is."""
    maps = score_maps(layer, counts, background)
    middle = maps.shape[1] // 2
    near = slice(middle - _REACH, middle + _REACH + 1)
    around = maps[:, near, near].reshape(len(maps), -1)
    best = around.argmax(axis=1)
    place = np.column_stack(np.divmod(best, 2 * _REACH + 1)) - _REACH
    return around.max(axis=1).astype(np.float64), place


def _around(counts: npt.NDArray[np.uint16], place: npt.NDArray[np.int64]) -> npt.NDArray[np.uint16]:
    steps = np.arange(PATCH_SIDE) - PATCH_SIDE // 2 + _SIDE // 2
    rows = np.arange(len(counts))
    cut: npt.NDArray[np.uint16] = counts[
        rows[:, None, None],
        (place[:, :1] + steps)[:, :, None],
        (place[:, 1:] + steps)[:, None, :],
    ]
    return cut
