"""Frames are read exactly as they were written, from every layout, type and codec."""

from __future__ import annotations

from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest

from cxlsfind.errors import FrameError
from cxlsfind.io.inputs import InputItem
from cxlsfind.io.reader import RunReader
from cxlsfind.io.run import open_run

CODECS = {
    "none": {},
    "contiguous": {"chunks": None},
    "gzip": {"compression": "gzip"},
    "gzip-shuffle": {"compression": "gzip", "shuffle": True},
    "bslz4": dict(hdf5plugin.Bitshuffle(cname="lz4")),
    "bszstd": dict(hdf5plugin.Bitshuffle(cname="zstd")),
    "lz4": dict(hdf5plugin.LZ4()),
    "zstd": dict(hdf5plugin.Zstd()),
}
TYPES = ["u1", "u2", "u4", "i1", "i2", "i4", "f4", "f8", ">u2", ">u4", ">i4", ">f4"]


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec(codec, make_frames, make_geometry, write_stack, read_all):
    """Frames come back equal from every compression."""
    frames = make_frames(5)
    options = {"chunks": (1, *frames.shape[1:])} | CODECS[codec]
    name = write_stack("a.h5", frames, **options)
    run, read = read_all([name], make_geometry())
    np.testing.assert_array_equal(read, frames.reshape(5, -1))
    stored = [_stored_bytes(name, k) for k in range(5)]
    assert run.frames.n_bytes.tolist() == stored


@pytest.mark.parametrize("dtype", TYPES)
def test_every_type(dtype, make_frames, make_geometry, write_stack, read_all):
    """Frames keep their type, in the byte order of this machine."""
    frames = make_frames(3, dtype)
    if np.dtype(dtype).kind == "i":
        frames -= 5
    name = write_stack("a.h5", frames, chunks=(1, 30, 40), **CODECS["bslz4"])
    _, read = read_all([name], make_geometry())
    assert {f.dtype for f in read} == {np.dtype(dtype).newbyteorder("=")}
    np.testing.assert_array_equal(read, frames.reshape(3, -1))


def test_half_precision_becomes_single(make_frames, make_geometry, write_stack, read_all):
    """The kernels know no 16-bit floats."""
    frames = make_frames(2, "f2")
    _, read = read_all([write_stack("a.h5", frames)], make_geometry())
    assert read[0].dtype == np.float32
    np.testing.assert_array_equal(read, frames.reshape(2, -1))


@pytest.mark.parametrize(("wide", "narrow"), [("u8", "u4"), ("i8", "i4"), (">u8", "u4")])
def test_64_bits_become_32(wide, narrow, make_frames, make_geometry, write_stack, read_all):
    """64-bit integers are delivered with 32 bits; the extremes stay extremes."""
    frames = make_frames(2, wide)
    frames[1, 2, 3] = np.iinfo(wide).max
    run, read = read_all([write_stack("a.h5", frames)], make_geometry())
    assert read[0].dtype == np.dtype(narrow)
    np.testing.assert_array_equal(read[0], frames[0].ravel())
    assert read[1][2 * 40 + 3] == np.iinfo(narrow).max
    assert "64-bit" in " ".join(run.notes)


def test_64_bits_that_do_not_fit(make_frames, make_geometry, write_stack):
    """A frame with a number that 32 bits cannot hold is refused, its neighbour is not."""
    frames = make_frames(2, "u8")
    frames[1, 2, 3] = 2**40
    run = open_run([InputItem(write_stack("a.h5", frames))], make_geometry())
    with RunReader(run) as reader:
        np.testing.assert_array_equal(reader.read(0), frames[0].ravel())
        with pytest.raises(FrameError, match=r"a\.h5 //1: 1 pixels, .* 1099511627776, do not fit"):
            reader.read(1)


@pytest.mark.parametrize(
    ("dims", "axes"),
    [
        (("%", "ss", "fs"), (0, 1, 2)),
        (("ss", "%", "fs"), (1, 0, 2)),
        (("ss", "fs", "%"), (1, 2, 0)),
    ],
)
@pytest.mark.parametrize("chunks", [None, (1, 30, 40), (2, 7, 9), (5, 30, 40), (3, 30, 11)])
def test_every_order_and_chunk_shape(
    dims, axes, chunks, make_frames, make_geometry, write_stack, read_all
):
    """The frame dimension may be anywhere, chunks may hold tiles or several frames."""
    frames = make_frames(5)
    stored = frames.transpose(axes)
    options = {} if chunks is None else {"chunks": tuple(np.array(chunks)[list(axes)].tolist())}
    name = write_stack("a.h5", stored, **options)
    _, read = read_all([name], make_geometry(dims=dims))
    np.testing.assert_array_equal(read, frames.reshape(5, -1))


def test_fixed_and_several_frame_dimensions(make_frames, make_geometry, write_stack, read_all):
    """Events count through all % dimensions; a number in the geometry picks one index."""
    frames = make_frames(24).reshape(2, 4, 3, 30, 40)
    name = write_stack("a.h5", frames)
    run, read = read_all([name], make_geometry(dims=("%", 2, "%", "ss", "fs")))
    np.testing.assert_array_equal(read, frames[:, 2].reshape(6, -1))
    assert [str(run.frames.event(k)) for k in range(6)] == [
        "//0/0", "//0/1", "//0/2", "//1/0", "//1/1", "//1/2",
    ]  # fmt: skip
    assert run.groups[0].links == ()
    assert "more than one number" in run.groups[0].obstacle
    run, read = read_all([name], make_geometry(dims=("%", 1, 2, "ss", "fs")))
    np.testing.assert_array_equal(read, frames[:, 1, 2].reshape(2, -1))
    assert run.groups[0].links[0].dims == ("%", 1, 2, "ss", "fs")


