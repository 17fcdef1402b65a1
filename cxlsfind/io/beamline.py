"""Photon energy, camera length, detector shift and headers of every frame.

For energy and camera length, the option given by the user comes before the geometry, and the
geometry before the data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cxlsfind.errors import InputError
from cxlsfind.geometry import beam
from cxlsfind.geometry.model import BeamKind, Geometry
from cxlsfind.io.beam_defaults import (
    find_camera_length,
    find_photon_energy,
    is_usual_place,
)
from cxlsfind.io.files import FileCache
from cxlsfind.io.headers import Header, HeaderReader
from cxlsfind.io.links import AbsentError
from cxlsfind.io.notes import Notes
from cxlsfind.records import EventId, FrameHeader, HeaderValue
from cxlsfind.units import wavelength_m

_ENERGY_RANGE_EV = (100.0, 200e3)
_LENGTH_RANGE_M = (1e-3, 100.0)


class Beamline:
    """What is known of frames beside their pixels; can be pickled.

    Parameters
    ----------
    geometry
        Names literal values or headers.
    photon_energy_ev, camera_length_m
        ``--photon-energy`` and ``--camera-length``: come before everything else.
    copy_headers
        Paths of further values to copy (``--copy-header``); may hold ``%``.

    Raises
    ------
    InputError
        A value that holds for the whole run cannot be right.
    """

    def __init__(
        self,
        geometry: Geometry,
        *,
        photon_energy_ev: float | None = None,
        camera_length_m: float | None = None,
        copy_headers: Sequence[str] = (),
    ) -> None:
        self._geometry = geometry
        self._energy_ev = photon_energy_ev
        self._length_m = camera_length_m
        self._copy_headers = tuple(copy_headers)
        self._reader = HeaderReader()
        self._notes = Notes()
        coffsets = [panel.coffset for panel in geometry.panels]
        self._mean_coffset_m = sum(coffsets) / len(coffsets)
        if photon_energy_ev is not None:
            _check_energy(photon_energy_ev, "--photon-energy")
        elif geometry.beam is not None and geometry.beam.header is None:
            self._energy_ev = beam.photon_energy_ev(geometry)
            if geometry.beam_kind is not BeamKind.ELECTRON_VOLTAGE:
                _check_energy(self._energy_ev, geometry.file)
        if camera_length_m is not None:
            self._check_length(camera_length_m, "--camera-length")
        elif geometry.clen is not None and geometry.clen.header is None:
            self._length_m = beam.clen_m(geometry)
            self._check_length(self._length_m, geometry.file)

    @property
    def notes(self) -> tuple[str, ...]:
        """Where values came from that the geometry does not give, and what is missing."""
        return self._notes.lines

    def check(self, files: FileCache, file: str, events: Iterable[EventId]) -> None:
        """Check that a file has what its frames need.

        Single frames may hold nonsense; a file is refused when no frame has what it takes.

        Raises
        ------
        InputError
            As :meth:`header` does for the first of the events.
        """
        first_error: InputError | None = None
        for event in events:
            try:
                self.header(files, file, event)
            except InputError as error:
                first_error = first_error or error
            else:
                return
        if first_error is not None:
            raise first_error

    def header(self, files: FileCache, file: str, event: EventId) -> FrameHeader:
        """Return what is known of a frame.

        Parameters
        ----------
        files
            Opens the file and, of a bare Dectris data file, its master.
        file
            Name of the listed file.

        Returns
        -------
        The values in force, and those of the headers that were read, named as in the geometry
        or the option (with any ``%``, as CrystFEL prints them): first those of the geometry in
        CrystFEL's order, then those to be copied. Headers to be copied that are missing are
        left out.

        Raises
        ------
        InputError
            A value is missing or cannot be right.
        """
        values: dict[str, HeaderValue] = {}
        energy_ev = self._energy(files, file, event, values)
        length_m = self._length(files, file, event, values)
        shift_m = self._shift(files, file, event, values)
        for path in self._copy_headers:
            if path not in values:
                self._copy(files, file, path, event, values)
        return FrameHeader(energy_ev, length_m, shift_m, values)

    def _energy(
        self, files: FileCache, file: str, event: EventId, values: dict[str, HeaderValue]
    ) -> float:
        geometry = self._geometry
        if geometry.beam is not None and geometry.beam.header is not None:
            path = geometry.beam.header
            if self._energy_ev is not None:
                self._copy(files, file, path, event, values)
                return self._energy_ev
            try:
                header, number = self._number(files, file, path, event, values)
            except AbsentError:
                if not is_usual_place(path):
                    raise
                energy_ev = self._default_energy(files, file, event, f"it has no {path}")
                wavelength = wavelength_m(energy_ev)
                is_energy = geometry.beam_kind is BeamKind.PHOTON_ENERGY
                values[path] = (energy_ev if is_energy else wavelength) / geometry.beam.scale
                return energy_ev
            if number <= 0:
                raise InputError(
                    f"{header}: found {number:g}, expected a number above zero, for the photon "
                    "energy; --photon-energy overrides it"
                )
            energy_ev = beam.photon_energy_ev(geometry, number)
            if geometry.beam_kind is not BeamKind.ELECTRON_VOLTAGE:
                _check_energy(energy_ev, str(header))
            return energy_ev
        if self._energy_ev is not None:
            return self._energy_ev
        return self._default_energy(files, file, event, "the geometry names none")

    def _default_energy(self, files: FileCache, file: str, event: EventId, why: str) -> float:
        """Return the energy from where the known formats keep it."""
        energy_ev, header = find_photon_energy(self._reader, files, file, event)
        _check_energy(energy_ev, str(header))
        value = f"photon energy {energy_ev:.1f} eV"
        self._note_default(file, header, value, "photon energy", why)
        return energy_ev

    def _length(
        self, files: FileCache, file: str, event: EventId, values: dict[str, HeaderValue]
    ) -> float:
        geometry = self._geometry
        if geometry.clen is not None and geometry.clen.header is not None:
            path = geometry.clen.header
            if self._length_m is not None:
                self._copy(files, file, path, event, values)
                return self._length_m
            try:
                header, number = self._number(files, file, path, event, values)
            except AbsentError:
                if not is_usual_place(path):
                    raise
                length_m = self._default_length(files, file, event, f"it has no {path}")
                values[path] = length_m / geometry.clen.scale
                return length_m
            length_m = beam.clen_m(geometry, number)
            self._check_length(length_m, str(header))
            return length_m
        if self._length_m is not None:
            return self._length_m
        return self._default_length(files, file, event, "the geometry names none")

    def _default_length(self, files: FileCache, file: str, event: EventId, why: str) -> float:
        """Return the camera length from where the known formats keep it."""
        length_m, header = find_camera_length(self._reader, files, file, event)
        self._check_length(length_m, str(header))
        self._note_default(file, header, f"camera length {length_m:.6g} m", "camera length", why)
        return length_m

    def _shift(
        self, files: FileCache, file: str, event: EventId, values: dict[str, HeaderValue]
    ) -> tuple[float, float]:
        geometry = self._geometry
        if geometry.detector_shift is None:
            return 0.0, 0.0
        x, y = (
            None
            if quantity.header is None
            else self._number(files, file, quantity.header, event, values)[1]
            for quantity in geometry.detector_shift
        )
        return beam.detector_shift_m(geometry, (x, y))

    def _number(
        self,
        files: FileCache,
        file: str,
        path: str,
        event: EventId,
        values: dict[str, HeaderValue],
    ) -> tuple[Header, float]:
        """Read a header that the geometry names; note its value."""
        try:
            header = self._reader.read(files, file, path, event)
        except InputError as error:
            raise type(error)(f"{error}; the geometry names this header") from error
        values[path] = header.value(event)
        if header.is_from_master:
            self._notes.add(file, f"header {path} taken from {header.file}")
        return header, header.number(event)

    def _copy(
        self,
        files: FileCache,
        file: str,
        path: str,
        event: EventId,
        values: dict[str, HeaderValue],
    ) -> None:
        try:
            values[path] = self._reader.read(files, file, path, event).value(event)
        except InputError as error:
            self._notes.add(file, f"header {path} is left out: {error}")

    def _note_default(self, file: str, header: Header, value: str, what: str, why: str) -> None:
        origin = f"{header.file}:{header.path}" if header.is_from_master else header.path
        found = value if header.values.size == 1 else f"{what} of each frame"
        self._notes.add(file, f"{found} from {origin} ({why})")

    def _check_length(self, length_m: float, place: str) -> None:
        # A camera length of zero or less is right where the panels' offsets make up for it.
        distance_m = length_m + self._mean_coffset_m
        low, high = _LENGTH_RANGE_M
        if not low <= distance_m <= high:
            offset = f" plus the panels' {self._mean_coffset_m:g} m" if self._mean_coffset_m else ""
            raise InputError(
                f"{place}: the camera length is {length_m:g} m{offset}; expected {low:g} to "
                f"{high:g} m: is the unit right (m, mm)? --camera-length overrides it"
            )


def _check_energy(energy_ev: float, place: str) -> None:
    low, high = _ENERGY_RANGE_EV
    if not low <= energy_ev <= high:
        raise InputError(
            f"{place}: the photon energy is {energy_ev:g} eV; expected {low:g} to {high:g} eV: is "
            "the unit right (eV, keV; A or m for a wavelength)? --photon-energy overrides it"
        )
