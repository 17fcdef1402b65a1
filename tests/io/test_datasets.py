"""Frames are found where the geometry points, named as CrystFEL names them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from cxlsfind.errors import InputProblemsError
from cxlsfind.io.inputs import InputItem
from cxlsfind.records import EventId

PATH = "/entry/data/data"
SPECIFIC = "/entry/instrument/detector/detectorSpecific"


@pytest.fixture
def write_legacy(tmp_path: Path, make_frames) -> Callable[..., tuple[str, np.ndarray]]:
    """Return a writer of a Dectris run in the legacy format; gives the master and the frames."""

    def write(sizes, *, announced=None):
        frames = make_frames(sum(sizes))
        with h5py.File(tmp_path / "x_master.h5", "w") as master:
            first = 0
            for number, size in enumerate(sizes, start=1):
                name = f"x_data_{number:06d}.h5"
                master[f"/entry/data/data_{number:06d}"] = h5py.ExternalLink(name, PATH)
                with h5py.File(tmp_path / name, "w") as file:
                    part = frames[first : first + size]
                    file.create_dataset(PATH, data=part, chunks=(1, *part.shape[1:]))
                first += size
            if announced is not None:
                master[f"{SPECIFIC}/nimages"] = announced
                master[f"{SPECIFIC}/ntrigger"] = 1
        return str(tmp_path / "x_master.h5"), frames

    return write


@pytest.fixture
def write_2024(tmp_path: Path) -> Callable[..., str]:
    """Return a writer of a master in the format 2024.2, with frames [n, channel, ss, fs]."""

    def write(frames, channels=("threshold_1", "threshold_2", "difference")):
        layout = h5py.VirtualLayout(frames.shape, frames.dtype)
        for number in range(2):
            part = frames[3 * number : 3 * number + 3]
            name = f"y_data_{number + 1:06d}.h5"
            with h5py.File(tmp_path / name, "w") as file:
                file.create_dataset(PATH, data=part, chunks=(1, 1, *part.shape[2:]))
            layout[3 * number : 3 * number + 3] = h5py.VirtualSource(name, PATH, part.shape)
        with h5py.File(tmp_path / "y_master.h5", "w") as master:
            master.create_virtual_dataset(PATH, layout)
            if channels is not None:
                master["/entry/data/channel"] = list(channels)
            master["/entry/data/image_id"] = np.arange(1, len(frames) + 1)
        return str(tmp_path / "y_master.h5")

    return write


def _events(run) -> list[str]:
    return [str(run.frames.event(k)) for k in range(len(run.frames))]


def _fails(items, geometry, read_all, **options) -> str:
    with pytest.raises(InputProblemsError) as error:
        read_all(items, geometry, **options)
    return str(error.value)


def test_legacy_master(write_legacy, make_geometry, read_all):
    """All data files are found, and frames beyond the hundredth have their own names."""
    name, frames = write_legacy([3, 103, 2])
    run, read = read_all([name], make_geometry(data="/entry/data/%"))
    np.testing.assert_array_equal(read, frames.reshape(108, -1))
    events = _events(run)
    assert events[0] == "data_000001//0"
    assert events[3 + 100] == "data_000002//100"
    assert len(set(events)) == 108
    assert [group.n_rows for group in run.groups] == [3, 103, 2]
    assert run.skipped == ()


def test_part_of_a_name(write_legacy, make_geometry, read_all):
    """A % may stand for the end of a name."""
    name, frames = write_legacy([2, 2])
    run, read = read_all([name], make_geometry(data="/entry/data/data_%"))
    np.testing.assert_array_equal(read, frames.reshape(4, -1))
    assert _events(run)[2] == "000002//0"


def test_master_with_its_own_frames(make_frames, write_stack, make_geometry, read_all):
    """Masters without data files hold the frames themselves."""
    frames = make_frames(3)
    name = write_stack("m.h5", frames, "/entry/data/data_000001")
    _, read = read_all([name], make_geometry(data="/entry/data/%"))
    np.testing.assert_array_equal(read, frames.reshape(3, -1))


def test_missing_data_file(write_legacy, make_geometry, read_all, tmp_path):
    """The rest is used; the link, the file and the number of lost frames are told."""
    name, frames = write_legacy([4, 4, 3], announced=11)
    (tmp_path / "x_data_000002.h5").unlink()
    run, read = read_all([name], make_geometry(data="/entry/data/%"))
    np.testing.assert_array_equal(read, frames[[0, 1, 2, 3, 8, 9, 10]].reshape(7, -1))
    (lost,) = run.skipped
    assert (lost.file, lost.event, lost.frames) == (name, None, 4)
    assert "/entry/data/data_000002" in lost.reason
    assert "x_data_000002.h5: the file does not exist" in lost.reason


def test_several_missing_data_files(write_legacy, make_geometry, read_all, tmp_path):
    """All files but the last hold as many frames as the fullest."""
    name, _ = write_legacy([4, 4, 4, 3], announced=15)
    (tmp_path / "x_data_000002.h5").unlink()
    (tmp_path / "x_data_000004.h5").unlink()
    run, _ = read_all([name], make_geometry(data="/entry/data/%"))
    assert [lost.frames for lost in run.skipped] == [4, 3]


def test_several_missing_data_files_that_do_not_add_up(
    write_legacy, make_geometry, read_all, tmp_path
):
    """If the master's number of frames cannot be right, none are guessed."""
    name, _ = write_legacy([4, 4, 4, 3], announced=9)
    (tmp_path / "x_data_000002.h5").unlink()
    (tmp_path / "x_data_000004.h5").unlink()
    run, _ = read_all([name], make_geometry(data="/entry/data/%"))
    assert [lost.frames for lost in run.skipped] == [None, None]


