"""Names of frames: written, read, and recognised in the spelling of others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxlsfind.datasets.naming import (
    LABELS,
    OVERLAY,
    PEAKS,
    WATER,
    FrameName,
    format_kev,
    frame_key,
    named_kev,
    parse_name,
)


def test_names_are_those_of_the_paper():
    assert str(FrameName(9, format_kev(8000), 3, 1)) == "09_8keV_clen03_000001.h5"
    assert str(FrameName(1, "6", 1, 2, is_empty=True)) == "empty_01_6keV_clen01_000002.h5"


@given(
    st.integers(1, 200),
    st.integers(1000, 30000),
    st.integers(0, 120),
    st.integers(1, 10**7),
    st.booleans(),
)
def test_names_are_read_as_they_were_written(dataset, energy_ev, clen, number, is_empty):
    name = FrameName(dataset, format_kev(energy_ev), clen, number, is_empty)
    assert parse_name(str(name)) == name
    assert named_kev(str(name)) * 1000 == pytest.approx(energy_ev)


@pytest.mark.parametrize(
    "name", ["img_6keV_clen01_00001.h5", "01_6keV_clen01_000001.hdf5", "01_6_clen01_000001.h5", ""]
)
def test_other_names_are_not_taken_for_ours(name):
    assert parse_name(name) is None


@pytest.mark.parametrize(
    ("branch", "name", "key"),
    [
        (OVERLAY, "overlay_img_6keV_clen01_00001.h5", "img_6keV_clen01_00001.h5"),
        (LABELS, "label_img_6keV_clen01_00001.h5", "img_6keV_clen01_00001.h5"),
        (PEAKS, "img_6keV_clen01_00001.h5", "img_6keV_clen01_00001.h5"),
        (PEAKS, "empty_peak_01_00007.h5", "empty_01_00007.h5"),
        (LABELS, "empty_label_01_00007.h5", "empty_01_00007.h5"),
        (OVERLAY, "empty_overlay_01_00007.h5", "empty_01_00007.h5"),
        (WATER, "01_6keV_clen01_000001.h5", "01_6keV_clen01_000001.h5"),
    ],
)
def test_files_of_one_frame_have_one_key(branch, name, key):
    assert frame_key(branch, name) == key
