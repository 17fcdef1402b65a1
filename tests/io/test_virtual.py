"""Virtual datasets are resolved to their sources, and what is missing is said."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from cxlsfind.errors import InputProblemsError

PATH = "/entry/data/data"


@pytest.fixture
def write_virtual(tmp_path: Path) -> Callable[..., str]:
    """Return a writer of ``v.h5`` with one virtual dataset; takes target-source pairs."""

    def write(shape, pairs, *, name="v.h5", dtype="u2", fill=0, path=PATH, maxshape=None):
        layout = h5py.VirtualLayout(shape, dtype, maxshape=maxshape)
        for target, source in pairs:
            layout[target] = source
        with h5py.File(tmp_path / name, "a") as file:
            file.create_virtual_dataset(path, layout, fillvalue=fill)
        return str(tmp_path / name)

    return write


def _source(name: str, frames: np.ndarray, path: str = PATH) -> h5py.VirtualSource:
    return h5py.VirtualSource(name, path, shape=frames.shape, dtype=frames.dtype)


@pytest.fixture
def two_files(make_frames, write_stack):
    """Return frames of two data files, and sources for both with relative names."""
    frames = make_frames(9)
    parts = frames[:5], frames[5:]
    for k, part in enumerate(parts):
        write_stack(f"data_{k}.h5", part, chunks=(1, 30, 40), compression="gzip")
    return frames, [_source(f"data_{k}.h5", part) for k, part in enumerate(parts)]


def test_concatenation(two_files, write_virtual, make_geometry, read_all, tmp_path):
    """Frames keep their order and are linked to the files that hold them."""
    frames, (a, b) = two_files
    name = write_virtual(frames.shape, [(np.s_[:5], a), (np.s_[5:], b)])
    run, read = read_all([name], make_geometry())
    np.testing.assert_array_equal(read, frames.reshape(9, -1))
    assert [g.links[0].file for g in run.groups] == [
        str(tmp_path / "data_0.h5"), str(tmp_path / "data_1.h5"),
    ]  # fmt: skip
    assert [g.n_rows for g in run.groups] == [5, 4]
    assert run.frames.row.tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3]
    assert [str(run.frames.event(k)) for k in (0, 8)] == ["//0", "//8"]
    assert run.skipped == ()


def test_interleaved(two_files, write_virtual, make_geometry, read_all):
    """Strides on both sides are followed."""
    frames, (a, b) = two_files
    pairs = [(np.s_[0:6:2], a[::2]), (np.s_[1:5:2], b[1:3])]
    name = write_virtual((6, 30, 40), pairs)
    run, read = read_all([name], make_geometry())
    expected = [frames[k] for k in (0, 6, 2, 7, 4)]
    np.testing.assert_array_equal(read, np.reshape(expected, (5, -1)))
    assert [s.event for s in run.skipped] == ["//5"]
    assert "no source" in run.skipped[0].reason


def test_picked_frames(two_files, write_virtual, make_geometry, read_all):
    """A list of frames is a selection that is no regular grid."""
    frames, (a, _) = two_files
    name = write_virtual((3, 30, 40), [([0, 1, 2], a[[0, 1, 4]])])
    _, read = read_all([name], make_geometry())
    np.testing.assert_array_equal(read, frames[[0, 1, 4]].reshape(3, -1))


def test_frame_by_frame_in_any_order(two_files, write_virtual, make_geometry, read_all):
    """One mapping per frame, in another order than in the sources."""
    frames, (a, b) = two_files
    order = [8, 0, 7, 1, 6, 2]
    pairs = [(k, b[n - 5] if n > 4 else a[n]) for k, n in enumerate(order)]
    run, read = read_all([write_virtual((6, 30, 40), pairs)], make_geometry())
    np.testing.assert_array_equal(read, frames[order].reshape(6, -1))
    assert run.frames.row.tolist() == [3, 0, 2, 1, 1, 2]


def test_stacked_single_images(make_frames, write_stack, write_virtual, make_geometry, read_all):
    """Files with one image each become a stack."""
    frames = make_frames(3)
    for k in range(3):
        write_stack(f"{k}.h5", frames[k], "/image")
    pairs = [(k, _source(f"{k}.h5", frames[k], "/image")) for k in range(3)]
    run, read = read_all([write_virtual(frames.shape, pairs)], make_geometry())
    np.testing.assert_array_equal(read, frames.reshape(3, -1))
    assert {g.links[0].dims for g in run.groups} == {("ss", "fs")}


def test_same_file_and_nested(two_files, write_virtual, make_geometry, read_all):
    """Virtual datasets of virtual datasets, one of them in the same file."""
    frames, (a, b) = two_files
    write_virtual(frames.shape, [(np.s_[:5], a), (np.s_[5:], b)], name="inner.h5", path="/inner")
    inner = h5py.VirtualSource("inner.h5", "/inner", shape=frames.shape, dtype="u2")
    write_virtual((8, 30, 40), [(np.s_[:], inner[1:])], path="/middle")
    middle = h5py.VirtualSource(".", "/middle", shape=(8, 30, 40), dtype="u2")
    name = write_virtual((4, 30, 40), [(np.s_[:], middle[::2])])
    run, read = read_all([name], make_geometry())
    np.testing.assert_array_equal(read, frames[1::2].reshape(4, -1))
    assert run.frames.row.tolist() == [1, 3, 0, 2]


def test_virtual_dataset_of_itself(write_virtual, make_geometry, read_all):
    """A circle ends in a reason."""
    pairs = [(np.s_[:], h5py.VirtualSource(".", PATH, shape=(2, 30, 40)))]
    name = write_virtual((2, 30, 40), pairs)
    with pytest.raises(InputProblemsError, match="without end"):
        read_all([name], make_geometry())


def test_frames_stitched_from_modules(
    make_frames, write_stack, write_virtual, make_geometry, read_all
):
    """Modules from several files, with gaps that hold the fill value."""
    modules = [make_frames(3, shape=(13, 40), first=10 * k) for k in range(2)]
    for k, module in enumerate(modules):
        write_stack(f"m{k}.h5", module, chunks=(1, 13, 40))
    pairs = [(np.s_[:, 17 * k : 17 * k + 13], _source(f"m{k}.h5", modules[k])) for k in range(2)]
    name = write_virtual((3, 30, 40), pairs, fill=7)
    run, read = read_all([name], make_geometry())
    with h5py.File(name) as file:
        np.testing.assert_array_equal(read, file[PATH][...].reshape(3, -1))
    assert (read[0].reshape(30, 40)[13:17] == 7).all()
    assert run.groups[0].links == ()
    assert "puts its frames together" in run.groups[0].obstacle
    assert run.frames.n_bytes.tolist() == [2 * 13 * 40 * 2] * 3


def test_part_of_larger_frames(make_frames, write_stack, write_virtual, make_geometry, read_all):
    """A window of the source, every second column, is no dataset that one could link to."""
    frames = make_frames(3, shape=(50, 90))
    write_stack("a.h5", frames)
    source = _source("a.h5", frames)[:, 10:40, 5:85:2]
    run, read = read_all([write_virtual((3, 30, 40), [(np.s_[:], source)])], make_geometry())
    np.testing.assert_array_equal(read, frames[:, 10:40, 5:85:2].reshape(3, -1))
    assert run.groups[0].obstacle


def test_uneven_columns(make_frames, write_stack, write_virtual, make_geometry, read_all):
    """Columns without a common distance, as when dead columns are left out."""
    frames = make_frames(2, shape=(30, 50))
    write_stack("a.h5", frames)
    columns = [*range(3, 20), *range(22, 45)]
    source = _source("a.h5", frames)[:, :, columns]
    _, read = read_all([write_virtual((2, 30, 40), [(np.s_[:], source)])], make_geometry())
    np.testing.assert_array_equal(read, frames[:, :, columns].reshape(2, -1))


def test_uneven_target(make_frames, write_stack, write_virtual, make_geometry, read_all):
    """Columns that are spread over the frame unevenly."""
    frames = make_frames(2, shape=(30, 36))
    write_stack("a.h5", frames)
    columns = [*range(10), *range(13, 39)]
    pairs = [(np.s_[:, :, columns], _source("a.h5", frames))]
    name = write_virtual((2, 30, 40), pairs, fill=9)
    _, read = read_all([name], make_geometry())
    expected = np.full((2, 30, 40), 9)
    expected[:, :, columns] = frames
    np.testing.assert_array_equal(read, expected.reshape(2, -1))


def test_first_corner_of_larger_frames(
    make_frames, write_stack, write_virtual, make_geometry, read_all
):
    """A window that begins at the first pixel is still no dataset of the frame's size."""
    frames = make_frames(2, shape=(50, 90))
    write_stack("a.h5", frames)
    source = _source("a.h5", frames)[:, :30, :40]
    run, read = read_all([write_virtual((2, 30, 40), [(np.s_[:], source)])], make_geometry())
    np.testing.assert_array_equal(read, frames[:, :30, :40].reshape(2, -1))
    assert run.groups[0].obstacle


