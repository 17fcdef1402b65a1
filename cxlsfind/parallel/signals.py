"""Requests to stop: Ctrl-C, SIGTERM as batch systems send it, and a terminal that is closed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from threading import Timer
from types import FrameType
from typing import TYPE_CHECKING

from cxlsfind.errors import StoppedError

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: Seconds until a request that was dropped is made again.
_AGAIN_S = 0.05


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
        self._number = 0
        self._again: Timer | None = None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        repeated, self.is_made = self.is_made, True
        self._number = number
        words = self._words()
        if self.reaction is Reaction.LEAVE:
            # An exception would meet imports, some of which swallow or garble it.
            with suppress(OSError):
                os.write(2, f"cxlsfind: {words}\n".encode())
            os._exit(StoppedError.exit_code)
        if self.reaction is Reaction.RAISE or (repeated and self.reaction is Reaction.FINISH_BLOCK):
            raise StoppedError(words)

    def check(self) -> None:
        """Raise what a request raises, if there was one that has only been noted.

        Raises
        ------
        StoppedError
            There was a request.
        """
        if self.is_made:
            raise StoppedError(self._words())

    def _words(self) -> str:
        return f"stopped by {signal.Signals(self._number).name}"

    def _dropped(self, what: UnraisableHookArgs) -> None:
        """Hear of an exception that nobody can catch; make the request again if it was one.

        Python drops what is raised while it calls back for an object that goes away, and so it
        drops a request that comes in that moment.
        """
        if not isinstance(what.exc_value, StoppedError):
            sys.__unraisablehook__(what)
            return
        self._again = Timer(_AGAIN_S, self._repeat)
        self._again.daemon = True
        self._again.start()

    def _repeat(self) -> None:
        if self.reaction is Reaction.RAISE:
            os.kill(os.getpid(), self._number)

    def _forget(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again.join()


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
    hook, sys.unraisablehook = sys.unraisablehook, request._dropped
    try:
        yield request
    finally:
        request._forget()
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)
