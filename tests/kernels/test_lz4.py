"""LZ4 blocks are decoded as by the byte-by-byte version, and malformed ones do no harm."""

from __future__ import annotations

import ctypes
import mmap
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from cxlsfind.kernels.lz4 import MALFORMED, SLACK, decode_block

PAGE = mmap.PAGESIZE
ROOM = 4096


class GuardedBuffer:
    """Bytes that end where the process may not go: one byte further and it dies."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, ROOM + PAGE)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        assert protect(ctypes.c_void_p(base + ROOM), PAGE, 0) == 0
        self._all = np.frombuffer(self.memory, np.uint8, ROOM)

    def last(self, size: int) -> npt.NDArray[np.uint8]:
        """Return the last bytes before the end."""
        return self._all[ROOM - size :]


SOURCE, TARGET = GuardedBuffer(), GuardedBuffer()


def _decode(block: bytes, size: int) -> bytes | None:
    """Decode a block between guards; bytes before the target and in the source must stay."""
    source, target = SOURCE.last(len(block) + SLACK), TARGET.last(size + SLACK)
    source[:] = 255
    source[: len(block)] = np.frombuffer(block, np.uint8)
    n = decode_block(source, 0, len(block), target, size)
    assert source[: len(block)].tobytes() == block
    assert (source[len(block) :] == 255).all()
    return None if n == MALFORMED else target[:n].tobytes()


@st.composite
def contents(draw: st.DrawFn) -> tuple[list[tuple[bytes, int, int]], bytes]:
    """Draw sequences and last literals, with lengths and offsets of every kind."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sequences, size = [], 0
    for _ in range(draw(st.integers(0, 12))):
        literals = rng.bytes(int(rng.choice([0, 1, 3, 14, 15, 16, 40, 269, 270, 271])))
        size += len(literals)
        if size == 0:
            continue
        offset = int(min(rng.choice([1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 33, 300]), size))
        n_match = int(rng.choice([4, 5, 8, 17, 18, 19, 20, 32, 33, 64, 65, 273, 274, 275]))
        sequences.append((literals, offset, n_match))
        size += n_match
    return sequences, rng.bytes(int(rng.integers(0, 30)))


@settings(max_examples=300)
@given(content=contents(), spare=st.sampled_from([0, 1, 50, -1, -5]))
def test_valid_blocks(naive_lz4: ModuleType, content: Any, spare: int) -> None:
    block = naive_lz4.encode(*content)
    expected = naive_lz4.decode(block, ROOM)
    if expected is None or len(expected) + spare + SLACK > ROOM or len(expected) + spare < 0:
        return
    size = len(expected) + spare
    assert _decode(block, size) == (expected if spare >= 0 else None)


@settings(max_examples=500)
@given(content=contents(), data=st.data())
def test_damaged_blocks(naive_lz4: ModuleType, content: Any, data: st.DataObject) -> None:
    block = naive_lz4.encode(*content)
    damaged = bytearray(block)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(block) - 1))] = data.draw(
            st.sampled_from([0, 1, 15, 16, 240, 255])
        )
    cut = bytes(damaged[: data.draw(st.integers(0, len(block)))])
    if len(cut) + SLACK <= ROOM:
        assert _decode(cut, 600) == naive_lz4.decode(cut, 600)


@settings(max_examples=300)
@given(block=st.binary(max_size=200), size=st.integers(0, 500))
def test_random_bytes(naive_lz4: ModuleType, block: bytes, size: int) -> None:
    assert _decode(block, size) == naive_lz4.decode(block, size)


def test_buffers_without_room_are_refused() -> None:
    source, target = np.zeros(5 + SLACK, np.uint8), np.zeros(9 + SLACK, np.uint8)
    source[0] = 4 << 4
    assert decode_block(source, 0, 5, target, 9) == 4
    assert decode_block(source, 0, 5, target, 10) == MALFORMED
    assert decode_block(source[:-1], 0, 5, target, 9) == MALFORMED
    assert decode_block(source, 1, 5, target, 9) == MALFORMED
    assert decode_block(source, -1, 5, target, 9) == MALFORMED
    assert decode_block(source, 0, -1, target, 9) == MALFORMED
    assert decode_block(source, 0, 5, target, -1) == MALFORMED