def test_stitched_with_another_fill_type(
    make_frames, write_stack, write_virtual, make_geometry, read_all
):
    """Gaps of NaN make the frame a float one."""
    frames = make_frames(2, shape=(20, 40))
    write_stack("a.h5", frames)
    pairs = [(np.s_[:, :20], _source("a.h5", frames))]
    name = write_virtual((2, 30, 40), pairs, dtype="f4", fill=np.nan)
    _, read = read_all([name], make_geometry())
    np.testing.assert_array_equal(read[1].reshape(30, 40)[:20], frames[1])
    assert np.isnan(read[1].reshape(30, 40)[20:]).all()


def test_overlapping_sources(make_frames, write_stack, write_virtual, make_geometry, read_all):
    """Where two sources claim a pixel, the result is that of the HDF5 library."""
    frames = make_frames(4)
    write_stack("a.h5", frames[:2])
    write_stack("b.h5", frames[2:])
    pairs = [
        (np.s_[:], _source("a.h5", frames[:2])),
        (np.s_[:, 5:12, 3:9], _source("b.h5", frames[2:])[:, 5:12, 3:9]),
    ]
    name = write_virtual((2, 30, 40), pairs)
    _, read = read_all([name], make_geometry())
    with h5py.File(name) as file:
        np.testing.assert_array_equal(read, file[PATH][...].reshape(2, -1))


