"""What background alone makes at candidate level: patches of local maxima, and how common each is.

False candidates are far too rare to be waited for: ten per frame of 4.5 million pixels. As in
:mod:`cxlsfind.finding.poisson.thresholds` patches are drawn with something in the middle, and each
is weighted by how much rarer background alone makes it (a change of measure). Resampled by weight
they are honest false candidates to train on; summed, the weights give the rate of false candidates
of any score, also of the score of a trained network.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from cxlsfind.models.likelihood import LikelihoodRatio, SpotTables

FloatArray = npt.NDArray[np.float64]
CountArray = npt.NDArray[np.uint16]

#: Side of the patches: the window of a score, and the scores around it that it must beat.
PATCH_SIDE: Final = 11
_RADIUS = 2

#: Intensities of faint spots that patches are drawn with, in units of the score's faintest.
_FAINT = (0.3, 0.8)
_FAINT_SHARE = 0.6

#: Where photons are few, patches are drawn with at least this share of them shared.
_DRAWN_SHARING = 0.15
_CROWDED = 0.03

#: Scores of the same photons may differ by rounding.
_ROUNDING = 1e-3

_CHUNK = 1000


class NullDraw(NamedTuple):
    """Local maxima of a background.

    Parameters
    ----------
    counts
        Patches around them, shape (n, 11, 11), uint16.
    usable
        Their usable pixels, (n, 11, 11); bool.
    score
        Log likelihood ratios; (n,).
    log_weight
        Natural logarithm of how often each occurs per pixel; (n,).
    """

    counts: CountArray
    usable: npt.NDArray[np.bool_]
    score: FloatArray
    log_weight: FloatArray

    def resample(
        self, lowest: float, most: int, generator: np.random.Generator
    ) -> npt.NDArray[np.intp]:
        """Return maxima with scores of at least ``lowest``, as background alone makes them.

        Parameters
        ----------
        most
            How many at most; no more than there are independent ones.
        """
        kept = np.flatnonzero(self.score >= lowest)
        if not kept.size:
            return kept
        chance = np.exp(self.log_weight[kept] - self.log_weight[kept].max())
        chance /= chance.sum()
        number = min(most, round(1.0 / float((chance**2).sum())))
        return generator.choice(kept, number, p=chance)


def draw_null(
    tables: SpotTables,
    ratio: LikelihoodRatio,
    background: float,
    generator: np.random.Generator,
    n_patches: int = 16000,
    believed: float | None = None,
    sharing: float = 0.0,
    usable: npt.NDArray[np.bool_] | None = None,
) -> NullDraw:
    """Draw weighted local maxima of Poisson counts.

    Parameters
    ----------
    ratio
        The score, made from ``tables``.
    background
        Photons per pixel.
    believed
        The background that the score is told; the true one unless given.
    sharing
        Share of photons that fire a neighbouring pixel too; they are part of ``background``.
    usable
        Usable pixels of every patch, (n_patches, 11, 11); all unless given.
    """
    told = background if believed is None else believed
    background = background / (1.0 + sharing)
    strength, weights = _drawing_mixture(tables, background)
    window = ratio.side
    inside = slice(_RADIUS, _RADIUS + window)
    component = generator.choice(len(weights), n_patches, p=weights)
    mean = np.full((n_patches, PATCH_SIDE, PATCH_SIDE), background)
    mean[:, inside, inside] += strength[component].reshape(n_patches, window, window)
    counts = generator.poisson(mean)
    taps = counts[:, inside, inside].reshape(n_patches, -1).astype(np.float64)
    log_ratio = taps @ np.log1p(strength / background).T + np.log(weights) - strength.sum(axis=1)
    log_drawn = np.logaddexp.reduce(log_ratio, axis=1)
    if sharing > 0.0:
        counts, log_weight = _share_charge(counts, sharing, background, generator)
        log_drawn -= log_weight
    if usable is not None:
        counts = counts * usable
    seen = counts.astype(np.uint16)
    scores = score_maps(ratio, seen, told, usable)
    kept = is_maximum(scores)
    middle = scores[kept, _RADIUS, _RADIUS].astype(np.float64)
    if usable is None:
        usable = np.ones(seen.shape, np.bool_)
    return NullDraw(seen[kept], usable[kept], middle, -log_drawn[kept] - math.log(n_patches))


def log_rate_curve(score: FloatArray, log_weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return scores, descending, and the log rate per pixel of maxima at least as high."""
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    # Equal scores count together: each of them is as common as all of them.
    last = np.searchsorted(-ordered, -(ordered - _ROUNDING), side="right") - 1
    return ordered, np.logaddexp.accumulate(log_weight[order])[last]


