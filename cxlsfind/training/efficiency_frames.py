"""Photon efficiency among nuisances: spots planted in whole frames without crystals.

Frames are simulated with their faults, photons of spots are added in places that are known, and
the finder searches them, with and without a peak model. What half of the spots need is compared
with what the physical limit needs on clean patches of the same background.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import nn

from cxlsfind.finding.poisson.shapes import gaussian_taps
from cxlsfind.sim.pattern import Pattern
from cxlsfind.training.conditions import draw_settings
from cxlsfind.training.efficiency import SPOT_SIGMA_PX, Efficiency
from cxlsfind.training.frames import FoundFrame, FrameSource
from cxlsfind.training.judging import kept_peaks
from cxlsfind.training.patches import FRAME_PIXELS
from cxlsfind.training.scores import crossing
from cxlsfind.training.seeds import Part, seed_of

FloatArray = npt.NDArray[np.float64]

#: Photons of the planted spots over what the limit needs for half of them.
_FACTORS: Final = np.geomspace(0.5, 3.0, 9)

#: Spots planted in a frame, frames of an experiment, and how far a spot's peak may be, px.
_SPOTS: Final = 27
_FRAMES: Final = 16
_NEAR_PX: Final = 2.0

#: Half the side of what is planted, px.
_HALF: Final = 4


class FrameEfficiency(NamedTuple):
    """Photon efficiencies in frames of one kind.

    Parameters
    ----------
    alone, model
        Photons that the limit needs over photons that the finder needs, alone and with the model.
    sigma
        Relative error of both.
    spots
        Planted spots.
    """

    alone: float
    model: float
    sigma: float
    spots: int


def measure_frame_efficiency(
    model: nn.Module,
    artefact_odds: float,
    limits: Sequence[Efficiency],
    kind: str,
    experiments: int,
    seed: int,
) -> FrameEfficiency:
    """Plant spots in blank frames of random experiments and look for them.

    False peaks are asked at the limit's rate, one on an EIGER2 4M.

    Parameters
    ----------
    limits
        What the limit needs, at ascending backgrounds.
    kind
        What is wrong with the frames.
    seed
        The training's.
    """
    levels = np.log([one.background for one in limits])
    needed = np.log([one.limit for one in limits])
    found = np.zeros((2, len(_FACTORS)))
    for number in range(experiments):
        experiment = 100_000 * seed_of(seed, Part.SCORE) + 90_000 + number
        settings = draw_settings(experiment, kind)
        shape = settings.detector.shape
        source = FrameSource(settings, math.prod(shape) / FRAME_PIXELS)
        generator = np.random.default_rng((experiment, 21))
        patterns, places = [], []
        for frame in range(_FRAMES):
            pattern = source.simulator.frame(frame, with_crystal=False)
            pixels = _draw_pixels(pattern.usable.reshape(shape), generator)
            level = np.log(pattern.expected.at(pixels.astype(np.int32)))
            photons = np.exp(np.interp(level, levels, needed))
            photons *= np.tile(_FACTORS, _SPOTS // len(_FACTORS))
            place = np.column_stack(np.divmod(pixels, shape[1]))
            patterns.append(_plant(pattern, shape, place, photons, generator))
            places.append(place + 0.5)
        searched = source.search(patterns)
        left = kept_peaks(model, artefact_odds, source, searched)
        for one, kept, place in zip(searched, left, places, strict=True):
            listed = np.arange(len(one.result.peaks)) < one.result.n_peaks
            for row, rows in enumerate((listed, kept)):
                hit = _is_near(place, one, rows).reshape(-1, len(_FACTORS))
                found[row] += hit.sum(axis=0)
    spots = experiments * _FRAMES * _SPOTS
    share = found / (spots / len(_FACTORS))
    alone, both = (1.0 / crossing(_FACTORS, row, 0.5) for row in share)
    slope = np.gradient(share[0], np.log(_FACTORS)).max()
    sigma = 0.5 / math.sqrt(spots / len(_FACTORS)) / max(float(slope), 0.05)
    return FrameEfficiency(alone, both, sigma, spots)


def _draw_pixels(
    usable: npt.NDArray[np.bool_], generator: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return the flat indices of usable pixels away from the frame's edges."""
    inner = usable.copy()
    inner[:_HALF], inner[-_HALF:] = False, False
    inner[:, :_HALF], inner[:, -_HALF:] = False, False
    return generator.choice(np.flatnonzero(inner), _SPOTS, replace=False)


def _plant(
    pattern: Pattern,
    shape: tuple[int, int],
    place: npt.NDArray[np.int64],
    photons: FloatArray,
    generator: np.random.Generator,
) -> Pattern:
    """Return the frame with the photons of a spot anywhere in the pixel of each place."""
    counts, usable = pattern.counts.reshape(shape).copy(), pattern.usable.reshape(shape)
    side = 2 * _HALF + 1
    for (ss, fs), mean in zip(place, photons, strict=True):
        shift = generator.uniform(-0.5, 0.5, 2)
        taps = gaussian_taps(SPOT_SIGMA_PX, _HALF, fs=float(shift[0]), ss=float(shift[1]))
        window = (slice(ss - _HALF, ss + _HALF + 1), slice(fs - _HALF, fs + _HALF + 1))
        drawn = generator.poisson(mean * taps.reshape(side, side))
        counts[window] += (drawn * usable[window]).astype(counts.dtype)
    return replace(pattern, counts=counts.ravel())


def _is_near(
    place: FloatArray, found: FoundFrame, rows: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Tell which places have a peak, of some of a frame's, close by."""
    peaks = found.result.peaks[rows]
    apart = np.hypot(place[:, 0, None] - peaks["ss"], place[:, 1, None] - peaks["fs"])
    return np.asarray((apart <= _NEAR_PX).any(axis=1))
