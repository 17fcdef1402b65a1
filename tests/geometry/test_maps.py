"""Maps over the frame array, against loops over pixels and hand-made cases."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from cxlsfind.errors import InputError
from cxlsfind.geometry.layout import Layout, build_layout, slab_key
from cxlsfind.geometry.maps import (
    inverse_d,
    is_slab_unique,
    radii,
    radius_bins,
    rings,
    sectors,
    static_usable,
)
from cxlsfind.geometry.model import BadRegion, Geometry

Parse = Callable[..., Geometry]


def layout_of(geometry: Geometry, shape: tuple[int, int] = (22, 23)) -> Layout:
    return build_layout(geometry, {slab_key(panel): shape for panel in geometry.panels})


def naive_radius(geometry: Geometry, number: int, fs: int, ss: int) -> float:
    panel = geometry.panels[number]
    x = math.trunc(panel.corner_x + fs * panel.fs[0] + ss * panel.ss[0])
    y = math.trunc(panel.corner_y + fs * panel.fs[1] + ss * panel.ss[1])
    return float(np.float32(math.sqrt(x * x + y * y)))


def test_radii_against_a_loop(two_panels: Geometry) -> None:
    """Every pixel of two panels, one turned; pixels outside panels have none."""
    layout = layout_of(two_panels)
    image = radii(two_panels, layout).reshape(22, 23)
    bins = radius_bins(two_panels, layout).reshape(22, 23)
    assert bins.dtype == np.int32
    for ss in range(22):
        for fs in range(23):
            inside = fs < 20 and ss < 20
            expected = naive_radius(two_panels, fs // 10, fs % 10, ss) if inside else -1.0
            assert image[ss, fs] == expected
            assert bins[ss, fs] == round(expected)


def test_coordinates_are_truncated_towards_zero(parse: Parse) -> None:
    """-0.9 and 0.9 both count as 0."""
    geometry = parse("p0/corner_x = -1.9", "p0/corner_y = 0.9", "p0/ss = 0x")
    row = radius_bins(geometry, layout_of(geometry)).reshape(22, 23)[0]
    assert row[:4].tolist() == [1, 0, 0, 1]


def test_order_and_precision_of_sums(parse: Parse) -> None:
    """Sums are (corner + fs) + ss in double precision, as CrystFEL's peakfinder8 was seen to do.

    Another order, or single precision, gives 10 for the pixel where this one gives 9.
    """
    geometry = parse("p0/corner_x = -5.7", "p0/corner_y = 0", "p0/fs = 0.1x", "p0/ss = 0.3x")
    panel = replace(geometry.panels[0], max_fs=399, max_ss=399)
    geometry = replace(geometry, panels=(panel,))
    fs = np.arange(400.0)
    nine = np.array([[(-5.7 + f * 0.1) + s * 0.3 < 10 for f in fs] for s in fs])
    on_ten = np.array([[f + 3 * s == 157 for f in fs] for s in fs])
    assert (nine & on_ten).any()
    image = radius_bins(geometry, layout_of(geometry, (400, 400))).reshape(400, 400)
    assert np.array_equal(image[on_ten] == 9, nine[on_ten])


def test_radii_are_rounded_to_single_precision_first(parse: Parse) -> None:
    """Far out, where single precision cannot tell k + 1/2 from less, bins follow CrystFEL."""
    geometry = parse("p0/corner_x = 5622", "p0/corner_y = 75", "p0/ss = 0x")
    row = radius_bins(geometry, layout_of(geometry)).reshape(22, 23)[0]
    assert row[:8].tolist() == [5623, 5624, 5624, 5626, 5626, 5628, 5628, 5629]


def test_shift_moves_the_detector(parse: Parse) -> None:
    """A shift of one millimetre is ten pixels here."""
    geometry = parse()
    layout = layout_of(geometry)
    moved = parse("p0/corner_x = 5", "p0/corner_y = 10")
    assert np.array_equal(radius_bins(geometry, layout, (0.001, 0.002)), radius_bins(moved, layout))


def test_rings_and_sectors_against_a_loop(two_panels: Geometry) -> None:
    """Both go by the middles of pixels; one panel is turned."""
    layout = layout_of(two_panels)
    shift_px = 3.0, -2.0
    shift_m = tuple(step / two_panels.panels[0].res for step in shift_px)
    image = rings(two_panels, layout, shift_m).reshape(22, 23)
    turns = sectors(two_panels, layout, 12).reshape(22, 23)
    assert (image.dtype, turns.dtype) == (np.int32, np.uint8)
    for ss in range(22):
        for fs in range(23):
            if fs >= 20 or ss >= 20:
                assert (image[ss, fs], turns[ss, fs]) == (-1, 0)
                continue
            panel = two_panels.panels[fs // 10]
            right, down = fs % 10 + 0.5, ss + 0.5
            x = panel.corner_x + right * panel.fs[0] + down * panel.ss[0]
            y = panel.corner_y + right * panel.fs[1] + down * panel.ss[1]
            radius = math.hypot(x + shift_px[0], y + shift_px[1])
            assert abs(radius - image[ss, fs] - 0.5) <= 0.5 + 1e-9
            turn = (math.atan2(y, x) + math.pi) / (2.0 * math.pi) * 12
            assert abs(turn - turns[ss, fs] - 0.5) <= 0.5 + 1e-9


def test_tall_panels(parse: Parse) -> None:
    """Panels of more rows than a block are complete."""
    geometry = parse("p0/max_ss = 699", "p0/mask_edge_pixels = 1")
    layout = layout_of(geometry, (700, 10))
    image = radius_bins(geometry, layout).reshape(700, 10)
    assert image[:, 5].tolist() == [abs(ss - 10) for ss in range(700)]
    assert static_usable(geometry, layout).sum() == 698 * 8


def test_usable_without_masks(two_panels: Geometry) -> None:
    """Everything inside panels is usable."""
    usable = static_usable(two_panels, layout_of(two_panels)).reshape(22, 23)
    assert usable.dtype == np.bool_
    assert usable[:20, :20].all()
    assert usable.sum() == 400


def test_data_region(two_panels: Geometry) -> None:
    """Limits are inclusive and concern one panel only."""
    geometry = replace(two_panels, bad_regions=(BadRegion("bad", "p1", (12, 13, 5, 19)),))
    usable = static_usable(geometry, layout_of(geometry)).reshape(22, 23)
    bad = ~usable[:20, :20]
    assert bad[5:20, 12:14].all()
    assert bad.sum() == 30


@pytest.mark.parametrize(
    ("limits", "masked"),
    [((-5, 2, -7, 0), 3), ((8, 300, 19, 300), 2), ((5, 4, 0, 3), 0), ((-9, -1, 0, 9), 0)],
)
def test_data_region_beyond_its_panel(
    parse: Parse, limits: tuple[float, float, float, float], masked: int
) -> None:
    """What lies outside is cut off, and swapped limits mask nothing."""
    geometry = replace(parse(), bad_regions=(BadRegion("bad", "p0", limits),))
    assert static_usable(geometry, layout_of(geometry)).sum() == 200 - masked


def test_laboratory_region(parse: Parse) -> None:
    """Limits are exclusive, for the pixel's corner: measured with CrystFEL."""
    whole = replace(parse(), bad_regions=(BadRegion("bad", None, (-3, 3, -99, 99)),))
    layout = layout_of(whole)
    row = static_usable(whole, layout).reshape(22, 23)[0, :10]
    assert np.flatnonzero(~row).tolist() == [3, 4, 5, 6, 7]
    half = replace(whole, panels=(replace(whole.panels[0], corner_x=-4.5),))
    row = static_usable(half, layout).reshape(22, 23)[0, :10]
    assert np.flatnonzero(~row).tolist() == [2, 3, 4, 5, 6, 7]
    row = static_usable(whole, layout, (0.0002, 0.0)).reshape(22, 23)[0, :10]
    assert np.flatnonzero(~row).tolist() == [1, 2, 3, 4, 5]


