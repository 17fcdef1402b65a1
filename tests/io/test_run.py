"""A run is opened as a whole: one layout, all problems at once, nothing lost in silence."""

from __future__ import annotations

import pickle
from dataclasses import replace

import h5py
import numpy as np
import pytest

from cxlsfind.errors import FrameError, InputError, InputProblemsError
from cxlsfind.geometry.model import Quantity
from cxlsfind.io.inputs import InputItem
from cxlsfind.io.reader import RunReader
from cxlsfind.io.run import open_run
from cxlsfind.records import EventId

PATH = "/entry/data/data"
MASK = "/entry/instrument/detector/detectorSpecific/pixel_mask"


def test_files_in_order_of_the_list(make_frames, write_stack, make_geometry, read_all):
    """Frames of many files keep the order of the list, and the names as listed."""
    frames = make_frames(6)
    names = [write_stack(f"{k}.h5", frames[2 * k : 2 * k + 2]) for k in range(3)]
    order = [2, 0, 1]
    run, read = read_all([names[k] for k in order], make_geometry())
    np.testing.assert_array_equal(read, frames[[4, 5, 0, 1, 2, 3]].reshape(6, -1))
    assert [run.frames.filename(k) for k in (0, 2, 4)] == [names[k] for k in order]


def test_same_data_in_two_ways_is_one_group(
    make_frames, write_stack, make_geometry, read_all, tmp_path
):
    """A file and a link to it lead to the same group."""
    frames = make_frames(3)
    name = write_stack("a.h5", frames)
    (tmp_path / "b.h5").symlink_to(name)
    run, read = read_all([name, str(tmp_path / "b.h5")], make_geometry())
    assert len(run.groups) == 1
    assert len(read) == 6
    assert "frames listed more than once: 3" in run.notes


