"""Counts on a canvas as bit planes and back, through arrays with one number per bit."""

import numpy as np


def planes_of(counts, n_planes):
    """Return the planes of counts, which stop at all bits set; zeros fill the last word."""
    kept = np.zeros(-(-len(counts) // 64) * 64, np.int64)
    kept[: len(counts)] = np.minimum(counts, 2**n_planes - 1)
    bits = (kept >> np.arange(n_planes)[:, None]) & 1
    return np.packbits(bits.astype(np.uint8), axis=1, bitorder="little").view(np.uint64)


def counts_of(planes):
    """Return what planes hold, pixel by pixel."""
    bits = np.unpackbits(planes.view(np.uint8), axis=1, bitorder="little")
    return 2 ** np.arange(len(planes)) @ bits.astype(np.int64)


def listed(counts, n_planes):
    """Return the pixels with all bits set, and their counts."""
    places = np.flatnonzero(counts >= 2**n_planes - 1).astype(np.int32)
    return places, counts[places].astype(np.uint32)


def words_of(flags):
    """Return flags as the bits of words."""
    return planes_of(np.asarray(flags).astype(np.int64), 1)[0]


def flags_of(words):
    """Return the bits of words as flags."""
    return counts_of(words[None, :]).astype(np.bool_)


def draw_counts(generator, size, mean, n_planes):
    """Return counts of which a few reach or exceed what the planes can hold."""
    counts = generator.poisson(mean, size)
    full = 2**n_planes - 1
    odd = generator.random(size) < 0.01
    counts[odd] = generator.choice([full - 1, full, full + 1, 300, 70000], int(odd.sum()))
    return counts


def box_sums(counts, stride):
    """Return the sums over 3x3 boxes; pixels beyond an end of a row are those of the next row."""
    flat = np.pad(counts, stride + 1)
    steps = [dss * stride + dfs for dss in (-1, 0, 1) for dfs in (-1, 0, 1)]
    return sum(flat[stride + 1 + step :][: len(counts)] for step in steps)


def factor_map(factor, side, n_rows, stride):
    """Return a factor known in the middles of tiles at every pixel, shape (rows, stride)."""
    rows, columns = (np.arange(n) for n in factor.shape)
    down = np.clip((np.arange(n_rows) + 0.5) / side - 0.5, 0, len(rows) - 1)
    across = np.clip((np.arange(stride) + 0.5) / side - 0.5, 0, len(columns) - 1)
    upright = np.array([np.interp(down, rows, column) for column in factor.T.astype(float)])
    return np.array([np.interp(across, columns, row) for row in upright.T])
