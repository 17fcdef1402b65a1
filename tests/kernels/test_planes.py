"""Bit planes of arrays, of chunks and of photon lists are those of the pixel-by-pixel version."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxlsfind.kernels.lz4 import SLACK
from cxlsfind.kernels.plane_decode import Elements, decode_planes
from cxlsfind.kernels.plane_pack import (
    CENSORED,
    FLAGGED,
    LISTED,
    NEGATIVE,
    BadValues,
    PixelLists,
    Target,
    pack_planes,
)
from cxlsfind.kernels.planes import (
    bits_of_row,
    count_at,
    count_bits,
    count_full,
    photons_from_planes,
    planes_from_photons,
    words_of,
)

TYPES = [np.uint8, np.uint16, np.uint32, np.int8, np.int16, np.int32]


@st.composite
def arrays(draw: st.DrawFn, dtype: type) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_], int]:
    """Draw pixels, few of them large, with usable ones, and a number of planes."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = draw(st.sampled_from([1, 7, 8, 9, 63, 64, 65, 500, 511, 512, 513, 4096, 5000, 9001]))
    limits = np.iinfo(dtype)
    raw = rng.poisson(draw(st.sampled_from([0.01, 0.5, 3.0])), size)
    odd = [-1, -2, 2, 3, 14, 15, 62, 63, 64, 127, 128, 200, 254, 255, 256, 300, 65535]
    odd += [limits.min, limits.max, limits.max - 1]
    odd = [value for value in odd if limits.min <= value <= limits.max]
    spread = rng.random(size) < draw(st.sampled_from([0.0, 0.01, 0.3]))
    raw[spread] = rng.choice(odd, int(spread.sum()))
    usable = rng.random(size) < draw(st.sampled_from([1.0, 0.9, 0.2]))
    numbers = [n for n in (2, 4, 6, 8) if 2**n - 1 <= limits.max]
    return raw.astype(dtype), usable, draw(st.sampled_from(numbers))


#: On an array of whatever length: pixels 5 to 24 of one panel, three and more pixels of another.
VALUES = BadValues(
    np.array([[5, 1000, 1, 20], [30, 10, 900, 3]]),
    np.array([254.0, np.inf]),
    np.array([[-1, -1], [256, 65535]]),
)


def _is_marked(pixel: int, count: int) -> bool:
    if 5 <= pixel < 25:
        return count > 254
    return pixel >= 30 and pixel % 10 < 3 and count in (256, 65535)


