"""Lists of frames for ``indexamajig -i``: one ``filename event`` per line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cxlsfind.records import FrameTable
from cxlsfind.writers.handoff import HandOff
from cxlsfind.writers.stream import encode


def table_lines(
    frames: FrameTable, numbers: Iterable[int], hand_off: HandOff, cxi_name: str
) -> Iterable[bytes]:
    """Yield the list lines of frames as events of ``hits.cxi``.

    The name stays relative: the command that uses the list gives its folder as ``--prefix``.
    """
    for number in numbers:
        event = hand_off.event(int(frames.group[number]), int(frames.row[number]))
        yield encode(f"{cxi_name} {event}\n")


def original_lines(frames: FrameTable, numbers: Iterable[int]) -> Iterable[bytes]:
    """Yield the list lines of frames as events of their own files, with absolute names."""
    for number in numbers:
        yield encode(f"{Path(frames.filename(number)).absolute()} {frames.event(number)}\n")
