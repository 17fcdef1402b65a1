"""What consecutive frames with the same kind of background teach about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from cxlsfind.finding.poisson.background import (
    Background,
    Sums,
    count_caps,
    cut_spots,
    estimate_background,
)
from cxlsfind.finding.poisson.candidates import (
    Candidates,
    Crowd,
    Scanner,
    ask_boxes,
    background_under,
    least_rise,
    lift_of_bins,
    nodes_of_words,
    sharpest,
    strong_part,
)
from cxlsfind.finding.poisson.canvas import PlacedFrame
from cxlsfind.finding.poisson.hits import NullStatistic, null_statistic
from cxlsfind.finding.poisson.pairs import split_touching
from cxlsfind.finding.poisson.peaks import PRIORS
from cxlsfind.finding.poisson.rates import Levels, attainable, levels_of
from cxlsfind.finding.poisson.settings import SharpRing
from cxlsfind.finding.poisson.sharing import measure_sharing
from cxlsfind.finding.poisson.sharp_rings import find_sharp_rings, follow_rings
from cxlsfind.finding.poisson.streaks import measure_streaks
from cxlsfind.finding.poisson.surroundings import Surroundings
from cxlsfind.finding.poisson.thresholds import NullTail, tail_of
from cxlsfind.kernels.background_maps import count_shapes
from cxlsfind.kernels.maxima import mark_windows, take_marked

FloatArray = npt.NDArray[np.float64]

#: Spots this significant (false maxima expected per frame) are cut out of the background.
_CUT_OUT = 3.0
_CUT_HALF = 4
_CUT_HALF_BRIGHT = 8
_BRIGHT_SCORE = 300.0
_MOST_CUT_OUT = 0.7

#: Looks for the spots that must not count as background: where they held more photons than it,
#: one look misses some, and where it has structure that rings do not have, one look finds some
#: that are none. The background is settled when it changed by more than this in no more than a
#: small part of the detector, and under no more than a small part of the spots.
_MOST_LOOKS = 3
_SETTLED = 0.15
_UNSETTLED_PART = 0.05

#: What is learnt from the frames moves the natural logarithm of the background by less than
#: this, in most places.
_MARGIN = 0.03

#: Frames whose scales differ by less than this (of the natural logarithm) share a cut.
_CUT_STEP = 0.02

#: The statistic of blank frames is had at scales this far apart (natural logarithm).
_NULL_STEP = 0.1

#: Relative variance of the background above which its doubt is passed on: a hundred photons, with
#: which three photons in a spot are 3 % more common. And the most of it, nats.
_IN_DOUBT = 0.01
_DEEPEST_DOUBT = 5.0

#: Width of the bins of the shape's logarithm.
_BIN = 0.02
#: Smallest part of a shape that is told apart.
_DARKEST = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Background and null tail of consecutive frames.

    Parameters
    ----------
    node_of_word
        Lowest background shape in each word of the canvas, as a place among the tail's nodes.
    crowds
        What a first look at the frames found.
    rise
        By how much nodes are at least higher than they were then, by bin of radius; float64.
    tail
        Null tail for the charge sharing that was measured.
    log_shape, pixels
        Histogram of the natural logarithm of the shape over usable pixels.
    rings
        Sharp rings of the background.
    weights
        Mean scale of every frame over the photons of the background; float64.
    kept
        Photons outside the pixels of spots.
    cut_out
        Per frame, canvas pixels of spots.
    """

    around: Surroundings
    background: Background
    node_of_word: npt.NDArray[np.float32]
    crowds: tuple[Crowd, ...]
    rise: FloatArray
    tail: NullTail
    log_shape: FloatArray
    pixels: FloatArray
    rings: tuple[SharpRing, ...]
    weights: FloatArray
    kept: Sums
    cut_out: tuple[npt.NDArray[np.int32], ...]
    known_cuts: dict[tuple[float, int], tuple[float, float]] = field(default_factory=dict)
    known_nulls: dict[int, NullStatistic] = field(default_factory=dict)

    def levels(self, number: int) -> Levels:
        """Return how many pixels of a frame have which background."""
        return levels_of(self.log_shape, self.pixels, float(self.weights[number]), self.tail)

    def cuts(self, number: int, asked: float) -> tuple[float, float]:
        """Return what :func:`attainable` does for a frame, up to a hundredth of its scale."""
        key = asked, round(math.log(self.weights[number]) / _CUT_STEP)
        if key not in self.known_cuts:
            weight = math.exp(key[1] * _CUT_STEP)
            levels = levels_of(self.log_shape, self.pixels, weight, self.tail)
            self.known_cuts[key] = attainable(asked, levels, self.tail)
        return self.known_cuts[key]

    def nulls(self, number: int, doubt: float) -> list[tuple[float, NullStatistic]]:
        """Return the statistic of blank frames like one of the stretch, as weighted neighbours.

        Parameters
        ----------
        doubt
            As for :func:`null_statistic`.
        """
        if doubt > 0.0:
            return [(1.0, null_statistic(self.levels(number), self.tail, doubt))]
        place = math.log(self.weights[number]) / _NULL_STEP
        lower = math.floor(place)
        for step in {lower, lower + 1} - self.known_nulls.keys():
            scale = math.exp(step * _NULL_STEP)
            levels = levels_of(self.log_shape, self.pixels, scale, self.tail)
            self.known_nulls[step] = null_statistic(levels, self.tail, 0.0)
        part = place - lower
        return [(1.0 - part, self.known_nulls[lower]), (part, self.known_nulls[lower + 1])]

    def doubt(self, found: Candidates, number: int) -> FloatArray:
        """Return by how much (log) more common candidates are for all that the background may be.

        The expected number R of false maxima grows with the background b as b^k. Where N photons
        support b, its posterior is a Gamma distribution, and R the mean over it: the tail of the
        counts becomes that of a negative binomial distribution.

        Parameters
        ----------
        number
            Of the frame in the stretch.
        """
        ring = self.around.ring[found.position]
        spread = 1.0 / self.background.support[ring]
        spread += 1.0 / max(float(self.background.photons[number]), 1.0)
        in_doubt = np.flatnonzero(spread > _IN_DOUBT)
        doubt = np.zeros(len(ring))
        if in_doubt.size:
            growth = self.tail.growth(found.at_nodes[in_doubt], found.background[in_doubt])
            photons = 1.0 / spread[in_doubt]
            power = np.maximum(growth, 0.0)
            steps = gammaln(photons + power) - gammaln(photons)
            doubt[in_doubt] = steps - power * np.log(photons)
        return np.clip(doubt, 0.0, _DEEPEST_DOUBT)

    def find(self, frame: PlacedFrame, number: int, scanner: Scanner) -> Candidates:
        """Return the local maxima of a frame."""
        background, tail = self.background, self.tail
        scale = background.scales[number]
        # Words reach across sharp rings: what is asked of them must do beside the ring too.
        lift = lift_of_bins(self.around, tail, background.smooth_scales[number])
        crowd = self.crowds[number]
        if (self.rise + lift < crowd.lift).any():
            asked = ask_boxes(self.around, self.node_of_word, lift, tail.box_needs)
            crowd = scanner.more_crowd(frame, self.around, asked, lift, crowd)
        level = background.profile * scale
        return scanner.score(frame, self.around, tail, crowd, level, background.factor)

    def tell_apart(
        self,
        found: Candidates,
        log_expected: FloatArray,
        most_expected: float,
        frame: PlacedFrame,
        sheet: npt.NDArray[np.uint16],
        number: int,
        scanner: Scanner,
    ) -> tuple[Candidates, FloatArray, npt.NDArray[np.intp]]:
        """Return candidates with those replaced, or joined by others, that are touching spots.

        And the numbers of those that were replaced.

        Parameters
        ----------
        log_expected
            Natural logarithm of the false peaks expected at or above each candidate.
        most_expected
            False peaks expected at or above the least significant that is looked at.
        sheet
            A canvas of zeros, given back as it was.
        """
        looked_at = np.flatnonzero(log_expected <= math.log(most_expected))
        none = np.empty(0, np.intp)
        if self.tail.family.streak_px or not looked_at.size:
            return found, log_expected, none
        stands, further = split_touching(
            frame,
            sheet,
            self.around,
            found.position[looked_at],
            found.background[looked_at],
            PRIORS,
            self.tail.n_pulses,
        )
        if stands.all() and not further.size:
            return found, log_expected, none
        level = self.background.profile * self.background.scales[number]
        factor = self.background.factor
        more = scanner.score_at(frame, self.around, self.tail, further, level, factor)
        size = math.log(self.around.n_pixels)
        its_expected = self.tail.log_rates(more.at_nodes, more.background) + size
        its_expected += self.doubt(more, number)
        kept = np.ones(len(log_expected), np.bool_)
        kept[looked_at] = stands
        every = Candidates(
            np.concatenate([found.position[kept], more.position]),
            np.concatenate([found.score[kept], more.score]),
            np.concatenate([found.at_nodes[kept], more.at_nodes]),
            np.concatenate([found.background[kept], more.background]),
        )
        return every, np.concatenate([log_expected[kept], its_expected]), looked_at[~stands]


