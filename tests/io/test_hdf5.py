"""Opening HDF5 files, and saying why one cannot be opened."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from cxlsfind.errors import InputError
from cxlsfind.io._hdf5 import NotHdf5Error, describe_content, explain_os_error, open_hdf5


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(10000)
    return path


def test_a_good_file_opens_read_only(good: Path) -> None:
    with open_hdf5(good) as file:
        assert file["x"][3] == 3
        assert file.mode == "r"


def test_a_reader_takes_no_lock(good: Path) -> None:
    with open_hdf5(good):
        code = "import h5py, sys; h5py.File(sys.argv[1], 'a').close()"
        done = subprocess.run(
            [sys.executable, "-c", code, str(good)], check=False, capture_output=True
        )
    assert done.returncode == 0, done.stderr


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.h5: the file does not exist"):
        open_hdf5(tmp_path / "none.h5")
    with pytest.raises(InputError, match="does not exist"):
        open_hdf5(tmp_path / "none.h5" / "deeper.h5")


def test_directory_and_pipe_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotHdf5Error, match="is a directory"):
        open_hdf5(tmp_path)
    os.mkfifo(tmp_path / "pipe.h5")
    with pytest.raises(NotHdf5Error, match="pipe"):
        open_hdf5(tmp_path / "pipe.h5")


def test_name_with_a_null_byte_is_refused() -> None:
    with pytest.raises(InputError, match="not a file name"):
        open_hdf5("a\0b.h5")


def test_permission_is_explained() -> None:
    assert "permission denied" in explain_os_error(PermissionError(13, "Permission denied"))
    assert explain_os_error(OSError(5, "Input/output error")) == (
        "cannot be opened: Input/output error"
    )


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "e.h5").touch()
    with pytest.raises(InputError, match="0 bytes") as caught:
        open_hdf5(tmp_path / "e.h5")
    assert not isinstance(caught.value, NotHdf5Error)


def test_truncated_file_names_the_sizes(good: Path) -> None:
    good.write_bytes(good.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"cut short \(truncated file: eof = 5000.*stored_eof"):
        open_hdf5(good)


def test_damaged_file(good: Path) -> None:
    good.write_bytes(good.read_bytes()[:8] + b"\xff" * 300)
    with pytest.raises(InputError, match="damaged"):
        open_hdf5(good)


def test_file_that_is_being_written(tmp_path: Path) -> None:
    path = tmp_path / "w.h5"
    code = (
        "import h5py, sys\n"
        "f = h5py.File(sys.argv[1], 'w', libver='latest')\n"
        "f['x'] = 1; f.swmr_mode = True; f.flush()\n"
        "print('ready', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        with pytest.raises(InputError, match="still open for writing") as caught:
            open_hdf5(path)
        writer.communicate()
    assert not isinstance(caught.value, NotHdf5Error)
    with open_hdf5(path) as file:
        assert file["x"][()] == 1


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"###CBF: VERSION 1.5\r\n", "a CBF image"),
        (b"II*\0\x08", "a TIFF image"),
        (b"MM\0*\x08", "a TIFF image"),
        (b"{\nHeaderID = EH:000001 ;\n", "an EDF image or JSON text"),
        (b"run_1_master.h5\nrun_2_master.h5\n", "a list of files"),
        (b"/data/x.cxi //3\n", "a list of files"),
        ("; geometry for é\n".encode(), "plain text"),
        ((b"a" * 511) + "é".encode()[:1], "plain text"),
        (b"\x00" * 100, "nothing but zeros"),
        (b"\x01\x02\xff\xfe\x00", "binary data of an unknown kind"),
        (b"a\xffb", "binary data of an unknown kind"),
    ],
)
def test_content_is_recognised(head: bytes, what: str) -> None:
    assert describe_content(head) == what


def test_other_kinds_of_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    path.write_bytes(b"###CBF: VERSION 1.5\r\n" + bytes(1000))
    with pytest.raises(NotHdf5Error, match="not an HDF5 file: it looks like a CBF image"):
        open_hdf5(path)
    path.write_bytes(bytes(1000))
    with pytest.raises(InputError, match="nothing but zeros") as caught:
        open_hdf5(path)
    assert not isinstance(caught.value, NotHdf5Error)
