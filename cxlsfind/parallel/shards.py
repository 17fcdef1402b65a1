"""Shards: each rank keeps the results of its blocks in a file until they are merged in order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from cxlsfind.writers.blocks import BlockOutput


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """Where the result of a block lies."""

    block: int
    rank: int
    offset: int
    length: int


def shard_path(folder: Path, rank: int) -> Path:
    """Return the name of a rank's shard."""
    return folder / f"rank{rank:05d}"


class Shard:
    """The shard of one rank, open for appending.

    Parameters
    ----------
    folder
        Folder that all ranks see.
    """

    def __init__(self, folder: Path, rank: int) -> None:
        self._rank = rank
        self._file = shard_path(folder, rank).open("xb")
        self.entries: list[ShardEntry] = []

    def append(self, block: int, output: BlockOutput) -> None:
        """Add the result of a block."""
        payload = output.to_bytes()
        self.entries.append(ShardEntry(block, self._rank, self._file.tell(), len(payload)))
        self._file.write(payload)

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
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


def merge(folder: Path, entries: Sequence[ShardEntry]) -> Iterator[BlockOutput]:
    """Yield the results of all blocks in input order."""
    ordered = sorted(entries, key=lambda entry: entry.block)
    ranks = sorted({entry.rank for entry in ordered})
    files = {rank: shard_path(folder, rank).open("rb") for rank in ranks}
    try:
        for entry in ordered:
            file = files[entry.rank]
            file.seek(entry.offset)
            yield BlockOutput.from_bytes(file.read(entry.length))
    finally:
        for file in files.values():
            file.close()
