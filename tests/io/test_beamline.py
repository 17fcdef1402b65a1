"""Energy, camera length, shift and headers of frames: options, geometry, data."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from cxlsfind.errors import InputError
from cxlsfind.geometry.model import BeamKind, Geometry, Quantity
from cxlsfind.io.beamline import Beamline
from cxlsfind.io.files import FileCache
from cxlsfind.records import EventId
from cxlsfind.units import HC_EV_M

FIRST = EventId((), (0,))
MakeGeometry = Callable[..., Geometry]


@pytest.fixture
def files() -> Iterator[FileCache]:
    with FileCache() as cache:
        yield cache


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Return a writer of files: path to value, or to (value, units)."""

    def write(content: Mapping[str, Any], name: str = "a.h5") -> str:
        with h5py.File(tmp_path / name, "w") as file:
            for path, value in content.items():
                value, units = value if isinstance(value, tuple) else (value, None)
                file[path] = value
                if units is not None:
                    file[path].attrs["units"] = units
        return str(tmp_path / name)

    return write


@pytest.fixture
def literal(make_geometry: MakeGeometry) -> Geometry:
    """Return a geometry of 9000 eV and 0.1 m."""
    return make_geometry()


@pytest.fixture
def silent(literal: Geometry) -> Geometry:
    """Return a geometry that names neither energy nor camera length."""
    return replace(literal, beam=None, beam_kind=None, clen=None)


def header(path: str, scale: float = 1.0) -> Quantity:
    return Quantity(header=path, scale=scale)


def test_literals(files: FileCache, write: Callable[..., str], literal: Geometry) -> None:
    beamline = Beamline(literal)
    found = beamline.header(files, write({}), FIRST)
    assert found.photon_energy_ev == pytest.approx(9000, rel=1e-12)
    assert found.clen_m == 0.1
    assert found.detector_shift_m == (0.0, 0.0)
    assert found.values == {}
    assert beamline.notes == ()


def test_options_come_first(
    files: FileCache, write: Callable[..., str], literal: Geometry, silent: Geometry
) -> None:
    name = write({"/entry/instrument/beam/incident_energy": 7000.0, "/e": 6000.0})
    for geometry in (literal, silent, replace(literal, beam=header("/e"), clen=header("/none"))):
        beamline = Beamline(geometry, photon_energy_ev=8000.0, camera_length_m=0.2)
        found = beamline.header(files, name, FIRST)
        assert (found.photon_energy_ev, found.clen_m) == (8000.0, 0.2)
    # Readers of the stream look for the headers that the geometry names.
    assert found.values == {"/e": 6000.0}


def test_headers_of_the_geometry(
    files: FileCache, write: Callable[..., str], literal: Geometry
) -> None:
    name = write(
        {
            "/e/a/energy": np.array([9.0, 9.5]),
            "/clen": "120.5",
            "/x": np.int32(2),
            "/y": np.float32(-0.5),
        }
    )
    geometry = replace(
        literal,
        beam=header("/e/%/energy", 1e3),
        clen=header("/clen", 1e-3),
        detector_shift=(header("/x", 1e-3), header("/y", 1e-3)),
    )
    found = Beamline(geometry).header(files, name, EventId(("a",), (1,)))
    assert found.photon_energy_ev == pytest.approx(9500)
    assert found.clen_m == pytest.approx(0.1205)
    assert found.detector_shift_m == pytest.approx((2e-3, -0.5e-3))
    assert list(found.values.items()) == [
        ("/e/%/energy", 9.5),
        ("/clen", "120.5"),
        ("/x", 2),
        ("/y", -0.5),
    ]


def test_wavelength_header(files: FileCache, write: Callable[..., str], literal: Geometry) -> None:
    geometry = replace(literal, beam_kind=BeamKind.WAVELENGTH, beam=header("/w", 1e-10))
    found = Beamline(geometry).header(files, write({"/w": 1.3}), FIRST)
    assert found.photon_energy_ev == pytest.approx(HC_EV_M / 1.3e-10)
    assert found.values == {"/w": 1.3}


def test_electrons_may_have_any_wavelength(
    files: FileCache, write: Callable[..., str], literal: Geometry
) -> None:
    for quantity in (Quantity(value=300e3), header("/v", 1e3)):
        geometry = replace(literal, beam_kind=BeamKind.ELECTRON_VOLTAGE, beam=quantity)
        found = Beamline(geometry).header(files, write({"/v": 300}), FIRST)
        assert HC_EV_M / found.photon_energy_ev == pytest.approx(1.9687e-12, rel=1e-4)


