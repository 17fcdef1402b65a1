"""How ranks talk: one interface, with a serial twin that needs no MPI library."""

from __future__ import annotations

from typing import Any, Protocol


class Comm(Protocol):
    """What the runner needs of a group of ranks.

    Parameters
    ----------
    rank, size
        Number of this rank and of all ranks.
    node, n_nodes
        Number of the machine this rank runs on and of all machines.
    node_rank
        Number of this rank among those of its machine.
    """

    rank: int
    size: int
    node: int
    n_nodes: int
    node_rank: int

    def share(self, value: Any) -> Any:
        """Return rank 0's ``value`` on every rank."""

    def node_share(self, value: Any) -> Any:
        """Return the ``value`` of this node's first rank on all of its ranks."""

    def node_barrier(self) -> None:
        """Wait until all ranks of this node are here."""

    def next_ticket(self) -> int:
        """Return 0, 1, 2, ... : every number once per node, whoever asks."""

    def close_tickets(self) -> None:
        """Make all further tickets of this node so high that no work is left."""

    def report(self, message: Any) -> None:
        """Send a message to rank 0 without waiting for it."""

    def reports(self) -> list[Any]:
        """Return, on rank 0, the messages that have come since the last call."""

    def abort(self, code: int) -> None:
        """End all ranks at once."""


class SerialComm:
    """The only rank there is."""

    rank = 0
    size = 1
    node = 0
    n_nodes = 1
    node_rank = 0

    def __init__(self) -> None:
        self._ticket = 0
        self._messages: list[Any] = []

    def share(self, value: Any) -> Any:
        """Return ``value``."""
        return value

    def node_share(self, value: Any) -> Any:
        """Return ``value``."""
        return value

    def node_barrier(self) -> None:
        """Return at once."""

    def next_ticket(self) -> int:
        """Return 0, 1, 2, ..."""
        self._ticket += 1
        return self._ticket - 1

    def close_tickets(self) -> None:
        """Make all further tickets so high that no work is left."""
        self._ticket = 2**62

    def report(self, message: Any) -> None:
        """Keep a message for :meth:`reports`."""
        self._messages.append(message)

    def reports(self) -> list[Any]:
        """Return the messages since the last call."""
        messages, self._messages = self._messages, []
        return messages

    def abort(self, code: int) -> None:
        """Do nothing: there is no other rank to end."""
