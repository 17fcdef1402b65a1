"""Lines of a geometry file: comments off, blanks off, key and value apart.

CrystFEL's rules: ``;`` starts a comment anywhere, ``#`` does not; carriage returns end lines; only
blanks and tabs are trimmed; the first ``=`` splits; the first ``/`` of the key splits off the name
of a panel or bad region, and no blanks are trimmed around it. The text ends at a NUL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from cxlsfind.errors import GeometryError

_LINE_END = re.compile(r"\r\n|\r|\n")
_BLANKS = " \t"
_MAX_NOTES = 1000


@dataclass(frozen=True, slots=True)
class Statement:
    """One ``key = value`` of a geometry file.

    Parameters
    ----------
    file, line
        Place, for messages; lines count from 1.
    scope
        Name before the first slash of the key; ``None`` for a top-level line.
    key, value
        What is left of the key, and the value.
    """

    file: str
    line: int
    scope: str | None
    key: str
    value: str

    def refusal(self, reason: str) -> GeometryError:
        """Return the error that refuses the file because of this line."""
        return GeometryError(reason, file=self.file, line=self.line)

    @property
    def full_key(self) -> str:
        """The key as it stands in the file."""
        return self.key if self.scope is None else f"{self.scope}/{self.key}"

    @property
    def shown(self) -> str:
        """Key and value for a message, cut to a readable length."""
        return f"{shorten(self.full_key)} = {shorten(self.value)!r}"


@dataclass(slots=True)
class Notes:
    """What was accepted though it looks wrong, in the order of discovery."""

    entries: list[tuple[int, str]] = field(default_factory=list)

    def add(self, line: int, text: str) -> None:
        """Note something about a line, unless there are too many notes for anyone to read."""
        if len(self.entries) < _MAX_NOTES:
            self.entries.append((line, text))

    def sorted(self) -> tuple[str, ...]:
        """Return the notes as ``line: text``, by line."""
        in_order = sorted(self.entries, key=lambda entry: entry[0])
        return tuple(f"{line}: {text}" for line, text in in_order)


def statements(text: str, file: str, notes: Notes) -> Iterator[Statement]:
    """Split a geometry file into its statements.

    Raises
    ------
    GeometryError
        A line is neither empty nor a comment, and has no ``=``.
    """
    text, nul, _ = text.partition("\0")
    lines = _LINE_END.split(text)
    if nul:
        notes.add(len(lines), "the file holds a NUL character; everything after it is ignored")
    for number, raw in enumerate(lines, start=1):
        content = raw.partition(";")[0].strip(_BLANKS)
        if not content:
            continue
        key, equals, value = content.partition("=")
        if not equals:
            raise GeometryError(
                f"found {shorten(content)!r}; expected 'key = value' or '; comment'",
                file=file,
                line=number,
            )
        scope, slash, rest = key.rstrip(_BLANKS).partition("/")
        if slash:
            yield Statement(file, number, scope, rest, value.strip(_BLANKS))
        else:
            yield Statement(file, number, None, scope, value.strip(_BLANKS))


def shorten(text: str) -> str:
    """Cut a piece of a file to a length that a message can bear."""
    return text if len(text) <= 60 else text[:57] + "..."
