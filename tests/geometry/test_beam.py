"""Wavelength, energy, distance and shift in SI units."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from cxlsfind.errors import InputError
from cxlsfind.geometry.beam import clen_m, detector_shift_m, photon_energy_ev, wavelength_m
from cxlsfind.geometry.crystfel import parse_geometry
from cxlsfind.geometry.model import Geometry

Parse = Callable[..., Geometry]


@pytest.mark.parametrize(
    ("line", "number", "energy"),
    [
        ("photon_energy = 9000", None, 9000.0),
        ("photon_energy = 9 keV", None, 9000.0),
        ("photon_energy = /e keV", 7.5, 7500.0),
        ("photon_energy = /e", 7500.0, 7500.0),
        ("wavelength = 1.5 A", None, 12398.41246 / 1.5),
        ("wavelength = /w m", 1.5e-10, 12398.41246 / 1.5),
        ("wavelength = /w A", 1.5, 12398.41246 / 1.5),
    ],
)
def test_photon_energy(parse: Parse, line: str, number: float | None, energy: float) -> None:
    """Literals and headers, by kind and unit."""
    geometry = parse(line)
    assert photon_energy_ev(geometry, number) == pytest.approx(energy, rel=1e-9)
    assert wavelength_m(geometry, number) == pytest.approx(1.239841246e-6 / energy, rel=1e-9)


def test_electrons(parse: Parse) -> None:
    """De Broglie wavelength of 200 keV electrons: 2.5079 pm, in every textbook."""
    assert wavelength_m(parse("electron_voltage = 200 kV")) == pytest.approx(2.5079e-12, rel=1e-5)
    assert wavelength_m(parse("electron_voltage = /v kV"), 200.0) == pytest.approx(
        2.5079e-12, rel=1e-5
    )


def test_single_precision_of_literals(parse: Parse) -> None:
    """CrystFEL keeps these numbers as floats."""
    assert photon_energy_ev(parse("photon_energy = 12812.3")) == pytest.approx(12812.2998046875)


@pytest.mark.parametrize(
    "line",
    [
        "photon_energy = 0",
        "photon_energy = -5",
        "photon_energy = nan",
        "photon_energy = inf",
        "wavelength = 0 A",
        "electron_voltage = 0 V",
        "electron_voltage = -100 V",
    ],
)
def test_impossible_beams(parse: Parse, line: str) -> None:
    """Values that CrystFEL's parser takes, but physics does not."""
    with pytest.raises(InputError, match=r"a\.geom"):
        photon_energy_ev(parse(line))


def test_header_without_a_number(parse: Parse) -> None:
    """The header that is missing is named, and so is one with nonsense in it."""
    geometry = parse("wavelength = /w A")
    with pytest.raises(InputError, match="'/w' is not known"):
        wavelength_m(geometry)
    with pytest.raises(InputError, match="'/w' is 0"):
        wavelength_m(geometry, 0.0)


@pytest.mark.parametrize(
    ("line", "number", "length"),
    [
        ("clen = 150 mm", None, 0.15),
        ("clen = 0.15", None, 0.15),
        ("clen = /c", 150.0, 0.15),
        ("clen = /c m", 0.15, 0.15),
        ("clen = 0", None, 0.0),
    ],
)
def test_camera_length(parse: Parse, line: str, number: float | None, length: float) -> None:
    """Literals and headers; coffset may hold the distance, so that zero is possible."""
    assert clen_m(parse(line), number) == length


@pytest.mark.parametrize(
    ("line", "number"), [("5 cm", 5.0), ("/c", None), ("nan", 1.0), ("/c", math.inf)]
)
def test_impossible_camera_lengths(parse: Parse, line: str, number: float | None) -> None:
    """Unknown units, missing and infinite numbers."""
    with pytest.raises(InputError, match="clen"):
        clen_m(parse(f"clen = {line}"), number)


def test_nothing_given(panel: str) -> None:
    """A geometry without beam and distance says what to add."""
    text = f"res = 1\nadu_per_photon = 1\n{panel}"
    geometry = parse_geometry(text, file="a.geom", need_beam=False)
    with pytest.raises(InputError, match="photon_energy"):
        wavelength_m(geometry)
    with pytest.raises(InputError, match="clen"):
        clen_m(geometry)


def test_detector_shift(parse: Parse) -> None:
    """None, literals, headers, and y alone, which CrystFEL ignores."""
    assert detector_shift_m(parse()) == (0.0, 0.0)
    both = parse("detector_shift_x = 1 mm", "detector_shift_y = /y mm")
    assert detector_shift_m(both, (None, -2.0)) == (0.001, -0.002)
    assert detector_shift_m(parse("detector_shift_y = 1")) == (0.0, 0.0)


@pytest.mark.parametrize(
    "lines", [["detector_shift_x = 1"], ["detector_shift_x = 1", "detector_shift_y = 1 km"]]
)
def test_impossible_shifts(parse: Parse, lines: list[str]) -> None:
    """x without y, and unknown units: CrystFEL fails with every frame."""
    with pytest.raises(InputError, match="detector_shift_y"):
        detector_shift_m(parse(*lines))
