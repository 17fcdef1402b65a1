"""Words for the user; that nobody listens any more is no reason to lose a run."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TextIO


def say(text: str) -> None:
    """Write a line of the log, to standard error."""
    _write(sys.stderr, text)


def hand_over(text: str) -> None:
    """Write a line for the next program, to standard output."""
    _write(sys.stdout, text)


def _write(stream: TextIO | None, text: str) -> None:
    if stream is None:  # closed by whoever started us
        return
    try:
        try:
            stream.write(f"{text}\n")
        except UnicodeEncodeError:  # a file name that the terminal's encoding does not know
            stream.buffer.write(f"{text}\n".encode("utf-8", "surrogateescape"))
        stream.flush()
    except (OSError, ValueError):
        _silence(stream)


def _silence(stream: TextIO) -> None:
    """Send all further text nowhere, also what Python would write again at its end."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
