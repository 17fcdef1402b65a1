"""Geometries that do not fit the data are refused with the likely slip."""

from __future__ import annotations

import pytest

from cxlsfind.errors import InputError
from cxlsfind.geometry.layout import slab_key
from cxlsfind.io.shapes import check_shape


def _message(geometry, shape) -> str:
    with pytest.raises(InputError) as error:
        check_shape(geometry, slab_key(geometry.panels[0]), shape, "/data in a.h5")
    return str(error.value)


def test_exact_fit_and_smaller_panels(make_geometry):
    """Panels may cover a part of the data, which is worth a remark."""
    geometry = make_geometry(max_fs=2067, max_ss=2161)
    key = slab_key(geometry.panels[0])
    assert check_shape(geometry, key, (2162, 2068), "") is None
    assert check_shape(geometry, key, (2167, 2070), "") == (
        "the geometry covers 2068 x 2162 pixels (fs x ss) (EIGER2 4M) of data with 2070 x 2167 "
        "(EIGER X 4M)"
    )


def test_inclusive_limits(make_geometry):
    """The commonest slip of all comes with the lines to write."""
    message = _message(make_geometry(max_fs=2068, max_ss=2162), (2162, 2068))
    assert message == (
        "/data in a.h5: the geometry is 2069 x 2163 (fs x ss) but the data are 2068 x 2162 "
        "(EIGER2 4M): one pixel too large in both directions. max_fs and max_ss are inclusive: "
        "write max_fs = 2067, max_ss = 2161"
    )


@pytest.mark.parametrize(
    ("max_fs", "max_ss", "remedy"),
    [
        (2068, 2161, "along fs. max_fs and max_ss are inclusive: write max_fs = 2067"),
        (2067, 2162, "along ss. max_fs and max_ss are inclusive: write max_ss = 2161"),
        (2161, 2067, "ss and fs are exchanged"),
        (2069, 2166, "panel p0 (fs 0 to 2069, ss 0 to 2166) lies outside"),
    ],
)
def test_other_slips(max_fs, max_ss, remedy, make_geometry):
    """One direction, exchanged directions, and another detector."""
    message = _message(make_geometry(max_fs=max_fs, max_ss=max_ss), (2162, 2068))
    assert message.endswith(remedy) or remedy in message


def test_both_detectors_are_named(make_geometry):
    """A geometry of one detector for data of another names both."""
    message = _message(make_geometry(max_fs=2069, max_ss=2166), (2162, 2068))
    assert "2070 x 2167 (fs x ss) (EIGER X 4M) but" in message
    assert "2068 x 2162 (EIGER2 4M)" in message


def test_only_panels_of_the_slab_count(make_geometry, make_panel):
    """A large panel of another dataset does not matter; the one outside is named."""
    panels = [
        make_panel("a", max_fs=9, max_ss=9),
        make_panel("b", min_ss=10, max_ss=25, max_fs=9),
        make_panel("big", data="/other", max_fs=99, max_ss=99),
    ]
    geometry = make_geometry(panels)
    check_shape(geometry, slab_key(panels[0]), (26, 10), "")
    assert "panel b (fs 0 to 9, ss 10 to 25)" in _message(geometry, (20, 10))
