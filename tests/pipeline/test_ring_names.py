"""Names of sharp rings, from their radius."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from cxlsfind.finding.poisson.settings import SharpRing
from cxlsfind.geometry.crystfel import parse_geometry
from cxlsfind.pipeline.ring_names import describe_rings, name_ring
from cxlsfind.records import FrameHeader

GEOMETRY = """adu_per_photon = 1
photon_energy = 9000 eV
clen = 0.1
res = 13333.3
p0/min_fs = 0
p0/max_fs = 49
p0/min_ss = 0
p0/max_ss = 59
p0/corner_x = -25
p0/corner_y = -30
p0/fs = x
p0/ss = y
p0/dim0 = ss
p0/dim1 = fs
"""


@pytest.mark.parametrize(
    ("spacing", "name"),
    [
        (3.90, "ice"),
        (3.64, "ice"),
        (2.67, "ice"),
        (2.82, "salt"),
        (3.25, "salt"),
        (4.5, "lipid"),
        (5.3, "unknown"),
        (3.1, "unknown"),
    ],
)
def test_names(spacing: float, name: str) -> None:
    """A spacing within about a hundredth of a known one has its name."""
    assert name_ring(spacing) == name


def test_spacing_follows_bragg() -> None:
    """Radius, camera length and energy give the spacing; panels may lie behind the detector."""
    geometry = parse_geometry(GEOMETRY, file="a.geom")
    geometry = replace(geometry, panels=(replace(geometry.panels[0], coffset=0.02),))
    radius_px = 0.12 * math.tan(2 * math.asin(1.3776 / (2 * 3.67))) * 13333.3
    rings = [SharpRing(radius_px, 300, 310, 0.5), SharpRing(150.0, 149, 151, 0.5)]
    words = describe_rings(rings, geometry, FrameHeader(9000.0, 0.1))
    assert words.split()[0] == "ice:3.67"
    assert words.split()[1].startswith("unknown:14.")
    assert describe_rings([], geometry, FrameHeader(9000.0, 0.1)) == ""
