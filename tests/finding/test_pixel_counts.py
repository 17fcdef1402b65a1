"""Counts are read off bit planes as they were laid."""

from __future__ import annotations

import numpy as np

from cxlsfind.finding.photons import normalise
from cxlsfind.finding.pixel_counts import counts_at
from cxlsfind.finding.poisson.canvas import build_canvas
from cxlsfind.geometry.crystfel import parse_geometry
from cxlsfind.geometry.layout import build_layout, slab_key
from cxlsfind.records import PlaneFrame

TEXT = """\
photon_energy = 9000 eV
adu_per_photon = 1
clen = 0.1
res = 10000
data = /data
dim0 = %
dim1 = ss
dim2 = fs
right/min_fs = 22
right/max_fs = 39
right/min_ss = 0
right/max_ss = 29
right/corner_x = 0
right/corner_y = 0
right/fs = x
right/ss = y
left/min_fs = 0
left/max_fs = 21
left/min_ss = 0
left/max_ss = 29
left/corner_x = -22
left/corner_y = 0
left/fs = x
left/ss = y
"""


def test_counts_of_pixels() -> None:
    """Zero, few and many photons, on both panels."""
    geometry = parse_geometry(TEXT, file="two.geom")
    layout = build_layout(geometry, {slab_key(panel): (30, 40) for panel in geometry.panels})
    generator = np.random.default_rng(1)
    counts = generator.poisson(0.5, layout.n_pixels).astype(np.uint16)
    counts[generator.integers(0, layout.n_pixels, 40)] = generator.integers(2, 60000, 40)
    frame = normalise(counts, np.ones(layout.n_pixels, np.bool_), geometry, layout, 9000.0)
    assert isinstance(frame, PlaneFrame)
    canvas = build_canvas(layout)
    pixels = generator.integers(0, layout.n_pixels, (7, 11, 11))
    np.testing.assert_array_equal(counts_at(canvas.lay(frame), canvas, pixels), counts[pixels])
    assert counts_at(canvas.lay(frame), canvas, pixels[:0]).shape == (0, 11, 11)
