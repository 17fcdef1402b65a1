"""Blocks: the consecutive frames that are processed together.

A block is the unit of work handed to a rank and of everything that frames share. Blocks depend
on the run alone, never on the number of ranks, so outputs do not either.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cxlsfind.records import FrameTable, SourceGroup

BLOCK_FRAMES = 64
#: A remainder below this joins the block before it: what frames share cannot be learnt from less.
LEAST_FRAMES = 16


@dataclass(frozen=True, slots=True)
class Block:
    """Frames ``start`` to ``stop - 1`` of the run's frame table."""

    number: int
    start: int
    stop: int
    n_bytes: int


def make_blocks(frames: FrameTable, groups: Sequence[SourceGroup]) -> list[Block]:
    """Cut a run into blocks, in input order.

    A block holds frames of one dataset; frames of single-image files follow each other in list
    order as if they were one dataset.
    """
    if len(frames) == 0:
        return []
    single = np.array([group.n_rows == 1 for group in groups], dtype=bool)
    series = np.where(single[frames.group], -1, frames.group)
    edges = np.flatnonzero(np.diff(series)) + 1
    bounds = [0, *edges.tolist(), len(frames)]
    blocks: list[Block] = []
    for first, last in itertools.pairwise(bounds):
        starts = list(range(first, last, BLOCK_FRAMES))
        if len(starts) > 1 and last - starts[-1] < LEAST_FRAMES:
            starts.pop()
        for start, stop in zip(starts, [*starts[1:], last], strict=True):
            size = int(frames.n_bytes[start:stop].sum())
            blocks.append(Block(len(blocks), start, stop, size))
    return blocks
