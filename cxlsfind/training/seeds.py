"""Seeds of the parts of a training: what a model is trained on is never what it is scored on."""

from __future__ import annotations

from enum import IntEnum


class Part(IntEnum):
    """What simulated data are for."""

    TRAIN = 0
    TEST = 1
    SCORE = 2
    MINE = 3
    CALIBRATE = 4
    GOLDEN = 5
    THRESHOLDS = 6


def seed_of(seed: int, part: Part) -> int:
    """Return the seed of a part: different for every seed and part."""
    return len(Part) * seed + part