def test_panels_in_different_rows(
    make_frames, write_stack, write_virtual, make_geometry, make_panel, read_all
):
    """A frame whose panels are rows 0 and 1 of their datasets is read, but cannot be linked."""
    frames = make_frames(5)
    write_stack("a.h5", frames)
    source = _source("a.h5", frames)
    write_virtual((3, 30, 40), [(np.s_[:], source[:3])], path="/one")
    name = write_virtual((3, 30, 40), [(np.s_[:], source[1:4])], path="/two")
    geometry = make_geometry([make_panel("a", data="/one"), make_panel("b", data="/two")])
    run, read = read_all([name], geometry)
    expected = [np.concatenate([frames[k].ravel(), frames[k + 1].ravel()]) for k in range(3)]
    np.testing.assert_array_equal(read, expected)
    assert "different rows" in run.groups[0].obstacle


def test_missing_source(two_files, write_virtual, make_geometry, read_all, tmp_path):
    """HDF5 would give zeros; here the frames are named as lost."""
    frames, (a, b) = two_files
    name = write_virtual(frames.shape, [(np.s_[:5], a), (np.s_[5:], b)])
    (tmp_path / "data_1.h5").unlink()
    run, read = read_all([name], make_geometry())
    np.testing.assert_array_equal(read, frames[:5].reshape(5, -1))
    (lost,) = run.skipped
    assert lost.frames == 4
    assert lost.file == name
    assert "data_1.h5: the file does not exist" in lost.reason
    assert "//5 to //8" in lost.reason


