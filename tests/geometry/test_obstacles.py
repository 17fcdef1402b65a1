"""Geometries that are accepted, but that no frame can be processed with."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cxlsfind.geometry.model import Geometry
from cxlsfind.geometry.obstacles import geometry_obstacles

Parse = Callable[..., Geometry]


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["clen = /c", "photon_energy = /e"],
        ["detector_shift_x = 1 mm", "detector_shift_y = /y"],
        ["detector_shift_y = 1 mm"],
        ["p0/adu_per_eV = 0.1"],
        ["p0/coffset = 1", "clen = 0"],
    ],
)
def test_nothing_in_the_way(parse: Parse, lines: list[str]) -> None:
    """Headers may hold anything."""
    assert geometry_obstacles(parse(*lines)) == ()


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        (["p0/min_fs = 10"], "empty"),
        (["p0/max_ss = 0", "p0/min_ss = 3"], "empty"),
        (["p0/dim3 = %"], "role"),
        (["p0/dim2 = fs"], "more than one"),
        (["p0/dim2 = ss"], "more than one"),
        (["p0/res = 0"], "res"),
        (["p0/res = nan"], "res"),
        (["p0/coffset = inf"], "coffset"),
        (["p0/corner_x = inf"], "corner_x"),
        (["p0/fs = 99999999x"], "fs and ss"),
        (["p0/adu_per_photon = 0"], "gain"),
        (["p0/adu_per_eV = inf"], "gain"),
        (["photon_energy = 0"], "photon_energy"),
        (["clen = 5 cm"], "cm"),
        (["clen = nan"], "clen"),
        (["detector_shift_x = 1"], "detector_shift_y is missing"),
        (["detector_shift_x = 1 cm", "detector_shift_y = 0"], "detector_shift_x has the unit"),
        (["detector_shift_x = 0", "detector_shift_y = inf"], "detector_shift_y is inf"),
    ],
)
def test_obstacles(parse: Parse, lines: list[str], word: str) -> None:
    """One sentence per obstacle, with the file and what is wrong."""
    (problem,) = geometry_obstacles(parse(*lines))
    assert problem.startswith("a.geom: ")
    assert word in problem


def test_all_at_once(parse: Parse) -> None:
    """Several obstacles are told together."""
    assert len(geometry_obstacles(parse("p0/res = 0", "clen = 1 ft", "photon_energy = -1"))) == 3