def test_missing_data_file_of_unknown_size(write_legacy, make_geometry, read_all, tmp_path):
    """Without a word in the master the number of lost frames is unknown."""
    name, _ = write_legacy([4, 4])
    (tmp_path / "x_data_000001.h5").unlink()
    run, _ = read_all([name], make_geometry(data="/entry/data/%"))
    assert [lost.frames for lost in run.skipped] == [None]


def test_master_behind_a_symbolic_link(write_legacy, make_geometry, read_all, tmp_path):
    """Data files beside the link are found, and so are those beside the master."""
    name, frames = write_legacy([2, 2])
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "run.h5"
    link.symlink_to(name)
    (tmp_path / "x_data_000002.h5").rename(tmp_path / "links" / "x_data_000002.h5")
    _, read = read_all([str(link)], make_geometry(data="/entry/data/%"))
    np.testing.assert_array_equal(read, frames.reshape(4, -1))


def test_cut_short_data_file(write_legacy, make_geometry, read_all, tmp_path):
    """A data file that was not copied completely is like a missing one."""
    name, _ = write_legacy([4, 4])
    path = tmp_path / "x_data_000002.h5"
    path.write_bytes(path.read_bytes()[:-2000])
    run, _ = read_all([name], make_geometry(data="/entry/data/%"))
    assert "x_data_000002.h5: the file is cut short" in run.skipped[0].reason


def test_fewer_frames_than_announced(write_legacy, make_geometry, read_all):
    """A run that was stopped early is remarked upon."""
    name, _ = write_legacy([4, 2], announced=10)
    run, _ = read_all([name], make_geometry(data="/entry/data/%"))
    assert any("announces 10 frames, its data files hold 6" in note for note in run.notes)


def test_other_things_beside_the_data(write_legacy, make_geometry, read_all):
    """Arrays, numbers and groups that % matches are no images, and break nothing."""
    name, frames = write_legacy([2])
    with h5py.File(name, "a") as file:
        file["/entry/data/a_group/x"] = 1
        file["/entry/data/omega"] = np.arange(2.0)
        file["/entry/data/title"] = "lysozyme"
        file["/entry/data/nothing"] = h5py.Empty("f4")
    run, read = read_all([name], make_geometry(data="/entry/data/%"))
    np.testing.assert_array_equal(read, frames.reshape(2, -1))
    (note,) = run.notes
    assert "a_group, nothing, omega, title" in note
    assert run.skipped == ()


def test_nothing_but_other_things(write_stack, make_geometry, read_all):
    """When nothing is left, what there was is listed."""
    name = write_stack("a.h5", np.zeros(3), "/entry/data/omega")
    assert "matches omega" in _fails([name], make_geometry(data="/entry/data/%"), read_all)
    message = _fails([name], make_geometry(data="/other/%"), read_all)
    assert "matches /other/%" in message


@pytest.mark.parametrize("data", [PATH, "/entry/data/%"])
@pytest.mark.parametrize(
    ("channel", "index"),
    [(None, 0), (0, 0), (2, 2), ("1", 1), ("threshold_2", 1), ("difference", 2)],
)
def test_channels(data, channel, index, write_2024, make_frames, make_geometry, read_all):
    """Data with a channel dimension are read with the geometry of a stack."""
    frames = make_frames(18).reshape(6, 3, 30, 40)
    name = write_2024(frames)
    run, read = read_all([name], make_geometry(data=data), channel=channel)
    np.testing.assert_array_equal(read, frames[:, index].reshape(6, -1))
    assert run.frames.dims[:, 0].tolist() == list(range(6))
    assert {g.links[0].dims for g in run.groups} == {("%", index, "ss", "fs")}
    assert [g.n_rows for g in run.groups] == [3, 3]
    chosen = any("3 channels (threshold_1, threshold_2, difference)" in note for note in run.notes)
    assert chosen == (channel is None)


