"""The geometry that goes with the lists of hits: the user's, pointed at ``hits.cxi``."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from cxlsfind import __version__
from cxlsfind.geometry.layout import Layout
from cxlsfind.geometry.model import BeamKind, Flag, Geometry, Mask, Panel, Quantity
from cxlsfind.geometry.write import write_geometry
from cxlsfind.writers.collect import RunResults
from cxlsfind.writers.handoff import HandOff

#: Headers of ``hits.cxi`` that the derived geometry may refer to, beside its groups.
ENERGY = "photon_energy_eV"
CLEN = "clen"
SHIFTS = ("detector_shift_x", "detector_shift_y")

_INT32_MAX = 2**31 - 1
_UINT32_MARKS = 2_000_000_000


def table_geometry_text(
    geometry: Geometry, layout: Layout, hand_off: HandOff, results: RunResults
) -> str:
    """Return the geometry file that describes ``hits.cxi``.

    Energy, camera length and shift are literal where the run has one value, else they refer to
    the arrays of the table. The mask of the run replaces all masks; flags and bad regions stay.
    A saturation map inside the image files is lost (:func:`lost_from_table`).
    """
    slabs = {window.panel: window.slab for window in layout.windows}
    panels = tuple(
        _with_table_data(panel, hand_off, slabs[number])
        for number, panel in enumerate(geometry.panels)
    )
    derived = replace(
        geometry,
        panels=panels,
        beam_kind=BeamKind.PHOTON_ENERGY,
        beam=_quantity(results.photon_energy_ev, ENERGY, "eV"),
        clen=_quantity(results.clen_m, CLEN, "m"),
        detector_shift=_shift(geometry, results),
        peak_list="/run/%/result" if hand_off.is_stacked else "/run/%/peaks",
        peak_list_type="cxi" if hand_off.is_stacked else "list3",
    )
    return _finished(derived, geometry)


def original_geometry_text(geometry: Geometry, results: RunResults) -> str:
    """Return the geometry file for the original files, as used in this run, for any directory.

    Files that it names become absolute. Energy and camera length are literal where the run has
    one value or where the geometry does not say how to find them; then the mean is given.
    """
    panels = tuple(
        replace(
            panel,
            flags=_safe_flags(panel),
            masks=tuple(replace(mask, file=_absolute(mask.file)) for mask in panel.masks),
            saturation_map_file=_absolute(panel.saturation_map_file),
        )
        for panel in geometry.panels
    )
    changed = replace(geometry, panels=panels)
    if geometry.beam is None or _is_constant(results.photon_energy_ev):
        value = float(np.mean(results.photon_energy_ev))
        changed = replace(
            changed, beam_kind=BeamKind.PHOTON_ENERGY, beam=Quantity(value=value, unit="eV")
        )
    if geometry.clen is None or _is_constant(results.clen_m):
        value = float(np.mean(results.clen_m))
        changed = replace(changed, clen=Quantity(value=value, unit="m"))
    return _finished(changed, geometry)


def lost_from_table(geometry: Geometry) -> tuple[str, ...]:
    """Return what of the geometry the derived one cannot keep, one sentence each."""
    maps = dict.fromkeys(
        panel.saturation_map for panel in geometry.panels if _has_inner_saturation_map(panel)
    )
    return tuple(
        f"{geometry.file}: saturation_map {name} lies in the image files and is not part of the "
        "derived geometry; name a file with saturation_map_file to keep it"
        for name in maps
    )


def _has_inner_saturation_map(panel: Panel) -> bool:
    return panel.saturation_map is not None and panel.saturation_map_file is None


def _with_table_data(panel: Panel, hand_off: HandOff, slab: int) -> Panel:
    return replace(
        panel,
        data=f"/run/%/{hand_off.member('data', slab)}",
        dims=hand_off.dims[slab],
        flags=_safe_flags(panel),
        masks=(Mask(number=0, data=f"/run/%/{hand_off.member('mask', slab)}", bad_bits=1),),
        saturation_map=None if _has_inner_saturation_map(panel) else panel.saturation_map,
        saturation_map_file=_absolute(panel.saturation_map_file),
    )


def _safe_flags(panel: Panel) -> tuple[Flag, ...]:
    """Return flags that CrystFEL 0.12 understands as they are meant.

    It keeps flag values in 32 bits with a sign: 4294967294 turns into the lowest number there is,
    and "more than" that masks every pixel. Marks of uint32 data are above two thousand million.
    """
    safe = (
        Flag("morethan", _UINT32_MARKS)
        if flag.value > _INT32_MAX and flag.kind != "lessthan"
        else flag
        for flag in panel.flags
    )
    return tuple(dict.fromkeys(safe))


def _absolute(file: str | None) -> str | None:
    return None if file is None else str(Path(file).absolute())


def _is_constant(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> bool:
    return bool(np.all(values == values.flat[0]))


def _quantity(
    values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], name: str, unit: str
) -> Quantity:
    if _is_constant(values):
        return Quantity(value=float(values.flat[0]), unit=unit)
    return Quantity(header=f"/run/%/{name}", unit=unit)


def _shift(geometry: Geometry, results: RunResults) -> tuple[Quantity, Quantity] | None:
    if geometry.detector_shift is None:
        return None
    x, y = (_quantity(results.detector_shift_m[:, k], SHIFTS[k], "m") for k in (0, 1))
    return x, y


def _finished(derived: Geometry, original: Geometry) -> str:
    """Write a geometry, with the rigid groups of the original, which the model does not hold."""
    name = " ".join(original.file.splitlines())
    rigid = re.findall(r"^[ \t]*(rigid_group[^\r\n]*)", original.text, flags=re.MULTILINE)
    lines = (f"; {name}, adapted by cxlsfind {__version__}", write_geometry(derived), *rigid)
    return "\n".join(line.rstrip("\n") for line in lines) + "\n"
