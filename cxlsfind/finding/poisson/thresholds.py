"""How often background alone makes a local maximum of the score: the null tail.

The expected number of false local maxima per pixel with a score of at least t,

    R(t) = E0[ local maximum, L >= e^t ],

is far too small to be counted on blank frames. It is had exactly by a change of measure: draw
patches with spots from a mixture q in the middle; with the likelihood ratio Q of that drawing
against a blank,

    R(t) = Eq[ local maximum, L >= e^t, 1 / Q ],

in which the rare events are common. A few thousand patches per background give every level from
1e-3 to 1e-30 to a few percent. Local maxima are counted as the finder counts them, so that
neither independence of positions nor a union bound is assumed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, gammainc

from cxlsfind.finding.poisson.kept_tails import keep_tail, load_tail
from cxlsfind.finding.poisson.scores import (
    build_tables,
    component_strengths,
    component_weights,
    count_weight,
    node_backgrounds,
    typical_photons,
)
from cxlsfind.finding.poisson.shapes import (
    ShapeBank,
    ShapeFamily,
    round_shapes,
    streak_shapes,
)
from cxlsfind.kernels.likelihood import ScoreTables, score_patches
from cxlsfind.kernels.null_rates import RateTables, look_up_rates

FloatArray = npt.NDArray[np.float64]
_F = TypeVar("_F", bound=np.floating)

#: A peak is the largest score among the pixels up to this far from it, along both axes.
MAXIMUM_RADIUS = 2

#: Local maxima with a lower score are not kept; each is more common than five hundred per frame of
#: 4.5 million pixels, or has too few photons to be looked at.
LOWEST_SCORE = 4.0

#: Patches per background, and the seed of the first node.
_N_PATCHES = 16000

#: Share of blank pixels whose 3x3 box may pass on to the score, by background: a few hundred a
#: frame where photons are few, and more where a box is a poor stand-in for a score.
_BOX_BACKGROUND = (2e-4, 0.005, 0.05, 0.3)
_BOX_SHARES = (1.5e-6, 3.5e-5, 1.5e-4, 7e-4)

#: A first look for the spots that must not count as background passes this part of them.
_STRONG = 0.03

#: Where spots may be streaks, so many times more blank pixels pass.
_STREAKED = 30.0

#: Intensities of faint spots, in units of the typical one, that patches are drawn with.
_FAINT = (0.3, 0.8)

#: Where photons are few, patches are drawn with at least this share of them shared.
_DRAWN_SHARING = 0.15
_CROWDED = 0.03

_SEED = 20180155

#: Grid of the distribution of the pooled likelihood ratio, nats.
STEP = 0.0025
N_STEPS = 16384


#: Scores of the same photons may differ by rounding.
ROUNDING = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class NodeTail:
    """Weighted maxima of one background node.

    Parameters
    ----------
    scores
        Their scores, descending.
    at_next
        Their scores at the next node.
    log_weights
        Natural logarithm of how often each occurs per pixel.
    log_rates
        Natural logarithm of R at ``scores``: the sum of the weights of those at least as large.
    """

    scores: FloatArray
    at_next: FloatArray
    log_weights: FloatArray
    log_rates: FloatArray

    def look_up(self, scores: FloatArray) -> FloatArray:
        """Return log R at any scores."""
        reached = np.searchsorted(-self.scores, -(scores - ROUNDING), side="right")
        # Beyond the largest a score that is larger by x is rarer by e^x.
        beyond = np.maximum(scores - self.scores[0], 0.0)
        rates: FloatArray = self.log_rates[np.maximum(reached - 1, 0)] - beyond
        return rates

    def invert(self, log_rate: float) -> float:
        """Return the lowest score that is at least this rare."""
        reached = int(np.searchsorted(self.log_rates, log_rate, side="right"))
        if reached:
            return float(self.scores[reached - 1])
        return float(self.scores[0] + self.log_rates[0] - log_rate)


class NullTail:
    """Expected number of false local maxima per pixel, for any score and background.

    Nodes are computed when first asked for and kept; every node has a seed of its own, so that
    results do not depend on the order.

    Parameters
    ----------
    family
        Spot shapes of the score.
    n_pulses
        X-ray pulses per frame; ``math.inf`` for Poisson counts.
    sharing
        Share of photons that fire a neighbouring pixel too.
    """

    def __init__(self, family: ShapeFamily, n_pulses: float, sharing: float = 0.0) -> None:
        self.family = family
        self.n_pulses = n_pulses
        self.sharing = sharing
        self.tables: tuple[ScoreTables, ...] = tuple(
            build_tables(bank, n_pulses) for bank in family.banks
        )
        self.nodes = node_backgrounds()
        self.log_step = math.log(self.nodes[1] / self.nodes[0])
        # The middle of a streak says little of it.
        self.box_needs = box_thresholds(
            self.nodes, n_pulses, _STREAKED if family.streak_px else 1.0
        )
        self.strong_needs = box_thresholds(self.nodes, n_pulses, _STRONG)
        self._tails: dict[int, NodeTail] = {}
        self._passed: dict[int, tuple[FloatArray, FloatArray]] = {}
        self._densities: dict[tuple[int, float, float], FloatArray] = {}
        self._inverse: dict[tuple[int, float], float] = {}
        self._joined = _join([])

    def node(self, number: int) -> NodeTail:
        """Return the tail at a background node."""
        tail = self._tails.get(number)
        if tail is None:
            tail = self._tails[number] = self._load_or_compute(number)
            self._joined = _join([self._tails.get(k) for k in range(len(self.nodes))])
        return tail

    def unclipped_places(self, background: npt.NDArray[_F]) -> npt.NDArray[_F]:
        """Return where backgrounds (photons per pixel) lie among the nodes, or would lie."""
        places: npt.NDArray[_F] = np.log(background / self.nodes[0].astype(background.dtype))
        return places / background.dtype.type(self.log_step)

    def places(self, background: FloatArray) -> FloatArray:
        """Return where backgrounds (photons per pixel) lie among the nodes, 0 at the first."""
        places = self.unclipped_places(background)
        # The last node only serves as the neighbour of the one before.
        return np.minimum(np.maximum(places, 0.0), len(self.nodes) - 2.001)

    def log_rates(self, scores: FloatArray, background: FloatArray) -> FloatArray:
        """Return log R of local maxima.

        Parameters
        ----------
        scores
            Log likelihood ratios at the nodes below and above the background, shape (n, 2).
        background
            Photons per pixel, shape (n,).
        """
        places = self.places(background)
        lower = places.astype(np.int64)
        for number in np.flatnonzero(np.bincount(lower)).tolist():
            self.node(number)
            self.node(number + 1)
        rates = np.empty(len(places))
        look_up_rates(scores, places, self._joined, ROUNDING, rates)
        return rates

    def growth(self, scores: FloatArray, background: FloatArray) -> FloatArray:
        """Return the power of the background with which R of the same photons grows.

        Parameters
        ----------
        scores, background
            As in :meth:`log_rates`.
        """
        lower = self.places(background).astype(np.int64)
        below = self.log_rates(np.repeat(scores[:, :1], 2, axis=1), self.nodes[lower])
        above = self.log_rates(np.repeat(scores[:, 1:], 2, axis=1), self.nodes[lower + 1])
        power: FloatArray = (above - below) / self.log_step
        return power

    def scores_at(self, log_rate: float, background: FloatArray) -> FloatArray:
        """Return the score at which log R falls to a value, for every background."""
        places = self.places(background)
        if not places.size:
            return np.empty(0)
        lower = places.astype(np.int64)
        nodes = np.flatnonzero(np.bincount(np.concatenate([lower, lower + 1])))
        inverse = np.array([self._invert(number, log_rate) for number in nodes.tolist()])
        scores: FloatArray = np.interp(places, nodes, inverse)
        return scores

    def _invert(self, number: int, log_rate: float) -> float:
        key = number, log_rate
        if key not in self._inverse:
            self._inverse[key] = self.node(number).invert(log_rate)
        return self._inverse[key]

    def passed(self, place: float) -> tuple[FloatArray, FloatArray]:
        """Return what cuts on R let through at a background between two nodes.

        The R of a maximum is interpolated between nodes, but which maxima are rarer than which
        may change from one node to the next: what a cut lets through is counted anew.

        Parameters
        ----------
        place
            Place of the background among the nodes; rounded to an eighth.

        Returns
        -------
        Natural logarithms of cuts on R, ascending, and of the maxima per pixel with an R of at
        most the cut.
        """
        key = round(8.0 * place)
        if key not in self._passed:
            number, part = key // 8, (key % 8) / 8.0
            tail = self.node(number)
            after = self.node(number + 1).look_up(tail.at_next)
            growth = part * (after - tail.log_rates)
            order = np.argsort(tail.log_rates + growth, kind="stable")
            weights = tail.log_weights + growth
            self._passed[key] = (
                (tail.log_rates + growth)[order],
                np.logaddexp.accumulate(weights[order]),
            )
        return self._passed[key]

    def density(self, number: int, share: float, log_ceiling: float) -> FloatArray:
        """Return how often the maxima of a node add each step to a frame's pooled ratio.

        Parameters
        ----------
        share
            Part of the pixels that hold a spot, if there are any.
        log_ceiling
            Natural logarithm of R of the most common maxima that take part.

        Returns
        -------
        Expected number per pixel, by steps of :data:`STEP` nats, up to the last that has any.
        """
        key = number, share, log_ceiling
        if key not in self._densities:
            tail = self.node(number)
            rates = np.exp(np.minimum(tail.log_rates, log_ceiling))
            mass = np.diff(rates, prepend=0.0)
            place = np.minimum(pooled_gain(tail.scores, share) / STEP, N_STEPS // 2)
            column = place.astype(np.int64)
            above = place - column
            density = np.zeros(N_STEPS)
            density += np.bincount(column, mass * (1.0 - above), minlength=N_STEPS)
            density += np.bincount(column + 1, mass * above, minlength=N_STEPS)
            self._densities[key] = np.trim_zeros(density, "b")
        return self._densities[key]

    def _load_or_compute(self, number: int) -> NodeTail:
        key = f"{self.n_pulses:g}-{self.sharing:g}-{self.family.streak_px:g}"
        kept = load_tail(key, number)
        if kept is not None and kept.keys() == set(NodeTail.__slots__):
            return NodeTail(**kept)
        tail = self._compute(number)
        keep_tail(key, number, {name: getattr(tail, name) for name in NodeTail.__slots__})
        return tail

    def _compute(self, number: int) -> NodeTail:
        generator = np.random.default_rng(_SEED + number)
        n_banks = len(self.family.banks)
        drawn = [
            draw_maxima(
                bank,
                tables,
                self.n_pulses,
                number,
                int(self.box_needs[number]),
                self.sharing,
                generator,
                _N_PATCHES // n_banks,
            )
            for bank, tables in zip(self.family.banks, self.tables, strict=True)
        ]
        maxima = np.concatenate([scores for scores, _ in drawn])
        log_weights = np.concatenate([weights for _, weights in drawn]) - math.log(n_banks)
        order = np.argsort(-maxima[:, 0], kind="stable")
        scores, ordered = maxima[order, 0], log_weights[order]
        # Equal scores count together: each of them is as common as all of them.
        last = np.searchsorted(-scores, -(scores - ROUNDING), side="right") - 1
        rates = np.logaddexp.accumulate(ordered)[last]
        return NodeTail(scores, maxima[order, 1], ordered, rates)


def pooled_gain(scores: FloatArray, share: float) -> FloatArray:
    """Return what maxima add to the pooled log likelihood ratio of a frame: ln(1 + pi (L - 1))."""
    gain: FloatArray = np.logaddexp(math.log1p(-share), scores + math.log(share))
    return np.maximum(gain, 0.0)


def _join(tails: Sequence[NodeTail | None]) -> RateTables:
    """Put the tails of all nodes known so far one after the other."""
    none = np.empty(0)
    sizes = [0 if tail is None else len(tail.scores) for tail in tails]
    return RateTables(
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        np.concatenate([none, *(tail.scores for tail in tails if tail is not None)]),
        np.concatenate([none, *(tail.log_rates for tail in tails if tail is not None)]),
    )


def draw_maxima(
    bank: ShapeBank,
    tables: ScoreTables,
    n_pulses: float,
    node: int,
    box_need: int,
    sharing: float,
    generator: np.random.Generator,
    n_patches: int,
) -> tuple[FloatArray, FloatArray]:
    """Draw patches with a spot in the middle, weighted so that they count blank ones.

    Parameters
    ----------
    box_need
        Photons that the 3x3 box around a maximum must hold.
    sharing
        Share of photons that fire a neighbouring pixel too.

    Returns
    -------
    Scores of the middle pixels that are local maxima, at this node and the next, shape (n, 2),
    and the logarithms of their weights: the weights of scores of at least t sum to R(t).
    """
    background = float(node_backgrounds()[node]) / (1.0 + sharing)
    strength, weights = _drawing_mixture(bank, background)
    side = 2 * bank.half + 1
    width = side + 2 * MAXIMUM_RADIUS
    inside = slice(MAXIMUM_RADIUS, MAXIMUM_RADIUS + side)
    component = generator.choice(len(weights), size=n_patches, p=weights)
    mean = np.full((n_patches, width, width), background)
    mean[:, inside, inside] += strength[component].reshape(n_patches, side, side)
    if math.isinf(n_pulses):
        counts = generator.poisson(mean).astype(np.uint16)
    else:
        counts = generator.binomial(round(n_pulses), -np.expm1(-mean / n_pulses)).astype(np.uint16)
    window = counts[:, inside, inside].reshape(n_patches, -1).astype(np.float64)
    log_ratio = window @ count_weight(strength, np.array(background), n_pulses).T
    log_ratio += np.log(weights) - strength.sum(axis=1)
    largest = log_ratio.max(axis=1)
    log_ratio = largest + np.log(np.exp(log_ratio - largest[:, None]).sum(axis=1))
    if sharing > 0.0:
        counts, log_weight = _share_charge(counts, sharing, background, generator)
        counts = np.minimum(counts, n_pulses).astype(np.uint16)  # a pixel counts once per pulse
        log_ratio -= log_weight
    scores = np.empty((n_patches, 2), np.float32)
    score_patches(counts, node, tables, bank.half, MAXIMUM_RADIUS, box_need, LOWEST_SCORE, scores)
    kept = np.isfinite(scores[:, 0])
    return scores[kept].astype(np.float64), -log_ratio[kept] - math.log(n_patches)


def box_thresholds(
    background: FloatArray, n_pulses: float, part: float = 1.0
) -> npt.NDArray[np.uint16]:
    """Return the photons that the 3x3 box around a maximum must hold, by background.

    That is the largest number that still lets enough blank pixels pass: sums over boxes are
    much cheaper than scores.

    Parameters
    ----------
    background
        Photons per pixel.
    n_pulses
        X-ray pulses per frame; ``math.inf`` for Poisson counts.
    part
        Part of the blank pixels, of those that may pass, that pass.
    """
    shares = part * np.exp(
        np.interp(np.log(background), np.log(_BOX_BACKGROUND), np.log(_BOX_SHARES))
    )
    needs = np.ones(len(background), np.uint16)
    for number, level in enumerate(background):
        mean = 9.0 * level
        trial = np.arange(1, math.ceil(mean + 8.0 * math.sqrt(mean) + 12.0))
        if math.isinf(n_pulses):
            passing = gammainc(trial, mean)
        else:
            most = 9 * round(n_pulses)
            trial = trial[trial <= most]
            passing = betainc(trial, most - trial + 1, -math.expm1(-level / n_pulses))
        needs[number] = max(1, int((passing >= shares[number]).sum()))
    return needs


def _share_charge(
    counts: npt.NDArray[np.uint16],
    sharing: float,
    background: float,
    generator: np.random.Generator,
) -> tuple[npt.NDArray[np.uint16], FloatArray]:
    """Let photons fire a neighbour too, more often than they do where photons are few.

    Returns
    -------
    The counts, and the logarithm of the true probability of the sharing over the drawn one.
    """
    drawn = max(sharing, _DRAWN_SHARING) if background < _CROWDED else sharing
    shared = generator.binomial(counts, drawn)
    total = counts.sum(axis=(1, 2), dtype=np.float64)
    events = shared.sum(axis=(1, 2), dtype=np.float64)
    log_weight = events * math.log(sharing / drawn)
    log_weight += (total - events) * math.log((1.0 - sharing) / (1.0 - drawn))
    result = counts.astype(np.int64)
    left = shared
    for number, (axis, step) in enumerate(((1, 1), (1, -1), (2, 1), (2, -1))):
        moved = generator.binomial(left, 1.0 / (4 - number))
        left = left - moved
        # Around the edge of the patch charge comes back on the other side, as from outside.
        result += np.roll(moved, step, axis=axis)
    return result.astype(np.uint16), log_weight


def _drawing_mixture(bank: ShapeBank, background: float) -> tuple[FloatArray, FloatArray]:
    """Return the spots that patches are drawn with: photons per tap, and probabilities.

    Beside the components of the score there are fainter and wider ones: at low background the
    maxima of interest are two or three scattered photons, which no proper spot makes often.
    """
    own = component_strengths(bank, np.array([background]))[0].T
    photons = float(typical_photons(np.array([background]))[0])
    n_taps = bank.taps.shape[1]
    shapes = [*bank.taps, np.full(n_taps, 1.0 / n_taps)]
    faint = np.array([factor * photons * taps for factor in _FAINT for taps in shapes])
    chance = np.full(len(faint), 1.0)
    # The flat shape as often as all others together.
    chance[len(bank.taps) :: len(shapes)] = len(bank.taps)
    chance /= chance.sum()
    weights = np.concatenate([0.4 * component_weights(bank), 0.6 * chance])
    return np.concatenate([own, faint]), weights / weights.sum()


@lru_cache(maxsize=16)
def tail_of(n_pulses: float, sharing: float, streak_px: float) -> NullTail:
    """Return the tail of round spots, or of streaks; shared by all finders of the process.

    Parameters
    ----------
    streak_px
        Standard deviation of streaks along the radius; 0 for round spots alone.
    """
    family = streak_shapes(streak_px) if streak_px else round_shapes()
    return NullTail(family, n_pulses, sharing)
