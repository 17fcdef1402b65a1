"""Lists of files and frames, as CrystFEL reads them and a little kinder."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import h5py
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxlsfind.errors import InputError
from cxlsfind.io.inputs import InputItem, InputList, parse_event, read_inputs, wait_for_files
from cxlsfind.records import EventId


def read(text: str | bytes, **options: object) -> InputList:
    data = text if isinstance(text, bytes) else text.encode()
    return read_inputs("-", stdin=io.BytesIO(data), **options)  # type: ignore[arg-type]


def test_names_and_events() -> None:
    found = read("a.h5\nb.h5 //3\nc d.h5 p/q//1/2\n")
    assert found.items == [
        InputItem("a.h5"),
        InputItem("b.h5", EventId((), (3,))),
        InputItem("c d.h5", EventId(("p", "q"), (1, 2))),
    ]
    assert found.problems == []
    assert found.notes == []


@pytest.mark.parametrize(
    "text",
    [
        "a.h5 //3",
        "a.h5 //3\r\n",
        "\n\n  \na.h5 //3   \n",
        "a.h5  //3\n",
        "a.h5\t//3\t\n",
        " a.h5 //3",
    ],
)
def test_blanks_tabs_and_line_ends_do_not_matter(text: str) -> None:
    assert read(text).items == [InputItem("a.h5", EventId((), (3,)))]


def test_byte_order_mark_is_ignored() -> None:
    assert read(b"\xef\xbb\xbfa.h5\n").items == [InputItem("a.h5")]


def test_tiny_list() -> None:
    assert read("a").items == [InputItem("a")]


def test_double_slash_inside_a_single_name_is_no_event() -> None:
    assert read("/data//run/a.h5\n").items == [InputItem("/data//run/a.h5")]


def test_hash_is_no_comment() -> None:
    assert read("#a.h5\n").items == [InputItem("#a.h5")]


def test_names_need_not_be_utf8() -> None:
    (item,) = read(b"/d/caf\xe9.h5 //1\n").items
    assert os.fsencode(item.filename) == b"/d/caf\xe9.h5"


def test_prefix_and_basename(tmp_path: Path) -> None:
    assert read("x/a.h5 //1", prefix="new_").items[0].filename == "new_x/a.h5"
    assert read("x/a.h5 //1", prefix="new_", basename=True).items[0].filename == "new_a.h5"
    assert read("x/a.h5", basename=True).items[0].filename == "a.h5"
    assert read("a.h5", prefix=str(tmp_path)).items[0].filename == f"{tmp_path}/a.h5"
    assert read("a.h5", prefix=f"{tmp_path}/").items[0].filename == f"{tmp_path}/a.h5"


def test_all_bad_lines_are_reported_with_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "files.lst"
    path.write_text("good.h5\n\nbad.h5 //x\nbad.h5 a//-1\ngood.h5 //2\n")
    found = read_inputs(str(path))
    assert [item.filename for item in found.items] == ["good.h5", "good.h5"]
    assert len(found.problems) == 2
    assert found.problems[0].startswith(f"{path}:3: event '//x' has 'x'")
    assert found.problems[1].startswith(f"{path}:4: ")


def test_standard_input_is_named_in_problems() -> None:
    assert read("a.h5 //x\n").problems[0].startswith("standard input:1: ")


def test_duplicates_are_kept_with_a_note() -> None:
    found = read("a.h5 //1\na.h5 //2\na.h5 //1\n")
    assert len(found.items) == 3
    assert found.notes == [
        "standard input: 1 entry repeats an earlier one; frames are processed as often as they "
        "are listed"
    ]


@pytest.mark.parametrize("offset", [0, 512])
def test_an_hdf5_file_is_the_only_item(tmp_path: Path, offset: int) -> None:
    path = tmp_path / "run_master.h5"
    with h5py.File(path, "w", userblock_size=offset):
        pass
    found = read_inputs(str(path), prefix="ignored/", basename=True)
    assert found.items == [InputItem(str(path))]


def test_a_list_may_come_through_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("a.h5\nb.h5\n",))
    writer.start()
    found = read_inputs(str(pipe))
    writer.join()
    assert [item.filename for item in found.items] == ["a.h5", "b.h5"]


@pytest.mark.parametrize("text", ["", "\n \n\t\r\n"])
def test_empty_list(text: str) -> None:
    with pytest.raises(InputError, match="the list is empty"):
        read(text)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"###CBF: VERSION 1.5\r\n", "a CBF image"),
        (b"CrystFEL stream format 2.3\n", "a CrystFEL stream"),
        (b"\xff\xfea\0.\0h\0", "UTF-16 text"),
        (bytes(3000), "nothing but zeros"),
        (bytes(range(256)) * 20, "binary data"),
    ],
)
def test_rubbish_is_no_list(data: bytes, what: str) -> None:
    with pytest.raises(InputError, match=f"neither a list of files nor an HDF5 file.*{what}"):
        read(data)


def test_a_null_byte_deep_in_a_list_is_a_problem_of_its_line() -> None:
    found = read(b"a.h5\n" * 2000 + b"b\0.h5\n")
    assert len(found.items) == 2000
    assert found.problems == [
        "standard input:2001: the line holds a null byte; expected a file name"
    ]


def test_unreadable_lists(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.lst: the file does not exist"):
        read_inputs(str(tmp_path / "no.lst"))
    with pytest.raises(InputError, match="is a directory; expected a list of files"):
        read_inputs(str(tmp_path))


names = st.text(
    st.characters(categories=["L", "N"], include_characters="._-"), min_size=1, max_size=12
)


@given(
    st.builds(
        EventId,
        st.lists(names, max_size=3).map(tuple),
        st.lists(st.integers(0, 10**9), max_size=3).map(tuple),
    )
)
def test_events_are_read_as_they_are_written(event: EventId) -> None:
    assert parse_event(str(event)) == event


@pytest.mark.parametrize("text", ["3", "a/3", "/a//3", "a///3", "a//3/", "a//1.5", "//²", "//1//2"])
def test_bad_events(text: str) -> None:
    with pytest.raises(ValueError, match=f"event '{text}' has"):
        parse_event(text)


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self, events: dict[float, object] | None = None) -> None:
        self.now = 0.0
        self._events = dict(events or {})

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds
        for when in [when for when in self._events if when <= self.now]:
            self._events.pop(when)()  # type: ignore[operator]

    def __call__(self) -> float:
        return self.now


def make(path: Path) -> None:
    h5py.File(path, "w").close()


def test_without_waiting_nothing_is_looked_at(tmp_path: Path) -> None:
    assert wait_for_files([InputItem(str(tmp_path / "no.h5"))], 0) == []


def test_files_that_come_are_waited_for(tmp_path: Path) -> None:
    a, b = tmp_path / "a.h5", tmp_path / "b.h5"
    clock = Clock({5: lambda: a.touch(), 7: lambda: make(a), 15: lambda: make(b)})
    items = [InputItem(str(a)), InputItem(str(a), EventId((), (1,))), InputItem(str(b))]
    assert wait_for_files(items, 10, sleep=clock.sleep, clock=clock) == []
    assert 15 <= clock.now < 17


def test_files_that_never_come_cost_one_wait_for_all(tmp_path: Path) -> None:
    there = tmp_path / "there.h5"
    make(there)
    missing = [str(tmp_path / f"no{k}.h5") for k in range(5)]
    items = [InputItem(name) for name in (*missing, str(there))]
    clock = Clock()
    assert wait_for_files(items, 10, sleep=clock.sleep, clock=clock) == missing
    assert clock.now == pytest.approx(10)


def test_minus_one_waits_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "late.h5"
    clock = Clock({50000: lambda: make(path)})
    assert wait_for_files([InputItem(str(path))], -1, sleep=clock.sleep, clock=clock) == []
    assert clock.now >= 50000


def test_files_of_another_kind_are_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "x.cbf").write_bytes(b"###CBF: VERSION 1.5\r\n")
    items = [InputItem(str(tmp_path / "x.cbf")), InputItem(str(tmp_path))]
    clock = Clock()
    assert wait_for_files(items, -1, sleep=clock.sleep, clock=clock) == []
    assert clock.now == 0
