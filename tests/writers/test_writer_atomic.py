"""Outputs appear together under their names, or not at all."""

import os
from pathlib import Path

import pytest

from cxlsfind.errors import InputError
from cxlsfind.writers.atomic import AtomicFiles

NAMES = ("a.stream", "a.cxi", "a.json")


def write(files: AtomicFiles, name: str, text: str) -> None:
    files.part(name).write_text(text)


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fail_after_writing(files: AtomicFiles) -> None:
    with files:
        write(files, "a.stream", "half")
        raise RuntimeError("no beam")


def test_nothing_has_its_name_before_the_commit(tmp_path):
    with AtomicFiles(tmp_path, NAMES, overwrite=False) as files:
        write(files, "a.stream", "new")
        assert all(name.startswith(".a.stream.part-") for name in listing(tmp_path))
        write(files, "a.json", "{}")
        files.commit()
    assert listing(tmp_path) == ["a.json", "a.stream"]
    assert (tmp_path / "a.stream").read_text() == "new"


def test_failure_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="no beam"):
        fail_after_writing(AtomicFiles(tmp_path, NAMES, overwrite=False))
    assert listing(tmp_path) == []


def test_existing_members_are_refused_by_name(tmp_path):
    (tmp_path / "a.json").write_text("old")
    with pytest.raises(InputError, match=r"a\.json: exist already.*--overwrite") as caught:
        AtomicFiles(tmp_path, NAMES, overwrite=False).check()
    assert caught.value.exit_code == 3
    AtomicFiles(tmp_path, NAMES, overwrite=True).check()
    assert listing(tmp_path) == ["a.json"]


def test_overwriting_removes_stale_members_and_nothing_else(tmp_path):
    for name in (*NAMES, "b.cxi"):
        (tmp_path / name).write_text("old")
    with AtomicFiles(tmp_path, NAMES, overwrite=True) as files:
        write(files, "a.stream", "new")
        write(files, "a.json", "new")
        files.commit()
    assert listing(tmp_path) == ["a.json", "a.stream", "b.cxi"]
    assert (tmp_path / "a.stream").read_text() == "new"
    assert (tmp_path / "b.cxi").read_text() == "old"


def test_a_failed_overwrite_keeps_the_old_run(tmp_path):
    for name in NAMES:
        (tmp_path / name).write_text("old")
    with pytest.raises(RuntimeError, match="no beam"):
        fail_after_writing(AtomicFiles(tmp_path, NAMES, overwrite=True))
    assert [(tmp_path / name).read_text() for name in NAMES] == ["old"] * 3
    assert listing(tmp_path) == sorted(NAMES)


def test_outputs_that_appear_during_the_run_survive_and_so_do_the_results(tmp_path):
    with AtomicFiles(tmp_path, NAMES, overwrite=False) as files:
        write(files, "a.stream", "mine")
        (tmp_path / "a.stream").write_text("theirs")
        with pytest.raises(InputError, match=r"appeared.*\.a\.stream\.part-"):
            files.commit()
    assert (tmp_path / "a.stream").read_text() == "theirs"
    (kept,) = (name for name in listing(tmp_path) if name.startswith("."))
    assert (tmp_path / kept).read_text() == "mine"


def test_inputs_are_never_replaced(tmp_path):
    (tmp_path / "a.cxi").write_text("raw")
    (tmp_path / "link").symlink_to("a.cxi")
    with pytest.raises(InputError, match=r"a\.cxi: the run reads this"):
        AtomicFiles(tmp_path, NAMES, overwrite=True).check([tmp_path / "link"])


def test_missing_folder_is_told(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        AtomicFiles(tmp_path / "new", NAMES, overwrite=False).check()


def test_a_folder_in_the_place_of_an_output_is_told(tmp_path):
    (tmp_path / "a.cxi").mkdir()
    with pytest.raises(InputError, match="no regular file"):
        AtomicFiles(tmp_path, NAMES, overwrite=True).check()


def test_unwritable_folder_is_told(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    # The tests may run as root, whom permission bits do not stop.
    monkeypatch.setattr("cxlsfind.writers.atomic.os.open", refuse)
    with pytest.raises(InputError, match="cannot be written here: Permission denied"):
        AtomicFiles(tmp_path, NAMES, overwrite=False).check()


def test_outputs_have_the_permissions_of_ordinary_files(tmp_path):
    old = os.umask(0o027)
    try:
        with AtomicFiles(tmp_path, NAMES, overwrite=False) as files:
            write(files, "a.stream", "x")
            files.commit()
    finally:
        os.umask(old)
    assert (tmp_path / "a.stream").stat().st_mode & 0o777 == 0o640


def test_a_name_too_long_for_its_temporary_file_is_told_before_the_run(tmp_path):
    with pytest.raises(InputError, match="File name too long"):
        AtomicFiles(tmp_path, ("a" * 245,), overwrite=False).check()
    assert listing(tmp_path) == []


def test_leftovers_of_killed_runs_are_removed(tmp_path):
    names = [".a.stream.part-0123abcd", ".a.cxi.part-ffffffff", ".ab.cxi.part-ffffffff", "a.stream"]
    for name in names:
        (tmp_path / name).write_text("half")
    AtomicFiles(tmp_path, NAMES, overwrite=True).remove_leftovers()
    assert listing(tmp_path) == [".ab.cxi.part-ffffffff", "a.stream"]
