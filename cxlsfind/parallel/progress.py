"""Progress of a run, for a person at a terminal or for a log file."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from cxlsfind.parallel.speech import say
from cxlsfind.writers.blocks import BlockOutput
from cxlsfind.writers.collect import INDEXABLE_PEAKS

if TYPE_CHECKING:
    from rich.progress import Progress

#: Seconds between lines in a log; CrystFEL's interval.
_LINE_INTERVAL_S = 5.0


@dataclass(slots=True)
class Counts:
    """Frames so far."""

    processed: int = 0
    hits: int = 0
    indexable: int = 0
    skipped: int = 0

    @classmethod
    def of(cls, output: BlockOutput) -> Self:
        """Count the frames of a block."""
        return cls(
            processed=len(output.frame),
            hits=int(output.is_hit.sum()),
            indexable=int((output.is_hit & (output.n_peaks >= INDEXABLE_PEAKS)).sum()),
            skipped=len(output.skipped),
        )

    def add(self, other: Counts) -> None:
        """Add the counts of a block."""
        self.processed += other.processed
        self.hits += other.hits
        self.indexable += other.indexable
        self.skipped += other.skipped

    def sentence(self) -> str:
        """Return the counts in the words that CrystFEL's GUI looks for."""
        return (
            f"{self.processed} images processed, "
            f"{self.hits} hits ({_percent(self.hits, self.processed)}), "
            f"{self.indexable} indexable ({_percent(self.indexable, self.hits)} of hits, "
            f"{_percent(self.indexable, self.processed)} overall), 0 crystals"
        )


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}%" if whole else "0.0%"


class ProgressDisplay:
    """Shows counts: a bar with rate and time left on a terminal, a line now and then otherwise.

    Parameters
    ----------
    total
        Frames of the run.
    is_shown
        False on the ranks that keep quiet.
    """

    def __init__(self, total: int, *, is_shown: bool) -> None:
        self._total = total
        self._is_shown = is_shown
        self._bar: Progress | None = None
        if is_shown and sys.stderr is not None and sys.stderr.isatty():
            self._bar = _new_bar()
            self._task = self._bar.add_task("images", total=total, rate=0.0)
        self.start_clock()

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

    def start_clock(self) -> None:
        """Count the time from here: compiling is no measure of what is to come."""
        self._start = self._last_line = time.monotonic()

    def show(self, counts: Counts) -> None:
        """Show the counts, if it is time to."""
        now = time.monotonic()
        done = counts.processed + counts.skipped
        rate = done / max(now - self._start, 1e-9)
        if self._bar is not None:
            text = f"{counts.hits} hits ({_percent(counts.hits, counts.processed)})"
            self._bar.update(self._task, completed=done, description=text, rate=rate)
        elif self._is_shown and done and now - self._last_line >= _LINE_INTERVAL_S:
            self._last_line = now
            left = (self._total - done) / rate
            say(f"{counts.sentence()}, {rate:.1f} images/sec, about {left:.0f} s left.")


def _new_bar() -> Progress:
    # Only for a terminal: it takes as long to load as a hundred frames.
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.1f} images/sec"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