def learn_stretch(
    placed: Sequence[PlacedFrame],
    around: Surroundings,
    counts: Sums,
    rough: Background,
    scanner: Scanner,
    tail: NullTail,
) -> Stretch:
    """Learn background and charge sharing, leaving out the spots that a first look finds.

    Parameters
    ----------
    placed
        Frames that share the shape of their background.
    counts
        What their planes hold.
    rough
        Their background, estimated before any spot is known.
    tail
        Null tail without charge sharing.
    """
    background = rough
    crowds: list[Crowd | None] = [None] * len(placed)
    marked = np.zeros(around.canvas.n_words, np.uint64)
    first_needs = tail.box_needs
    for _ in range(_MOST_LOOKS):
        rough = background
        spots = []
        nodes = nodes_of_words(rough, around, tail)
        # A little lower, so that what is learnt hardly ever makes another scan worth while.
        nodes -= np.float32(_MARGIN / tail.log_step)
        first_nodes = nodes
        for number, frame in enumerate(placed):
            crowd, found = _look(frame, around, scanner, tail, rough, number, nodes, crowds[number])
            crowds[number] = crowd
            spots.append(found)
        cut_out = [_around_spots(found, around, marked) for found in spots]
        # Where nearly all is brighter than it may be, that is the background.
        cut_out = [
            cut if cut.size < _MOST_CUT_OUT * around.n_pixels else cut[:0] for cut in cut_out
        ]
        kept = cut_spots(placed, around, counts, count_caps(rough), cut_out)
        background = estimate_background(kept, around, cut_out, with_tiles=True)
        if _is_settled(rough, background, around) and _are_settled(spots, background, around, tail):
            break
    tail = tail_of(
        tail.n_pulses,
        measure_sharing(placed, around, cut_out),
        measure_streaks(placed, around, spots),
    )
    log_shape, pixels = _shape_histogram(background, around)
    nodes = nodes_of_words(background, around, tail)
    rise = least_rise(around, first_nodes, nodes)
    if not np.array_equal(tail.box_needs, first_needs):
        rise[:] = -np.inf
    known = tuple(crowd for crowd in crowds if crowd is not None)
    rings = find_sharp_rings(background, around)
    background = follow_rings(background, rings, placed, around, cut_out)
    weights = background.scales @ background.profile / background.profile.sum()
    return Stretch(
        around,
        background,
        nodes,
        known,
        rise,
        tail,
        log_shape,
        pixels,
        rings,
        weights,
        kept,
        tuple(cut_out),
    )


