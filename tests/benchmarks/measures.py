"""What the benchmarks measure: detection, false peaks, positions, and efficiencies from them."""

from __future__ import annotations

import argparse
import math
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from limits import PAD, Limit, World
from photon_frames import CLEN_M, PHOTON_ENERGY_EV, PIXEL_M, Counts, Detector, FloatArray

from cxlsfind.finding.poisson.finder import PoissonFinder
from cxlsfind.finding.poisson.settings import PoissonResult, PoissonSettings
from cxlsfind.geometry.maps import inverse_d, position_px
from cxlsfind.models.card import DataDescription
from cxlsfind.models.hit_inputs import HitInputs, hit_inputs
from cxlsfind.models.hit_runner import HitRunner
from cxlsfind.records import PeakArray, PlaneFrame
from cxlsfind.units import wavelength_m

#: A spot is found if a peak lies this near, px.
MATCH_PX = 2.0

#: Frames of a block, as the pipeline makes them.
BLOCK = 64

#: Intensities around half detection, relative to it.
GRID = np.array([0.7, 0.85, 1.0, 1.18, 1.4])

_BOOTSTRAPS = 100

SPOT = np.dtype(
    [
        ("factor", float),
        ("planted", float),
        ("drawn", float),
        ("background", float),
        ("found", bool),
        ("fs", float),
        ("ss", float),
        ("sigma", float),
        ("photons", float),
        ("limit", float),
    ]
)


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """One frame and what is true of it.

    Parameters
    ----------
    spots, factor, drawn
        Rows of (fs, ss, photons); the photons in units of typical ones; those that came.
    is_lit
        Whether there is a beam: without, false peaks are counted apart.
    """

    counts: Counts
    world: World
    spots: FloatArray
    factor: FloatArray
    drawn: FloatArray
    is_lit: bool = True


