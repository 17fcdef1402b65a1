"""Values per file and per frame, indexed as CrystFEL does."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from cxlsfind.errors import InputError
from cxlsfind.io.files import FileCache
from cxlsfind.io.headers import HeaderReader
from cxlsfind.io.links import AbsentError
from cxlsfind.records import EventId, HeaderValue


@pytest.fixture
def files() -> Iterator[FileCache]:
    with FileCache() as cache:
        yield cache


@pytest.fixture
def name(tmp_path: Path) -> str:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["scalar"] = np.float32(0.5)
        file["scalar"].attrs["units"] = np.bytes_("mm")
        file["per_frame"] = np.array([5, 6, 7], "i4")
        file["per_frame"].attrs["units"] = ["eV"]
        file["wide"] = np.arange(3.0).reshape(1, 3, 1)
        file["square"] = np.arange(6).reshape(3, 2)
        file["small"] = np.zeros(2)
        file["fixed"] = np.array([b"aa", b"b "], "S4")
        file["text"] = ["1.5", "x\ny", "é"]
        file["flag"] = True
        file["big"] = np.uint64(2**63 + 5)
        file["p/q/value"] = 11
        file["none"] = h5py.Empty("f8")
        file["pair"] = np.zeros(1, [("a", "f8")])
        file["nan"] = np.nan
    return str(tmp_path / "a.h5")


@pytest.mark.parametrize(
    ("path", "event", "expected"),
    [
        ("/scalar", EventId((), (2,)), 0.5),
        ("/scalar", EventId(), 0.5),
        ("/per_frame", EventId((), (2,)), 7),
        ("/per_frame", EventId((), (2, 9)), 7),
        ("/wide", EventId((), (1,)), 1.0),
        ("/square", EventId((), (2, 1)), 5),
        ("/fixed", EventId((), (1,)), "b"),
        ("/text", EventId((), (1,)), "x y"),
        ("/text", EventId((), (2,)), "é"),
        ("/flag", EventId(), 1),
        ("/big", EventId(), 2**63 + 5),
        ("/%/%/value", EventId(("p", "q"), ()), 11),
        ("/%/q/value", EventId(("p", "more"), ()), 11),
    ],
)
def test_values(
    files: FileCache, name: str, path: str, event: EventId, expected: HeaderValue
) -> None:
    value = HeaderReader().read(files, name, path, event).value(event)
    assert value == expected
    assert type(value) is type(expected)


def test_units(files: FileCache, name: str) -> None:
    reader = HeaderReader()
    assert reader.read(files, name, "/scalar", EventId()).units == "mm"
    assert reader.read(files, name, "/per_frame", EventId()).units == "eV"
    assert reader.read(files, name, "/wide", EventId()).units == ""


def test_numbers_may_be_strings(files: FileCache, name: str) -> None:
    header = HeaderReader().read(files, name, "/text", EventId())
    assert header.number(EventId((), (0,))) == 1.5
    with pytest.raises(InputError, match=r"a\.h5:/text: found 'x y', expected a finite number"):
        header.number(EventId((), (1,)))


@pytest.mark.parametrize(
    ("path", "event", "reason"),
    [
        ("/small", EventId((), (2,)), r"has the shape \(2,\), too small for all frames"),
        ("/square", EventId((), (1,)), "the events have only 1 numbers"),
        ("/none", EventId(), "holds no value"),
        ("/pair", EventId(), "expected numbers or strings"),
        ("/p", EventId(), "is a group"),
    ],
)
def test_what_has_no_value(
    files: FileCache, name: str, path: str, event: EventId, reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        HeaderReader().read(files, name, path, event).value(event)


def test_numbers_must_be_finite(files: FileCache, name: str) -> None:
    with pytest.raises(InputError, match="found nan"):
        HeaderReader().read(files, name, "/nan", EventId()).number(EventId())


def test_missing_header_is_absent_every_time(files: FileCache, name: str) -> None:
    reader = HeaderReader()
    for _ in range(2):
        with pytest.raises(AbsentError, match=r"/nothing does not exist in .*a\.h5"):
            reader.read(files, name, "/nothing", EventId())


def test_a_dataset_is_read_once(files: FileCache, name: str) -> None:
    reader = HeaderReader()
    first = reader.read(files, name, "/per_frame", EventId((), (0,)))
    assert reader.read(files, name, "/per_frame", EventId((), (1,))) is first
    copy = pickle.loads(pickle.dumps(reader))
    again = copy.read(files, name, "/per_frame", EventId((), (1,)))
    assert again is not first
    assert again.value(EventId((), (1,))) == 6


def test_master_file_stands_in_for_a_data_file(files: FileCache, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "r_data_000002.h5", "w"):
        pass
    with h5py.File(tmp_path / "r_master.h5", "w") as file:
        file["one"] = 3.0
        file["same"] = np.full(5, 4.0)
        file["differ"] = np.arange(5)
    reader, event = HeaderReader(), EventId((), (7,))
    data = str(tmp_path / "r_data_000002.h5")
    one = reader.read(files, data, "/one", event)
    assert one.is_from_master
    assert str(one) == f"{tmp_path}/r_master.h5:/one"
    assert one.value(event) == 3.0
    assert reader.read(files, data, "/same", event).value(event) == 4.0
    with pytest.raises(InputError, match=r"5 values that differ.*list the master file"):
        reader.read(files, data, "/differ", event).value(event)
    with pytest.raises(AbsentError, match=r"r_master\.h5"):
        reader.read(files, data, "/nothing", event)