def _look(
    frame: PlacedFrame,
    around: Surroundings,
    scanner: Scanner,
    tail: NullTail,
    rough: Background,
    number: int,
    nodes: npt.NDArray[np.float32],
    known: Crowd | None,
) -> tuple[Crowd, Candidates]:
    """Return the crowded pixels of a frame, and its significant spots."""
    scale = rough.scales[number]
    lift = lift_of_bins(around, tail, scale)
    asked = ask_boxes(around, nodes, lift, tail.box_needs)
    if known is None:
        crowd = scanner.crowd(frame, around, asked, lift)
    else:
        crowd = scanner.more_crowd(frame, around, asked, lift, known)
    strong = strong_part(crowd, around, tail, nodes)
    level = rough.profile * scale
    tops = sharpest(frame, around, strong)
    found = scanner.score_at(frame, around, tail, tops, level, rough.factor)
    return crowd, _significant(found, around, tail)


def _is_settled(old: Background, new: Background, around: Surroundings) -> bool:
    """Tell whether another look for spots would hardly find more."""
    before = old.profile * old.scales.mean(axis=0)
    after = new.profile * new.scales.mean(axis=0)
    change = np.abs(after / np.maximum(before, 1e-300) - 1.0)
    return bool(np.average(change > _SETTLED, weights=around.ring_sizes) < _UNSETTLED_PART)


