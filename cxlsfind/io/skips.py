"""Collect what cannot be read: many frames with one reason become one entry."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from cxlsfind.records import EventId, Skipped

_MAX_RUNS = 4


class SkipLog:
    """Frames and files that cannot be read, in the order in which they turned up.

    Parameters
    ----------
    real_name
        Gives the absolute name of a listed file: reasons that repeat it are shortened.
    """

    def __init__(self, real_name: Callable[[str], str]) -> None:
        self._real_name = real_name
        # Per file and reason: first event, last event and number of frames of every run of frames.
        self._frames: dict[tuple[str, str], list[tuple[EventId, EventId, int]]] = {}
        self._losses: dict[tuple[str, str], Skipped] = {}
        self._order: dict[tuple[str, str], None] = {}

    def add(self, file: str, reason: str, event: EventId | None) -> None:
        """Add one listed frame, or, where ``event`` is ``None``, a file."""
        if event is None:
            self.add_loss(Skipped(file, None, None, reason))
            return
        reason = self._shorten(file, reason)
        self._order[file, reason] = None
        self._frames.setdefault((file, reason), []).append((event, event, 1))

    def add_loss(self, loss: Skipped) -> None:
        """Add an entry as it stands; the same one twice counts once."""
        loss = replace(loss, reason=self._shorten(loss.file, loss.reason))
        self._order[loss.file, loss.reason] = None
        self._losses[loss.file, loss.reason] = loss

    def add_rows(
        self,
        file: str,
        reason: str,
        path: tuple[str, ...],
        sizes: tuple[int, ...],
        rows: npt.NDArray[np.int64],
    ) -> None:
        """Add frames of one data path.

        Parameters
        ----------
        path, sizes
            Path part of their events, and sizes of the ``%`` dimensions.
        rows
            Flat numbers over ``sizes``.
        """
        if not len(rows):
            return
        reason = self._shorten(file, reason)
        self._order[file, reason] = None
        runs = self._frames.setdefault((file, reason), [])
        breaks = np.flatnonzero(np.diff(rows) != 1)
        firsts = rows[np.concatenate([[0], breaks + 1])].tolist()
        lasts = rows[np.concatenate([breaks, [len(rows) - 1]])].tolist()
        for first, last in zip(firsts, lasts, strict=True):
            ends = [EventId(path, _numbers(row, sizes)) for row in (first, last)]
            runs.append((ends[0], ends[1], last - first + 1))

    def entries(self) -> tuple[Skipped, ...]:
        """Return everything that was added."""
        found = []
        for key in self._order:
            if key in self._losses:
                found.append(self._losses[key])
            if key in self._frames:
                found.append(_entry(*key, self._frames[key]))
        return tuple(found)

    def _shorten(self, file: str, reason: str) -> str:
        for name in (file, self._real_name(file)):
            reason = reason.removeprefix(f"{name}: ")
            reason = re.sub(rf" in {re.escape(name)}(?=[:;,)\s]|$)", "", reason)
        return reason


def _entry(file: str, reason: str, runs: list[tuple[EventId, EventId, int]]) -> Skipped:
    n_frames = sum(n for _, _, n in runs)
    if n_frames == 1:
        return Skipped(file, str(runs[0][0]), 1, reason)
    texts = [str(a) if n == 1 else f"{a} to {b}" for a, b, n in runs[:_MAX_RUNS]]
    left = n_frames - sum(n for _, _, n in runs[:_MAX_RUNS])
    if left:
        texts.append(f"{left} more")
    return Skipped(file, None, n_frames, f"{reason} ({n_frames} frames: {', '.join(texts)})")


def _numbers(row: int, sizes: tuple[int, ...]) -> tuple[int, ...]:
    numbers = []
    for size in reversed(sizes):
        row, number = divmod(row, size)
        numbers.append(number)
    return tuple(reversed(numbers))