def test_single_channel_needs_no_name(write_2024, make_frames, make_geometry, read_all):
    """One channel is no choice."""
    frames = make_frames(6).reshape(6, 1, 30, 40)
    run, read = read_all([write_2024(frames, None)], make_geometry())
    np.testing.assert_array_equal(read, frames.reshape(6, -1))
    assert run.notes == ()


def test_channel_of_data_without_channels(write_legacy, make_geometry, read_all):
    """A choice that cannot be made is remarked upon."""
    name, _ = write_legacy([2])
    run, _ = read_all([name], make_geometry(data="/entry/data/%"), channel=1)
    assert run.notes == ("--channel is not used: the data have no channels",)


@pytest.mark.parametrize("channel", [3, "threshold_7"])
def test_unknown_channel(channel, write_2024, make_frames, make_geometry, read_all):
    """The channels that there are get listed."""
    name = write_2024(make_frames(18).reshape(6, 3, 30, 40))
    message = _fails([name], make_geometry(), read_all, channel=channel)
    assert f"no channel {channel}" in message
    assert "threshold_1, threshold_2, difference" in message


def test_module_stack_is_not_taken_for_channels(make_frames, write_stack, make_geometry, read_all):
    """Four dimensions without names of channels are refused for a geometry of three."""
    name = write_stack("a.h5", make_frames(6).reshape(2, 3, 30, 40))
    message = _fails([name], make_geometry(), read_all)
    assert "has 4 dimensions (2 x 3 x 30 x 40), the geometry has 3 (%, ss, fs)" in message


def test_explicit_events(write_legacy, make_geometry, read_all):
    """Listed frames are read in the order of the list, from interleaved files too."""
    name, frames = write_legacy([3, 3])
    wanted = [("data_000002", 2), ("data_000001", 0), ("data_000002", 1), ("data_000002", 2)]
    items = [InputItem(name, EventId((path,), (row,))) for path, row in wanted]
    run, read = read_all(items, make_geometry(data="/entry/data/%"))
    np.testing.assert_array_equal(read, frames[[5, 0, 4, 5]].reshape(4, -1))
    assert _events(run) == ["data_000002//2", "data_000001//0", "data_000002//1", "data_000002//2"]
    assert "frames listed more than once: 1" in run.notes


def test_explicit_event_of_single_image(make_frames, write_stack, make_geometry, read_all):
    """``//`` is the only frame of a file."""
    frames = make_frames(1)
    name = write_stack("a.h5", frames[0])
    items = [InputItem(name, EventId())]
    run, read = read_all(items, make_geometry(dims=("ss", "fs")))
    np.testing.assert_array_equal(read, frames.reshape(1, -1))
    assert _events(run) == ["//"]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (EventId(("data_000001",), ()), "the event has 0 numbers after its '//'"),
        (EventId(("data_000001",), (0, 1)), "the event has 2 numbers after its '//'"),
        (EventId((), (0,)), "the event has 0 names before its '//'"),
        (EventId(("data_000001", "x"), (0,)), "the event has 2 names before its '//'"),
        (EventId(("data_000001",), (3,)), "no such frame: numbers go from 0 to 2"),
        (EventId(("data_000009",), (0,)), "/entry/data/data_000009 does not exist"),
    ],
)
def test_events_that_do_not_exist(event, reason, write_legacy, make_geometry, read_all):
    """Each is skipped with its reason; the good ones are read."""
    name, frames = write_legacy([3])
    items = [InputItem(name, event), InputItem(name, EventId(("data_000001",), (1,)))]
    run, read = read_all(items, make_geometry(data="/entry/data/%"))
    np.testing.assert_array_equal(read, frames[1:2].reshape(1, -1))
    (lost,) = run.skipped
    assert (lost.event, lost.frames) == (str(event), 1)
    assert reason in lost.reason


def test_many_bad_events_become_one_entry(write_legacy, make_geometry, read_all):
    """A thousand events beyond the end are one line, with their number."""
    name, _ = write_legacy([3])
    items = [InputItem(name, EventId(("data_000001",), (row,))) for row in range(1000)]
    run, _ = read_all(items, make_geometry(data="/entry/data/%"))
    assert len(run.frames) == 3
    (lost,) = run.skipped
    assert (lost.event, lost.frames) == (None, 997)
    assert "data_000001//3, data_000001//4" in lost.reason
    assert "993 more" in lost.reason


