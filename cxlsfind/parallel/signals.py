"""Requests to stop: Ctrl-C, SIGTERM as batch systems send it, and a terminal that is closed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from types import FrameType

from cxlsfind.errors import StoppedError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Reaction(Enum):
    """What a request to stop does.

    ``LEAVE``: ends the process where it stands; nothing has been begun.
    ``RAISE``: raises :class:`StoppedError` where the process stands.
    ``FINISH_BLOCK``: is noted, so that a block can be finished; a second one raises.
    ``NOTE``: is noted; another rank decides, or the outputs are being renamed.
    """

    LEAVE = auto()
    RAISE = auto()
    FINISH_BLOCK = auto()
    NOTE = auto()


class StopRequest:
    """Whether somebody asked this process to stop, and what such a request does.

    Parameters
    ----------
    reaction
        Changes as the run goes on.
    is_made
        Whether there was a request.
    """

    def __init__(self) -> None:
        self.reaction = Reaction.LEAVE
        self.is_made = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        repeated, self.is_made = self.is_made, True
        words = f"stopped by {signal.Signals(number).name}"
        if self.reaction is Reaction.LEAVE:
            # An exception would meet imports, some of which swallow or garble it.
            with suppress(OSError):
                os.write(2, f"cxlsfind: {words}\n".encode())
            os._exit(StoppedError.exit_code)
        if self.reaction is Reaction.RAISE or (repeated and self.reaction is Reaction.FINISH_BLOCK):
            raise StoppedError(words)


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Listen for requests to stop inside a ``with`` block.

    Signals that whoever started the process wants ignored, as ``nohup`` does, stay ignored.
    """
    request = StopRequest()
    before = {
        number: signal.signal(number, request._handle)
        for number in _SIGNALS
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