@pytest.mark.parametrize(
    ("content", "energy", "length"),
    [
        # Dectris, legacy
        (
            {
                "/entry/instrument/beam/incident_wavelength": HC_EV_M * 1e10 / 9500,
                "/entry/instrument/detector/detector_distance": 0.15,
                "/entry/instrument/detector/detectorSpecific/photon_energy": 9000.0,
            },
            9500,
            0.15,
        ),
        (
            {
                "/entry/instrument/detector/detectorSpecific/photon_energy": 9000.0,
                "/entry/instrument/detector/detector_distance": (150.0, "mm"),
            },
            9000,
            0.15,
        ),
        # Dectris 2024.2
        (
            {
                "/entry/instrument/beam/incident_energy": (9.5, "keV"),
                "/entry/instrument/beam/incident_wavelength": (1.0, "angstrom"),
                "/entry/instrument/detector/distance": (0.15, "m"),
            },
            9500,
            0.15,
        ),
        # NXmx
        (
            {
                "/entry/instrument/beam/incident_wavelength": (HC_EV_M * 1e9 / 9500, "nm"),
                "/entry/instrument/detector/distance": (150000, "µm"),
            },
            9500,
            0.15,
        ),
        (
            {
                "/entry/sample/beam/incident_wavelength": ([HC_EV_M * 1e10 / 9500] * 7, "Å"),
                "/entry/instrument/detector/distance": 0.15,
            },
            9500,
            0.15,
        ),
        # CXI
        (
            {
                "/entry_1/instrument_1/source_1/energy": 9500 * 1.602176634e-19,
                "/entry_1/instrument_1/detector_1/distance": 0.15,
            },
            9500,
            0.15,
        ),
    ],
)
def test_values_from_the_data(
    files: FileCache,
    write: Callable[..., str],
    silent: Geometry,
    content: dict[str, Any],
    energy: float,
    length: float,
) -> None:
    beamline = Beamline(silent)
    name = write(content)
    found = beamline.header(files, name, FIRST)
    assert found.photon_energy_ev == pytest.approx(energy)
    assert found.clen_m == pytest.approx(length)
    assert found.values == {}
    assert len(beamline.notes) == 2
    assert beamline.notes[0].startswith(f"{name}: photon energy {energy:.1f} eV from /entry")
    assert beamline.notes[1].startswith(f"{name}: camera length {length:g} m from /entry")


def test_energy_per_frame_from_the_data(
    files: FileCache, write: Callable[..., str], literal: Geometry
) -> None:
    path = "/entry/instrument/beam/incident_energy"
    name = write({path: np.array([9000.0, 9100.0, 9200.0])})
    beamline = Beamline(replace(literal, beam=None, beam_kind=None))
    energies = [beamline.header(files, name, EventId((), (k,))).photon_energy_ev for k in range(3)]
    assert energies == [9000, 9100, 9200]
    assert beamline.notes == (
        f"{name}: photon energy of each frame from {path} (the geometry names none)",
    )
    # Rows of a run count from its start, those of its parts from theirs.
    with pytest.raises(InputError, match=r"3 values that differ.*data_000002"):
        beamline.header(files, name, EventId(("data_000002",), (0,)))


def test_master_file_gives_what_a_data_file_lacks(
    files: FileCache, write: Callable[..., str], silent: Geometry, literal: Geometry
) -> None:
    energy = "/entry/instrument/beam/incident_energy"
    length = "/entry/instrument/detector/detector_distance"
    master = write({energy: 9500.0, length: 0.15}, "run_master.h5")
    data = write({}, "run_data_000001.h5")
    beamline = Beamline(silent)
    beamline.header(files, data, FIRST)
    assert beamline.notes == (
        f"{data}: photon energy 9500.0 eV from {master}:{energy} (the geometry names none)",
        f"{data}: camera length 0.15 m from {master}:{length} (the geometry names none)",
    )
    named = Beamline(replace(literal, beam=header(energy), clen=header(length)))
    found = named.header(files, data, FIRST)
    assert found.photon_energy_ev == pytest.approx(9500)
    assert found.values == {energy: 9500.0, length: 0.15}
    assert named.notes[0] == f"{data}: header {energy} taken from {master}"


def test_many_files_share_a_note(
    files: FileCache, write: Callable[..., str], literal: Geometry
) -> None:
    beamline = Beamline(replace(literal, clen=None))
    content = {"/entry/instrument/detector/distance": 0.15}
    names = [write(content, f"{k}.h5") for k in range(5)]
    for name in names:
        beamline.header(files, name, FIRST)
    assert beamline.notes == (
        f"{names[0]} and 4 more files: camera length 0.15 m from "
        "/entry/instrument/detector/distance (the geometry names none)",
    )


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (0.0, "found 0, expected a camera length above zero; set it with --camera-length"),
        (-1.0, "found -1, expected"),
        (np.nan, "found nan, expected a finite number"),
        ("near", "found 'near', expected a finite number"),
        (150.0, r"is 150 m; expected 0.001 to 100 m: is the unit right \(m, mm\)"),
        ((1.0, "furlong"), "has the unit 'furlong'; expected m, mm or um"),
        ((9.0, "keV"), "has the unit 'keV'; expected m, mm or um"),
    ],
)
def test_nonsense_lengths_in_the_data(
    files: FileCache, write: Callable[..., str], literal: Geometry, value: Any, complaint: str
) -> None:
    path = "/entry/instrument/detector/distance"
    name = write({path: value})
    beamline = Beamline(replace(literal, clen=None))
    with pytest.raises(InputError, match=f"^{name}:{path}: .*{complaint}"):
        beamline.header(files, name, FIRST)


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (0.0, "found 0, expected a photon energy above zero; set it with --photon-energy"),
        (9.5, r"is 9\.5 eV; expected 100 to 200000 eV: is the unit right"),
        ((1.0, "furlong"), "has the unit 'furlong'; expected eV, keV, J, angstrom"),
    ],
)
def test_nonsense_energies_in_the_data(
    files: FileCache, write: Callable[..., str], literal: Geometry, value: Any, complaint: str
) -> None:
    path = "/entry/instrument/beam/incident_energy"
    name = write({path: value})
    beamline = Beamline(replace(literal, beam=None, beam_kind=None))
    with pytest.raises(InputError, match=f"^{name}:{path}: .*{complaint}"):
        beamline.header(files, name, FIRST)


