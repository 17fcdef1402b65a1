"""Verdicts and numbers are libcrystfel's."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from cxlsfind.errors import GeometryError
from cxlsfind.geometry.crystfel import parse_geometry, read_geometry
from cxlsfind.geometry.model import Geometry
from cxlsfind.geometry.summary import geometry_summary

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
SHARED = Path(__file__).resolve().parents[3] / "shared" / "golden" / "geometry"
TOLERANCE = 1e-12


def lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def outcome(text: str) -> Geometry | GeometryError:
    try:
        return parse_geometry(text, file="a.geom")
    except GeometryError as error:
        return error


def read(path: Path) -> Geometry | GeometryError:
    try:
        return read_geometry(path)
    except GeometryError as error:
        return error


def assert_equal(found: dict[str, Any], expected: dict[str, Any], tolerance: float) -> None:
    assert found["ok"] == expected["ok"]
    if not expected["ok"]:
        return
    assert found["static"] == expected["static"]
    for key in ("wavelength_m", "clen_m"):
        assert_close(found[key], expected[key], tolerance)
    assert [p["name"] for p in found["panels"]] == [p["name"] for p in expected["panels"]]
    for mine, theirs in zip(found["panels"], expected["panels"], strict=True):
        assert mine.keys() == theirs.keys()
        for key in theirs.keys() - {"name"}:
            assert_close(mine[key], theirs[key], tolerance)


def assert_close(found: float | str, expected: float | str, tolerance: float) -> None:
    a, b = float(found), float(expected)
    assert math.isclose(a, b, rel_tol=tolerance) or (math.isnan(a) and math.isnan(b))


@pytest.mark.parametrize("expected", lines(GOLDEN / "geometry.jsonl"), ids=lambda e: e["file"])
def test_own_files(expected: dict[str, Any]) -> None:
    """Every rule of the grammar has a file; libcrystfel said what it makes of it."""
    path = GOLDEN / "geometry" / expected["file"]
    found = geometry_summary(read(path), str(path))
    assert found["file"] == expected["file"]
    assert_equal(found, expected, TOLERANCE)


def test_every_own_file_is_compared() -> None:
    """No file is left out of the golden lines."""
    files = {path.name for path in (GOLDEN / "geometry").glob("*.geom")}
    assert files == {expected["file"] for expected in lines(GOLDEN / "geometry.jsonl")}
    assert len(files) > 50


def test_mutants() -> None:
    """Random edits of small files are judged as libcrystfel judges them."""
    cases = lines(GOLDEN / "geometry_mutants.jsonl")
    assert len(cases) == 200
    for case in cases:
        found = geometry_summary(outcome(case["text"]), "a.geom")
        assert_equal(found, case["crystfel"], TOLERANCE)


@pytest.mark.parametrize("expected", lines(SHARED / "golden.jsonl"), ids=lambda e: e["file"])
def test_shared_files(expected: dict[str, Any]) -> None:
    """Files of other programs, where a checkout has them beside it."""
    path = SHARED / expected["file"]
    assert_equal(geometry_summary(read(path), str(path)), expected, 1e-6)
