"""Ring maps are made once per position of the detector, and can be taken over."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from cxlsfind.geometry.crystfel import parse_geometry
from cxlsfind.geometry.layout import build_layout, slab_key
from cxlsfind.geometry.maps import radius_bins
from cxlsfind.kernels.ring_map import ring_map
from cxlsfind.pipeline import ring_store
from cxlsfind.pipeline.ring_store import RingStore

TEXT = """\
photon_energy = 9000 eV
adu_per_photon = 1
clen = 0.1
res = 10000
data = /data
dim0 = %
dim1 = ss
dim2 = fs
p0/min_fs = 0
p0/max_fs = 49
p0/min_ss = 0
p0/max_ss = 29
p0/corner_x = -20
p0/corner_y = -10
p0/fs = x
p0/ss = y
"""
GEOMETRY = parse_geometry(TEXT, file="g.geom")
LAYOUT = build_layout(GEOMETRY, {slab_key(panel): (30, 50) for panel in GEOMETRY.panels})


def test_one_map_per_position(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that want the same map at once get one; old ones are forgotten."""
    made = []

    def count(*arguments: object) -> object:
        made.append(arguments[2])
        return radius_bins(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ring_store, "radius_bins", count)
    store = RingStore(GEOMETRY, LAYOUT)
    threads = [threading.Thread(target=store.of, args=((0.0, 0.0),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [(0.0, 0.0)]
    for k in range(6):
        store.of((k * 1e-3, 0.0))
    assert len(made) == 6
    assert len({shift for shift, _ in store.arrays()}) == 4


def test_maps_of_another_store() -> None:
    """A store that took over the arrays of another has the same maps."""
    first, second = RingStore(GEOMETRY, LAYOUT), RingStore(GEOMETRY, LAYOUT)
    shifts = [(0.0, 0.0), (1e-3, -2e-3)]
    for shift in shifts:
        first.of(shift)
    second.adopt({key: array.copy() for key, array in first.arrays().items()})
    for shift in shifts:
        expected = ring_map(radius_bins(GEOMETRY, LAYOUT, shift))
        for store in (first, second):
            rings = store.of(shift)
            assert rings.n_rings == expected.n_rings
            for name in ("base", "step", "whole"):
                np.testing.assert_array_equal(getattr(rings, name), getattr(expected, name))
