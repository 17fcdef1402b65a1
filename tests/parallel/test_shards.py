"""Shards and their folder: one run at a time, nothing left, disk errors in plain words."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cxlsfind.errors import InputError
from cxlsfind.parallel.shards import Shard, ShardEntry, ShardError, ShardFolder, merge
from cxlsfind.writers.blocks import BlockOutput

ROOT = Path(__file__).resolve().parents[2]


def large_output() -> BlockOutput:
    return cast("BlockOutput", SimpleNamespace(to_bytes=lambda: bytes(100_000)))


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let the system refuse to write more, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_the_folder_goes_with_the_run(tmp_path: Path) -> None:
    """It is there while the run is, and taken away however the run ends."""
    path = tmp_path / ".hits.stream.shards"
    with ShardFolder(path), Shard(path, 0) as shard:
        shard.append(0, large_output())
    assert not path.exists()
    with pytest.raises(ZeroDivisionError), ShardFolder(path):
        _ = 1 / 0
    assert not path.exists()


def test_leavings_of_a_killed_run_are_taken_over(tmp_path: Path) -> None:
    """A folder that nobody holds is no obstacle, and its files do not get in the way."""
    path = tmp_path / "shards"
    path.mkdir()
    for name in ("lock", "rank00000", "rank00007"):
        (path / name).write_text("old")
    with ShardFolder(path), Shard(path, 0):
        assert sorted(item.name for item in path.iterdir()) == ["lock", "rank00000"]
    assert not path.exists()


def test_a_run_at_work_is_left_alone(tmp_path: Path) -> None:
    """A second run is told who is at work, and touches nothing."""
    path = tmp_path / "shards"
    code = (
        "import pathlib, sys\n"
        "from cxlsfind.parallel.shards import ShardFolder\n"
        "with ShardFolder(pathlib.Path(sys.argv[1])):\n"
        "    print('ready', flush=True)\n"
        "    input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        (path / "rank00000").write_text("results")
        with pytest.raises(InputError, match=f"another run.*process {other.pid}, since"):
            ShardFolder(path).__enter__()
        assert (path / "rank00000").read_text() == "results"
        other.communicate(b"\n")
    assert not path.exists()


def test_without_locks_an_old_folder_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the file system has no locks a new folder is used and an old one is asked about."""

    def refuse(*_: Any) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("cxlsfind.parallel.shards.fcntl.lockf", refuse)
    with ShardFolder(tmp_path / "new"):
        pass
    (tmp_path / "old").mkdir()
    with pytest.raises(InputError, match="or remove this folder"):
        ShardFolder(tmp_path / "old").__enter__()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """The place and the reason are told."""
    with pytest.raises(InputError, match=r"no/shards: cannot be used: No such file"):
        ShardFolder(tmp_path / "no" / "shards").__enter__()


def test_disk_errors_are_no_internal_errors(tmp_path: Path) -> None:
    """A folder that vanished and a full disk are told as such, at every step."""
    with pytest.raises(ShardError, match="No such file"):
        Shard(tmp_path / "no", 0)
    with (
        pytest.raises(ShardError, match="File too large"),
        largest_file(1000),
        Shard(tmp_path, 0) as shard,
    ):
        shard.append(0, large_output())
    with pytest.raises(ShardError, match="No such file"):
        next(merge(tmp_path, [ShardEntry(block=0, rank=3, offset=0, length=1)]))
