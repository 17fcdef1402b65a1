"""Pixels that lie: hot, flashing, dead and wide ones, told by how often they fire in a block."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from scipy.special import gammainc, gammaincc

from cxlsfind.finding.poisson.background import Background, batches
from cxlsfind.finding.poisson.canvas import WORD, PlacedFrame
from cxlsfind.finding.poisson.odd_lines import find_odd_lines
from cxlsfind.finding.poisson.surroundings import RINGS_PER_BIN, Surroundings
from cxlsfind.finding.poisson.tiles import SIDE
from cxlsfind.kernels.background_maps import list_odd_pixels, take_from
from cxlsfind.kernels.flashes import count_flashes, mark_flashes
from cxlsfind.kernels.maxima import take_marked

FloatArray = npt.NDArray[np.float64]

#: Good pixels per block that may be taken for liars.
_LOST_PER_BLOCK = 0.01

#: Fewest frames whose agreement says something about a pixel.
FEWEST_FRAMES = 16

#: The four neighbours of the middle pixel of even a sharp spot hold 0.7 of its photons between
#: them: pixels with less company than this lie alone. Spots that stay for some frames, because
#: the crystal does, and the edges of shadows are thus left in peace.
_COMPANY = 0.6

#: With company a pixel lies if it fires in half of the frames or more (where photons are few),
#: or counts this many times too much or too little.
_FAR_OFF = 5.0

#: So many compact places that shine all the time are the spots of a crystal that stands still, not
#: faults; fewer may be faults, or flares of the beam line. Pixels within a reach belong to a place,
#: and at twice that distance it is dark.
_CRYSTAL = 10
_REACH = 4

#: Below this background a pixel is judged by the frames in which it fires, so that one bright
#: spot is one vote; above, by its photons, of which a spot is one frame's share.
_SPARSE = 0.3

#: A count this rare is a flash; a pixel that flashes in this many frames of a block lies. Three
#: crystals that put a spot on the same pixel within one block are not unheard of. Marks of flashes
#: count to four and no further.
_FLASH_TAIL = 1e-6
_FLASHES = 4
_NEVER = 2**31

#: Bins of radius to either side that the pixels of a word reach.
_BINS = WORD // RINGS_PER_BIN // 2 + 1


def find_lying(
    frames: Sequence[PlacedFrame],
    around: Surroundings,
    background: Background,
    totals: npt.NDArray[np.uint32],
    lit: npt.NDArray[np.uint32],
) -> npt.NDArray[np.int32]:
    """Return usable pixels of the canvas that fire too often or too rarely; ascending.

    Parameters
    ----------
    frames
        Frames of one block that share a background; too few of them tell nothing.
    totals
        Sum over the frames at every canvas pixel.
    lit
        In how many frames that was anything.
    """
    if len(frames) < FEWEST_FRAMES:
        return np.empty(0, np.int32)
    level = background.profile * background.scales.astype(np.float64)
    sparse = level.max(axis=0) < _SPARSE
    votes = totals
    if sparse.any():
        votes = lit
        if not sparse.all():
            votes = lit.copy()
            take_from(totals, ~sparse, around.ring, votes)
    hoped = np.where(sparse, -np.expm1(-level), level).sum(axis=0)
    odd, mean = _odd_pixels(votes, hoped, background, around)
    excess = votes[odd] - mean
    chance = _LOST_PER_BLOCK / max(around.n_pixels, 1)
    above = (excess > 0) & (gammainc(np.maximum(votes[odd], 1), mean) < chance)
    below = (excess < 0) & (gammaincc(votes[odd] + 1.0, mean) < chance)
    is_sparse = sparse[around.ring[odd]]
    always = votes[odd] >= np.where(is_sparse, 0.5 * len(frames), _FAR_OFF * mean)
    never = ~is_sparse & (votes[odd] < mean / _FAR_OFF)
    rare = above | below
    odd, mean, far = odd[rare], mean[rare], (always | never)[rare]
    stride = around.canvas.stride
    company = sum(
        votes[odd + step] - _hoped_at(odd + step, hoped, background, around)
        for step in (-1, 1, -stride, stride)
    )
    alone = company / (votes[odd] - mean) < _COMPANY
    spots = _standing_spots(odd[far & ~alone], totals, stride)
    # A few pixels that are bright on their own account do not make a line bright.
    known = odd[far | alone]
    their_votes = votes[known]
    votes[known] = 0
    lines = find_odd_lines(votes, hoped, background, around)
    votes[known] = their_votes
    lying = [np.setdiff1d(odd[far | alone], spots), _flashing(frames, around, level), lines]
    return np.unique(np.concatenate(lying)).astype(np.int32)


def _standing_spots(
    pixels: npt.NDArray[np.int32], totals: npt.NDArray[np.uint32], stride: int
) -> npt.NDArray[np.int32]:
    """Return those pixels that belong to the spots of a crystal that stands still.

    Parameters
    ----------
    pixels
        Pixels that are far too bright, or too dark, and have company; ascending.
    """
    own = totals[pixels]
    steps = np.array([s * stride + f for s in (-1, 0, 1) for f in (-1, 0, 1) if s or f])
    beside = totals[pixels[:, None] + steps]
    # Of equals the first.
    largest = (own[:, None] > beside[:, :4]).all(axis=1) & (own[:, None] >= beside[:, 4:]).all(
        axis=1
    )
    middle = pixels[largest]
    away = (
        2
        * _REACH
        * np.array([-stride - 1, -stride, -stride + 1, -1, 1, stride - 1, stride, stride + 1])
    )
    ends = np.clip(middle[:, None] + away, 0, totals.size - 1)
    middle = middle[~np.isin(ends, pixels).any(axis=1)]
    if middle.size < _CRYSTAL:
        return np.empty(0, np.int32)
    reach = np.arange(-_REACH, _REACH + 1)
    windows = middle[:, None] + (reach[:, None] * stride + reach).ravel()
    return pixels[np.isin(pixels, windows)]


def _odd_pixels(
    votes: npt.NDArray[np.uint32],
    hoped: FloatArray,
    background: Background,
    around: Surroundings,
) -> tuple[npt.NDArray[np.int32], FloatArray]:
    """Return the pixels worth a closer look, and the votes they were expected to have."""
    size = 1 << 16
    while True:
        odd, mean = np.empty(size, np.int32), np.empty(size)
        n = list_odd_pixels(
            votes,
            hoped,
            background.factor,
            SIDE,
            around.ring,
            around.usable,
            around.canvas.stride,
            odd,
            mean,
        )
        if n <= size:
            return odd[:n], mean[:n]
        size = n


def _hoped_at(
    pixels: npt.NDArray[np.int32],
    hoped: FloatArray,
    background: Background,
    around: Surroundings,
) -> FloatArray:
    """Return the votes expected at canvas pixels; none at unusable ones."""
    ring = np.maximum(around.ring[pixels], 0)
    expected = hoped[ring] * background.factor.ravel()[around.tiles.of(pixels)]
    at: FloatArray = np.where(around.usable[pixels], expected, 0.0)
    return at


def _flashing(
    frames: Sequence[PlacedFrame], around: Surroundings, level: FloatArray
) -> npt.NDArray[np.int32]:
    """Return the pixels that flash, alone, in too many of the frames; ascending."""
    rare = np.where(around.ring_sizes > 0, _rare_count(level), _NEVER)
    least = _least_of_bins(rare, around.n_bins)
    marked = np.zeros((3, around.canvas.n_words), np.uint64)
    first = 0
    for together in batches([frame.planes for frame in frames]):
        here = least[first : first + len(together)]
        mark_flashes(together, around.usable_words, around.word_bin, here, marked)
        first += len(together)
    often = np.empty(int(np.bitwise_count(marked[-1]).sum()), np.int32)
    take_marked(marked[-1], often)
    stride = around.canvas.stride
    pixels = np.concatenate([often + step for step in (0, -1, 1, -stride, stride)])
    flashes = np.zeros(len(pixels), np.int64)
    for number, frame in enumerate(frames):
        counted = frame.planes, frame.place, frame.count, around.usable, around.ring
        count_flashes(*counted, rare[number], pixels, flashes)
    own, *beside = flashes.reshape(5, -1)
    return often[(own >= _FLASHES) & (sum(beside) / np.maximum(own, 1) < _COMPANY)]


def _least_of_bins(rare: npt.NDArray[np.int64], n_bins: int) -> npt.NDArray[np.int64]:
    """Return, by frame, the smallest rare count of the rings that a word of a bin may touch."""
    padded = np.full((len(rare), n_bins * RINGS_PER_BIN), _NEVER)
    padded[:, : rare.shape[1]] = rare
    bins = padded.reshape(len(rare), n_bins, RINGS_PER_BIN).min(axis=2)
    bins = np.pad(bins, ((0, 0), (_BINS, _BINS)), mode="edge")
    least: npt.NDArray[np.int64] = sliding_window_view(bins, 2 * _BINS + 1, axis=1).min(axis=2)
    return least


def _rare_count(level: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the smallest count rarer than a flash, by background."""
    nodes, needed = _rare_table()
    place = np.searchsorted(nodes, np.maximum(level, nodes[0]))
    rare: npt.NDArray[np.int64] = needed[np.minimum(place, len(nodes) - 1)]
    return rare


@cache
def _rare_table() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    nodes = np.logspace(-7, 3, 201)
    trial = np.arange(1, 1300)[:, None]
    common = gammainc(trial, nodes[None, :]) > _FLASH_TAIL
    return nodes, np.maximum(1 + common.sum(axis=0), 3)