def test_unwritten_frames(make_frames, make_geometry, read_all, tmp_path):
    """Frames that were never written are skipped, not read as zeros; runs of them are joined."""
    frames = make_frames(8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset(PATH, frames.shape, "u2", chunks=(1, 30, 40))
        for k in (0, 3, 4):
            dataset[k] = frames[k]
    run, read = read_all([str(tmp_path / "a.h5")], make_geometry())
    np.testing.assert_array_equal(read, frames[[0, 3, 4]].reshape(3, -1))
    assert run.frames.dims[:, 0].tolist() == [0, 3, 4]
    (lost,) = run.skipped
    assert lost.frames == 5
    assert "never written (5 frames: //1 to //2, //5 to //7)" in lost.reason


def test_partly_written_frame(make_frames, make_geometry, read_all, tmp_path):
    """A frame in tiles of which one is missing is incomplete."""
    frames = make_frames(2)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset(PATH, frames.shape, "u2", chunks=(1, 15, 40))
        dataset[0] = frames[0]
        dataset[1, :15] = frames[1, :15]
    run, _ = read_all([str(tmp_path / "a.h5")], make_geometry())
    (lost,) = run.skipped
    assert lost.event == "//1"
    assert "1 of its 2 chunks are there" in lost.reason


def test_contiguous_dataset_without_data(make_geometry, read_all, tmp_path):
    """A contiguous dataset that got no data has no storage."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset(PATH, (2, 30, 40), "u2")
    with pytest.raises(InputProblemsError, match="never written"):
        read_all([str(tmp_path / "a.h5")], make_geometry())


def test_dataset_without_frames(make_frames, write_stack, make_geometry, read_all):
    """A stack of no frames is remarked upon and costs none."""
    empty = write_stack("empty.h5", make_frames(1)[:0], maxshape=(None, 30, 40))
    full = write_stack("full.h5", make_frames(2))
    run, _ = read_all([empty, full], make_geometry())
    assert len(run.frames) == 2
    assert [(s.file, s.frames) for s in run.skipped] == [(empty, 0)]
    with pytest.raises(InputProblemsError, match="no frames"):
        read_all([empty], make_geometry())


def test_impossible_number_of_frames(make_geometry, read_all, tmp_path):
    """A damaged header that claims more frames than memory can count is refused."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset(PATH, (2**40, 30, 40), "u2", chunks=(1, 30, 40))
    with pytest.raises(InputProblemsError, match="claims to hold 1099511627776 frames"):
        read_all([str(tmp_path / "a.h5")], make_geometry())


def test_all_bad_files_at_once(make_frames, write_stack, make_geometry, read_all, tmp_path):
    """Every bad file is named with its reason, and the good one is used."""
    good = write_stack("good.h5", make_frames(2))
    cut = tmp_path / "cut.h5"
    cut.write_bytes((tmp_path / "good.h5").read_bytes()[:-1000])
    (tmp_path / "empty.h5").touch()
    (tmp_path / "text.h5").write_text("no HDF5\n")
    (tmp_path / "folder.h5").mkdir()
    other = write_stack("other.h5", make_frames(2), "/elsewhere")
    names = ["missing.h5", "cut.h5", "empty.h5", "text.h5", "folder.h5"]
    bad = [str(tmp_path / name) for name in names] + [other]
    run, read = read_all([bad[0], good, *bad[1:]], make_geometry())
    assert len(read) == 2
    assert [s.file for s in run.skipped] == bad
    words = ["does not exist", "cut short", "empty", "plain text", "directory", "/elsewhere"]
    for skipped, word in zip(run.skipped, words, strict=True):
        assert word in skipped.reason
        assert "\n" not in skipped.reason
    with pytest.raises(InputProblemsError) as error:
        read_all(bad, make_geometry())
    assert len(error.value.problems) == 6
    assert all(p.startswith(name) for p, name in zip(error.value.problems, bad, strict=True))


def test_one_reason_is_told_once(write_stack, make_frames, make_geometry):
    """Many files that lack the same thing give one problem."""
    names = [write_stack(f"{k}.h5", make_frames(1)) for k in range(30)]
    geometry = replace(make_geometry(), beam=None, beam_kind=None)
    with pytest.raises(InputProblemsError) as error:
        open_run([InputItem(name) for name in names], geometry)
    (problem,) = error.value.problems
    assert f"{names[0]} and 29 more: neither the geometry nor the data give" in problem


def test_no_files(make_geometry, read_all):
    """An empty list is an error."""
    with pytest.raises(InputProblemsError, match="no files"):
        read_all([], make_geometry())


def test_one_layout_per_run(make_frames, write_stack, make_geometry, read_all):
    """The layout of most frames counts, even if another one came first."""
    odd = write_stack("odd.h5", make_frames(2, shape=(31, 41)))
    usual = write_stack("usual.h5", make_frames(3))
    run, read = read_all([odd, usual], make_geometry())
    assert len(read) == 3
    assert run.layout.slabs[0].shape == (30, 40)
    (lost,) = run.skipped
    assert (lost.file, lost.frames) == (odd, 2)
    assert "41 x 31 here (fs x ss), 40 x 30 there" in lost.reason


def test_groups_that_one_geometry_cannot_describe(
    make_frames, write_stack, make_geometry, read_all, tmp_path
):
    """A stack, and a virtual stack of single images: only the first kind is linked."""
    frames = make_frames(2)
    stack = write_stack("a.h5", frames)
    write_stack("b.h5", frames[0], "/image")
    layout = h5py.VirtualLayout((1, 30, 40), "u2")
    layout[0] = h5py.VirtualSource("b.h5", "/image", (30, 40))
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.create_virtual_dataset(PATH, layout)
    run, read = read_all([stack, str(tmp_path / "v.h5")], make_geometry())
    np.testing.assert_array_equal(read, frames[[0, 1, 0]].reshape(3, -1))
    assert [bool(group.links) for group in run.groups] == [True, False]
    assert "(ss, fs) where others have (%, ss, fs)" in run.groups[1].obstacle


def test_thousands_of_single_images(make_frames, make_geometry, read_all, tmp_path):
    """Many files, each with its own group."""
    frames = make_frames(300)
    for k, frame in enumerate(frames):
        with h5py.File(tmp_path / f"{k:04d}.h5", "w") as file:
            file[PATH] = frame
    names = [str(path) for path in sorted(tmp_path.iterdir())]
    run, read = read_all(names, make_geometry(dims=("ss", "fs")))
    np.testing.assert_array_equal(read, frames.reshape(300, -1))
    assert len(run.groups) == 300
    assert h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE) == 0


def test_long_stack(make_geometry, read_all, write_stack):
    """Ten thousand frames of one dataset."""
    frames = np.arange(10_000 * 4, dtype="u4").reshape(-1, 2, 2)
    name = write_stack("a.h5", frames, chunks=(1, 2, 2), compression="gzip")
    run, read = read_all([name], make_geometry(max_fs=1, max_ss=1))
    np.testing.assert_array_equal(read, frames.reshape(10_000, -1))
    assert run.frames.row.tolist() == list(range(10_000))


def test_headers_of_every_frame(make_frames, make_geometry, write_stack):
    """Energy and copied headers are those of the frame's own event."""
    name = write_stack("a.h5", make_frames(3))
    write_stack("a.h5", np.array([9000.0, 9100.0, 9200.0]), "/energy")
    write_stack("a.h5", np.array([5, 6, 7]), "/pulse")
    geometry = replace(make_geometry(), beam=Quantity(header="/energy"))
    items = [InputItem(name, EventId((), (k,))) for k in (2, 0)]
    run = pickle.loads(pickle.dumps(open_run(items, geometry, copy_headers=["/pulse"])))
    with RunReader(run) as reader:
        headers = [reader.header(k) for k in range(2)]
    assert [header.photon_energy_ev for header in headers] == pytest.approx([9200, 9000])
    assert [header.clen_m for header in headers] == [0.1, 0.1]
    assert [header.values["/pulse"] for header in headers] == [7, 5]


