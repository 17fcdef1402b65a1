"""Panel directives of a geometry file: ``panel/key = value``, or ``key = value`` as a default."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from cxlsfind.geometry.cnumbers import (
    NAN,
    strtod,
    strtol,
    through_float32,
    truncate_int32,
    truncate_uint32,
    wrap_int32,
)
from cxlsfind.geometry.dimensions import UNDEFINED, set_dimension
from cxlsfind.geometry.directions import parse_direction
from cxlsfind.geometry.lexer import Notes, Statement, shorten
from cxlsfind.geometry.model import Dim, Flag, Vector

_MAX_FLAGS: Final = 16
_NO_VECTOR: Final[Vector] = (NAN, NAN, NAN)
_MASK_KEY = re.compile(r"mask([0-9])_(data|file|goodbits|badbits)")
#: Old names of the parts of mask 0.
_MASK_SYNONYMS: Final = {
    "mask": "data",
    "mask_file": "file",
    "mask_good": "goodbits",
    "mask_bad": "badbits",
}


@dataclass(slots=True)
class MaskDraft:
    """One mask of a panel while its file is being read; ``data`` is ``None`` until it is given."""

    data: str | None = None
    file: str | None = None
    good_bits: int = 0
    bad_bits: int = 0


@dataclass(slots=True)
class PanelDraft:
    """A panel, or the defaults for later ones, while its file is being read.

    Fields hold CrystFEL's "not given" until they are set: NaN, or a negative number.
    ``lines`` tells where each key was given last, and ``line`` where the panel begins.
    """

    name: str = ""
    line: int = 0
    ranges: dict[str, int] = field(default_factory=dict)
    corner_x: float = NAN
    corner_y: float = NAN
    coffset: float = 0.0
    fs: Vector = _NO_VECTOR
    ss: Vector = _NO_VECTOR
    res: float = -1.0
    adu_per_photon: float = NAN
    adu_per_ev: float = NAN
    max_adu: float = math.inf
    data: str = "/data/data"
    dims: list[Dim] = field(default_factory=lambda: ["ss", "fs", *[UNDEFINED] * 14])
    no_index: bool = False
    mask_edge_pixels: int = 0
    flags: list[Flag] = field(default_factory=list)
    masks: dict[int, MaskDraft] = field(default_factory=dict)
    saturation_map: str | None = None
    saturation_map_file: str | None = None
    lines: dict[str, int] = field(default_factory=dict)

    def new_panel(self, name: str, line: int) -> PanelDraft:
        """Return a panel that starts from these defaults as they are now."""
        return replace(
            self,
            name=name,
            line=line,
            ranges=dict(self.ranges),
            dims=list(self.dims),
            flags=list(self.flags),
            masks={number: replace(mask) for number, mask in self.masks.items()},
            lines={},
        )


def read_float(statement: Statement, notes: Notes) -> float:
    """Read a value as ``atof`` does, and note where that loses something."""
    number = strtod(statement.value)
    if not (number.found and number.complete):
        notes.add(
            statement.line,
            f"{statement.shown} is read as the number {number.value:g}",
        )
    return number.value


def read_integer(statement: Statement, notes: Notes) -> int:
    """Read a value as ``atof`` does and convert it to ``int``, as CrystFEL does with ranges."""
    value = read_float(statement, notes)
    result = truncate_int32(value)
    if result != value:
        notes.add(statement.line, f"{statement.shown} becomes {result}")
    return result


def apply_panel_directive(panel: PanelDraft, statement: Statement, notes: Notes) -> None:
    """Apply one directive to a panel or to the defaults.

    Raises
    ------
    GeometryError
        CrystFEL refuses the file because of this line.
    """
    key = statement.key
    handler = _HANDLERS.get(key)
    if handler is not None:
        handler(panel, statement, notes)
    elif key.startswith("mask"):
        _apply_mask(panel, statement, notes)
    elif key.startswith("dim"):
        set_dimension(panel.dims, statement, notes)
    else:
        notes.add(statement.line, f"unknown key {shorten(statement.full_key)!r} is ignored")
        return
    _note_repetition(panel, statement, notes)


def _note_repetition(panel: PanelDraft, statement: Statement, notes: Notes) -> None:
    earlier = panel.lines.get(statement.key)
    # Defaults are meant to be set anew between panels, and flags add up.
    if earlier is not None and statement.scope is not None and "flag_" not in statement.key:
        notes.add(statement.line, f"{statement.full_key} replaces the value of line {earlier}")
    panel.lines[statement.key] = statement.line


def _apply_range(panel: PanelDraft, statement: Statement, notes: Notes) -> None:
    panel.ranges[statement.key] = read_integer(statement, notes)


def _float_setter(attribute: str) -> Callable[[PanelDraft, Statement, Notes], None]:
    def apply(panel: PanelDraft, statement: Statement, notes: Notes) -> None:
        setattr(panel, attribute, read_float(statement, notes))

    return apply


def _text_setter(attribute: str) -> Callable[[PanelDraft, Statement, Notes], None]:
    def apply(panel: PanelDraft, statement: Statement, notes: Notes) -> None:
        setattr(panel, attribute, statement.value)

    return apply


def _apply_gain(panel: PanelDraft, statement: Statement, notes: Notes) -> None:
    value = read_float(statement, notes)
    per_photon = statement.key == "adu_per_photon"
    panel.adu_per_photon, panel.adu_per_ev = (value, NAN) if per_photon else (NAN, value)


def _apply_max_adu(panel: PanelDraft, statement: Statement, notes: Notes) -> None:
    panel.max_adu = read_float(statement, notes)
    notes.add(statement.line, "max_adu is better left out and given when merging (--max-adu)")


def _apply_direction(panel: PanelDraft, statement: Statement, notes: Notes) -> None:
    direction = parse_direction(statement.value)
    if direction.vector is None:
        raise statement.refusal(
            f"{statement.shown}: {direction.problem}; expected a sum such as '0.9999x -0.0057y'"
        )
    if direction.problem:
        notes.add(statement.line, f"{statement.full_key}: {direction.problem}")
    if statement.key == "fs":
        panel.fs = direction.vector
    else:
        panel.ss = direction.vector


def _apply_no_index(panel: PanelDraft, statement: Statement, notes: Notes) -> None:
    word = statement.value.lower()
    if word in {"true", "false"}:
        panel.no_index = word == "true"
        return
    number = strtol(statement.value)
    panel.no_index = wrap_int32(number.value) != 0
    if not (number.found and number.complete):
        notes.add(
            statement.line,
            f"{statement.shown} is read as {panel.no_index}; expected true or false",
        )


def _apply_edge(panel: PanelDraft, statement: Statement, notes: Notes) -> None:
    number = strtol(statement.value)
    if not number.complete:
        raise statement.refusal(f"{statement.shown}; expected a whole number of pixels")
    panel.mask_edge_pixels = wrap_int32(number.value)
    if not number.found or panel.mask_edge_pixels < 0:
        notes.add(statement.line, f"{statement.shown} masks nothing")


def _apply_flag(panel: PanelDraft, statement: Statement, notes: Notes) -> None:
    if len(panel.flags) == _MAX_FLAGS:
        raise statement.refusal(
            f"found a flag value too many; a panel can have {_MAX_FLAGS}, those of the defaults "
            "included"
        )
    value = read_float(statement, notes)
    # CrystFEL keeps the value in a float, then in an int. We keep what was meant.
    stored = truncate_int32(through_float32(value))
    meant = stored if math.isnan(value) else int(min(max(value, -(2.0**62)), 2.0**62))
    if meant != value:
        notes.add(statement.line, f"{statement.shown} becomes {meant}")
    if stored != meant:
        notes.add(
            statement.line,
            f"CrystFEL keeps {statement.shown} as {stored}; cxlsfind uses {meant}",
        )
    panel.flags.append(Flag(_FLAG_KINDS[statement.key], meant))


def _apply_badrow(panel: PanelDraft, statement: Statement, notes: Notes) -> None:
    notes.add(statement.line, "badrow_direction is ignored")


def _refuse_clen(panel: PanelDraft, statement: Statement, notes: Notes) -> None:
    raise statement.refusal(
        f"found {statement.full_key!r}; expected one 'clen' for the whole detector, with "
        "'coffset' for panels that stand elsewhere"
    )


def _apply_mask(panel: PanelDraft, statement: Statement, notes: Notes) -> None:
    key = statement.key
    synonym = _MASK_SYNONYMS.get(key)
    match = None if synonym else _MASK_KEY.fullmatch(key)
    if synonym is None and match is None:
        raise statement.refusal(
            f"found {key!r}; expected maskN_data, maskN_file, maskN_goodbits or maskN_badbits "
            "with N from 0 to 7"
        )
    number, part = (int(match[1]), match[2]) if match else (0, synonym)
    if number > 7:
        # Beyond CrystFEL's memory for masks, and its check; what it damages is left alone here.
        notes.add(statement.line, f"{key} is ignored: masks are numbered 0 to 7")
        mask = MaskDraft()
    else:
        mask = panel.masks.setdefault(number, MaskDraft())
    if part == "data":
        if statement.value.startswith("/"):
            mask.data = statement.value
        elif synonym is None:
            raise statement.refusal(_not_a_location(statement))
        else:  # here CrystFEL complains, and goes on
            notes.add(statement.line, _not_a_location(statement) + "; the line is ignored")
    elif part == "file":
        mask.file = statement.value
    else:
        _apply_mask_bits(mask, part == "goodbits", statement, notes, strict=synonym is None)


def _not_a_location(statement: Statement) -> str:
    return f"{statement.shown}; expected a path starting with '/'"


def _apply_mask_bits(
    mask: MaskDraft, good: bool, statement: Statement, notes: Notes, *, strict: bool
) -> None:
    number = strtod(statement.value)
    if not number.found:
        problem = f"{statement.shown}; expected a bit pattern such as 0xff"
        if strict:
            raise statement.refusal(problem)
        notes.add(statement.line, problem + "; the line is ignored")
        return
    bits = truncate_uint32(number.value)
    if not number.complete or bits != number.value:
        notes.add(statement.line, f"{statement.shown} becomes {bits:#x}")
    if good:
        mask.good_bits = bits
    else:
        mask.bad_bits = bits


_FLAG_KINDS: Final[dict[str, Literal["lessthan", "morethan", "equal"]]] = {
    "flag_lessthan": "lessthan",
    "flag_morethan": "morethan",
    "flag_equal": "equal",
}

_HANDLERS: Final[dict[str, Callable[[PanelDraft, Statement, Notes], None]]] = {
    "min_fs": _apply_range,
    "max_fs": _apply_range,
    "min_ss": _apply_range,
    "max_ss": _apply_range,
    "corner_x": _float_setter("corner_x"),
    "corner_y": _float_setter("corner_y"),
    "coffset": _float_setter("coffset"),
    "res": _float_setter("res"),
    "adu_per_photon": _apply_gain,
    "adu_per_eV": _apply_gain,
    "max_adu": _apply_max_adu,
    "fs": _apply_direction,
    "ss": _apply_direction,
    "data": _text_setter("data"),
    "no_index": _apply_no_index,
    "mask_edge_pixels": _apply_edge,
    "flag_lessthan": _apply_flag,
    "flag_morethan": _apply_flag,
    "flag_equal": _apply_flag,
    "saturation_map": _text_setter("saturation_map"),
    "saturation_map_file": _text_setter("saturation_map_file"),
    "badrow_direction": _apply_badrow,
    "clen": _refuse_clen,
}
