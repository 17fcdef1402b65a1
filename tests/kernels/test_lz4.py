"""LZ4 blocks are decoded as by the byte-by-byte version, and malformed ones do no harm."""

from __future__ import annotations

import ctypes
import mmap
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxlsfind.kernels._memory import HAS_PERMUTE
from cxlsfind.kernels.lz4 import (
    MALFORMED,
    SLACK,
    decode_block,
    repeat_by_vectors,
    repeat_by_words,
)

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


def _decode(block: bytes, size: int, row: int = 0) -> bytes | None:
    """Decode a block between guards, as far as that goes; the source must stay."""
    source, target = SOURCE.last(len(block) + SLACK), TARGET.last(size + SLACK)
    source[:] = 255
    source[: len(block)] = np.frombuffer(block, np.uint8)
    here, result = np.uint64(source.ctypes.data), np.uint64(target.ctypes.data)
    end, result_end = here + np.uint64(len(block)), result + np.uint64(size)
    n = decode_block(here, end, result, result_end, np.uint64(row))
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


def _decode_rows(block: bytes, size: int, row: int) -> tuple[int, bytes] | None:
    """Decode rows; return how many were written, and all of them."""
    written = _decode(block, size, row)
    if written is None:
        return None
    n_rows, rest = divmod(len(written), row)
    assert rest == 0
    assert 1 <= n_rows <= size // row
    return n_rows, written + written[-row:] * (size // row - n_rows)


@st.composite
def rows(draw: st.DrawFn) -> tuple[bytes, int]:
    """Draw rows of the same length, of which the last ones are often the same, and that length."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    row = int(rng.choice([1, 2, 7, 24, 64, 66, 96]))
    bits = rng.random((int(rng.integers(1, 24)), row)) < rng.choice([0.0, 0.05, 0.5])
    lines = bits.astype(np.uint8)
    if rng.random() < 0.5:  # the same inside a row again and again
        period = int(rng.integers(1, row + 1))
        lines[:] = lines[:, np.arange(row) % period]
    lines[int(rng.integers(0, len(lines))) :] = lines[-1]
    if rng.random() < 0.2:  # but for a few bytes at the end
        lines[-1, -int(rng.integers(1, 6)) :] = 7
    return lines.tobytes(), row


@settings(max_examples=500)
@given(content=rows())
def test_rows(naive_lz4: ModuleType, content: tuple[bytes, int]) -> None:
    data, row = content
    decoded = _decode_rows(naive_lz4.compress(data), len(data), row)
    assert decoded is not None
    assert decoded[1] == data


@settings(max_examples=500)
@given(content=rows(), data=st.data())
def test_damaged_rows(
    naive_lz4: ModuleType, content: tuple[bytes, int], data: st.DataObject
) -> None:
    whole, row = content
    damaged = bytearray(naive_lz4.compress(whole))
    # Most often where it ends: there the decoder looks ahead.
    near_end = max(0, len(damaged) - 16)
    for _ in range(data.draw(st.integers(1, 3))):
        first = data.draw(st.sampled_from([0, near_end]))
        place = data.draw(st.integers(first, len(damaged) - 1))
        damaged[place] = data.draw(st.sampled_from([0, 1, 15, 16, 80, 96, 240, 255]))
    cut = bytes(damaged[: data.draw(st.sampled_from([len(damaged), len(damaged) - 1]))])
    expected = naive_lz4.decode(cut, len(whole))
    decoded = _decode_rows(cut, len(whole), row)
    if expected is None or len(expected) != len(whole):
        assert decoded is None
    else:
        assert decoded is not None
        assert decoded[1] == expected


def test_equal_rows_at_the_end_are_left_out(naive_lz4: ModuleType) -> None:
    row = bytes(range(100, 196))
    for n_before in (0, 1, 2, 5):
        data = bytes(range(96)) * n_before + row * 30
        decoded = _decode_rows(naive_lz4.compress(data), len(data), len(row))
        assert decoded is not None
        assert decoded[0] == n_before + 1
        assert decoded[1] == data


@pytest.mark.parametrize("repeat", [repeat_by_words, repeat_by_vectors])
def test_repeats(repeat: Any) -> None:
    if repeat is repeat_by_vectors and not HAS_PERMUTE:
        pytest.skip("the processor cannot")
    rng = np.random.default_rng(3)
    for offset in (*range(1, 70), 100, 300):
        for length in (*range(1, 70), 127, 128, 129, 300):
            target = TARGET.last(300 + length + SLACK)
            target[:300] = np.frombuffer(rng.bytes(300), np.uint8)
            before = target[:300].copy()
            repeat(np.uint64(target.ctypes.data + 300), np.uint64(offset), np.uint64(length))
            expected = [before[300 - offset + at % offset] for at in range(length)]
            assert target[300 : 300 + length].tolist() == expected
            assert (target[:300] == before).all()
