"""Requests to stop: Ctrl-C, and SIGTERM as batch systems send it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from cxlsfind.errors import StoppedError


class StopRequest:
    """Whether somebody asked this process to stop.

    While ``is_deferred`` a request is only noted, so that a block can be finished; otherwise,
    and at the second request, it raises :class:`StoppedError` where the process stands.
    """

    def __init__(self) -> None:
        self.is_deferred = False
        self.is_made = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        repeated, self.is_made = self.is_made, True
        if repeated or not self.is_deferred:
            raise StoppedError(f"stopped by {signal.Signals(number).name}")


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Listen for SIGINT and SIGTERM inside a ``with`` block."""
    request = StopRequest()
    before = {
        number: signal.signal(number, request._handle) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
