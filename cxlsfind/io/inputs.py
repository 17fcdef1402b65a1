"""The files and frames that a user asks for with ``-i``."""

from __future__ import annotations

import math
import re
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from os import fsdecode
from pathlib import Path, PurePath
from typing import BinaryIO, NamedTuple

from cxlsfind.errors import InputError
from cxlsfind.io._hdf5 import (
    LIST,
    PROBE_BYTES,
    TEXT,
    UNKNOWN,
    NotHdf5Error,
    describe_content,
    explain_os_error,
    open_hdf5,
)
from cxlsfind.records import EventId

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
#: A user block may precede the signature; these are the places the format allows below 4 kB.
_SIGNATURE_OFFSETS = (0, 512, 1024, 2048)
_HEAD_BYTES = 2048 + len(_HDF5_SIGNATURE)

_LINE_END = re.compile(r"\r\n|\n|\r")
_LAST_BLANKS = re.compile(r"[ \t]+(?=[^ \t]+$)")
_POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class InputItem:
    """One line of a list: a file, or one frame of it.

    Parameters
    ----------
    filename
        Name as it goes to the stream, after ``--basename`` and ``--prefix``; relative names count
        from the working directory. Bytes that are not UTF-8 stand as surrogates, as in
        :func:`os.fsdecode`.
    event
        The frame; ``None`` means all frames of the file.
    """

    filename: str
    event: EventId | None = None


class InputList(NamedTuple):
    """What a list says.

    Parameters
    ----------
    items
        In the order of the list; an item listed twice is there twice.
    problems
        One sentence per line that cannot be understood, with its place.
    notes
        What was understood but may not be meant.
    """

    items: list[InputItem]
    problems: list[str]
    notes: list[str]


def read_inputs(
    source: str, *, prefix: str = "", basename: bool = False, stdin: BinaryIO | None = None
) -> InputList:
    """Read what ``-i`` names: a list of files, a single HDF5 file, or ``-``.

    The rules are CrystFEL's (``indexamajig``), but for three places where those trip users up:
    blanks at the end of a line are ignored, any number of blanks or tabs may precede the event,
    and a list may be as short as it likes.

    Parameters
    ----------
    source
        Name of the list or HDF5 file; ``-`` reads a list from standard input.
    prefix
        Put before every name of a list, as plain text; a ``/`` is added to a directory. Not
        used for an HDF5 file given as ``source``.
    basename
        Strip the directories from the names of a list before the prefix is added.
    stdin
        Stands for standard input; ``None`` is the real one.

    Raises
    ------
    InputError
        The list cannot be read, is no list, or is empty.
    """
    place = "standard input" if source == "-" else source
    data = _read_list(source, place, stdin)
    if data is None:
        return InputList([InputItem(source)], [], [])
    items: list[InputItem] = []
    problems: list[str] = []
    prefix = _complete_prefix(prefix)
    for number, line in enumerate(_LINE_END.split(fsdecode(data)), start=1):
        text = line.strip(" \t")
        if not text:
            continue
        try:
            filename, event = _split_line(text)
        except ValueError as error:
            problems.append(f"{place}:{number}: {error}")
            continue
        items.append(InputItem(prefix + (PurePath(filename).name if basename else filename), event))
    if not items and not problems:
        raise InputError(f"{place}: the list is empty; expected one file name per line")
    return InputList(items, problems, _note_duplicates(place, items))


def parse_event(text: str) -> EventId:
    """Read an event in CrystFEL's syntax, ``path1/path2//dim1/dim2``.

    Raises
    ------
    ValueError
        It is none; the message says why.
    """
    paths, separator, dims = text.partition("//")
    if not separator:
        raise ValueError(f"event '{text}' has no '//'")
    path = tuple(paths.split("/")) if paths else ()
    if "" in path:
        raise ValueError(f"event '{text}' has an empty part before '//'")
    numbers = dims.split("/") if dims else []
    for number in numbers:
        if not (number.isascii() and number.isdigit()):
            raise ValueError(
                f"event '{text}' has '{number}' after '//', where a frame number is expected"
            )
    return EventId(path, tuple(int(number) for number in numbers))


