"""Links are followed to where things are, and those that lead nowhere are named."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from cxlsfind.errors import InputError
from cxlsfind.io.files import FileCache
from cxlsfind.io.links import (
    AbsentError,
    DanglingError,
    Place,
    fill_path,
    list_images,
    locate,
    match_paths,
    resolve_file,
)


@pytest.fixture
def files():
    """Yield a set of open files."""
    with FileCache() as cache:
        yield cache


@pytest.fixture
def name(tmp_path: Path) -> str:
    """Return a file with links of all kinds."""
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["/g/d"] = np.zeros((3, 4))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["/e/d"] = np.zeros((2, 3, 4))
        file["/e/list"] = np.zeros(3)
        file["/e/hard"] = file["/e/d"]
        file["/e/soft"] = h5py.SoftLink("d")
        file["/e/absolute"] = h5py.SoftLink("/e/soft")
        file["/e/outside"] = h5py.ExternalLink("other.h5", "/g")
        file["/e/broken"] = h5py.SoftLink("/nothing")
        file["/e/gone"] = h5py.ExternalLink("gone.h5", "/g")
        file["/e/empty"] = h5py.ExternalLink("other.h5", "/nothing")
    return str(tmp_path / "a.h5")


@pytest.mark.parametrize(
    ("path", "file", "real"),
    [
        ("/e/d", "a.h5", "/e/d"),
        ("e//d", "a.h5", "/e/d"),
        ("/e/hard", "a.h5", "/e/hard"),
        ("/e/soft", "a.h5", "/e/d"),
        ("/e/absolute", "a.h5", "/e/d"),
        ("/e/outside/d", "other.h5", "/g/d"),
        ("/", "a.h5", "/"),
    ],
)
def test_locate(path, file, real, files, name, tmp_path):
    """Soft and external links are followed, also in the middle of a path."""
    assert locate(files, name, path) == Place(str(tmp_path / file), real, "")


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("/e/x", AbsentError, "/e/x does not exist in"),
        ("/x/d", AbsentError, "/x does not exist in"),
        ("/e/d/x", AbsentError, "/e/d/x does not exist in"),
        ("/e/outside/x", AbsentError, r"/g/x does not exist in .*other\.h5"),
        ("/e/absolute/x", AbsentError, "/e/d/x does not exist in"),
        ("/e/broken", DanglingError, "links to nothing: /nothing does not exist"),
        ("/e/empty", DanglingError, r"/e/empty in .* links to nothing: /nothing does not exist"),
        ("/e/gone/d", DanglingError, r"/e/gone in .* another file: .*gone\.h5: the file does not"),
    ],
)
def test_locate_in_vain(path, error, message, files, name):
    """A path that is absent is told from a link that leads nowhere."""
    with pytest.raises(error, match=message):
        locate(files, name, path)


def test_match_paths(files, name, tmp_path):
    """Matches come in the order of names; links that lead nowhere are among them."""
    matches = match_paths(files, name, "/e/%")
    assert [m.parts for m in matches] == [
        ("absolute",), ("broken",), ("d",), ("empty",), ("gone",), ("hard",), ("list",),
        ("outside",), ("soft",),
    ]  # fmt: skip
    lost = [m.parts[0] for m in matches if isinstance(m.place, DanglingError)]
    assert lost == ["broken", "empty", "gone"]
    (match,) = match_paths(files, name, "/%/out%/d")
    assert match.parts == ("e", "side")
    assert match.place == Place(str(tmp_path / "other.h5"), "/g/d", "")
    further = match_paths(files, name, "/e/%/nothing/%")
    assert [m.parts for m in further] == [("broken",), ("empty",), ("gone",)]


def test_fill_path():
    """Every % takes the next part."""
    assert fill_path("/a/%/b_%/c", ("x", "y")) == "/a/x/b_y/c"
    assert fill_path("/a", ("x",)) == "/a"


def test_list_images(files, name):
    """Datasets with two dimensions or more are listed once, with their shapes."""
    listed = list_images(files, name)
    assert "/e/outside/d (3 x 4)" in listed
    assert sum("(2 x 3 x 4)" in entry for entry in listed) == 2  # hard links are two names
    assert not any(entry.startswith("/e/list") for entry in listed)


def test_list_images_of_a_group_in_itself(files, tmp_path):
    """Groups that hold themselves end the search."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["/e/d"] = np.zeros((3, 4))
        file["/e/self"] = h5py.SoftLink("/e")
    assert list_images(files, str(tmp_path / "a.h5")) == ["/e/d (3 x 4)"]


def test_damaged_group(files, tmp_path):
    """A file with nonsense inside gives a reason, no traceback."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["/entry/data/data"] = np.ones((2, 3, 4))
    content = bytearray(path.read_bytes())
    content[120:900] = b"\xff" * 780
    path.write_bytes(content)
    with pytest.raises(InputError):
        locate(files, str(path), "/entry/data/data")


def test_resolve_file(tmp_path, monkeypatch):
    """Names count from the folder of the referrer, then from the working directory."""
    folders = tmp_path / "here", tmp_path / "there"
    for folder in folders:
        folder.mkdir()
    monkeypatch.chdir(folders[1])
    referrer = str(folders[0] / "m.h5")
    (folders[1] / "d.h5").touch()
    assert resolve_file("d.h5", referrer) == "d.h5"
    (folders[0] / "d.h5").touch()
    assert resolve_file("d.h5", referrer) == str(folders[0] / "d.h5")
    assert resolve_file("/gone/d.h5", referrer) == str(folders[0] / "d.h5")
    assert resolve_file(str(folders[1] / "d.h5"), referrer) == str(folders[1] / "d.h5")
    assert resolve_file("no.h5", referrer) == str(folders[0] / "no.h5")
