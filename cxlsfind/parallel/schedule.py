"""Who processes which block: dealt between nodes by size, taken one by one within a node."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence

from cxlsfind.parallel.comm import Comm
from cxlsfind.pipeline.blocks import Block


def deal(blocks: Sequence[Block], n_nodes: int) -> list[list[Block]]:
    """Deal blocks to nodes so that each gets about the same number of compressed bytes.

    Largest first to the node with the least; within a node the largest come first, so that no
    rank starts a large block when the others are about to end.

    Returns
    -------
    Blocks of every node, each in the order in which they are to be processed.
    """
    heap = [(0, node) for node in range(n_nodes)]
    shares: list[list[Block]] = [[] for _ in range(n_nodes)]
    for block in sorted(blocks, key=lambda b: (-b.n_bytes, b.number)):
        load, node = heapq.heappop(heap)
        shares[node].append(block)
        # A frame costs something even if it compresses to nothing.
        heapq.heappush(heap, (load + block.n_bytes + 4096 * (block.stop - block.start), node))
    return shares


def take(blocks: Sequence[Block], comm: Comm) -> Iterator[Block]:
    """Yield blocks of this node's share until the ranks of the node have taken all."""
    while (ticket := comm.next_ticket()) < len(blocks):
        yield blocks[ticket]
