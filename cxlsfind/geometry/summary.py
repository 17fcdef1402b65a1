"""What a geometry file says, in the numbers that CrystFEL derives from it."""

from __future__ import annotations

import math
from pathlib import Path

from cxlsfind.errors import GeometryError
from cxlsfind.geometry.beam import to_wavelength_m
from cxlsfind.geometry.cnumbers import divide, through_float32, wrap_int32
from cxlsfind.geometry.model import Geometry, Panel

JsonNumber = float | str
Summary = dict[str, object]

#: What stands for "no upper limit", an infinity that JSON has no word for.
_NO_LIMIT = 1e300
#: What stands for a number that only the images can tell.
_UNKNOWN = -1
#: How far panels may stand from their mean distance, and their far corners from the first ones,
#: for the detector to have one camera length: as a fraction of the distance, and in pixels.
_TOLERANCE = 0.1
_TOLERANCE_PX = 10.0


def geometry_summary(geometry: Geometry | GeometryError, file: str) -> Summary:
    """Describe a geometry in plain numbers, ready for JSON.

    Parameters
    ----------
    geometry
        What reading the file gave: the geometry, or the refusal.
    file
        Path of the file; its base name goes into the summary.

    Returns
    -------
    ``file`` and ``ok``; where ``ok`` also ``wavelength_m``, ``clen_m`` (the mean distance of the
    panels; -1 where the images hold them, or where panels stand too far apart), ``static``
    (whether the positions of the panels are known without an image) and ``panels``: name and start
    in the data array; where ``static`` also size, corner (``cnx cny cnz``, in pixels of the panel,
    from the interaction point), directions, pixel pitch in metres, ADU per photon and the largest
    valid ADU (1e300: no limit). Numbers that are not finite are strings.
    """
    name = Path(file).name
    if isinstance(geometry, GeometryError):
        return {"file": name, "ok": False}
    clen = static_clen_m(geometry)
    return {
        "file": name,
        "ok": True,
        "wavelength_m": _json_or_unknown(literal_wavelength_m(geometry)),
        "clen_m": _json_or_unknown(None if clen is None else _mean_distance_m(geometry, clen)),
        "static": clen is not None,
        "panels": [_panel_summary(panel, clen) for panel in geometry.panels],
    }


def static_clen_m(geometry: Geometry) -> float | None:
    """Return the camera length, metres, if the panels' positions are known without an image."""
    if geometry.detector_shift is not None or geometry.clen is None:
        return None
    return geometry.clen.value


def literal_wavelength_m(geometry: Geometry) -> float | None:
    """Return the wavelength, metres, if it is known without an image."""
    if geometry.beam is None or geometry.beam.value is None or geometry.beam_kind is None:
        return None
    return to_wavelength_m(geometry.beam_kind, geometry.beam.value)


def _panel_summary(panel: Panel, clen_m: float | None) -> Summary:
    summary: Summary = {
        "name": panel.name,
        # CrystFEL hands these two out in single precision.
        "file_fs0": _json(through_float32(panel.min_fs)),
        "file_ss0": _json(through_float32(panel.min_ss)),
    }
    if clen_m is None:
        return summary
    pitch, corner_z = _pitch_and_corner_z(panel, clen_m)
    # A detector shift of zero, in pixels.
    shift = divide(0.0, pitch)
    gain = math.nan if panel.adu_per_photon is None else panel.adu_per_photon
    numbers = {
        "cnx": panel.corner_x + shift,
        "cny": panel.corner_y + shift,
        "cnz": corner_z,
        "pixel_pitch": pitch,
        "adu_per_photon": gain,
        "max_adu": _NO_LIMIT if panel.max_adu == math.inf else panel.max_adu,
        **dict(zip(("fsx", "fsy", "fsz"), panel.fs, strict=True)),
        **dict(zip(("ssx", "ssy", "ssz"), panel.ss, strict=True)),
    }
    summary |= {"w": wrap_int32(panel.width), "h": wrap_int32(panel.height)}
    return summary | {key: _json(value) for key, value in numbers.items()}


def _pitch_and_corner_z(panel: Panel, clen_m: float) -> tuple[float, float]:
    """Return pixel pitch (metres) and distance (pixels) of a panel."""
    pitch = divide(1.0, panel.res)
    return pitch, divide(clen_m + panel.coffset, pitch)


def _mean_distance_m(geometry: Geometry, clen_m: float) -> float | None:
    """Return the mean distance of the panels, if the detector is flat enough to have one."""
    places = [(panel, *_pitch_and_corner_z(panel, clen_m)) for panel in geometry.panels]
    total = 0.0
    for _, pitch, corner_z in places:  # not sum(), which rounds differently from Python 3.12 on
        total += corner_z * pitch
    mean = total / len(places)
    for panel, pitch, corner_z in places:
        far_corner_z = (
            corner_z
            + wrap_int32(panel.width) * panel.fs[2]
            + wrap_int32(panel.height) * panel.ss[2]
        )
        if not (_close(far_corner_z, corner_z) and _close(divide(mean, pitch), corner_z)):
            return None
    return mean


def _close(z: float, corner_z: float) -> bool:
    difference = abs(z - corner_z)
    return difference < _TOLERANCE * abs(corner_z) and difference <= _TOLERANCE_PX


def _json_or_unknown(value: float | None) -> JsonNumber:
    return _UNKNOWN if value is None or math.isnan(value) else _json(value)


def _json(value: float) -> JsonNumber:
    """Return a number as JSON can hold it: whole ones as integers, infinities and NaN as text."""
    if not math.isfinite(value):
        return str(value)
    return int(value) if value == int(value) and abs(value) < 1e15 else value