def test_incomplete_laboratory_region(parse: Parse) -> None:
    """A limit that is not given is NaN, and masks nothing."""
    geometry = parse("bad_a/min_x = -100", "bad_a/max_x = 100")
    assert static_usable(geometry, layout_of(geometry)).sum() == 200


def test_edges_and_whole_panels(two_panels: Geometry) -> None:
    """mask_edge_pixels masks a frame, no_index the whole panel, not a quarter of it."""
    first, second = two_panels.panels
    geometry = replace(
        two_panels, panels=(replace(first, mask_edge_pixels=3), replace(second, no_index=True))
    )
    usable = static_usable(geometry, layout_of(geometry)).reshape(22, 23)
    assert usable[3:17, 3:7].all()
    assert usable.sum() == 14 * 4


@pytest.mark.parametrize(("pixels", "left"), [(-1, 200), (0, 200), (5, 0), (10**9, 0)])
def test_extreme_edges(parse: Parse, pixels: int, left: int) -> None:
    """Negative edges mask nothing, wide ones everything."""
    geometry = parse(f"p0/mask_edge_pixels = {pixels}")
    assert static_usable(geometry, layout_of(geometry)).sum() == left


def test_panels_that_share_pixels(two_panels: Geometry) -> None:
    """Panels over the same pixels of the file have their own places in the frame array."""
    first, second = two_panels.panels
    geometry = replace(
        two_panels, panels=(first, replace(second, min_fs=0, max_fs=9, no_index=True))
    )
    layout = layout_of(geometry)
    assert len(layout.slabs) == 2
    assert static_usable(geometry, layout).sum() == 200