def test_absent_path_lists_what_there_is(write_legacy, make_geometry, read_all):
    """The datasets of the file are listed, through links too."""
    name, _ = write_legacy([3])
    message = _fails([name], make_geometry(data="/entry/data/data"), read_all)
    assert "/entry/data/data does not exist" in message
    assert "/entry/data/data_000001 (3 x 30 x 40)" in message


def test_file_without_images(write_stack, make_geometry, read_all):
    """A file without any image says so."""
    name = write_stack("a.h5", np.zeros(3), "/x")
    assert "no dataset with two or more dimensions" in _fails([name], make_geometry(), read_all)


@pytest.mark.parametrize(
    ("shape", "dims", "remedy"),
    [
        ((2, 30, 40), ("ss", "fs"), "write dim0 = %, dim1 = ss, dim2 = fs"),
        ((30, 40), ("%", "ss", "fs"), "write dim0 = ss, dim1 = fs"),
    ],
)
def test_wrong_number_of_dimensions(shape, dims, remedy, write_stack, make_geometry, read_all):
    """The usual mix-ups come with the lines to write."""
    name = write_stack("a.h5", np.ones(shape, "u2"))
    assert remedy in _fails([name], make_geometry(dims=dims), read_all)


def test_index_beyond_a_fixed_dimension(make_frames, write_stack, make_geometry, read_all):
    """The geometry may ask for a plane that is not there."""
    name = write_stack("a.h5", make_frames(4).reshape(2, 2, 30, 40))
    message = _fails([name], make_geometry(dims=("%", 2, "ss", "fs")), read_all)
    assert "wants index 2 of a dimension of 2" in message


def test_panels_with_unequal_numbers_of_frames(
    make_frames, write_stack, make_geometry, make_panel, read_all
):
    """Datasets of one frame must agree in the number of frames."""
    name = write_stack("a.h5", make_frames(2), "/one")
    write_stack("a.h5", make_frames(3), "/two")
    geometry = make_geometry([make_panel("a", data="/one"), make_panel("b", data="/two")])
    message = _fails([name], geometry, read_all)
    assert "/two" in message
    assert "holds 3 frames, /one holds 2" in message


def test_geometry_of_a_smaller_detector(make_frames, write_stack, make_geometry, read_all):
    """Panels that leave a part of the data out are legal, and remarked upon."""
    name = write_stack("a.h5", make_frames(1))
    run, _ = read_all([name], make_geometry(max_fs=37, max_ss=24))
    (note,) = run.notes
    assert "the geometry covers 38 x 25 pixels (fs x ss) of data with 40 x 30" in note


def test_soft_links(make_frames, write_stack, make_geometry, read_all):
    """CXI files link inside the file; the group points to the dataset itself."""
    frames = make_frames(2)
    name = write_stack("a.cxi", frames, "/entry_1/instrument_1/detector_1/data")
    with h5py.File(name, "a") as file:
        file["/entry_1/data_1"] = h5py.SoftLink("/entry_1/instrument_1/detector_1")
    run, read = read_all([name], make_geometry(data="/entry_1/data_1/data"))
    np.testing.assert_array_equal(read, frames.reshape(2, -1))
    assert run.groups[0].links[0].path == "/entry_1/instrument_1/detector_1/data"


def test_links_in_a_circle(tmp_path, make_geometry, read_all):
    """Links that lead to one another end in a reason."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["/a"] = h5py.SoftLink("/b")
        file["/b"] = h5py.SoftLink("/a")
    message = _fails([str(tmp_path / "a.h5")], make_geometry(data="/a"), read_all)
    assert "circle" in message


def test_external_group(make_frames, write_stack, make_geometry, read_all, tmp_path):
    """Whole groups may be linked to, and the file that holds the data is found."""
    frames = make_frames(2)
    write_stack("data.h5", frames, "/g/frames")
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["/entry/run"] = h5py.ExternalLink("data.h5", "/g")
    run, read = read_all([str(tmp_path / "m.h5")], make_geometry(data="/entry/%/frames"))
    np.testing.assert_array_equal(read, frames.reshape(2, -1))
    assert run.groups[0].links[0].file == str(tmp_path / "data.h5")


@pytest.mark.parametrize(
    ("dtype", "word"),
    [("c8", "complex"), ("?", "bool"), ([("a", "i4"), ("b", "f4")], "compound"), ("S4", "text")],
)
def test_types_that_are_no_numbers(dtype, word, write_stack, make_geometry, read_all):
    """Pixels that are no real numbers are refused with their type."""
    name = write_stack("a.h5", np.zeros((2, 30, 40), dtype))
    message = _fails([name], make_geometry(), read_all)
    assert f"pixels of type {word}" in message
