"""Ranks joined by MPI; the only module that imports mpi4py."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from mpi4py import MPI

_SHARE, _REPORT = 1, 2
#: Waiting ranks look this often; MPI's own waits burn the core that another rank could use.
_POLL_S = 0.002
#: What a launcher gets to pass on the words of a rank.
_LAST_WORDS_S = 0.2


class MpiComm:
    """All ranks of this run.

    Tickets are handed out by a counter in memory shared inside each node: an atomic
    fetch-and-add that never waits for a busy rank, unlike one between nodes.
    """

    def __init__(self) -> None:
        world = MPI.COMM_WORLD
        self._world = world
        self.rank = world.Get_rank()
        self.size = world.Get_size()
        self.library = MPI.Get_library_version().split("\n", 1)[0].strip("\x00 ")
        self._local = MPI.Intracomm(world.Split_type(MPI.COMM_TYPE_SHARED))
        self.node_rank = self._local.Get_rank()
        leaders = world.allgather(self._local.bcast(self.rank, root=0))
        nodes = sorted(set(leaders))
        self.node = nodes.index(leaders[self.rank])
        self.n_nodes = len(nodes)
        item = MPI.INT64_T.Get_size()
        self._window = MPI.Win.Allocate_shared(
            item if self.node_rank == 0 else 0, item, comm=self._local
        )
        if self.node_rank == 0:
            self._window.tomemory()[:] = bytes(item)
        self._local.Barrier()
        self._window.Lock_all()
        self._pending: list[MPI.Request] = []

    def share(self, value: Any) -> Any:
        """Return rank 0's ``value`` on every rank."""
        return _share(self._world, value)

    def node_share(self, value: Any) -> Any:
        """Return the ``value`` of this node's first rank on all of its ranks."""
        return _share(self._local, value)

    def node_barrier(self) -> None:
        """Wait until all ranks of this node are here."""
        request = self._local.Ibarrier()
        while not request.Test():
            time.sleep(_POLL_S)

    def next_ticket(self) -> int:
        """Return 0, 1, 2, ... : every number once per node, whoever asks."""
        return self._change(1, MPI.SUM)

    def close_tickets(self) -> None:
        """Make all further tickets of this node so high that no work is left."""
        # Set, not added: every rank may close, and the sum would pass the largest integer.
        self._change(2**62, MPI.REPLACE)

    def _change(self, number: int, operation: MPI.Op) -> int:
        step = np.array([number], dtype=np.int64)
        before = np.empty(1, dtype=np.int64)
        self._window.Fetch_and_op(step, before, 0, op=operation)
        self._window.Flush(0)
        return int(before[0])

    def report(self, message: Any) -> None:
        """Send a message to rank 0 without waiting for it."""
        self._pending = [request for request in self._pending if not request.Test()]
        self._pending.append(self._world.isend(message, dest=0, tag=_REPORT))

    def reports(self) -> list[Any]:
        """Return, on rank 0, the messages that have come since the last call."""
        messages = []
        while self._world.iprobe(tag=_REPORT):
            messages.append(self._world.recv(tag=_REPORT))
        return messages

    def abort(self, code: int) -> None:
        """End all ranks at once."""
        # Launchers drop words that they have not passed on when the ranks end.
        time.sleep(_LAST_WORDS_S)
        self._world.Abort(code)


def _share(group: MPI.Intracomm, value: Any) -> Any:
    if group.Get_rank() == 0:
        for other in range(1, group.Get_size()):
            group.send(value, dest=other, tag=_SHARE)
        return value
    while not group.iprobe(source=0, tag=_SHARE):
        time.sleep(_POLL_S)
    return group.recv(source=0, tag=_SHARE)