@pytest.mark.parametrize("line", ["max_fs = 0\np0/min_fs = 5", "res = 0", "corner_x = 1e9"])
def test_impossible_panels(parse: Parse, line: str) -> None:
    """Panels that CrystFEL accepts but no frame can have are named."""
    geometry = parse(f"p0/{line}")
    for make in (radius_bins, static_usable):
        with pytest.raises(InputError, match=r"a\.geom: panel p0"):
            make(geometry, layout_of(geometry))


def test_inverse_d_of_a_known_position(parse: Parse) -> None:
    """At 45 degrees, 1/d is 2 sin(22.5 degrees) / wavelength; in the beam it is zero."""
    geometry = parse()
    values = inverse_d(geometry, 0, [1005.0, 5.0], [10.0, 10.0], wavelength_m=1e-10, clen_m=0.1)
    assert values.dtype == np.float64
    assert values[0] == pytest.approx(20 * math.sin(math.pi / 8))
    assert values[1] == 0.0


def test_inverse_d_against_vectors(two_panels: Geometry) -> None:
    """The length of the difference of two wave vectors, on a moved, shifted and tilted panel."""
    panel = replace(two_panels.panels[1], ss=(-1.0, 0.0, 0.3))
    geometry = replace(two_panels, panels=(two_panels.panels[0], panel))
    fs, ss = np.array([12.5, 19.9]), np.array([3.25, 17.0])
    found = inverse_d(
        geometry, 1, fs, ss, wavelength_m=1.3e-10, clen_m=0.05, shift_m=(0.001, -0.002)
    )
    across, along = fs - 10, ss
    x = (40.5 - along) * 1e-4 + 0.001
    y = (-10 + across) * 1e-4 - 0.002
    z = 0.05 + 0.01 + 0.3 * along * 1e-4
    unit = np.stack([x, y, z]) / np.sqrt(x**2 + y**2 + z**2)
    q = (unit - np.array([[0.0], [0.0], [1.0]])) / 1.3e-10
    assert found == pytest.approx(np.linalg.norm(q, axis=0) * 1e-9, rel=1e-12)


def test_inverse_d_of_no_peaks(parse: Parse) -> None:
    """No peaks, no values."""
    empty = np.empty(0)
    assert len(inverse_d(parse(), 0, empty, empty, wavelength_m=1e-10, clen_m=0.1)) == 0


def test_slab_unique(two_panels: Geometry) -> None:
    """Panels side by side can be told apart; modules behind each other cannot."""
    assert is_slab_unique(two_panels)
    first, second = two_panels.panels
    behind = replace(second, min_fs=9, dims=(1, "ss", "fs"))
    assert not is_slab_unique(replace(two_panels, panels=(first, behind)))
