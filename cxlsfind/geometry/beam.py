"""The beam and the distance of a geometry, in SI units, from literals or from headers' numbers."""

from __future__ import annotations

import math
from typing import Final

from cxlsfind.errors import InputError
from cxlsfind.geometry.model import BeamKind, Geometry, Quantity
from cxlsfind.units import HC_EV_M

_SPEED_OF_LIGHT: Final = 299792458.0  # m/s
_PLANCK: Final = 6.62606896e-34  # J s, as CrystFEL has it
_ELECTRON_CHARGE: Final = 1.6021773e-19  # C, as CrystFEL has it
_ELECTRON_MASS: Final = 9.1093837015e-31  # kg, CODATA 2018


def wavelength_m(geometry: Geometry, number: float | None = None) -> float:
    """Return the wavelength, in metres, that a geometry fixes.

    Parameters
    ----------
    number
        Number in the header that the geometry names; not used where it gives a literal.

    Raises
    ------
    InputError
        The geometry gives no wavelength, ``number`` is needed and missing, or the result is not a
        positive number.
    """
    if geometry.beam is None or geometry.beam_kind is None:
        raise InputError(
            f"{geometry.file}: the wavelength is not given; add a line 'photon_energy = ... eV'"
        )
    value = _si_value(geometry.beam, number, geometry.file, geometry.beam_kind.value)
    result = to_wavelength_m(geometry.beam_kind, value)
    if not 0.0 < result < math.inf:
        raise InputError(
            f"{geometry.file}: {_origin(geometry.beam, geometry.beam_kind.value)} is {value:g} "
            f"{geometry.beam_kind.si_unit}; expected a positive number"
        )
    return result


def photon_energy_ev(geometry: Geometry, number: float | None = None) -> float:
    """Return the photon energy, in eV; parameters and errors as :func:`wavelength_m`."""
    return HC_EV_M / wavelength_m(geometry, number)


def clen_m(geometry: Geometry, number: float | None = None) -> float:
    """Return the camera length, in metres, before any panel's ``coffset``.

    Parameters and errors are those of :func:`wavelength_m`, but any finite number will do:
    ``coffset`` may hold all of the distance.
    """
    if geometry.clen is None:
        raise InputError(
            f"{geometry.file}: the camera length is not given; add a line 'clen = ... m'"
        )
    return _finite_length(geometry.clen, number, geometry.file, "clen")


def detector_shift_m(
    geometry: Geometry, numbers: tuple[float | None, float | None] = (None, None)
) -> tuple[float, float]:
    """Return the shift (x, y) of the detector, in metres.

    Parameters
    ----------
    numbers
        Numbers in the headers that the geometry names for x and y; not used for literals.

    Raises
    ------
    InputError
        A number is needed and missing, or is not finite; or the geometry gives x without y.
    """
    if geometry.detector_shift is None:
        return 0.0, 0.0
    x, y = geometry.detector_shift
    if x == Quantity():  # as CrystFEL: y alone has no effect
        return 0.0, 0.0
    return (
        _finite_length(x, numbers[0], geometry.file, "detector_shift_x"),
        _finite_length(y, numbers[1], geometry.file, "detector_shift_y"),
    )


def to_wavelength_m(kind: BeamKind, value: float) -> float:
    """Convert a photon energy (eV), wavelength (m) or electron voltage (V) to a wavelength.

    Electrons get their de Broglie wavelength with the relativistic correction. Impossible values
    give infinities and NaN, as in C.
    """
    if kind is BeamKind.WAVELENGTH:
        return value
    if kind is BeamKind.PHOTON_ENERGY:
        return HC_EV_M / value if value else math.inf
    energy = _ELECTRON_CHARGE * value
    rest_energy = _ELECTRON_MASS * _SPEED_OF_LIGHT**2
    square = 2.0 * _ELECTRON_MASS * energy * (1.0 + energy / (2.0 * rest_energy))
    if not square > 0.0:
        return math.inf if square == 0.0 else math.nan
    return _PLANCK / math.sqrt(square)


def _finite_length(quantity: Quantity, number: float | None, file: str, key: str) -> float:
    if quantity == Quantity():
        raise InputError(f"{file}: {key} is missing; expected one or both of x and y")
    if not quantity.scale:
        raise InputError(
            f"{file}: {key} has the unit {quantity.unit!r}; expected m or mm after one blank"
        )
    value = _si_value(quantity, number, file, key)
    if not math.isfinite(value):
        raise InputError(f"{file}: {_origin(quantity, key)} is {value}; expected a finite number")
    return value


def _si_value(quantity: Quantity, number: float | None, file: str, key: str) -> float:
    if quantity.value is not None:
        return quantity.value
    if number is None:
        raise InputError(f"{file}: {_origin(quantity, key)} is not known: it is in the images")
    return number * quantity.scale


def _origin(quantity: Quantity, key: str) -> str:
    return key if quantity.header is None else f"{key} from header {quantity.header!r}"
