"""Every exception that cxlsfind raises on purpose, with the exit code it leads to."""

from __future__ import annotations

from collections.abc import Sequence


class CxlsfindError(Exception):
    """Base of all errors raised on purpose; its message is meant for the user.

    A message names the place, what was found, what was expected and the remedy.
    """

    exit_code = 1


class UsageError(CxlsfindError, ValueError):
    """The command line asks for something that does not exist or contradicts itself."""

    exit_code = 2


class InputError(CxlsfindError, ValueError):
    """An input file or setting cannot be used; found before the first frame."""

    exit_code = 3


class InputProblemsError(InputError):
    """Several problems of a run's inputs, reported together.

    Parameters
    ----------
    problems
        One complete sentence per problem, in the order in which they were found.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[type[InputProblemsError], tuple[tuple[str, ...]]]:
        """Rebuild from the problems, not from the message, when sent to another rank."""
        return type(self), (self.problems,)


class GeometryError(InputError):
    """A geometry file is refused.

    Parameters
    ----------
    reason
        What was found and what was expected.
    file
        Name of the geometry file as the user gave it.
    line
        Line number, from 1; ``None`` where no single line is to blame.
    """

    def __init__(self, reason: str, *, file: str = "<geometry>", line: int | None = None) -> None:
        self.reason = reason
        self.file = file
        self.line = line
        super().__init__(f"{file}:{line}: {reason}" if line is not None else f"{file}: {reason}")


class FrameError(CxlsfindError):
    """One frame cannot be read; it is skipped, counted and listed with this reason."""


class NothingProcessedError(CxlsfindError):
    """The run ended without a single processed frame."""

    exit_code = 5


class StoppedError(CxlsfindError):
    """The run was stopped on request (SIGINT, SIGTERM) before its end."""

    exit_code = 75
