"""What the commands of ``cxlsfind-dataset`` say and ask."""

from __future__ import annotations

import os
import sys

from cxlsfind.errors import CxlsfindError, StoppedError, UsageError
from cxlsfind.parallel.speech import say


def complain(error: CxlsfindError) -> None:
    """Tell the user what is wrong, one line for each problem."""
    for line in str(error).splitlines():
        say(f"cxlsfind-dataset: {line}")


def confirm(question: str) -> None:
    """Ask for a yes.

    Raises
    ------
    StoppedError
        The answer is another.
    UsageError
        There is nobody to answer.
    """
    if ask(f"{question} [y/N] ").lower() not in ("y", "yes"):
        raise StoppedError("nothing was done")


def ask(question: str) -> str:
    """Return the answer to a question, without the blanks around it.

    Raises
    ------
    UsageError
        There is nobody to answer.
    """
    sys.stderr.write(question)
    sys.stderr.flush()
    line = sys.stdin.readline() if sys.stdin is not None else ""
    if not line:
        raise UsageError("--ask needs somebody to answer on standard input")
    return line.strip()


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))
