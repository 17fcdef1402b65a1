"""Arrays shared between processes are equal, are in the same memory, and leave nothing behind."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxlsfind.parallel.comm import SerialComm
from cxlsfind.parallel.shared import Address, SharedMemory, attach, share_arrays

ARRAYS = [
    np.arange(100_003, dtype=np.uint8),
    np.zeros((0, 64), np.int32),
    np.random.default_rng(1).normal(size=(300, 70)).T,
    np.array(17),
    np.array([True, False]),
]


class FakeComm(SerialComm):
    """One of two ranks of a node, which get to hear the same."""

    def __init__(self, node_rank: int, heard: list[Any]) -> None:
        super().__init__()
        self.size, self.node_rank, self._heard = 2, node_rank, heard

    def node_share(self, value: Any) -> Any:
        if self.node_rank == 0:
            self._heard.append(value)
        return self._heard[0]


def _read(address: Address, queue: Any) -> None:
    arrays = attach(address)
    queue.put([(array.dtype, array.shape, array.tobytes()) for array in arrays])
    big = attach(address)[0]
    big[5] += 1  # our own copy
    queue.put(int(big[5]))


def _n_open() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_another_process_reads_them() -> None:
    """Types, shapes and bytes arrive; what a process writes stays with it."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    with SharedMemory(ARRAYS) as memory:
        process = context.Process(target=_read, args=(memory.address, queue))
        process.start()
        assert queue.get(timeout=60) == [(a.dtype, a.shape, a.tobytes()) for a in ARRAYS]
        assert queue.get(timeout=60) == ARRAYS[0][5] + 1
        process.join()
        assert attach(memory.address)[0][5] == ARRAYS[0][5]
    queue.close()
    queue.join_thread()


def test_the_memory_is_the_same() -> None:
    """Attached arrays cost no memory of their own, and outlive the sharing."""
    big = np.ones(50_000_000, np.uint8)
    with SharedMemory([big]) as memory:
        before = _own_bytes()
        (attached,) = attach(memory.address)
        assert attached.sum(dtype=np.int64) == big.size
        assert _own_bytes() - before < 10_000_000
        assert attached.flags.writeable
        assert attached.ctypes.data % 64 == 0
    assert attached[-1] == 1


def _own_bytes() -> int:
    text = Path("/proc/self/status").read_text()
    return 1024 * int(text.split("RssAnon:")[1].split()[0])


def test_memory_out_of_reach() -> None:
    """Where the process is gone, or is another one, nothing is attached."""
    with SharedMemory(ARRAYS) as memory:
        address = memory.address
        foreign = Address(address.process, address.file, b"0" * 32, address.places)
        with pytest.raises(OSError, match="not the one"):
            attach(foreign)
    with pytest.raises(OSError, match="No such file"):
        attach(address)


def test_ranks_of_a_node() -> None:
    """The first rank keeps its arrays, others get them; a lonely rank goes on as it is."""
    arrays = dict(zip("abcde", ARRAYS, strict=True))
    assert share_arrays(SerialComm(), arrays) is arrays
    with SharedMemory(ARRAYS) as memory:
        got = share_arrays(FakeComm(1, [(tuple(arrays), memory.address)]), {})
    assert list(got) == list(arrays)
    assert all(np.array_equal(got[name], arrays[name]) for name in arrays)
    n_before = _n_open()
    assert share_arrays(FakeComm(0, heard := []), arrays) is arrays
    assert heard[0][0] == tuple(arrays)
    assert _n_open() == n_before
    assert share_arrays(FakeComm(1, heard), {}) == {}
    assert os.getpid() == heard[0][1].process