#: Draws the frames of a block; the intensities of its spots are chosen from an array, in units
#: of the typical photons of their places, and there are no spots if it is empty.
Source = Callable[[FloatArray], Iterable[Shot]]


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a finder says of a frame."""

    peaks: PeakArray
    is_hit: bool
    expected: float


class Ours:
    """The finder that is measured, at false peaks per EIGER2 4M frame; it adds up its time.

    With a hit model, which is loaded from ``hit.pt`` in a folder, frames of artefacts are no hits.
    """

    def __init__(
        self,
        detector: Detector,
        asked: float,
        pulses: float = math.inf,
        hit_fpr: float = 1e-3,
        models: Path | None = None,
    ) -> None:
        settings = PoissonSettings(
            false_peaks=asked * detector.share,
            pulses_per_frame=pulses,
            hit_fpr=hit_fpr,
        )
        self._usable = detector.usable
        self._finder = PoissonFinder(settings, detector.geometry, detector.layout, detector.usable)
        self._geometry = detector.geometry
        self._hit_model = None if models is None else _load_hit_model(models)
        self.seconds, self.n_frames = 0.0, 0
        self.lying = 0

    def __call__(self, frames: Sequence[PlaneFrame]) -> list[Outcome]:
        """Find peaks in the frames of a block."""
        start = time.process_time()
        result = self._finder.find_block(frames)
        is_artefact = self._artefacts(result.frames)
        self.seconds += time.process_time() - start
        self.n_frames += len(frames)
        self.lying += int(np.count_nonzero(self._usable & ~result.usable))
        return [
            Outcome(r.peaks[: r.n_peaks], r.is_hit and not artefact, r.expected_false)
            for r, artefact in zip(result.frames, is_artefact, strict=True)
        ]

    def _artefacts(self, results: Sequence[PoissonResult]) -> npt.NDArray[np.bool_]:
        """Return which frames hold artefacts alone, by the hit model."""
        if self._hit_model is None:
            return np.zeros(len(results), np.bool_)
        rows = [self._describe(result) for result in results]
        inputs = HitInputs(*(np.stack(arrays) for arrays in zip(*rows, strict=True)))
        return self._hit_model.judge(inputs).is_artefact

    def _describe(self, result: PoissonResult) -> HitInputs:
        peaks = result.peaks.copy()
        place = peaks["fs"], peaks["ss"]
        beam = {"wavelength_m": wavelength_m(PHOTON_ENERGY_EV), "clen_m": CLEN_M}
        peaks["inverse_d"] = inverse_d(self._geometry, 0, *place, **beam)
        return hit_inputs(
            peaks,
            position_px(self._geometry, 0, *place),
            log_bayes_factor=result.hit_log_bayes_factor,
            p_value=result.hit_p_value,
            mean_background=float(result.background.mean()),
            n_peaks=result.n_peaks,
        )


def _load_hit_model(folder: Path) -> HitRunner:
    data = DataDescription("uint16", PIXEL_M, PHOTON_ENERGY_EV, math.inf)
    runner = HitRunner(folder / "hit.pt", data, torch.device("cpu"))
    if runner.needs_peak_model:
        raise SystemExit(f"{folder}: the hit model wants a peak model in front of it")
    return runner


Finder = Callable[[Sequence[PlaneFrame]], list[Outcome]]


@dataclass(slots=True, eq=False)
class Blanks:
    """False peaks of a finder, and what the limit makes of the same blank frames."""

    found: list[int] = field(default_factory=list)
    hits: int = 0
    dark: int = 0
    expected: list[float] = field(default_factory=list)
    scores: list[FloatArray] = field(default_factory=list)

    def cut(self, frames: npt.NDArray[np.intp] | None = None) -> tuple[float, float]:
        """Return the limit's cut that lets through as many false peaks as the finder did.

        Returns
        -------
        The score, and the share of peaks with that very score that are let through.
        """
        chosen = range(len(self.found)) if frames is None else frames
        wanted = sum(self.found[n] for n in chosen)
        scores = np.sort(np.concatenate([self.scores[n] for n in chosen]))[::-1]
        if wanted == 0 or not len(scores):
            return (math.inf if not len(scores) else float(scores[0]) + 0.5), 0.0
        cut = float(scores[min(wanted, len(scores)) - 1])
        above = int((scores > cut + 1e-6).sum())
        ties = int((np.abs(scores - cut) <= 1e-6).sum())
        return cut, (wanted - above) / ties


def watch_blanks(
    finder: Finder, limit: Limit | None, source: Source, detector: Detector, n_blocks: int
) -> Blanks:
    """Run a finder, and the limit, over blocks of blank frames."""
    blanks = Blanks()
    for _ in range(n_blocks):
        frames, is_lit = [], []
        for shot in source(np.empty(0)):
            frames.append(detector.frame(shot.counts))
            is_lit.append(shot.is_lit)
            if limit is not None and shot.is_lit:
                scores, _ = limit.everywhere(shot.counts, shot.world)
                blanks.scores.append(scores[scores > 0.0])
        for lit, outcome in zip(is_lit, finder(frames), strict=True):
            if not lit:
                blanks.dark += len(outcome.peaks)
                continue
            blanks.found.append(len(outcome.peaks))
            blanks.hits += outcome.is_hit
            blanks.expected.append(outcome.expected)
    return blanks


def watch_spots(
    finder: Finder,
    limit: Limit | None,
    source: Source,
    detector: Detector,
    factors: FloatArray,
    n_blocks: int,
    radius: float = MATCH_PX,
) -> tuple[npt.NDArray[np.void], int]:
    """Run a finder, and the limit, over blocks of frames with spots.

    Parameters
    ----------
    radius
        A spot is found if a peak lies this near, px.

    Returns
    -------
    One record of ``SPOT`` per spot, and the number of peaks that belong to none.
    """
    records, extra = [], 0
    for _ in range(n_blocks):
        frames, truths = [], []
        for shot in source(factors):
            frames.append(detector.frame(shot.counts))
            truth = np.zeros(len(shot.spots), SPOT)
            truth["factor"], truth["planted"] = shot.factor, shot.spots[:, 2]
            truth["drawn"] = shot.drawn
            row, column = shot.spots[:, 1].astype(int), shot.spots[:, 0].astype(int)
            truth["background"] = shot.world.background[row + PAD, column + PAD]
            if limit is not None:
                truth["limit"] = limit.near(shot.counts, shot.world, shot.spots, radius)
            truths.append((truth, shot.spots))
        for (truth, spots), outcome in zip(truths, finder(frames), strict=True):
            peaks = outcome.peaks
            number = nearest(spots, peaks, radius)
            found = number >= 0
            truth["found"] = found
            hit = peaks[number[found]]
            for axis, name in enumerate(("fs", "ss")):
                truth[name][found] = hit[name] - spots[found, axis]
            truth["sigma"][found] = hit["sigma_fs"]
            truth["photons"][found] = hit["photons"]
            extra += len(peaks) - len(np.unique(number[found]))
            records.append(truth)
    return np.concatenate(records), extra


def nearest(spots: FloatArray, peaks: PeakArray, radius: float) -> npt.NDArray[np.intp]:
    """Return, per spot, the number of the nearest peak within a radius, or -1."""
    if not len(peaks) or not len(spots):
        return np.full(len(spots), -1)
    distance = np.hypot(
        spots[:, 0, None] - peaks["fs"][None, :], spots[:, 1, None] - peaks["ss"][None, :]
    )
    best = distance.argmin(axis=1)
    return np.where(distance[np.arange(len(spots)), best] <= radius, best, -1)


def half_detection(factor: FloatArray, seen: FloatArray) -> float:
    """Return the intensity at which half is seen, from a logistic in its logarithm.

    Parameters
    ----------
    factor
        Intensities, per spot.
    seen
        Whether each was seen, or with which probability.
    """
    levels, owner = np.unique(factor, return_inverse=True)
    share = np.bincount(owner, seen) / np.bincount(owner)
    inner = (share > 0.04) & (share < 0.96)
    x = np.log(levels)
    if inner.sum() >= 3:
        logit = np.log(share[inner] / (1 - share[inner]))
        weight = np.sqrt(np.bincount(owner)[inner] * share[inner] * (1 - share[inner]))
        slope, constant = np.polyfit(x[inner], logit, 1, w=weight)
        return float(np.exp(-constant / slope)) if slope > 0 else math.inf
    over = np.flatnonzero(share >= 0.5)
    if not over.size:
        return math.inf
    first = int(over[0])
    if first == 0:
        return float(levels[0])
    low, high = share[first - 1], share[first]
    return float(np.exp(x[first - 1] + (0.5 - low) / (high - low) * (x[first] - x[first - 1])))


def seen_by_limit(scores: FloatArray, cut: tuple[float, float]) -> FloatArray:
    """Return the probability that the limit takes each peak at a cut."""
    score, share = cut
    tied = np.abs(scores - score) <= 1e-6
    return np.where(tied, share, (scores > score).astype(float))


@dataclass(frozen=True, slots=True)
class Efficiency:
    """Half detection of finder and limit, in units of the typical photons, and their ratio."""

    ours: float
    limit: float
    eta: float
    sigma: float


def efficiency(
    spots: npt.NDArray[np.void],
    blanks: Blanks,
    generator: np.random.Generator,
    isolated: npt.NDArray[np.void] | None = None,
) -> Efficiency:
    """Return the photon efficiency at the false peaks that the finder made on blanks.

    Parameters
    ----------
    isolated
        Spots on which the limit is judged, if not on the same.
    """
    others = spots if isolated is None else isolated

    def halves(
        pick: npt.NDArray[np.intp], other: npt.NDArray[np.intp], cut: tuple[float, float]
    ) -> tuple[float, float]:
        mine = half_detection(spots["factor"][pick], spots["found"][pick].astype(float))
        score = seen_by_limit(others["limit"][other], cut)
        return mine, half_detection(others["factor"][other], score)

    everyone, rest = np.arange(len(spots)), np.arange(len(others))
    ours, limit = halves(everyone, rest, blanks.cut())
    ratios = []
    for _ in range(_BOOTSTRAPS):
        pick = generator.integers(0, len(spots), len(spots))
        other = pick if isolated is None else generator.integers(0, len(others), len(others))
        frames = generator.integers(0, len(blanks.found), len(blanks.found))
        one, two = halves(pick, other, blanks.cut(frames))
        ratios.append(two / one)
    return Efficiency(ours, limit, limit / ours, float(np.std(ratios)))


def locate(
    make_limit: Callable[[float], Limit], source: Source, asked: float, radius: float = MATCH_PX
) -> float:
    """Return about the intensity that the limit finds half of the time, in typical photons.

    Parameters
    ----------
    make_limit
        Makes the limit for spots of an intensity.
    source
        Makes short blocks.
    asked
        False peaks per frame.
    """
    factors = np.geomspace(0.4, 30.0, 14)
    guess = 1.0
    for _ in range(2):
        limit = make_limit(guess)
        scores = [limit.everywhere(shot.counts, shot.world)[0] for shot in source(np.empty(0))]
        wanted = max(1, round(asked * len(scores)))
        every = np.sort(np.concatenate(scores))
        cut = float(every[-min(wanted, len(every))]) if len(every) else 0.0
        seen, intensity = [], []
        for shot in source(factors):
            seen.append(limit.near(shot.counts, shot.world, shot.spots, radius) >= cut)
            intensity.append(shot.factor)
        guess = half_detection(np.concatenate(intensity), np.concatenate(seen).astype(float))
        factors = guess * np.geomspace(0.5, 2.0, 9)
    return guess


def start(parser: argparse.ArgumentParser) -> tuple[argparse.Namespace, np.random.Generator]:
    """Read the options that all benchmarks have, and print the seed."""
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    options = parser.parse_args()
    told = {name: value for name, value in vars(options).items() if name != "seed"}
    print(f"seed {options.seed}; " + ", ".join(f"{name} {value}" for name, value in told.items()))
    return options, np.random.default_rng(options.seed)
