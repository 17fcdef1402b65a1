"""Shards: each rank keeps the results of its blocks in a file until they are merged in order."""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from cxlsfind.errors import CxlsfindError, InputError
from cxlsfind.writers.blocks import BlockOutput

_LOCK = "lock"


class ShardError(CxlsfindError):
    """The results of a rank cannot be kept until they are merged."""


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """Where the result of a block lies."""

    block: int
    rank: int
    offset: int
    length: int


class ShardFolder:
    """The folder of a run's shards; a context manager that makes it and takes it away.

    A lock in it tells a run that is at work from one that was killed, whose leavings it takes
    over. The lock is a POSIX one: it goes with its process, and spans the machines of a cluster
    where the file system's locks do.

    Parameters
    ----------
    path
        Where; the same for all runs that would write the same outputs.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        """Make the folder and lock it.

        Raises
        ------
        InputError
            Another run is at work there, or the folder cannot be made.
        """
        try:
            is_fresh = not self._path.is_dir()
            self._path.mkdir(exist_ok=True)
            self._lock = (self._path / _LOCK).open("a+", encoding="utf-8")
            try:
                self._take_over(is_fresh=is_fresh)
            except BaseException:
                self._lock.close()
                raise
        except OSError as error:
            raise InputError(
                f"{self._path}: cannot be used: {error.strerror}; choose another -o"
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the folder."""
        shutil.rmtree(self._path, ignore_errors=True)
        self._lock.close()

    def _take_over(self, *, is_fresh: bool) -> None:
        remedy = "wait for it, or choose another -o"
        try:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            self._lock.seek(0)
            raise InputError(
                f"{self._path}: another run is writing these outputs "
                f"({self._lock.read().strip()}); {remedy}"
            ) from None
        except OSError as error:
            if not is_fresh:
                raise InputError(
                    f"{self._path}: exists: another run is writing these outputs, or was killed "
                    f"while it did; {remedy}, or remove this folder if there is no such run "
                    f"(locks, which would tell, do not work here: {error.strerror})"
                ) from error
        if not (self._path / _LOCK).exists():
            raise InputError(f"{self._path}: a run has just ended here; start again")
        for leftover in self._path.iterdir():
            if leftover.name != _LOCK:
                leftover.unlink()
        self._lock.truncate(0)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._lock.write(f"on {platform.node()}, process {os.getpid()}, since {now}\n")
        self._lock.flush()


class Shard:
    """The shard of one rank, open for appending.

    Parameters
    ----------
    folder
        Folder that all ranks see.

    Raises
    ------
    ShardError
        The file cannot be written; so do all methods.
    """

    def __init__(self, folder: Path, rank: int) -> None:
        self._rank = rank
        self._path = _shard_path(folder, rank)
        with _explained(self._path):
            self._file = self._path.open("xb")
        self.entries: list[ShardEntry] = []

    def append(self, block: int, output: BlockOutput) -> None:
        """Add the result of a block."""
        payload = output.to_bytes()
        with _explained(self._path):
            offset = self._file.tell()
            self._file.write(payload)
        self.entries.append(ShardEntry(block, self._rank, offset, len(payload)))

    def __enter__(self) -> Self:
        """Return the shard itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file, so complete that another node can read it."""
        if kind is not None:
            with suppress(OSError):  # what led here matters more
                self._file.close()
            return
        with _explained(self._path), self._file:
            self._file.flush()
            os.fsync(self._file.fileno())


def merge(folder: Path, entries: Sequence[ShardEntry]) -> Iterator[BlockOutput]:
    """Yield the results of all blocks in input order.

    Raises
    ------
    ShardError
        A shard cannot be read.
    """
    ordered = sorted(entries, key=lambda entry: entry.block)
    ranks = sorted({entry.rank for entry in ordered})
    with _explained(folder):
        files = {rank: _shard_path(folder, rank).open("rb") for rank in ranks}
    try:
        for entry in ordered:
            file = files[entry.rank]
            with _explained(folder):
                file.seek(entry.offset)
                payload = file.read(entry.length)
            yield BlockOutput.from_bytes(payload)
    finally:
        for file in files.values():
            file.close()


def _shard_path(folder: Path, rank: int) -> Path:
    return folder / f"rank{rank:05d}"


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ShardError(
            f"{path}: the results of this run cannot be kept here until they are complete: "
            f"{error.strerror}; make sure that the folder of the outputs has room and is there on "
            "all nodes, and run again"
        ) from error
