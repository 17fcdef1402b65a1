"""Sharp rings of the background: ice, salt and lipid powders, told from water by their width."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import median_filter

from cxlsfind.finding.poisson.background import Background
from cxlsfind.finding.poisson.settings import SharpRing
from cxlsfind.finding.poisson.surroundings import Surroundings

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


def find_sharp_rings(background: Background, around: Surroundings) -> tuple[SharpRing, ...]:
    """Return the sharp rings of frames that share a background, from the beam outwards."""
    weight = around.ring_sizes * (around.ring_sizes >= _FEWEST_PIXELS)
    known = np.flatnonzero(weight)
    if known.size < 2 * _TREND:
        return ()
    profile = background.profile[known]
    trend = median_filter(profile, 2 * _TREND + 1, mode="nearest")
    hoped = trend * weight[known] * background.scales.sum(axis=0)[known]
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


def _pool(values: FloatArray) -> FloatArray:
    pooled: FloatArray = np.convolve(values, np.ones(_WIDTH), mode="same")
    return pooled
