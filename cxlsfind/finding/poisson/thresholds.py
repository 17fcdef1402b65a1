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
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, gammainc

from cxlsfind.finding.poisson.scores import (
    build_tables,
    component_strengths,
    component_weights,
    count_weight,
    node_backgrounds,
    typical_photons,
)
from cxlsfind.finding.poisson.shapes import ShapeBank, round_bank
from cxlsfind.kernels.likelihood import ScoreTables, score_patches

FloatArray = npt.NDArray[np.float64]

#: A peak is the largest score among the pixels up to this far from it, along both axes.
MAXIMUM_RADIUS = 2

#: Local maxima with a lower score are not kept; each is more common than a hundred thousand per
#: frame.
LOWEST_SCORE = 1.0

#: Patches per background, and the seed of the first node.
_N_PATCHES = 16000

#: Share of blank pixels whose 3x3 box may pass on to the score, by background: a few hundred a
#: frame where photons are few, and more where a box is a poor stand-in for a score.
_BOX_BACKGROUND = (0.01, 0.3)
_BOX_SHARES = (1.4e-4, 7e-4)

#: Intensities of faint spots, in units of the typical one, that patches are drawn with.
_FAINT = (0.3, 0.8)

#: Where photons are few, patches are drawn with at least this share of them shared.
_DRAWN_SHARING = 0.15
_CROWDED = 0.03

_SEED = 20180155


#: Scores of the same photons may differ by rounding.
_ROUNDING = 1e-3


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
        reached = np.searchsorted(-self.scores, -(scores - _ROUNDING), side="right")
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
    bank
        Spot shapes of the score.
    n_pulses
        X-ray pulses per frame; ``math.inf`` for Poisson counts.
    sharing
        Share of photons that fire a neighbouring pixel too.
    """

    def __init__(self, bank: ShapeBank, n_pulses: float, sharing: float = 0.0) -> None:
        self.bank = bank
        self.n_pulses = n_pulses
        self.sharing = sharing
        self.tables: ScoreTables = build_tables(bank, n_pulses)
        self.nodes = node_backgrounds()
        self.box_needs = box_thresholds(self.nodes, n_pulses)
        self._tails: dict[int, NodeTail] = {}
        self._passed: dict[int, tuple[FloatArray, FloatArray]] = {}

    def node(self, number: int) -> NodeTail:
        """Return the tail at a background node."""
        tail = self._tails.get(number)
        if tail is None:
            tail = self._tails[number] = self._compute(number)
        return tail

    def places(self, background: FloatArray) -> FloatArray:
        """Return where backgrounds (photons per pixel) lie among the nodes, 0 at the first."""
        step = math.log(self.nodes[1] / self.nodes[0])
        places: FloatArray = np.log(background / self.nodes[0]) / step
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
        part = places - lower
        rates = np.empty(len(places))
        for number in np.unique(lower):
            here = lower == number
            below = self.node(int(number)).look_up(scores[here, 0])
            above = self.node(int(number) + 1).look_up(scores[here, 1])
            rates[here] = (1.0 - part[here]) * below + part[here] * above
        return rates

    def scores_at(self, log_rate: float, background: FloatArray) -> FloatArray:
        """Return the score at which log R falls to a value, for every background."""
        places = self.places(background)
        if not places.size:
            return np.empty(0)
        lower = places.astype(np.int64)
        nodes = np.unique(np.concatenate([lower, lower + 1]))
        inverse = np.array([self.node(int(number)).invert(log_rate) for number in nodes])
        scores: FloatArray = np.interp(places, nodes, inverse)
        return scores

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

    def _compute(self, number: int) -> NodeTail:
        maxima, log_weights = draw_maxima(
            self.bank,
            self.tables,
            self.n_pulses,
            number,
            int(self.box_needs[number]),
            self.sharing,
            np.random.default_rng(_SEED + number),
        )
        order = np.argsort(-maxima[:, 0], kind="stable")
        scores, ordered = maxima[order, 0], log_weights[order]
        # Equal scores count together: each of them is as common as all of them.
        last = np.searchsorted(-scores, -(scores - _ROUNDING), side="right") - 1
        rates = np.logaddexp.accumulate(ordered)[last]
        return NodeTail(scores, maxima[order, 1], ordered, rates)


def draw_maxima(
    bank: ShapeBank,
    tables: ScoreTables,
    n_pulses: float,
    node: int,
    box_need: int,
    sharing: float,
    generator: np.random.Generator,
    n_patches: int = _N_PATCHES,
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
        log_ratio -= log_weight
    scores = np.empty((n_patches, 2), np.float32)
    score_patches(counts, node, tables, bank.half, MAXIMUM_RADIUS, box_need, LOWEST_SCORE, scores)
    kept = np.isfinite(scores[:, 0])
    return scores[kept].astype(np.float64), -log_ratio[kept] - math.log(n_patches)


def box_thresholds(background: FloatArray, n_pulses: float) -> npt.NDArray[np.uint16]:
    """Return the photons that the 3x3 box around a maximum must hold, by background.

    That is the largest number that still lets enough blank pixels pass: sums over boxes are
    much cheaper than scores.

    Parameters
    ----------
    background
        Photons per pixel.
    n_pulses
        X-ray pulses per frame; ``math.inf`` for Poisson counts.
    """
    shares = np.exp(np.interp(np.log(background), np.log(_BOX_BACKGROUND), np.log(_BOX_SHARES)))
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
def round_tail(n_pulses: float, sharing: float = 0.0) -> NullTail:
    """Return the tail of ordinary round spots, shared by all finders of the process."""
    return NullTail(round_bank(), n_pulses, sharing)
