"""Sharp rings of the background: ice, salt and lipid powders, told from water by their width.

The amount of ice changes from frame to frame, while the background's shape is that of all frames:
each ring has a strength of its own in every frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.ndimage import median_filter

from cxlsfind.finding.poisson.background import Background
from cxlsfind.finding.poisson.canvas import PlacedFrame
from cxlsfind.finding.poisson.settings import SharpRing
from cxlsfind.finding.poisson.surroundings import Surroundings
from cxlsfind.kernels.ring_words import list_ring_words, sum_ring_words

FloatArray = npt.NDArray[np.float64]

#: Half the width of what counts as a trend; rings that are wider than this are none.
_TREND = 30

#: Rings that are judged together, the share by which they must exceed the trend, and how many
#: standard errors that must be.
_WIDTH = 3
_LEAST_EXCESS = 0.1
_SIGNIFICANT = 8.0

#: The mean of fewest rings says too little, near the beam and in the corners.
_FEWEST_PIXELS = 200

#: Frames that are compared with each other.
_FEWEST_FRAMES = 4


def find_sharp_rings(background: Background, around: Surroundings) -> tuple[SharpRing, ...]:
    """Return the sharp rings of frames that share a background, from the beam outwards."""
    known = _known_rings(around)
    if known.size < 2 * _TREND:
        return ()
    profile, trend = background.profile[known], _trend(background, around)[known]
    hoped = trend * around.ring_sizes[known] * background.scales.sum(axis=0)[known]
    excess = profile / trend - 1.0
    pooled = _pool(excess * hoped) / np.maximum(_pool(hoped), 1e-300)
    sigma = 1.0 / np.sqrt(np.maximum(_pool(hoped), 1e-300))
    is_sharp = (pooled > _LEAST_EXCESS) & (pooled > _SIGNIFICANT * sigma)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_sharp, [False]]).astype(np.int8)))
    rings = []
    for start, stop in edges.reshape(-1, 2).tolist():
        if stop - start > _TREND:
            continue
        above = np.maximum(excess[start:stop], 1e-9)
        radius = float(np.average(known[start:stop] + 0.5, weights=above))
        rings.append(SharpRing(radius, int(known[start]), int(known[stop - 1]), float(above.max())))
    return tuple(rings)


def follow_rings(
    background: Background,
    rings: Sequence[SharpRing],
    placed: Sequence[PlacedFrame],
    around: Surroundings,
    cut_out: Sequence[npt.NDArray[np.int32]],
) -> Background:
    """Return the background with what each frame has of every ring.

    Strengths are drawn towards that of the other frames as far as they scatter by chance.

    Parameters
    ----------
    cut_out
        Per frame, canvas pixels of spots.
    """
    if not rings or len(placed) < _FEWEST_FRAMES:
        return background
    n_rings = len(background.profile)
    group_of_ring = np.full(n_rings, -1)
    for number, each in enumerate(rings):
        group_of_ring[max(each.first - 1, 0) : each.last + 2] = number
    seen, pixels_left = _photons_on_rings(placed, around, group_of_ring, cut_out, len(rings))
    scales = background.scales.astype(np.float64)
    trend = _trend(background, around)
    result = scales.copy()
    for number in range(len(rings)):
        here = np.flatnonzero(group_of_ring == number)
        weight = around.ring_sizes[here] * background.profile[here]
        n_pixels = max(int(around.ring_sizes[here].sum()), 1)
        kept = np.maximum(1.0 - pixels_left[:, number] / n_pixels, 0.1)
        usual = (scales[:, here] @ weight) / max(float(weight.sum()), 1e-300) * kept
        hoped = usual * seen[:, number].sum() / max(float(usual.sum()), 1e-300)
        lit = hoped > 1.0
        excess = np.where(lit, seen[:, number] / np.where(lit, hoped, 1.0) - 1.0, 0.0)
        n_lit = int(lit.sum())
        surplus = (hoped * excess**2)[lit].sum() - n_lit - 3.0 * np.sqrt(2.0 * n_lit)
        spread = max(float(surplus), 0.0) / max(float(hoped[lit].sum()), 1.0)
        if spread == 0.0:
            continue
        shrunk = excess * spread / (spread + 1.0 / np.maximum(hoped, 1.0))
        profile = background.profile[here]
        sharp = np.maximum(profile - trend[here], 0.0)
        share = float((around.ring_sizes[here] * sharp).sum()) / max(float(weight.sum()), 1e-300)
        strength = np.maximum(1.0 + shrunk / max(share, 1e-3), 0.0)
        lift = 1.0 + (strength[:, None] - 1.0) * sharp / np.maximum(profile, 1e-300)
        result[:, here] = scales[:, here] * lift
    lifted = result.astype(np.float32)
    return replace(background, scales=lifted, smooth_scales=np.minimum(background.scales, lifted))


def _photons_on_rings(
    placed: Sequence[PlacedFrame],
    around: Surroundings,
    group_of_ring: npt.NDArray[np.int64],
    cut_out: Sequence[npt.NDArray[np.int32]],
    n_groups: int,
) -> tuple[FloatArray, FloatArray]:
    """Return photons on groups of rings outside spots, and pixels of spots, (frames, groups)."""
    size = 1 << 15
    while True:
        word, group = np.empty(size, np.int32), np.empty(size, np.int32)
        mask = np.empty(size, np.uint64)
        n = list_ring_words(around.ring, around.usable, group_of_ring, word, group, mask)
        if n <= size:
            break
        size = n
    sums = np.zeros((len(placed), n_groups), np.int64)
    left = np.zeros_like(sums)
    for frame, cut, row, missed in zip(placed, cut_out, sums, left, strict=True):
        sum_ring_words(
            frame.planes,
            frame.place,
            frame.count,
            word[:n],
            group[:n],
            mask[:n],
            around.ring,
            group_of_ring,
            cut,
            row,
            missed,
        )
    return sums.astype(np.float64), left.astype(np.float64)


def _trend(background: Background, around: Surroundings) -> FloatArray:
    """Return the profile without sharp rings."""
    trend: FloatArray = background.profile.copy()
    known = _known_rings(around)
    if known.size >= 2 * _TREND:
        trend[known] = median_filter(background.profile[known], 2 * _TREND + 1, mode="nearest")
    return trend


def _known_rings(around: Surroundings) -> npt.NDArray[np.int64]:
    return np.flatnonzero(around.ring_sizes >= _FEWEST_PIXELS)


def _pool(values: FloatArray) -> FloatArray:
    pooled: FloatArray = np.convolve(values, np.ones(_WIDTH), mode="same")
    return pooled
