"""Summaries hold plain JSON, whatever the geometry holds."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from cxlsfind.errors import GeometryError
from cxlsfind.geometry.model import Geometry
from cxlsfind.geometry.summary import geometry_summary

Parse = Callable[..., Geometry]


def test_refused() -> None:
    """Only the base name and the verdict."""
    error = GeometryError("no", file="dir/a.geom", line=3)
    assert geometry_summary(error, "dir/a.geom") == {"file": "a.geom", "ok": False}


def test_accepted(parse: Parse) -> None:
    """All fields of a panel; no upper limit is 1e300."""
    assert geometry_summary(parse("p0/coffset = 0.02"), "a.geom") == {
        "file": "a.geom",
        "ok": True,
        "wavelength_m": pytest.approx(1.37760138e-10),
        "clen_m": pytest.approx(0.12),
        "static": True,
        "panels": [
            {
                "name": "p0",
                "file_fs0": 0,
                "file_ss0": 0,
                "w": 10,
                "h": 20,
                "cnx": -5,
                "cny": -10,
                "cnz": pytest.approx(1200),
                "pixel_pitch": 1e-4,
                "adu_per_photon": 1,
                "max_adu": 1e300,
                "fsx": 1,
                "fsy": 0,
                "fsz": 0,
                "ssx": 0,
                "ssy": 1,
                "ssz": 0,
            }
        ],
    }


@pytest.mark.parametrize("line", ["clen = /c", "detector_shift_x = 1", "clen = 1 ft"])
def test_not_static(parse: Parse, line: str) -> None:
    """Positions that only an image can tell are left out."""
    summary = geometry_summary(parse(line), "a.geom")
    assert (summary["static"], summary["clen_m"]) == (False, -1)
    assert summary["panels"] == [{"name": "p0", "file_fs0": 0, "file_ss0": 0}]


def test_numbers_that_json_does_not_know(parse: Parse) -> None:
    """Infinities and NaN become text."""
    geometry = parse("p0/adu_per_eV = 1", "p0/coffset = inf", "p0/max_adu = nan")
    summary = geometry_summary(geometry, "a.geom")
    panel = json.loads(json.dumps(summary, allow_nan=False))["panels"][0]
    assert (panel["adu_per_photon"], panel["cnz"], panel["max_adu"]) == ("nan", "inf", "nan")


@pytest.mark.parametrize(
    ("offset", "clen"), [(0.0, 0.1), (0.0019, 0.10095), (0.0021, -1), (-0.0019, 0.09905)]
)
def test_mean_camera_length(parse: Parse, panel: str, offset: float, clen: float) -> None:
    """Panels within ten pixels (1 mm here) of their mean have one camera length."""
    second = panel.replace("p0/", "p1/") + f"p1/coffset = {offset}"
    summary = geometry_summary(parse(*second.splitlines()), "a.geom")
    assert summary["clen_m"] == pytest.approx(clen)


def test_mean_camera_length_of_a_near_detector(parse: Parse, panel: str) -> None:
    """They must also lie within a tenth of it; a distance of zero is none."""
    second = (panel.replace("p0/", "p1/") + "p1/coffset = 0.0003").splitlines()
    assert geometry_summary(parse(*second, "clen = 0.001"), "a.geom")["clen_m"] == -1
    assert geometry_summary(parse("clen = 0"), "a.geom")["clen_m"] == -1
    tilted = parse("p0/ss = y+0.4z", "clen = 0.05")  # 8 pixels of 500
    assert geometry_summary(tilted, "a.geom")["clen_m"] == pytest.approx(0.05)
