"""How far a job on many frames has come: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cxlsfind.parallel.speech import say

_LINE_INTERVAL_S = 5.0


class FrameCounter:
    """Shows how many frames are done.

    Parameters
    ----------
    what
        What happens to them: ``simulated``.
    total
        Number of frames.
    is_shown
        False on ranks that keep quiet.
    """

    def __init__(self, what: str, total: int, *, is_shown: bool = True) -> None:
        self._what = what
        self._total = total
        self._is_shown = is_shown
        self._bar: Progress | None = None
        if is_shown and sys.stderr is not None and sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task(f"frames {what}", total=total)
        self._last_line = time.monotonic()
        self._start: float | None = None
        self._first = 0

    def __enter__(self) -> Self:
        """Start the display."""
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the bar from the terminal."""
        if self._bar is not None:
            with suppress(OSError):  # the terminal may be gone
                self._bar.stop()

    def show(self, done: int) -> None:
        """Show that so many frames are done, if it is time to."""
        now = time.monotonic()
        if self._start is None and done:
            # Until here it was mostly preparation, which says nothing of what is to come.
            self._start, self._first = now, done
        if self._bar is not None:
            self._bar.update(self._task, completed=done)
        elif self._is_shown and now - self._last_line >= _LINE_INTERVAL_S and self._start:
            self._last_line = now
            text = f"{done} of {self._total} frames {self._what}"
            if done > self._first:
                left = (self._total - done) * (now - self._start) / (done - self._first)
                text += f", about {left:.0f} s left"
            say(text)
