"""Random numbers of a simulation: each use has a stream of its own, in every frame."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Use(IntEnum):
    """What random numbers are for. None is zero: seeds are padded with zeros."""

    HITS = 1
    CONDITIONS = 2
    LATTICES = 3
    NEGATIVES = 4
    BRAGG = 5
    BACKGROUND = 6
    READOUT = 7
    FLAT_FIELD = 8
    BAD_PIXELS = 9
    TWINKLING = 10


def stream(seed: int, use: Use, number: int = 0) -> np.random.Generator:
    """Return the random numbers of one use, in a frame or in a group of them.

    Parameters
    ----------
    seed
        Seed of the run.
    number
        Frame or group.
    """
    return np.random.default_rng((seed, int(use), number))