def test_nonsense_in_headers_of_the_geometry(
    files: FileCache, write: Callable[..., str], literal: Geometry
) -> None:
    name = write({"/zero": 0.0, "/far": 450.0, "/ev": 9.5, "/text": "x"})
    for geometry, complaint in (
        (replace(literal, beam=header("/zero")), "a.h5:/zero: found 0, expected a number above"),
        (replace(literal, beam=header("/ev")), "a.h5:/ev: the photon energy is 9.5 eV"),
        (replace(literal, clen=header("/far")), "a.h5:/far: the camera length is 450 m"),
        (replace(literal, clen=header("/text")), "a.h5:/text: found 'x', expected a finite"),
        (replace(literal, clen=header("/no")), "the geometry names this header"),
    ):
        with pytest.raises(InputError, match=complaint):
            Beamline(geometry).header(files, name, FIRST)


def test_nothing_known(files: FileCache, write: Callable[..., str], silent: Geometry) -> None:
    name = write({})
    with pytest.raises(
        InputError, match=r"a\.h5: neither the geometry nor the data give the photon energy"
    ):
        Beamline(silent).header(files, name, FIRST)
    with pytest.raises(InputError, match=r"give the camera length.*--camera-length"):
        Beamline(silent, photon_energy_ev=9000).header(files, name, FIRST)


def test_values_for_the_whole_run_are_checked_at_once(
    literal: Geometry, make_geometry: MakeGeometry
) -> None:
    with pytest.raises(InputError, match=r"--photon-energy: the photon energy is 9\.5 eV"):
        Beamline(literal, photon_energy_ev=9.5)
    with pytest.raises(InputError, match="--camera-length: the camera length is 150 m"):
        Beamline(literal, camera_length_m=150)
    with pytest.raises(InputError, match=r"test\.geom: the photon energy is 9 eV"):
        Beamline(replace(literal, beam=Quantity(value=9.0)))
    with pytest.raises(InputError, match=r"test\.geom: the camera length is 0 m; expected"):
        Beamline(replace(literal, clen=Quantity(value=0.0)))
    Beamline(replace(make_geometry(coffset=0.58), clen=Quantity(value=-0.45)))
    with pytest.raises(InputError, match=r"is -0\.45 m plus the panels' 0\.1 m"):
        Beamline(replace(make_geometry(coffset=0.1), clen=Quantity(value=-0.45)))


def test_copied_headers(files: FileCache, write: Callable[..., str], literal: Geometry) -> None:
    name = write({"/a": np.array([1, 2]), "/t": "x", "/clen": 0.1})
    geometry = replace(literal, clen=header("/clen"))
    beamline = Beamline(geometry, copy_headers=["/t", "/no", "/clen", "/a"])
    first = beamline.header(files, name, EventId((), (0,)))
    assert list(first.values.items()) == [("/clen", 0.1), ("/t", "x"), ("/a", 1)]
    for number in (2, 3):
        later = beamline.header(files, name, EventId((), (number,)))
        assert list(later.values) == ["/clen", "/t"]
    assert len(beamline.notes) == 2
    assert beamline.notes[0].startswith(f"{name}: header /no is left out: ")
    assert "too small for all frames" in beamline.notes[1]


def test_a_file_is_refused_only_when_no_frame_is_good(
    files: FileCache, write: Callable[..., str], literal: Geometry
) -> None:
    beamline = Beamline(replace(literal, beam=header("/e")))
    events = [EventId((), (k,)) for k in range(3)]
    beamline.check(files, write({"/e": [0.0, np.nan, 9000.0]}), events)
    bad = write({"/e": [0.0, np.nan, -1.0]}, "bad.h5")
    with pytest.raises(InputError, match=r"bad\.h5:/e: found 0, expected"):
        beamline.check(files, bad, events)


def test_it_can_be_sent_to_other_ranks(
    files: FileCache, write: Callable[..., str], literal: Geometry
) -> None:
    beamline = Beamline(replace(literal, beam=header("/e")), copy_headers=["/e"])
    name = write({"/e": [8000.0, 9000.0]})
    beamline.header(files, name, FIRST)
    copy = pickle.loads(pickle.dumps(beamline))
    assert copy.header(files, name, EventId((), (1,))).photon_energy_ev == pytest.approx(9000)
