"""HDF5 never learns that the disk is full; the user does."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from cxlsfind.writers import late_errors
from cxlsfind.writers.late_errors import LateErrorFile


def write(path: Path) -> None:
    with LateErrorFile(path) as disk, h5py.File(path, "w", driver="fileobj", fileobj=disk) as file:
        for number in range(4):
            group = file.create_group(f"run/{number:04d}")
            data = group.create_dataset("x", (100, 50), "f4", chunks=(10, 50), compression="gzip")
            data[:] = np.arange(5000).reshape(100, 50) % 97
            group["link"] = h5py.ExternalLink("elsewhere.h5", "/data")


def test_a_file_like_any_other(tmp_path: Path) -> None:
    """What is written can be read by its name, and is all of the file."""
    path = tmp_path / "a.cxi"
    path.write_bytes(bytes(1_000_000))
    write(path)
    assert path.stat().st_size < 100_000
    with h5py.File(path) as file:
        assert file["run/0003/x"][99, 49] == 4999 % 97
        assert file["run/0003"].get("link", getlink=True).filename == "elsewhere.h5"


@pytest.mark.parametrize("share", [0, 0.3, 0.6, 0.9, 0.999])
def test_a_full_disk_is_told_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    """Wherever the disk ends, the system's own error comes out, and nothing else."""
    path = tmp_path / "a.cxi"
    write(path)
    room = int(share * path.stat().st_size)

    def pwrite(handle: int, data: memoryview, at: int) -> int:
        if at >= room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os_pwrite(handle, data[: room - at], at)

    os_pwrite = os.pwrite
    monkeypatch.setattr(late_errors.os, "pwrite", pwrite)
    with pytest.raises(OSError, match="No space left") as caught:
        write(path)
    assert caught.value.errno == errno.ENOSPC
