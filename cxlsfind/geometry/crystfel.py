"""Reading geometry files, as strictly as CrystFEL does and with its numbers.

The rules are those of CrystFEL 0.12 (``crystfel_geometry(5)``), found and checked by comparing
with libcrystfel on several thousand files. A file that CrystFEL accepts is accepted with
CrystFEL's numbers, one that it refuses is refused with the place and the remedy, and whatever is
accepted though it is hardly meant so is listed in ``Geometry.warnings``.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

from cxlsfind.errors import GeometryError
from cxlsfind.geometry.cnumbers import divide
from cxlsfind.geometry.dimensions import UNDEFINED, given_dimensions, leading_dimensions
from cxlsfind.geometry.lexer import Notes, Statement, statements
from cxlsfind.geometry.model import Geometry, Mask, Panel, Quantity
from cxlsfind.geometry.panels import PanelDraft, apply_panel_directive
from cxlsfind.geometry.regions import (
    BadRegionDraft,
    apply_bad_region_directive,
    finish_bad_region,
    finish_groups,
    new_bad_region,
)
from cxlsfind.geometry.toplevel import TopLevelDraft, apply_top_level

_MAX_BYTES: Final = 16 * 1024 * 1024
_RANGE_KEYS: Final = ("min_fs", "max_fs", "min_ss", "max_ss")


def read_geometry(path: str | Path, *, need_beam: bool = True) -> Geometry:
    """Read a CrystFEL geometry file.

    Parameters
    ----------
    need_beam
        Whether the file must give the wavelength and the camera length, as CrystFEL demands.
        Without, they may be missing, and are ``None`` in the result.

    Raises
    ------
    GeometryError
        The file cannot be read, or CrystFEL would refuse it.
    """
    file = str(path)
    try:
        with Path(path).open("rb") as handle:
            content = handle.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise GeometryError(f"cannot be read: {reason}", file=file) from error
    if len(content) > _MAX_BYTES:
        raise GeometryError("is larger than 16 MiB; this is no geometry file", file=file)
    # Names may hold any bytes; what is not UTF-8 survives as lone surrogates.
    return parse_geometry(
        content.decode("utf-8", errors="surrogateescape"), file=file, need_beam=need_beam
    )


def parse_geometry(text: str, *, file: str, need_beam: bool = True) -> Geometry:
    """Read the text of a CrystFEL geometry file; see :func:`read_geometry`.

    Parameters
    ----------
    file
        Name to be used in messages and kept in the result.
    """
    reader = _Reader(file)
    for statement in statements(text, file, reader.notes):
        reader.apply(statement)
    return reader.finish(text, need_beam=need_beam)


class _Reader:
    """Everything known of a file after the statements applied so far."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.notes = Notes()
        self.top = TopLevelDraft()
        self.defaults = PanelDraft()
        self.panels: dict[str, PanelDraft] = {}
        self.regions: dict[str, BadRegionDraft] = {}
        self.unused_default: Statement | None = None
        self.last_line = 1

    def apply(self, statement: Statement) -> None:
        """Apply one line to the panel, bad region, default or property that it is about."""
        self.last_line = statement.line
        scope = statement.scope
        if scope is None:
            if not apply_top_level(self.top, statement, self.notes):
                apply_panel_directive(self.defaults, statement, self.notes)
                self.unused_default = statement
        elif scope.startswith("bad"):
            if scope not in self.regions:
                self.regions[scope] = new_bad_region(statement)
            apply_bad_region_directive(self.regions[scope], statement, self.notes)
        else:
            if scope not in self.panels:
                self.panels[scope] = self.defaults.new_panel(scope, statement.line)
                self.unused_default = None
            apply_panel_directive(self.panels[scope], statement, self.notes)

    def finish(self, text: str, *, need_beam: bool) -> Geometry:
        """Check the file as a whole and return the record."""
        if not self.panels:
            raise self._refusal_at_end("found no panel; expected lines 'panel/key = value'")
        if need_beam:
            self._demand_beam()
        panels = tuple(self._finish_panel(draft) for draft in self.panels.values())
        if self.unused_default is not None:
            raise self.unused_default.refusal(
                f"found {self.unused_default.shown} after the last panel, where it has no effect; "
                "move it before the panels that it is meant for"
            )
        regions = tuple(
            finish_bad_region(region, self.panels, self.file, self.notes)
            for region in self.regions.values()
        )
        groups = finish_groups(self.top.group_lines, self.panels, self.notes)
        top = self.top
        return Geometry(
            file=self.file,
            text=text,
            panels=panels,
            beam_kind=top.beam_kind,
            beam=top.beam,
            clen=top.clen,
            bandwidth=top.bandwidth,
            detector_shift=self._detector_shift(),
            peak_list=top.peak_list,
            peak_list_type=top.peak_list_type,
            bad_regions=regions,
            groups=groups,
            warnings=self.notes.sorted(),
        )

    def _demand_beam(self) -> None:
        if self.top.beam is None:
            raise self._refusal_at_end(
                "the wavelength is not given; add 'photon_energy = 12398 eV', or the path of the "
                "header that holds it"
            )
        if self.top.clen is None:
            raise self._refusal_at_end(
                "the camera length is not given; add 'clen = 0.15 m', or the path of the header "
                "that holds it"
            )

    def _refusal_at_end(self, reason: str) -> GeometryError:
        return GeometryError(reason, file=self.file, line=self.last_line)

    def _detector_shift(self) -> tuple[Quantity, Quantity] | None:
        x, y = self.top.shift_x, self.top.shift_y
        missing = Quantity()
        if x == missing and y == missing:
            return None
        if y == missing:
            line = self.top.lines["detector_shift_x"]
            self.notes.add(line, "detector_shift_y is missing: no frame can be read")
        elif x == missing:
            line = self.top.lines["detector_shift_y"]
            self.notes.add(line, "detector_shift_y without detector_shift_x has no effect")
        return x, y

    def _finish_panel(self, draft: PanelDraft) -> Panel:
        self._check_panel(draft)
        ranges = draft.ranges
        panel = Panel(
            name=draft.name,
            min_fs=ranges["min_fs"],
            max_fs=ranges["max_fs"],
            min_ss=ranges["min_ss"],
            max_ss=ranges["max_ss"],
            corner_x=draft.corner_x,
            corner_y=draft.corner_y,
            fs=draft.fs,
            ss=draft.ss,
            res=draft.res,
            adu_per_photon=None if math.isnan(draft.adu_per_photon) else draft.adu_per_photon,
            adu_per_ev=None if math.isnan(draft.adu_per_ev) else draft.adu_per_ev,
            coffset=draft.coffset,
            max_adu=draft.max_adu,
            data=draft.data,
            dims=given_dimensions(draft.dims),
            no_index=draft.no_index,
            mask_edge_pixels=draft.mask_edge_pixels,
            flags=tuple(draft.flags),
            masks=self._finish_masks(draft),
            saturation_map=draft.saturation_map,
            saturation_map_file=draft.saturation_map_file,
        )
        if panel.width <= 0 or panel.height <= 0:
            self.notes.add(draft.line, f"panel {panel.name} is empty: no frame can be read")
        if UNDEFINED in panel.dims:
            self.notes.add(
                draft.line, f"panel {panel.name}: a dimension has no role, no frame can be read"
            )
        return panel

    def _check_panel(self, draft: PanelDraft) -> None:
        missing = [key for key in _RANGE_KEYS if draft.ranges.get(key, -1) < 0]
        numbers = {"corner_x": draft.corner_x, "corner_y": draft.corner_y}
        missing += [key for key, value in numbers.items() if math.isnan(value)]
        missing += [key for key in ("fs", "ss") if math.isnan(getattr(draft, key)[0])]
        if divide(1.0, draft.res) < 0:  # so -0 is refused, and minus infinity is not
            missing.append("res")
        if math.isnan(draft.adu_per_photon) and math.isnan(draft.adu_per_ev):
            missing.append("adu_per_photon")
        if missing:
            raise self._panel_refusal(
                draft,
                f"has no valid {', '.join(missing)}; add '{draft.name}/{missing[0]} = ...' or a "
                f"default '{missing[0]} = ...' before the panel",
            )
        dims = leading_dimensions(draft.dims)
        if "ss" not in dims or "fs" not in dims:
            raise self._panel_refusal(
                draft, "has no dimension for ss or for fs; expected one each, as in dim0 = ss"
            )
        if dims.index("fs") < dims.index("ss"):
            raise self._panel_refusal(
                draft, "has fs on an earlier dimension than ss; expected ss first"
            )

    def _finish_masks(self, draft: PanelDraft) -> tuple[Mask, ...]:
        masks = []
        for number, mask in sorted(draft.masks.items()):
            if mask.data is None:
                if mask.file is not None or mask.good_bits or mask.bad_bits:
                    raise self._panel_refusal(
                        draft,
                        f"has a file or bits for mask {number} but no location; "
                        f"add mask{number}_data",
                    )
                continue
            masks.append(Mask(number, mask.data, mask.file, mask.good_bits, mask.bad_bits))
        locations = [mask.data for mask in masks]
        if draft.saturation_map is not None:
            locations.append(draft.saturation_map)
        if any(location.count("%") > draft.data.count("%") for location in locations):
            raise self._panel_refusal(
                draft, f"has a mask or saturation map with more '%' than its data {draft.data!r}"
            )
        return tuple(masks)

    def _panel_refusal(self, draft: PanelDraft, problem: str) -> GeometryError:
        return GeometryError(f"panel {draft.name} {problem}", file=self.file, line=draft.line)