def test_header_that_one_frame_lacks(make_frames, make_geometry, write_stack):
    """Nonsense in one frame costs that frame only."""
    name = write_stack("a.h5", make_frames(2))
    write_stack("a.h5", np.array([np.nan, 9100.0]), "/energy")
    geometry = replace(make_geometry(), beam=Quantity(header="/energy"))
    run = open_run([InputItem(name)], geometry)
    with RunReader(run) as reader:
        with pytest.raises(FrameError, match=r"a\.h5 //0: .*finite"):
            reader.header(0)
        assert reader.header(1).photon_energy_ev == pytest.approx(9100)


def test_file_without_the_header(make_frames, make_geometry, write_stack):
    """A file without the energy is skipped; if all are, the run is refused."""
    good, bad = (write_stack(name, make_frames(2)) for name in ("good.h5", "bad.h5"))
    write_stack("good.h5", np.array(9000.0), "/energy")
    geometry = replace(make_geometry(), beam=Quantity(header="/energy"))
    run = open_run([InputItem(bad), InputItem(good)], geometry)
    assert [run.frames.filename(k) for k in range(len(run.frames))] == [good, good]
    (lost,) = run.skipped
    assert (lost.file, lost.frames) == (bad, 2)
    assert "/energy" in lost.reason
    with pytest.raises(InputProblemsError, match="/energy"):
        open_run([InputItem(bad)], geometry)


def test_setting_that_cannot_be_right(make_frames, make_geometry, write_stack):
    """A wrong option is told before any file is looked at."""
    with pytest.raises(InputError, match="--photon-energy"):
        open_run([], make_geometry(), photon_energy_ev=9.0)


def test_masks_of_files(make_frames, make_geometry, write_stack):
    """Every group has the mask of its file; equal masks are held once."""
    mask = np.zeros((30, 40), "u4")
    mask[3, 4] = 1
    names = [write_stack(f"{k}.h5", make_frames(2)) for k in range(3)]
    write_stack("0.h5", mask, MASK)
    write_stack("2.h5", mask, MASK)
    run = open_run([InputItem(name) for name in names], make_geometry())
    assert len(run.masks) == 2
    assert [group.mask for group in run.groups] == [0, 1, 0]
    assert np.flatnonzero(~run.masks[0]).tolist() == [3 * 40 + 4]
    assert run.masks[1].all()


def test_same_frames_with_two_masks(make_frames, make_geometry, write_stack, tmp_path):
    """Two masters of one data file may disagree about the mask: that makes two groups."""
    frames = make_frames(2)
    write_stack("data.h5", frames, chunks=(1, 30, 40))
    names = []
    for k in range(2):
        mask = np.zeros((30, 40), "u4")
        mask[k, 0] = 1
        names.append(write_stack(f"m{k}.h5", mask, MASK))
        with h5py.File(names[-1], "a") as file:
            file["/entry/data/data_000001"] = h5py.ExternalLink("data.h5", PATH)
    run = open_run([InputItem(name) for name in names], make_geometry(data="/entry/data/%"))
    assert len({group.links for group in run.groups}) == 1
    assert [group.mask for group in run.groups] == [0, 1]
    assert run.frames.group.tolist() == [0, 0, 1, 1]


def test_mask_of_the_channel(make_frames, make_geometry, write_stack):
    """The pixel mask is that of the channel which is read."""
    name = write_stack("a.h5", make_frames(4).reshape(2, 2, 30, 40))
    write_stack("a.h5", np.array(["threshold_1", "threshold_2"], "S"), "/entry/data/channel")
    for k in range(2):
        mask = np.zeros((30, 40), "u4")
        mask[0, k] = 1
        write_stack(
            "a.h5", mask, f"/entry/instrument/detector/threshold_{k + 1}_channel/pixel_mask"
        )
    for k in range(2):
        run = open_run([InputItem(name)], make_geometry(), channel=f"threshold_{k + 1}")
        assert np.flatnonzero(~run.masks[0]).tolist() == [k]


def test_mask_file(make_frames, make_geometry, write_stack, tmp_path):
    """``--mask`` holds for all frames; one of another size is an error."""
    name = write_stack("a.h5", make_frames(2))
    mask = np.zeros((30, 40), "u1")
    mask[1, 1] = 1
    np.save(tmp_path / "mask.npy", mask)
    run = open_run([InputItem(name)], make_geometry(), mask_file=str(tmp_path / "mask.npy"))
    assert np.flatnonzero(~run.masks[0]).tolist() == [41]
    np.save(tmp_path / "mask.npy", mask[:-1])
    with pytest.raises(InputError, match="shape"):
        open_run([InputItem(name)], make_geometry(), mask_file=str(tmp_path / "mask.npy"))