def test_missing_module_costs_the_frame(
    make_frames, write_stack, write_virtual, make_geometry, read_all
):
    """A frame with one module missing is not a frame with zeros in it."""
    modules = make_frames(2, shape=(15, 40))
    write_stack("m0.h5", modules)
    pairs = [(np.s_[:, 15 * k : 15 * k + 15], _source(f"m{k}.h5", modules)) for k in range(2)]
    with pytest.raises(InputProblemsError, match=r"m1\.h5: the file does not exist"):
        read_all([write_virtual((2, 30, 40), pairs)], make_geometry())


def test_source_without_the_dataset(two_files, write_virtual, make_geometry, read_all):
    """A source file without the dataset is as bad as no file."""
    frames, _ = two_files
    pairs = [(np.s_[:5], _source("data_0.h5", frames[:5], "/other"))]
    with pytest.raises(InputProblemsError, match="/other does not exist in"):
        read_all([write_virtual((5, 30, 40), pairs)], make_geometry())


def test_source_shorter_than_mapped(two_files, write_virtual, make_geometry, read_all):
    """Frames that the source no longer has are lost, the others are not."""
    frames, _ = two_files
    source = h5py.VirtualSource("data_0.h5", PATH, shape=(8, 30, 40), dtype="u2")
    run, read = read_all([write_virtual((8, 30, 40), [(np.s_[:], source)])], make_geometry())
    np.testing.assert_array_equal(read, frames[:5].reshape(5, -1))
    assert run.skipped[0].frames == 3
    assert "smaller" in run.skipped[0].reason


def test_unwritten_frames_in_a_source(
    make_frames, tmp_path, write_virtual, make_geometry, read_all
):
    """Frames that were never written are found behind a virtual dataset too."""
    frames = make_frames(4)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset(PATH, frames.shape, "u2", chunks=(1, 30, 40))
        dataset[:3] = frames[:3]
    name = write_virtual((4, 30, 40), [(np.s_[:], _source("a.h5", frames))])
    run, read = read_all([name], make_geometry())
    np.testing.assert_array_equal(read, frames[:3].reshape(3, -1))
    assert [(s.event, s.frames) for s in run.skipped] == [("//3", 1)]
    assert "never written" in run.skipped[0].reason


def test_names_are_relative_to_the_virtual_file(
    two_files, write_virtual, make_geometry, read_all, tmp_path, monkeypatch
):
    """The working directory does not matter."""
    frames, (a, b) = two_files
    name = write_virtual(frames.shape, [(np.s_[:5], a), (np.s_[5:], b)])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    _, read = read_all([os.path.relpath(name)], make_geometry())
    np.testing.assert_array_equal(read, frames.reshape(9, -1))


@pytest.mark.parametrize("nearby", ["link", "target"])
def test_symbolic_links(nearby, two_files, write_virtual, make_geometry, read_all, tmp_path):
    """Sources may lie beside the symbolic link to a file, or beside the file itself."""
    frames, (a, _) = two_files
    name = write_virtual((5, 30, 40), [(np.s_[:], a)])
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "v.h5"
    link.symlink_to(name)
    if nearby == "link":
        (tmp_path / "data_0.h5").rename(tmp_path / "links" / "data_0.h5")
    _, read = read_all([str(link)], make_geometry())
    np.testing.assert_array_equal(read, frames[:5].reshape(5, -1))


def test_moved_folder_with_absolute_names(
    two_files, write_virtual, make_geometry, read_all, tmp_path
):
    """Absolute names that are gone are looked for beside the virtual dataset, as HDF5 does."""
    frames, _ = two_files
    source = _source("/gone/data_0.h5", frames[:5])
    _, read = read_all([write_virtual((5, 30, 40), [(np.s_[:], source)])], make_geometry())
    np.testing.assert_array_equal(read, frames[:5].reshape(5, -1))


