"""Blocks are dealt evenly between nodes and taken once within a node."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cxlsfind.parallel.comm import SerialComm
from cxlsfind.parallel.schedule import deal, take
from cxlsfind.pipeline.blocks import Block


@given(st.lists(st.integers(0, 10**9), max_size=60), st.integers(1, 5))
def test_deal_is_a_fair_partition(sizes: list[int], n_nodes: int) -> None:
    """Every block goes to one node; loads differ by no more than the largest block."""
    blocks = [Block(i, 64 * i, 64 * i + 64, size) for i, size in enumerate(sizes)]
    shares = deal(blocks, n_nodes)
    assert len(shares) == n_nodes
    assert sorted(b.number for share in shares for b in share) == list(range(len(blocks)))
    loads = [sum(b.n_bytes + 4096 * 64 for b in share) for share in shares]
    assert max(loads) - min(loads) <= max(sizes, default=0) + 4096 * 64


def test_take_ends_when_all_are_taken() -> None:
    """Two takers of one counter get every block once; closing the counter ends them."""
    blocks = [Block(i, i, i + 1, 1) for i in range(5)]
    comm = SerialComm()
    first, second = take(blocks, comm), take(blocks, comm)
    taken = [next(first), next(second), next(first)]
    assert [b.number for b in taken] == [0, 1, 2]
    comm.close_tickets()
    assert list(first) == list(second) == []