def _target(raw: npt.NDArray[Any], usable: npt.NDArray[np.bool_], n_planes: int) -> Target:
    words = np.full(-(-raw.size // 64), 2**64 - 1, np.uint64)
    words_of(usable, words)
    lists = PixelLists(
        np.zeros(raw.size, np.int32),
        np.zeros(raw.size, np.uint32),
        np.zeros(raw.size, np.int32),
        np.zeros(raw.size, np.int32),
        np.zeros(4, np.int64),
    )
    planes = np.full((n_planes, words.size), 2**64 - 1, np.uint64)
    return Target(words, int(np.iinfo(raw.dtype).max), VALUES, planes, lists)


def _compare(target: Target, expected: tuple[Any, ...]) -> None:
    planes, listed, bad, censored = expected
    lists, lengths = target.lists, target.lists.lengths
    np.testing.assert_array_equal(target.planes, planes)
    n = lengths[LISTED]
    assert list(zip(lists.full[:n].tolist(), lists.full_count[:n].tolist(), strict=True)) == listed
    assert sorted(lists.bad[: lengths[NEGATIVE] + lengths[FLAGGED]].tolist()) == bad
    assert lists.censored[: lengths[CENSORED]].tolist() == censored


@pytest.mark.parametrize("dtype", TYPES)
@settings(max_examples=60)
@given(data=st.data())
def test_planes_of_arrays(naive_planes: ModuleType, dtype: type, data: st.DataObject) -> None:
    raw, usable, n_planes = data.draw(arrays(dtype))
    target = _target(raw, usable, n_planes)
    pack_planes(raw, target)
    _compare(target, naive_planes.frame(raw, usable, n_planes, _is_marked))


@pytest.mark.parametrize("dtype", TYPES)
@settings(max_examples=100)
@given(data=st.data())
def test_planes_of_chunks(
    naive_planes: ModuleType, naive_lz4: ModuleType, dtype: type, data: st.DataObject
) -> None:
    raw, usable, n_planes = data.draw(arrays(dtype))
    block = data.draw(st.sampled_from([8, 24, 64, 104, 512, 520, 1024, 4096, 8192]))
    chunk = naive_lz4.pack(raw, block)
    target = _target(raw, usable, n_planes)
    padded = np.frombuffer(chunk + bytes(SLACK), np.uint8)
    elements = Elements(raw.size, raw.dtype.itemsize, raw.dtype.kind == "i")
    assert decode_planes(padded, len(chunk), elements, target)
    _compare(target, naive_planes.frame(raw, usable, n_planes, _is_marked))


def test_lists_that_are_too_short_end_the_work(naive_lz4: ModuleType) -> None:
    raw = np.full(9000, 3, np.uint16)
    chunk = np.frombuffer(naive_lz4.pack(raw, 4096) + bytes(SLACK), np.uint8)
    for n_planes, is_enough in ((2, False), (4, True)):
        target = _target(raw, np.ones(9000, np.bool_), n_planes)
        short = target.lists._replace(full=np.zeros(35, np.int32))
        short = target._replace(lists=short)
        pack_planes(raw, short)
        assert (target.lists.lengths[LISTED] <= 35) == is_enough
        target.lists.lengths[:] = 0
        assert decode_planes(chunk, chunk.size - SLACK, Elements(9000, 2, False), short)
        assert (target.lists.lengths[LISTED] <= 35) == is_enough


@settings(max_examples=60)
@given(data=st.data())
def test_photon_lists(naive_planes: ModuleType, data: st.DataObject) -> None:
    raw, usable, n_planes = data.draw(arrays(np.uint32))
    raw[~usable] = 0
    index = np.flatnonzero(raw).astype(np.int32)
    planes, listed, _, _ = naive_planes.frame(raw, usable, n_planes, lambda *_: False)
    made = np.full_like(planes, 1)
    full, full_count = np.zeros(raw.size, np.int32), np.zeros(raw.size, np.uint32)
    n_full = planes_from_photons(index, raw[index], made, full, full_count)
    np.testing.assert_array_equal(made, planes)
    full, full_count = full[:n_full], full_count[:n_full]
    assert list(zip(full.tolist(), full_count.tolist(), strict=True)) == listed
    back, count = np.zeros(raw.size, np.int32), np.zeros(raw.size, np.uint32)
    n = photons_from_planes(planes, full, full_count, back, count)
    assert back[:n].tolist() == index.tolist()
    assert count[:n].tolist() == raw[index].tolist()
    assert [count_at(planes, full, full_count, k) for k in range(raw.size)] == raw.tolist()
    for pixel in range(raw.size):
        length = min(raw.size - pixel, 1 + pixel % 64)
        row = raw[pixel : pixel + length] > 0
        assert bits_of_row(planes, pixel, length) == sum(
            1 << k for k in np.flatnonzero(row).tolist()
        )
    assert count_bits(planes[0]) == sum(raw[raw < 2**n_planes] % 2) + sum(raw >= 2**n_planes)
    for fewer in range(1, n_planes + 1):
        n_full = np.count_nonzero(raw >= 2**fewer - 1)
        assert count_full(planes, fewer, n_full) == n_full
        assert n_full == 0 or n_full // 2 < count_full(planes, fewer, n_full // 2) <= n_full


def _chunk(naive_lz4: ModuleType, changes: dict[int, bytes]) -> npt.NDArray[np.uint8]:
    """Return a chunk of 1003 pixels, changed, with room behind it."""
    chunk = bytearray(naive_lz4.pack(np.arange(1003, dtype=np.uint16), 512))
    for at, value in changes.items():
        chunk[at : at + len(value)] = value
    return np.frombuffer(bytes(chunk) + bytes(SLACK), np.uint8)


@pytest.mark.parametrize(
    "changes",
    [
        {7: b"\0"},
        {0: b"\xff" * 8},
        {8: bytes(4)},
        {8: (1000).to_bytes(4)},
        {8: (2**31).to_bytes(4)},
        {8: b"\xff" * 4},
        {8: (2048).to_bytes(4)},
        {12: bytes(4)},
        {12: b"\x7f\xff\xff\xff"},
        {12: b"\xff" * 4},
        {16: b"\0"},
    ],
)
def test_chunks_that_contradict_themselves(
    naive_lz4: ModuleType, changes: dict[int, bytes]
) -> None:
    good, bad = _chunk(naive_lz4, {}), _chunk(naive_lz4, changes)
    n_good = good.size - SLACK
    assert _is_in_order(good, n_good)
    assert not _is_in_order(bad, bad.size - SLACK)
    for n_bytes in (0, 11, 12, 15, 16, 100, n_good - 1, n_good + 1):
        assert not _is_in_order(good, n_bytes)
    assert not _is_in_order(good, n_good, number=1002)
    assert not _is_in_order(good, n_good, item_bytes=4)


def _is_in_order(chunk: npt.NDArray[np.uint8], n_bytes: int, **changes: int) -> bool:
    target = _target(np.zeros(1003, np.uint16), np.ones(1003, np.bool_), 2)
    return decode_planes(chunk, n_bytes, Elements(1003, 2, False)._replace(**changes), target)
