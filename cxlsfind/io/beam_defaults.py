"""Photon energy and camera length from the data, where the geometry names neither.

Paths are those of the Dectris file writer (legacy and 2024.2), of NeXus NXmx, and of CXI.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cxlsfind.errors import InputError
from cxlsfind.io.files import FileCache
from cxlsfind.io.headers import Header, HeaderReader
from cxlsfind.io.links import AbsentError
from cxlsfind.records import EventId
from cxlsfind.units import photon_energy_ev

_ELEMENTARY_CHARGE: Final = 1.602176634e-19  # C, exact in the SI

_ENERGY_UNITS: Final = {
    "ev": 1.0,
    "electronvolt": 1.0,
    "kev": 1e3,
    "mev": 1e6,
    "j": 1.0 / _ELEMENTARY_CHARGE,
    "joule": 1.0 / _ELEMENTARY_CHARGE,
    "joules": 1.0 / _ELEMENTARY_CHARGE,
}
_LENGTH_UNITS: Final = {
    "m": 1.0,
    "meter": 1.0,
    "metre": 1.0,
    "meters": 1.0,
    "metres": 1.0,
    "cm": 1e-2,
    "mm": 1e-3,
    "millimeter": 1e-3,
    "millimetre": 1e-3,
    "um": 1e-6,
    "µm": 1e-6,  # micro sign
    "μm": 1e-6,  # Greek letter
    "micron": 1e-6,
    "nm": 1e-9,
    "nanometer": 1e-9,
    "a": 1e-10,
    "å": 1e-10,
    "angstrom": 1e-10,
    "angstroms": 1e-10,
    "pm": 1e-12,
}


@dataclass(frozen=True, slots=True)
class _Place:
    path: str
    unit: str  # where the dataset has no attribute "units"


_PHOTON_ENERGY: Final = (
    _Place("/entry/instrument/beam/incident_energy", "eV"),
    _Place("/entry/instrument/beam/incident_wavelength", "angstrom"),
    _Place("/entry/sample/beam/incident_wavelength", "angstrom"),
    _Place("/entry/instrument/detector/detectorSpecific/photon_energy", "eV"),
    _Place("/entry_1/instrument_1/source_1/energy", "J"),
)
_CAMERA_LENGTH: Final = (
    _Place("/entry/instrument/detector/distance", "m"),
    _Place("/entry/instrument/detector/detector_distance", "m"),
    _Place("/entry_1/instrument_1/detector_1/distance", "m"),
)


def is_usual_place(path: str) -> bool:
    """Return whether one of the known formats keeps energy or camera length under this path."""
    return any(place.path == path for place in (*_PHOTON_ENERGY, *_CAMERA_LENGTH))


def find_photon_energy(
    reader: HeaderReader, files: FileCache, file: str, event: EventId
) -> tuple[float, Header]:
    """Return the photon energy, in eV, that the data give for a frame, and where it is from.

    Raises
    ------
    InputError
        The data give none, or nonsense.
    """
    header, unit, number = _find(
        reader, files, file, event, _PHOTON_ENERGY, "photon energy", "--photon-energy"
    )
    if unit.lower() in _ENERGY_UNITS:
        return number * _ENERGY_UNITS[unit.lower()], header
    if unit.lower() in _LENGTH_UNITS:
        return photon_energy_ev(number * _LENGTH_UNITS[unit.lower()]), header
    raise InputError(
        f"{header}: has the unit '{unit}'; expected eV, keV, J, angstrom, nm or m; "
        "set the value with --photon-energy"
    )


def find_camera_length(
    reader: HeaderReader, files: FileCache, file: str, event: EventId
) -> tuple[float, Header]:
    """Return the camera length, in metres, that the data give for a frame, and its source.

    Raises
    ------
    InputError
        The data give none, or nonsense.
    """
    header, unit, number = _find(
        reader, files, file, event, _CAMERA_LENGTH, "camera length", "--camera-length"
    )
    if unit.lower() in _LENGTH_UNITS:
        return number * _LENGTH_UNITS[unit.lower()], header
    raise InputError(
        f"{header}: has the unit '{unit}'; expected m, mm or um; set the value with --camera-length"
    )


def _find(
    reader: HeaderReader,
    files: FileCache,
    file: str,
    event: EventId,
    places: tuple[_Place, ...],
    what: str,
    option: str,
) -> tuple[Header, str, float]:
    for place in places:
        try:
            header = reader.read(files, file, place.path, event)
        except AbsentError:
            continue
        if header.is_constant:
            header = header.first()
        elif event.path:
            # Rows of a run's headers count from its start, events of a part from that of the part.
            raise InputError(
                f"{header}: has {header.values.size} values that differ, and it is not known which "
                f"of them belong to '{'/'.join(event.path)}'; set the value with {option}"
            )
        number = header.number(event)
        if number <= 0:
            raise InputError(
                f"{header}: found {number:g}, expected a {what} above zero; set it with {option}"
            )
        return header, header.units or place.unit, number
    paths = ", ".join(place.path for place in places)
    raise InputError(
        f"{file}: neither the geometry nor the data give the {what} (looked for {paths}); "
        f"set it in the geometry or with {option}"
    )
