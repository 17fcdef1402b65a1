"""What is skipped is listed once per reason, with its number of frames."""

from __future__ import annotations

import numpy as np

from cxlsfind.io.skips import SkipLog
from cxlsfind.records import EventId, Skipped


def test_order_and_repetition():
    """Entries come in the order in which they turned up; a file is listed once per reason."""
    log = SkipLog(lambda name: f"/real/{name}")
    log.add("b.h5", "gone", None)
    log.add("a.h5", "no such frame", EventId((), (3,)))
    log.add("b.h5", "gone", None)
    assert log.entries() == (
        Skipped("b.h5", None, None, "gone"),
        Skipped("a.h5", "//3", 1, "no such frame"),
    )


def test_runs_of_rows():
    """Consecutive rows are joined, and a long list of runs is cut."""
    log = SkipLog(lambda name: f"/real/{name}")
    rows = np.array([0, 1, 2, 5, 7, 8, 10, 12, 14])
    log.add_rows("a.h5", "dark", ("x",), (4, 5), rows)
    (entry,) = log.entries()
    assert entry == Skipped(
        "a.h5",
        None,
        9,
        "dark (9 frames: x//0/0 to x//0/2, x//1/0, x//1/2 to x//1/3, x//2/0, 2 more)",
    )


def test_lost_file_of_listed_frames():
    """Frames of a file that is not there are counted."""
    log = SkipLog(lambda name: f"/real/{name}")
    for k in range(3):
        log.add("a.h5", "gone", EventId((), (k,)))
    (entry,) = log.entries()
    assert (entry.event, entry.frames) == (None, 3)


def test_nothing_lost():
    """No rows, no entry."""
    log = SkipLog(lambda name: f"/real/{name}")
    log.add_rows("a.h5", "dark", (), (3,), np.zeros(0, np.int64))
    assert log.entries() == ()


def test_reasons_do_not_repeat_the_file():
    """The name of the listed file is said once; names of other files stay."""
    log = SkipLog(lambda name: f"/real/{name}")
    log.add("a.h5", "a.h5: the file is empty", None)
    log.add("a.h5", "/d in /real/a.h5: links to /d in a.h5.old", EventId())
    reasons = [entry.reason for entry in log.entries()]
    assert reasons == ["the file is empty", "/d: links to /d in a.h5.old"]