def test_numbered_sources(two_files, tmp_path, make_geometry, read_all):
    """A ``%b`` in the name of the source counts files, as long as there are any."""
    frames, _ = two_files
    shape, unlimited = (0, 30, 40), (h5py.h5s.UNLIMITED, 30, 40)
    virtual = h5py.h5s.create_simple(shape, unlimited)
    virtual.select_hyperslab(
        (0, 0, 0), (h5py.h5s.UNLIMITED, 1, 1), stride=(5, 1, 1), block=(5, 30, 40)
    )
    source = h5py.h5s.create_simple((5, 30, 40))
    _create(tmp_path / "v.h5", b"data_%b.h5", virtual, source)
    with h5py.File(tmp_path / "data_1.h5", "a") as file:
        extra = file[PATH][...]
        del file[PATH]
        file[PATH] = np.concatenate([extra, extra[:1]])
    run, read = read_all([str(tmp_path / "v.h5")], make_geometry())
    expected = np.concatenate([frames, frames[5:6]])
    np.testing.assert_array_equal(read, expected.reshape(10, -1))
    assert len(run.groups) == 2


def test_growing_source(make_frames, tmp_path, make_geometry, read_all):
    """An unlimited mapping is as long as its source is now."""
    frames = make_frames(7)
    virtual = h5py.h5s.create_simple((0, 30, 40), (h5py.h5s.UNLIMITED, 30, 40))
    virtual.select_hyperslab((0, 0, 0), (1, 1, 1), block=(h5py.h5s.UNLIMITED, 30, 40))
    source = h5py.h5s.create_simple((0, 30, 40), (h5py.h5s.UNLIMITED, 30, 40))
    source.select_hyperslab((0, 0, 0), (1, 1, 1), block=(h5py.h5s.UNLIMITED, 30, 40))
    _create(tmp_path / "v.h5", b"a.h5", virtual, source)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset(PATH, data=frames, maxshape=(None, 30, 40), chunks=(1, 30, 40))
    _, read = read_all([str(tmp_path / "v.h5")], make_geometry())
    np.testing.assert_array_equal(read, frames.reshape(7, -1))


def test_growing_source_with_gaps(make_frames, tmp_path, make_geometry, read_all):
    """An unlimited mapping may leave every third frame out, and end inside a pair."""
    frames = make_frames(5)
    unlimited = (h5py.h5s.UNLIMITED, 30, 40)
    spaces = []
    for stride in (3, 2):
        space = h5py.h5s.create_simple((0, 30, 40), unlimited)
        space.select_hyperslab(
            (0, 0, 0), (h5py.h5s.UNLIMITED, 1, 1), stride=(stride, 1, 1), block=(2, 30, 40)
        )
        spaces.append(space)
    _create(tmp_path / "v.h5", b"a.h5", *spaces)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset(PATH, data=frames, maxshape=(None, 30, 40), chunks=(1, 30, 40))
    run, read = read_all([str(tmp_path / "v.h5")], make_geometry())
    np.testing.assert_array_equal(read, frames.reshape(5, -1))
    assert run.frames.dims[:, 0].tolist() == [0, 1, 3, 4, 6]


def test_reshaping_is_refused(make_frames, write_stack, write_virtual, make_geometry, read_all):
    """A mapping between different numbers of dimensions is said to be unsupported."""
    frames = make_frames(6).reshape(2, 3, 30, 40)
    write_stack("a.h5", frames)
    name = write_virtual((6, 30, 40), [(np.s_[:], _source("a.h5", frames))])
    with pytest.raises(InputProblemsError, match="reshapes its source: 2 x 3 x 30 x 40 to 6 x 30"):
        read_all([name], make_geometry())


def _create(name: Path, source_file: bytes, virtual, source) -> None:
    with h5py.File(name, "w") as file:
        file.create_group("/entry/data")
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_virtual(virtual, source_file, PATH.encode(), source)
        space = h5py.h5s.create_simple((0, 30, 40), (h5py.h5s.UNLIMITED, 30, 40))
        h5py.h5d.create(file.id, PATH.encode(), h5py.h5t.NATIVE_UINT16, space, plist)
