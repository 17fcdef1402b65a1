"""Where panels lie in the flat frame array."""

from __future__ import annotations

from dataclasses import replace

from cxlsfind.geometry.layout import build_layout, slab_key
from cxlsfind.geometry.model import Geometry


def test_panels_of_one_array(two_panels: Geometry) -> None:
    """Panels that share no pixel share one slab."""
    layout = build_layout(two_panels, {slab_key(two_panels.panels[0]): (30, 25)})
    assert layout.n_pixels == 750
    assert [window.start for window in layout.windows] == [0, 10]
    assert [(window.height, window.width) for window in layout.windows] == [(20, 10)] * 2
    assert {window.stride for window in layout.windows} == {25}


def test_overlapping_panels_and_other_datasets(two_panels: Geometry) -> None:
    """Panels over the same pixels, and panels of other datasets, get slabs of their own."""
    first, second = two_panels.panels
    overlapping = replace(second, name="p2", min_fs=9)
    elsewhere = replace(second, name="p3", data="/other", min_ss=5)
    geometry = replace(two_panels, panels=(first, second, overlapping, elsewhere))
    shapes = {slab_key(first): (20, 20), slab_key(elsewhere): (25, 40)}
    layout = build_layout(geometry, shapes)
    assert [slab.offset for slab in layout.slabs] == [0, 400, 800]
    assert [window.slab for window in layout.windows] == [0, 0, 1, 2]
    assert [window.start for window in layout.windows] == [0, 10, 409, 800 + 5 * 40 + 10]
    assert layout.n_pixels == 1800
