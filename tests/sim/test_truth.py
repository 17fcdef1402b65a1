"""The truth file comes back as it was written; other files are refused."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from cxlsfind.errors import InputError
from cxlsfind.sim.truth import FRAME_DTYPE, SPOT_ROW_DTYPE, Truth, read_truth, write_truth


def make_truth():
    rng = np.random.default_rng(0)
    frames = np.zeros(3, FRAME_DTYPE)
    frames["label"] = [1, 0, 1]
    frames["orientation"] = np.nan
    spots = np.zeros(4, SPOT_ROW_DTYPE)
    spots["frame"] = [0, 0, 0, 2]
    spots["fs"] = rng.uniform(0, 100, 4)
    spots["hkl"][3] = (1, -2, 3)
    return Truth(("a.h5", "a.h5", "b.h5"), ("//0", "//1", "//0"), frames, spots)


def test_round_trip(tmp_path):
    truth = make_truth()
    write_truth(tmp_path / "truth.h5", truth)
    again = read_truth(tmp_path / "truth.h5")
    assert (again.files, again.events) == (truth.files, truth.events)
    for column in FRAME_DTYPE.names:  # NaN equals NaN column by column only
        np.testing.assert_array_equal(again.frames[column], truth.frames[column])
    np.testing.assert_array_equal(again.spots, truth.spots)


def test_columns_are_plain_datasets(tmp_path):
    """Other programs read one column without knowing the record."""
    write_truth(tmp_path / "truth.h5", make_truth())
    with h5py.File(tmp_path / "truth.h5") as file:
        assert list(file["frames/label"][:]) == [1, 0, 1]
        assert list(file["spots/hkl"][3]) == [1, -2, 3]
        assert file.attrs["schema"] == "cxlsfind-truth/1"


def test_spots_of_a_frame(tmp_path):
    truth = make_truth()
    assert [len(truth.spots_of(frame)) for frame in range(3)] == [3, 0, 1]


def test_another_file_is_refused(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w"):
        pass
    with pytest.raises(InputError, match=r"other\.h5: schema is None, expected 'cxlsfind-truth/1'"):
        read_truth(tmp_path / "other.h5")