def _are_settled(
    spots: Sequence[Candidates], new: Background, around: Surroundings, tail: NullTail
) -> bool:
    """Tell whether the spots stand on about the background that they were found with."""
    before = np.concatenate([found.background for found in spots])
    if not before.size:
        return True
    after = np.concatenate(
        [
            background_under(found.position, new.profile * scale, new.factor, around, tail)
            for found, scale in zip(spots, new.scales, strict=True)
        ]
    )
    return bool(np.mean(np.abs(after / before - 1.0) > _SETTLED) < _UNSETTLED_PART)


def _significant(found: Candidates, around: Surroundings, tail: NullTail) -> Candidates:
    """Return the candidates that are hardly ever false."""
    log_rates = tail.log_rates(found.at_nodes, found.background)
    strong = log_rates + math.log(around.n_pixels) <= math.log(_CUT_OUT)
    return Candidates(
        found.position[strong],
        found.score[strong],
        found.at_nodes[strong],
        found.background[strong],
    )


def _around_spots(
    found: Candidates, around: Surroundings, marked: npt.NDArray[np.uint64]
) -> npt.NDArray[np.int32]:
    """Return the usable pixels around candidates, ascending; marks are zero, and again then."""
    halves = np.where(found.score > _BRIGHT_SCORE, _CUT_HALF_BRIGHT, _CUT_HALF)
    n_marked = mark_windows(
        found.position, halves, around.usable_words, around.canvas.stride, marked
    )
    pixels = np.empty(n_marked, np.int32)
    take_marked(marked, pixels)
    return pixels


def _shape_histogram(background: Background, around: Surroundings) -> tuple[FloatArray, FloatArray]:
    """Return the histogram of the natural logarithm of the shape: middles and pixels."""
    tiles = around.tiles
    log_profile = np.log(np.maximum(background.profile, _DARKEST))
    log_factor = np.log(np.maximum(background.factor.ravel().astype(np.float64), _DARKEST))
    lowest = float(log_profile.min() + log_factor.min())
    highest = float(log_profile.max() + log_factor.max())
    n_bins = max(1, math.ceil((highest - lowest) / _BIN))
    counts = np.zeros(n_bins, np.int64)
    entries = tiles.first, tiles.ring, tiles.pixels
    count_shapes(*entries, log_profile, log_factor, lowest, _BIN, counts)
    middles: FloatArray = lowest + _BIN * (np.arange(n_bins, dtype=np.float64) + 0.5)
    return middles, counts.astype(np.float64)
