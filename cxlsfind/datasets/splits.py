"""Divide frames into training and test so that neither knows anything of the other.

Frames that share a crystal, a condition or the noise of a background look alike for reasons that
have nothing to do with what a model shall learn: they stay on one side.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from cxlsfind.datasets.catalog import Entry
from cxlsfind.datasets.selection import Selection
from cxlsfind.errors import InputError

SCHEMA: Final = "cxlsfind-split/1"

#: What frames may share, and how to tell.
SHARED: Final[dict[str, Callable[[Entry], str]]] = {
    "crystal": lambda entry: entry.crystal,
    "condition": lambda entry: entry.condition,
    "seed": lambda entry: entry.background,
}


@dataclass(frozen=True, slots=True)
class Split:
    """Names of frames, ``01/01_6keV_clen01_000001.h5``, by what they are for.

    Parameters
    ----------
    train, test
        Frames to train on and to test with, in order.
    unused
        Frames that share something with the test but were not chosen for it.
    kept_apart
        What train and test have nothing in common of.
    """

    train: tuple[str, ...]
    test: tuple[str, ...]
    unused: tuple[str, ...]
    kept_apart: tuple[str, ...]


def varying(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Return which of ``crystal``, ``condition`` and ``seed`` take more than one value."""
    return tuple(name for name, key in SHARED.items() if len({key(entry) for entry in entries}) > 1)


def split_by_share(
    entries: Sequence[Entry], test_share: float, kept_apart: Sequence[str], seed: int
) -> Split:
    """Put about a share of the frames into the test.

    Frames that share something, directly or through others, go to one side together, drawn at
    random.

    Parameters
    ----------
    test_share
        Between 0 and 1.
    kept_apart
        Some of ``crystal``, ``condition``, ``seed``.

    Raises
    ------
    InputError
        All frames hang together.
    """
    groups = _groups(entries, kept_apart)
    if len(groups) < 2:
        raise InputError(
            f"all {len(entries)} frames share a {' or a '.join(kept_apart)} with others, so that "
            "they cannot be divided: keep fewer things apart (--by), or name what to leave out of "
            "training (--leave-out-...)"
        )
    order = np.random.default_rng(seed).permutation(len(groups))
    wanted = test_share * len(entries)
    test: set[int] = set()
    for number in order[:-1]:  # one group at least is left for training
        grown = len(test) + len(groups[number])
        # A group that overshoots more than it fills is worse than none, unless there is none.
        if not test or grown - wanted <= wanted - len(test):
            test.update(groups[number])
    return _named(entries, test, frozenset(), kept_apart)


def split_by_selection(
    entries: Sequence[Entry], held_out: Selection, kept_apart: Sequence[str]
) -> Split:
    """Test with chosen frames, and train on those that share nothing with them.

    Raises
    ------
    InputError
        No frame, or every one, is chosen, or all others share something with the chosen ones.
    """
    test = {number for number, entry in enumerate(entries) if held_out.picks(entry)}
    if not test:
        raise InputError("no frame is left out of training: the choice fits none of the frames")
    unused: set[int] = set()
    for name in kept_apart:
        values = {SHARED[name](entries[number]) for number in test}
        unused.update(
            number for number, entry in enumerate(entries) if SHARED[name](entry) in values
        )
    unused -= test
    if len(test) + len(unused) == len(entries):
        raise InputError(
            f"no frame is left for training: {len(test)} of {len(entries)} frames are left out, "
            f"and the others share a {' or a '.join(kept_apart)} with them: leave out less, or "
            "keep fewer things apart (--by)"
        )
    return _named(entries, test, unused, kept_apart)


def write_split(path: Path, split: Split) -> None:
    """Write a split as JSON.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    content = {
        "schema": SCHEMA,
        "kept_apart": split.kept_apart,
        "train": split.train,
        "test": split.test,
        "unused": split.unused,
    }
    try:
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error


def read_split(path: Path) -> Split:
    """Read what :func:`write_split` wrote.

    Raises
    ------
    InputError
        The file cannot be read or is no split.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA:
            raise InputError(f"{path}: schema is {content['schema']!r}, expected {SCHEMA!r}")
        train, test, unused, apart = (
            tuple(map(str, content[name])) for name in ("train", "test", "unused", "kept_apart")
        )
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(
            f"{path}: no split of frames; make one with 'cxlsfind-dataset split'"
        ) from error
    return Split(train, test, unused, apart)


def _groups(entries: Sequence[Entry], kept_apart: Iterable[str]) -> list[list[int]]:
    """Return numbers of frames that hang together, in the order of their first frames."""
    parent = list(range(len(entries)))

    def find(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    for name in kept_apart:
        first: dict[str, int] = {}
        for number, entry in enumerate(entries):
            other = first.setdefault(SHARED[name](entry), number)
            a, b = sorted((find(other), find(number)))
            parent[b] = a
    groups: dict[int, list[int]] = defaultdict(list)
    for number in range(len(entries)):
        groups[find(number)].append(number)
    return [groups[root] for root in sorted(groups)]


def _named(
    entries: Sequence[Entry],
    test: set[int],
    unused: Iterable[int],
    kept_apart: Sequence[str],
) -> Split:
    left_out = set(unused)
    names = [entry.frame.name for entry in entries]
    return Split(
        train=tuple(n for i, n in enumerate(names) if i not in test and i not in left_out),
        test=tuple(name for number, name in enumerate(names) if number in test),
        unused=tuple(name for number, name in enumerate(names) if number in left_out),
        kept_apart=tuple(kept_apart),
    )