def wait_for_files(
    items: Iterable[InputItem],
    seconds: float,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> list[str]:
    """Wait until all listed files are there and can be opened: ``--wait-for-file``.

    Parameters
    ----------
    seconds
        How long to wait for a file since the last one came; negative: for ever; 0: not at all.

    Returns
    -------
    Names of the files that never came, in the order of the list; empty when ``seconds`` is 0.
    Files that are there but of another kind count as come: no waiting turns them into HDF5.
    """
    missing: list[str] = []
    if seconds == 0:
        return missing
    patience = math.inf if seconds < 0 else seconds
    last = clock()
    for name in dict.fromkeys(item.filename for item in items):
        while not _has_come(name):
            left = patience - (clock() - last)
            if left <= 0:
                missing.append(name)
                break
            sleep(min(_POLL_S, left))
        else:
            last = clock()
    return missing


def _read_list(source: str, place: str, stdin: BinaryIO | None) -> bytes | None:
    """Return the bytes of a list; ``None`` when ``source`` is an HDF5 file."""
    try:
        if source == "-":
            if stdin is None and sys.stdin is None:
                raise InputError(f"{place}: is closed; expected a list of files on it")
            stream = sys.stdin.buffer if stdin is None else stdin
            head, rest = stream.read(_HEAD_BYTES), b""
            _check_head(head, place)
            rest = stream.read()
        else:
            # No test for a regular file: shells hand over lists as pipes, -i <(ls *.h5).
            with Path(source).open("rb") as stream:
                head = stream.read(_HEAD_BYTES)
                if any(head.startswith(_HDF5_SIGNATURE, at) for at in _SIGNATURE_OFFSETS):
                    return None
                _check_head(head, place)
                rest = stream.read()
    except InputError:
        raise
    except IsADirectoryError as error:
        raise InputError(
            f"{place}: is a directory; expected a list of files or one HDF5 file, "
            f"such as 'ls {place.rstrip('/')}/*.h5 > files.lst' makes"
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise InputError(f"{place}: {explain_os_error(error)}") from error
    return (head + rest).removeprefix(b"\xef\xbb\xbf")  # the mark some editors begin UTF-8 with


def _check_head(head: bytes, place: str) -> None:
    """Refuse what is no text, before all of it is read."""
    if not head.strip():
        return
    content = describe_content(head[:PROBE_BYTES])
    # File names need not be UTF-8: only a null byte tells unknown bytes from a list.
    if content not in (TEXT, LIST) and (content != UNKNOWN or b"\0" in head):
        raise InputError(
            f"{place}: neither a list of files nor an HDF5 file: it looks like {content}"
        )


def _split_line(text: str) -> tuple[str, EventId | None]:
    if "\0" in text:
        raise ValueError("the line holds a null byte; expected a file name")
    blanks = _LAST_BLANKS.search(text)
    if blanks is None or "//" not in text[blanks.end() :]:
        return text, None
    filename = text[: blanks.start()]
    return filename, parse_event(text[blanks.end() :])


def _complete_prefix(prefix: str) -> str:
    return f"{prefix}/" if Path(prefix).is_dir() and prefix and prefix[-1] != "/" else prefix


def _has_come(name: str) -> bool:
    try:
        open_hdf5(name).close()
    except NotHdf5Error:
        return True
    except InputError:
        return False
    return True


def _note_duplicates(place: str, items: list[InputItem]) -> list[str]:
    repeated = len(items) - len(set(items))
    if not repeated:
        return []
    entries = (
        "1 entry repeats an earlier one"
        if repeated == 1
        else (f"{repeated} entries repeat earlier ones")
    )
    return [f"{place}: {entries}; frames are processed as often as they are listed"]
