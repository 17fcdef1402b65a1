"""Packed frames are read straight from their files, and only those that are packed as expected."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest

from cxlsfind.errors import FrameError
from cxlsfind.io.inputs import InputItem
from cxlsfind.io.packed import PackedFiles
from cxlsfind.io.reader import RunReader
from cxlsfind.io.run import Run, open_run
from cxlsfind.kernels.lz4 import SLACK

BSLZ4 = dict(hdf5plugin.Bitshuffle(cname="lz4"))
PACKED = {"chunks": (1, 30, 40), **BSLZ4}
PATH = "/entry/data/data"


def _open(name: str | Path, geometry: Any) -> Run:
    return pickle.loads(pickle.dumps(open_run([InputItem(str(name))], geometry)))


def _packed_bytes(run: Run, frame: int) -> bytes | None:
    with RunReader(run) as reader:
        packed = reader.packed(frame)
        if packed is None:
            return None
        assert packed.chunk.size >= packed.n_bytes + SLACK
        return packed.chunk[: packed.n_bytes].tobytes()


def _stored(name: str | Path, *offset: int, path: str = PATH) -> bytes:
    with h5py.File(name) as file:
        return file[path].id.read_direct_chunk(offset)[1]


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i1", "i2", "i4"])
@pytest.mark.parametrize("userblock", [0, 512, 4096])
def test_bytes_of_every_frame(dtype, userblock, make_frames, make_geometry, tmp_path):
    """The bytes are those that HDF5 gives, wherever in the file its part begins."""
    frames = make_frames(5, dtype)
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=userblock) as file:
        file.create_dataset(PATH, data=frames, **PACKED)
    run = _open(tmp_path / "a.h5", make_geometry())
    with RunReader(run) as reader:
        reader.expect(range(5))
        for k in (3, 0, 4, 1, 2):
            packed = reader.packed(k)
            assert packed is not None
            assert packed.chunk[: packed.n_bytes].tobytes() == _stored(tmp_path / "a.h5", k, 0, 0)
            assert packed.dtype == frames.dtype


def test_bytes_behind_something_else(make_frames, make_geometry, write_stack, tmp_path):
    """A file that HDF5 finds behind other bytes may have its index count from either beginning."""
    name = write_stack("a.h5", make_frames(3), **PACKED)
    (tmp_path / "b.h5").write_bytes(bytes(1024) + Path(name).read_bytes())
    run = _open(tmp_path / "b.h5", make_geometry())
    assert _packed_bytes(run, 2) == _stored(name, 2, 0, 0)


def test_planes_at_a_fixed_index(make_frames, make_geometry, write_stack):
    """The row of a frame is found among those of other channels."""
    frames = make_frames(24).reshape(4, 3, 2, 30, 40)
    name = write_stack("a.h5", frames, chunks=(1, 1, 1, 30, 40), **BSLZ4)
    run = _open(name, make_geometry(dims=(1, "%", 1, "ss", "fs")))
    assert _packed_bytes(run, 2) == _stored(name, 1, 2, 1, 0, 0)


def test_single_image(make_frames, make_geometry, write_stack):
    """A dataset may be one image."""
    name = write_stack("a.h5", make_frames(1)[0], chunks=(30, 40), **BSLZ4)
    run = _open(name, make_geometry(dims=("ss", "fs")))
    assert _packed_bytes(run, 0) == _stored(name, 0, 0)


def test_sources_of_virtual_datasets(make_frames, make_geometry, write_stack, tmp_path):
    """Frames behind a virtual dataset are read from the file that has them."""
    name = write_stack("a.h5", make_frames(5), "/d", **PACKED)
    layout = h5py.VirtualLayout((2, 30, 40), "u2")
    layout[:] = h5py.VirtualSource(name, "/d", (5, 30, 40))[3:5]
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.create_virtual_dataset(PATH, layout)
    run = _open(tmp_path / "v.h5", make_geometry())
    assert _packed_bytes(run, 1) == _stored(name, 4, 0, 0, path="/d")


@pytest.mark.parametrize(
    ("dtype", "options"),
    [
        ("u2", {"chunks": (1, 30, 40)}),
        ("u2", {"chunks": None}),
        ("u2", {"chunks": (1, 30, 40), "compression": "gzip"}),
        ("u2", {"chunks": (1, 30, 40), **hdf5plugin.LZ4()}),
        ("u2", {"chunks": (1, 30, 40), **hdf5plugin.Bitshuffle(cname="zstd")}),
        ("u2", {"chunks": (1, 30, 40), **hdf5plugin.Bitshuffle(cname="none")}),
        ("u2", {"chunks": (1, 30, 40), "shuffle": True, **BSLZ4}),
        ("u2", {"chunks": (1, 30, 40), "fletcher32": True, **BSLZ4}),
        ("u2", {"chunks": (1, 15, 40), **BSLZ4}),
        ("u2", {"chunks": (2, 30, 40), **BSLZ4}),
        (">u2", PACKED),
        ("u8", PACKED),
        ("f4", PACKED),
    ],
)
def test_frames_that_are_stored_otherwise(
    dtype, options, make_frames, make_geometry, write_stack, read_all
):
    """What is not packed in the one expected way is left to HDF5."""
    frames = make_frames(3, dtype)
    run, read = read_all([write_stack("a.h5", frames, **options)], make_geometry())
    assert _packed_bytes(run, 1) is None
    np.testing.assert_array_equal(read, frames.reshape(3, -1))


def test_planes_that_lie_across(make_frames, make_geometry, write_stack):
    """Chunks are of no use when fs is not the last dimension."""
    frames = make_frames(2).transpose(0, 2, 1)
    name = write_stack("a.h5", frames, chunks=(1, 40, 30), **BSLZ4)
    assert _packed_bytes(_open(name, make_geometry(dims=("%", "fs", "ss"))), 1) is None


def test_several_slabs(make_frames, make_geometry, make_panel, write_stack):
    """Frames of several datasets, or with a dataset twice, are left to HDF5."""
    name = write_stack("a.h5", make_frames(2), "/left", **PACKED)
    write_stack("a.h5", make_frames(2), "/right", **PACKED)
    panels = [make_panel("a", data="/left"), make_panel("b", data="/right")]
    assert _packed_bytes(_open(name, make_geometry(panels)), 1) is None
    panels = [make_panel("a", data="/left"), make_panel("b", data="/left", min_fs=3)]
    assert _packed_bytes(_open(name, make_geometry(panels)), 1) is None


def test_chunk_without_its_filter(make_frames, make_geometry, tmp_path):
    """A chunk that was stored as it is goes through HDF5, its neighbours do not."""
    frames = make_frames(3)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset(PATH, frames.shape, frames.dtype, **PACKED)
        dataset[0] = frames[0]
        dataset.id.write_direct_chunk((1, 0, 0), frames[1].tobytes(), filter_mask=1)
        dataset[2] = frames[2]
    run = _open(tmp_path / "a.h5", make_geometry())
    assert [_packed_bytes(run, k) is None for k in range(3)] == [False, True, False]


def test_file_that_shrinks(make_frames, make_geometry, write_stack):
    """A file that was cut after it was looked at costs its last frame."""
    name = write_stack("a.h5", make_frames(2), **PACKED)
    run = _open(name, make_geometry())
    end = run.sources[0].places.start[1] + run.sources[0].places.n_bytes[1]
    os.truncate(name, int(end) - 7)
    with RunReader(run) as reader:
        assert reader.packed(0) is not None
        with pytest.raises(FrameError, match=r"a\.h5 //1: .*it ends 7 bytes before the end"):
            reader.packed(1)


def test_file_that_goes_away(make_frames, make_geometry, write_stack):
    """A file that is gone when its turn comes costs its frames."""
    name = write_stack("a.h5", make_frames(2), **PACKED)
    run = _open(name, make_geometry())
    Path(name).unlink()
    with RunReader(run) as reader:
        reader.expect([0])
        with pytest.raises(FrameError, match=r"a\.h5 //0: .*a\.h5: the file does not exist"):
            reader.packed(0)


def test_few_files_are_open(tmp_path):
    """No more files stay open than allowed, and none after the end."""
    for k in range(6):
        (tmp_path / str(k)).write_bytes(bytes([k]) * 10)
    before = _n_open()
    files = PackedFiles(2)
    for k in (0, 1, 0, 2, 0, 3, 4, 5, 5):
        assert files.read(str(tmp_path / str(k)), 3, 4)[:4].tolist() == [k] * 4
        assert _n_open() <= before + 2
    files.close()
    assert _n_open() == before


def _n_open() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
