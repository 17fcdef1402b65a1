"""Pixels that lie: hot, flashing and dead ones, told by how often they fire in a block."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.special import gammainc, gammaincc

from cxlsfind.finding.poisson.background import Background, PlacedFrame, Surroundings
from cxlsfind.kernels.photon_scan import add_capped

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

#: Below this background a pixel is judged by the frames in which it fires, so that one bright
#: spot is one vote; above, by its photons, of which a spot is one frame's share.
_SPARSE = 0.3

#: A count this rare is a flash; a pixel that flashes in this many frames of a block lies. Three
#: crystals that put a spot on the same pixel within one block are not unheard of.
_FLASH_TAIL = 1e-6
_FLASHES = 4


def find_lying(
    frames: Sequence[PlacedFrame], around: Surroundings, background: Background
) -> npt.NDArray[np.int32]:
    """Return usable pixels of the canvas that fire too often or too rarely; ascending.

    Parameters
    ----------
    frames
        Frames of one block that share a background; too few of them tell nothing.
    """
    if len(frames) < FEWEST_FRAMES:
        return np.empty(0, np.int32)
    level = background.profile * background.scales.astype(np.float64)
    caps = np.where(level.max(axis=0) < _SPARSE, 1, background.caps)
    votes = np.zeros(around.canvas.size, np.uint32)
    flashes = np.zeros(around.canvas.size, np.uint32)
    hoped = np.zeros(around.n_rings)
    for number, frame in enumerate(frames):
        add_capped(frame.place, frame.count, around.usable, around.ring, caps, votes)
        hoped += np.where(caps == 1, -np.expm1(-level[number]), level[number])
        rare = _rare_count(level[number])
        known = frame.place >= 0
        ring = around.ring[frame.place[known]]
        high = frame.count[known] >= rare[np.maximum(ring, 0)]
        flashes[frame.place[known][high & (ring >= 0)]] += 1
    pixels = np.flatnonzero(around.usable).astype(np.int32)
    rings = around.ring[pixels]
    mean = np.zeros(around.canvas.size)
    mean[pixels] = hoped[rings] * background.shape[pixels] / background.profile[rings]
    excess = votes - mean
    odd = pixels[np.abs(excess[pixels]) > 3.0 * np.sqrt(mean[pixels]) + 1.0]
    chance = _LOST_PER_BLOCK / len(pixels)
    above = (excess[odd] > 0) & (gammainc(np.maximum(votes[odd], 1), mean[odd]) < chance)
    below = (excess[odd] < 0) & (gammaincc(votes[odd] + 1.0, mean[odd]) < chance)
    stride = around.canvas.stride
    sparse = caps[around.ring[odd]] == 1
    always = votes[odd] >= np.where(sparse, 0.5 * len(frames), _FAR_OFF * mean[odd])
    never = ~sparse & (votes[odd] < mean[odd] / _FAR_OFF)
    lies = (above | below) & (always | never | _stands_alone(excess, odd, stride))
    flashing = pixels[flashes[pixels] >= _FLASHES]
    alone = _stands_alone(flashes.astype(np.float64), flashing, stride)
    return np.union1d(odd[lies], flashing[alone]).astype(np.int32)


def _stands_alone(
    excess: npt.NDArray[np.float64], pixels: npt.NDArray[np.int32], stride: int
) -> npt.NDArray[np.bool_]:
    """Tell which pixels differ from expectation while their neighbours do not."""
    around = excess[pixels - 1] + excess[pixels + 1]
    around += excess[pixels - stride] + excess[pixels + stride]
    alone: npt.NDArray[np.bool_] = around / excess[pixels] < _COMPANY
    return alone


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
