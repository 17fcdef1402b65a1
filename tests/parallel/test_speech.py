"""Words for the user never end a run."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

import pytest

from cxlsfind.parallel.speech import hand_over, say


def broken_pipe() -> TextIO:
    """Return a stream that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w", encoding="utf-8")


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe that was closed swallows words, then and when Python flushes at its end."""
    with broken_pipe() as error, broken_pipe() as output:
        monkeypatch.setattr(sys, "stderr", error)
        monkeypatch.setattr(sys, "stdout", output)
        for _ in range(2):
            say("12 images processed")
            hand_over("indexamajig")


def test_no_stream_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python has None where a stream was closed before it started."""
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(sys, "stdout", None)
    say("12 images processed")
    hand_over("indexamajig")


def test_names_come_out_as_they_are_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command with a file name that is no text can be run all the same."""
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, encoding="utf-8"))
    hand_over(f"indexamajig -i {os.fsdecode(b'/a/b' + bytes([255]))}")
    assert output.getvalue() == b"indexamajig -i /a/b\xff\n"
