"""Chunks whose sizes are wrong are found before a filter trips over them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest

from cxlsfind.io.codecs import ChunkCheck, ChunkError

#: 43 x 57 pixels: blocks of the codecs are not filled, and elements are left over.
FRAMES = np.random.default_rng(3).poisson(0.3, (2, 43, 57)).astype("u2")
SPANS = ((0, 1), (0, 42), (0, 56))

CODECS = {
    "bslz4": dict(hdf5plugin.Bitshuffle(cname="lz4")),
    "bslz4-small-blocks": dict(hdf5plugin.Bitshuffle(nelems=64, cname="lz4")),
    "bszstd": dict(hdf5plugin.Bitshuffle(cname="zstd")),
    "bitshuffle": dict(hdf5plugin.Bitshuffle(cname="none")),
    "lz4": dict(hdf5plugin.LZ4()),
    "lz4-small-blocks": dict(hdf5plugin.LZ4(nbytes=512)),
    "shuffle-lz4": {"shuffle": True} | dict(hdf5plugin.LZ4()),
    "zstd": dict(hdf5plugin.Zstd()),
    "blosc": dict(hdf5plugin.Blosc()),
    "gzip": {"compression": "gzip"},
    "none": {},
}


@pytest.fixture
def open_damaged(tmp_path: Path):
    """Return a function that writes frames, damages the first chunk, and opens the dataset."""
    opened = []

    def damage(codec: str, change: Callable[[bytearray], None], **options) -> h5py.Dataset:
        path = tmp_path / "a.h5"
        options = {"chunks": (1, *FRAMES.shape[1:])} | CODECS[codec] | options
        with h5py.File(path, "w") as file:
            dataset = file.create_dataset("d", data=FRAMES, **options)
            where = dataset.id.get_chunk_info(0)
        content = bytearray(path.read_bytes())
        chunk = content[where.byte_offset : where.byte_offset + where.size]
        change(chunk)
        content[where.byte_offset : where.byte_offset + where.size] = chunk
        path.write_bytes(content)
        opened.append(h5py.File(path))
        return opened[-1]["d"]

    yield damage
    for file in opened:
        file.close()


def _set(position: int, value: bytes) -> Callable[[bytearray], None]:
    def change(chunk: bytearray) -> None:
        chunk[position : position + len(value)] = value

    return change


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("chunks", [(1, 43, 57), (2, 10, 57)])
def test_good_chunks_pass(codec, chunks, open_damaged):
    """What was written is found right, with any block size and left-over elements."""
    dataset = open_damaged(codec, lambda chunk: None, chunks=chunks)
    ChunkCheck(dataset).check(dataset, SPANS)
    np.testing.assert_array_equal(dataset[...], FRAMES)


@pytest.mark.parametrize(
    ("codec", "change", "message"),
    [
        ("bslz4", _set(0, (99999).to_bytes(8)), "claims to hold 99999 bytes instead of 4902"),
        ("bslz4", _set(8, (0).to_bytes(4)), "blocks of 0 bytes"),
        ("bslz4", _set(8, (8191).to_bytes(4)), "blocks of 8191 bytes"),
        ("bslz4", _set(8, (2**31).to_bytes(4)), "blocks of 2147483648 bytes"),
        ("bslz4", _set(12, (2**31).to_bytes(4)), "do not add up"),
        ("bslz4-small-blocks", _set(12, (3).to_bytes(4)), "do not add up"),
        ("bszstd", _set(12, (0).to_bytes(4)), "do not add up"),
        ("lz4", _set(0, (1).to_bytes(8)), "claims to hold 1 bytes"),
        ("lz4-small-blocks", _set(12, (2**32 - 1).to_bytes(4)), "do not add up"),
        ("shuffle-lz4", _set(0, (1).to_bytes(8)), "claims to hold 1 bytes"),
        ("zstd", _set(0, b"\0"), "does not begin like a Zstandard frame"),
        ("zstd", _set(5, b"\xff\xff"), "claims to hold 65791 bytes"),
        ("blosc", _set(4, (5000).to_bytes(4, "little")), "claims to hold 5000 bytes"),
        ("blosc", _set(12, (1).to_bytes(4, "little")), "in 1 instead of"),
        ("blosc", _set(8, bytes(4)), "in blocks of 0"),
    ],
)
def test_wrong_sizes(codec, change, message, open_damaged):
    """Each size in the head of a chunk is checked; other chunks are not to blame."""
    dataset = open_damaged(codec, change)
    check = ChunkCheck(dataset)
    with pytest.raises(ChunkError, match=message):
        check.check(dataset, ((0, 0), *SPANS[1:]))
    check.check(dataset, ((1, 1), *SPANS[1:]))


def test_checksums_are_left_to_the_library(open_damaged):
    """A Fletcher checksum finds all damage; the sizes behind it are not looked at."""
    dataset = open_damaged("bslz4", _set(0, b"\1"), fletcher32=True)
    ChunkCheck(dataset).check(dataset, SPANS)
    with pytest.raises(OSError, match="read"):
        dataset[0]


def test_uncompressed_chunk_of_a_wrong_size(tmp_path):
    """A chunk that skips the filters must have its full size."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("d", (2, 43, 57), "u2", chunks=(1, 43, 57), **CODECS["lz4"])
        dataset.id.write_direct_chunk((0, 0, 0), bytes(4902), filter_mask=1)
        dataset.id.write_direct_chunk((1, 0, 0), bytes(4900), filter_mask=1)
        check = ChunkCheck(dataset)
        check.check(dataset, ((0, 0), *SPANS[1:]))
        with pytest.raises(ChunkError, match="4900 bytes instead of 4902"):
            check.check(dataset, ((1, 1), *SPANS[1:]))


def test_impossible_filter_parameters(tmp_path):
    """Bitshuffle divides by the element size of its parameters."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("d", data=FRAMES, chunks=(1, 43, 57), **CODECS["bslz4"])
        where = dataset.id.get_create_plist().get_filter(0)
        assert where[2][2] == 2
    content = bytearray((tmp_path / "a.h5").read_bytes())
    stored = np.array(where[2], "<u4").tobytes()
    assert content.count(stored) == 1
    content = content.replace(stored, np.array([*where[2][:2], 0, *where[2][3:]], "<u4").tobytes())
    (tmp_path / "a.h5").write_bytes(content)
    with h5py.File(tmp_path / "a.h5") as file:
        dataset = file["d"]
        with pytest.raises(ChunkError, match="impossible parameters"):
            ChunkCheck(dataset).check(dataset, SPANS)
