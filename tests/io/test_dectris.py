"""Names of files and datasets that Dectris file writers choose."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxlsfind.io.dectris import channel_mask, is_pixel_mask, sibling_master


def test_the_master_lies_beside_the_data_file(tmp_path: Path) -> None:
    data, master = tmp_path / "run_1_data_000012.h5", tmp_path / "run_1_master.h5"
    assert sibling_master(str(data)) is None
    master.touch()
    assert sibling_master(str(data)) == str(master)
    assert sibling_master(str(master)) is None
    assert sibling_master(str(tmp_path / "run_1_data_x.h5")) is None


def test_the_master_lies_beside_the_target_of_a_link(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    data, master = tmp_path / "raw/r_data_000001.h5", tmp_path / "raw/r_master.h5"
    data.touch()
    master.touch()
    link = tmp_path / "frames.h5"
    link.symlink_to(data)
    assert sibling_master(str(link)) == str(master)


def test_the_master_of_a_relative_name_is_relative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("r_master.h5").touch()
    assert sibling_master("r_data_000001.h5") == "r_master.h5"


def test_pixel_masks_are_known_by_their_path() -> None:
    assert channel_mask("threshold_1") == (
        "/entry/instrument/detector/threshold_1_channel/pixel_mask"
    )
    assert is_pixel_mask(channel_mask("difference"))
    assert is_pixel_mask("/entry/instrument/detector/detectorSpecific/pixel_mask")
    assert is_pixel_mask("/entry/instrument/detector/pixel_mask")
    assert not is_pixel_mask("/mask")
    assert not is_pixel_mask("/entry/instrument/detector/a/b_channel/pixel_mask")