def test_single_image(make_frames, make_geometry, write_stack, read_all):
    """A dataset without % dimension is one frame, ``//``."""
    frames = make_frames(2)
    names = [write_stack(f"{k}.h5", frames[k], "/data/data") for k in range(2)]
    run, read = read_all(names, make_geometry(data="/data/data", dims=("ss", "fs")))
    np.testing.assert_array_equal(read, frames.reshape(2, -1))
    assert [str(run.frames.event(k)) for k in range(2)] == ["//", "//"]
    assert [group.n_rows for group in run.groups] == [1, 1]


def test_panels_in_separate_datasets(make_frames, make_geometry, make_panel, write_stack, read_all):
    """Slabs follow one another in the frame array; different types are promoted."""
    left, right = make_frames(4, "u2"), make_frames(4, "i4", shape=(12, 9)) - 7
    name = write_stack("a.h5", left, "/left")
    write_stack("a.h5", right, "/right")
    geometry = make_geometry(
        [
            make_panel("a", data="/left"),
            make_panel("b", data="/right", max_fs=8, max_ss=11),
        ]
    )
    run, read = read_all([name], geometry)
    both = np.concatenate([left.reshape(4, -1), right.reshape(4, -1)], axis=1)
    assert read[0].dtype == np.int32
    np.testing.assert_array_equal(read, both)
    assert [link.path for link in run.groups[0].links] == ["/left", "/right"]


def test_module_stack(make_frames, make_geometry, make_panel, write_stack, read_all):
    """Panels may be planes of one dataset."""
    frames = make_frames(9).reshape(3, 3, 30, 40)
    name = write_stack("a.h5", frames, chunks=(1, 3, 30, 40))
    panels = [make_panel(f"m{k}", dims=("%", k, "ss", "fs")) for k in range(3)]
    _, read = read_all([name], make_geometry(panels))
    np.testing.assert_array_equal(read, frames.reshape(3, -1))


def test_overlapping_panels_have_copies(
    make_frames, make_geometry, make_panel, write_stack, read_all
):
    """A slab that two panels share pixels of is there twice."""
    frames = make_frames(2)
    panels = [make_panel("a"), make_panel("b", min_fs=3)]
    _, read = read_all([write_stack("a.h5", frames)], make_geometry(panels))
    np.testing.assert_array_equal(read, np.concatenate([frames.reshape(2, -1)] * 2, axis=1))


def test_uncompressed_chunk_in_compressed_dataset(make_frames, make_geometry, tmp_path, read_all):
    """A chunk whose filter mask is set was stored as it is."""
    frames = make_frames(3)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset(
            "/entry/data/data", frames.shape, frames.dtype, chunks=(1, 30, 40), **CODECS["bslz4"]
        )
        dataset[0] = frames[0]
        dataset.id.write_direct_chunk((1, 0, 0), frames[1].tobytes(), filter_mask=1)
        dataset[2] = frames[2]
    run, read = read_all([str(tmp_path / "a.h5")], make_geometry())
    np.testing.assert_array_equal(read, frames.reshape(3, -1))
    assert run.frames.n_bytes[1] == frames[1].nbytes


def test_damaged_chunk(make_frames, make_geometry, tmp_path):
    """A chunk that cannot be decoded costs its frame, with file, dataset and frame named."""
    frames = make_frames(3)
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset(
            "/entry/data/data", data=frames, chunks=(1, 30, 40), **CODECS["bslz4"]
        )
        where = dataset.id.get_chunk_info(1)
    content = bytearray(path.read_bytes())
    content[where.byte_offset : where.byte_offset + where.size] = b"\xff" * where.size
    path.write_bytes(content)
    run = open_run([InputItem(str(path))], make_geometry())
    with RunReader(run) as reader:
        with pytest.raises(FrameError) as error:
            reader.read(1)
        np.testing.assert_array_equal(reader.read(2), frames[2].ravel())
    message = str(error.value)
    assert (
        f"{path} //1: /entry/data/data in {path}, frame 1: the pixels cannot be decoded" in message
    )
    assert "\n" not in message


def test_file_that_goes_away(make_frames, make_geometry, write_stack):
    """A file that is gone when its turn comes costs its frames, not the run."""
    name = write_stack("a.h5", make_frames(2))
    run = open_run([InputItem(name)], make_geometry())
    Path(name).unlink()
    with RunReader(run) as reader, pytest.raises(FrameError, match="does not exist"):
        reader.read(0)


def test_files_are_closed(make_frames, make_geometry, write_stack):
    """No more files stay open than allowed, and none after the end."""
    names = [write_stack(f"{k}.h5", make_frames(1)) for k in range(6)]
    run = open_run([InputItem(name) for name in names], make_geometry())
    with RunReader(run, open_files=2) as reader:
        for k in range(6):
            reader.read(k)
        assert _open_files() == 2
    assert _open_files() == 0


def _open_files() -> int:
    return len(h5py.h5f.get_obj_ids(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE))


def _stored_bytes(name: str, frame: int) -> int:
    with h5py.File(name) as file:
        dataset = file["/entry/data/data"]
        if dataset.chunks is None:
            return dataset.nbytes // len(dataset)
        return dataset.id.get_chunk_info(frame).size
