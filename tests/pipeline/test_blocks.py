"""Blocks cover a run once, in order, and never mix datasets."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cxlsfind.pipeline.blocks import BLOCK_FRAMES, LEAST_FRAMES, make_blocks
from cxlsfind.records import FrameTable, SourceGroup


def table(groups: list[int]) -> FrameTable:
    n = len(groups)
    return FrameTable(
        filenames=("run.h5",),
        file=np.zeros(n, np.int32),
        paths=((),),
        path=np.zeros(n, np.int32),
        dims=np.arange(n, dtype=np.int64).reshape(n, 1),
        group=np.array(groups, np.int32),
        row=np.arange(n, dtype=np.int64),
        n_bytes=np.full(n, 10, np.int64),
    )


def stack(rows: int) -> SourceGroup:
    return SourceGroup(links=(), n_rows=rows, mask=0)


def spans(groups: list[int], sources: list[SourceGroup]) -> list[tuple[int, int]]:
    return [(block.start, block.stop) for block in make_blocks(table(groups), sources)]


def test_a_small_remainder_joins_the_block_before() -> None:
    """15 frames left over join; 16 stand alone; a short run is one block."""
    assert spans([0] * 143, [stack(143)]) == [(0, 64), (64, 143)]
    assert spans([0] * 144, [stack(144)]) == [(0, 64), (64, 128), (128, 144)]
    assert spans([0] * 3, [stack(3)]) == [(0, 3)]
    assert spans([], []) == []


def test_datasets_do_not_mix() -> None:
    """A new dataset starts a new block, also when the list returns to an old one."""
    sources = [stack(100), stack(100)]
    assert spans([0] * 5 + [1] * 3 + [0] * 2, sources) == [(0, 5), (5, 8), (8, 10)]


def test_single_image_files_follow_each_other() -> None:
    """Files of one image each share blocks in list order."""
    sources = [stack(1) for _ in range(70)]
    assert spans(list(range(70)), sources) == [(0, 70)]


@given(st.lists(st.integers(0, 3), max_size=400), st.sets(st.integers(0, 3)))
def test_blocks_partition_the_run(groups: list[int], singles: set[int]) -> None:
    """Every frame is in exactly one block, in order, and sizes keep their bounds."""
    sources = [stack(1 if g in singles else 50) for g in range(4)]
    blocks = make_blocks(table(groups), sources)
    assert [b.number for b in blocks] == list(range(len(blocks)))
    assert [f for b in blocks for f in range(b.start, b.stop)] == list(range(len(groups)))
    for block in blocks:
        assert 0 < block.stop - block.start < BLOCK_FRAMES + LEAST_FRAMES
        assert block.n_bytes == 10 * (block.stop - block.start)
        kinds = {-1 if g in singles else g for g in groups[block.start : block.stop]}
        assert len(kinds) == 1
