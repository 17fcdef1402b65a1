"""Telling the user what was left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cxlsfind.records import Skipped

#: Lines on the terminal; the summary lists all.
_SHOWN = 20


def skip_lines(skipped: Sequence[Skipped]) -> Iterator[str]:
    """Yield a line for each thing that was left out, up to a bearable number."""
    for item in skipped[:_SHOWN]:
        event = f" {item.event}" if item.event else ""
        yield f"skipped: {item.file}{event}: {item.reason}"
    if len(skipped) > _SHOWN:
        yield f"skipped: {len(skipped) - _SHOWN} more; the summary lists all"


def count_lost(skipped: Sequence[Skipped]) -> int:
    """Return the number of frames that were left out; a file of unknown length counts as one."""
    return sum(1 if item.frames is None else item.frames for item in skipped)
