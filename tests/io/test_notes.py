"""Remarks about many files become one line."""

from __future__ import annotations

from cxlsfind.io.notes import Notes


def test_the_same_remark_about_many_files_is_one_line() -> None:
    notes = Notes()
    for file in ("a.h5", "b.h5", "a.h5", "c.h5"):
        notes.add(file, "is odd")
    notes.add("b.h5", "is old")
    notes.add("b.h5", "is new")
    notes.add("c.h5", "is new")
    assert notes.lines == (
        "a.h5 and 2 more files: is odd",
        "b.h5: is old",
        "b.h5 and 1 more file: is new",
    )
