"""Top-level directives of a geometry file that are not panel defaults: the beam, the distance."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from cxlsfind.geometry.cnumbers import strtod, through_float32
from cxlsfind.geometry.lexer import Notes, Statement
from cxlsfind.geometry.model import BeamKind, Quantity

#: Units of each beam quantity and their values in SI (eV, V); CrystFEL compares case too.
_BEAM_UNITS: Final[dict[BeamKind, dict[str, float]]] = {
    BeamKind.PHOTON_ENERGY: {"eV": 1.0, "keV": 1e3},
    BeamKind.WAVELENGTH: {"m": 1.0, "A": 1e-10},
    BeamKind.ELECTRON_VOLTAGE: {"V": 1.0, "kV": 1e3},
}
_LENGTH_UNITS: Final = {"m": 1.0, "mm": 1e-3}
_BEAM_KEYS: Final = {kind.value: kind for kind in BeamKind}
_PEAK_LIST_TYPES: Final[dict[str, Literal["auto", "cxi", "list3"]]] = {
    "auto": "auto",
    "cxi": "cxi",
    "list3": "list3",
}


@dataclass(slots=True)
class TopLevelDraft:
    """The top level of a geometry file while it is being read."""

    beam_kind: BeamKind | None = None
    beam: Quantity | None = None
    clen: Quantity | None = None
    bandwidth: float = 1e-8
    shift_x: Quantity = field(default_factory=Quantity)
    shift_y: Quantity = field(default_factory=Quantity)
    peak_list: str | None = None
    peak_list_type: Literal["auto", "cxi", "list3"] = "auto"
    group_lines: list[Statement] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)


def apply_top_level(draft: TopLevelDraft, statement: Statement, notes: Notes) -> bool:
    """Apply a top-level line, unless it is a default for panels.

    Returns
    -------
    Whether the line was one of these directives.

    Raises
    ------
    GeometryError
        CrystFEL refuses the file because of this line.
    """
    key = statement.key
    if key.startswith("rigid_group"):
        return True  # of older versions; CrystFEL drops it without a word
    if key.startswith("group_"):
        draft.group_lines.append(statement)
        return True
    handler = _HANDLERS.get(key)
    if handler is None:
        return False
    handler(draft, statement, notes)
    # One wavelength is wanted, whatever it is called; the last line wins.
    what = "beam" if key in _BEAM_KEYS else key
    if what in draft.lines:
        notes.add(statement.line, f"{key} replaces the value of line {draft.lines[what]}")
    draft.lines[what] = statement.line
    return True


def _apply_beam(draft: TopLevelDraft, statement: Statement, notes: Notes) -> None:
    kind = _BEAM_KEYS[statement.key]
    units = _BEAM_UNITS[kind]
    text, blank, unit = statement.value.partition(" ")
    if not blank and kind is BeamKind.PHOTON_ENERGY:
        unit = "eV"  # the only one that may be left out
    if unit not in units:
        raise statement.refusal(
            f"{statement.shown}; expected a number or the path of a header, "
            f"one blank, and {' or '.join(units)}"
        )
    number = strtod(text)
    draft.beam_kind = kind
    if number.found and number.complete:
        scale = units[unit]
        value = through_float32(number.value) * scale  # CrystFEL reads these as floats
        draft.beam = Quantity(value=value) if scale == 1.0 else Quantity(value, None, scale, unit)
        if not 0.0 < value < math.inf:
            notes.add(statement.line, f"{statement.shown} is not possible")
        return
    draft.beam = Quantity(header=text, scale=units[unit], unit=unit)
    _note_header(statement, text, notes)


def parse_length(statement: Statement, header_unit: str, notes: Notes) -> Quantity:
    """Read ``N [m|mm]`` or ``<header> [m|mm]``.

    A literal without a unit is in metres, a header without one in ``header_unit``. CrystFEL's
    parser takes any unit; frames fail when it is unknown: scale 0 then.
    """
    text, blank, unit = statement.value.partition(" ")
    number = strtod(text)
    literal = number.complete  # so nothing at all is the number 0
    if not blank:
        unit = "m" if literal else header_unit
    scale = _LENGTH_UNITS.get(unit)
    if scale is None:
        notes.add(
            statement.line,
            f"{statement.shown}: unit {unit!r} is unknown, no frame can be "
            "read; expected m or mm after one blank",
        )
        return Quantity(header=text, scale=0.0, unit=unit)
    if literal:
        if not number.found:
            notes.add(statement.line, f"{statement.key} is empty and is read as 0")
        return Quantity(value=number.value * scale)
    _note_header(statement, text, notes)
    return Quantity(header=text, scale=scale, unit=unit)


def _note_header(statement: Statement, text: str, notes: Notes) -> None:
    if not text.startswith("/"):
        notes.add(
            statement.line,
            f"{statement.shown}: {text!r} is taken for the name of a header",
        )


def _apply_clen(draft: TopLevelDraft, statement: Statement, notes: Notes) -> None:
    draft.clen = parse_length(statement, "mm", notes)


def _apply_shift(draft: TopLevelDraft, statement: Statement, notes: Notes) -> None:
    shift = parse_length(statement, "m", notes)
    if statement.key == "detector_shift_x":
        draft.shift_x = shift
    else:
        draft.shift_y = shift


def _apply_bandwidth(draft: TopLevelDraft, statement: Statement, notes: Notes) -> None:
    number = strtod(statement.value)
    if number.found and number.complete:
        draft.bandwidth = number.value
    else:
        notes.add(
            statement.line, f"bandwidth = {statement.value!r} is ignored: expected a fraction"
        )


def _apply_peak_list(draft: TopLevelDraft, statement: Statement, notes: Notes) -> None:
    draft.peak_list = statement.value


def _apply_peak_list_type(draft: TopLevelDraft, statement: Statement, notes: Notes) -> None:
    if statement.value not in _PEAK_LIST_TYPES:
        raise statement.refusal(
            f"peak_list_type = {statement.value!r}; expected {', '.join(_PEAK_LIST_TYPES)}"
        )
    draft.peak_list_type = _PEAK_LIST_TYPES[statement.value]


_HANDLERS: Final[dict[str, Callable[[TopLevelDraft, Statement, Notes], None]]] = {
    **dict.fromkeys(_BEAM_KEYS, _apply_beam),
    "clen": _apply_clen,
    "bandwidth": _apply_bandwidth,
    "detector_shift_x": _apply_shift,
    "detector_shift_y": _apply_shift,
    "peak_list": _apply_peak_list,
    "peak_list_type": _apply_peak_list_type,
}