def score_at_rate(score: FloatArray, log_weight: FloatArray, log_rate: float) -> float:
    """Return the lowest score that background reaches at most this often per pixel."""
    ordered, rates = log_rate_curve(score, log_weight)
    reached = int(np.searchsorted(rates, log_rate, side="right"))
    if reached:
        return float(ordered[reached - 1])
    # Beyond the rarest maximum drawn a score that is higher by x is rarer by e^x.
    return float(ordered[0] + rates[0] - log_rate)


def score_maps(
    ratio: LikelihoodRatio,
    counts: CountArray,
    background: float | npt.NDArray[np.float32],
    usable: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.float32]:
    """Return the scores of all places whose window lies in the patches, (n, H - 6, W - 6)."""
    n, height, width = counts.shape
    side = ratio.side - 1
    scores = np.empty((n, height - side, width - side), np.float32)
    level = np.broadcast_to(np.asarray(background, np.float32), counts.shape)
    with torch.inference_mode():
        for start in range(0, n, _CHUNK):
            part = slice(start, start + _CHUNK)
            image = torch.from_numpy(counts[part].astype(np.float32))[:, None]
            flat = torch.from_numpy(level[part].copy())[:, None]
            mask = torch.ones_like(image)
            if usable is not None:
                mask = torch.from_numpy(usable[part].astype(np.float32))[:, None]
            found = torch.logsumexp(ratio(image, flat, mask), dim=1)
            scores[part] = found.numpy()
    return scores


def is_maximum(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Tell which middles beat all other scores of their map; of equals the first one does."""
    n, height, width = scores.shape
    flat = np.round(scores.reshape(n, -1) / _ROUNDING)
    middle = (height // 2) * width + width // 2
    own = flat[:, middle, None]
    earlier, later = flat[:, :middle], flat[:, middle + 1 :]
    best: npt.NDArray[np.bool_] = np.all(earlier < own, axis=1)
    best &= np.all(later <= own, axis=1)
    return best


def _drawing_mixture(tables: SpotTables, background: float) -> tuple[FloatArray, FloatArray]:
    """Return the spots that patches are drawn with: photons per tap, and probabilities.

    Beside the components of the score there are fainter and wider ones: at low background the
    maxima of interest are two or three scattered photons, which no proper spot makes often.
    """
    node = int(np.argmin(np.abs(tables.log_background - math.log(background))))
    photons = tables.photons[node]
    own = photons[:, None] * tables.taps
    shapes = np.unique(tables.taps, axis=0)
    n_taps = shapes.shape[1]
    shapes = np.concatenate([shapes, np.full((1, n_taps), 1.0 / n_taps)])
    faint = np.concatenate([factor * photons.min() * shapes for factor in _FAINT])
    chance = np.ones(len(faint))
    # The flat shape as often as all others together.
    chance[len(shapes) - 1 :: len(shapes)] = len(shapes) - 1
    weights = np.concatenate(
        [
            (1.0 - _FAINT_SHARE) * np.exp(tables.log_weight),
            _FAINT_SHARE * chance / chance.sum(),
        ]
    )
    return np.concatenate([own, faint]), weights / weights.sum()


def _share_charge(
    counts: npt.NDArray[np.int64],
    sharing: float,
    background: float,
    generator: np.random.Generator,
) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Let photons fire a neighbour too, more often than they do where photons are few.

    Returns
    -------
    The counts, and the logarithm of the true probability of the sharing over the drawn one.
    """
    drawn = max(sharing, _DRAWN_SHARING) if background < _CROWDED else sharing
    shared = generator.binomial(counts, drawn)
    events = shared.sum(axis=(1, 2)).astype(np.float64)
    unshared = counts.sum(axis=(1, 2)) - events
    log_weight: FloatArray = events * math.log(sharing / drawn)
    log_weight += unshared * math.log((1.0 - sharing) / (1.0 - drawn))
    return counts + spread_to_neighbours(shared, generator), log_weight


def spread_to_neighbours(
    counts: npt.NDArray[np.int64], generator: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Move every count to one of the four neighbours; around the edge to the other side."""
    left = counts
    moved = np.zeros_like(counts)
    for number, (axis, step) in enumerate(((1, 1), (1, -1), (2, 1), (2, -1))):
        going = generator.binomial(left, 1.0 / (4 - number))
        left = left - going
        moved += np.roll(going, step, axis=axis)
    return moved
