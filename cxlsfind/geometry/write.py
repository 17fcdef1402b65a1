"""Writing geometry files for CrystFEL from the record."""

from __future__ import annotations

from collections.abc import Iterator

from cxlsfind.geometry.cnumbers import wrap_int32
from cxlsfind.geometry.directions import format_direction
from cxlsfind.geometry.model import BadRegion, Geometry, Mask, Panel, Quantity
from cxlsfind.geometry.regions import DATA_LIMITS, LAB_LIMITS, fits_panel


def write_geometry(geometry: Geometry) -> str:
    """Write a geometry as a complete CrystFEL file.

    Every panel is written with all its properties; comments and unknown keys of the file that the
    geometry was read from are not kept. Reading the result gives an equal geometry (but for file,
    text and warnings), provided that the values are ones that CrystFEL's format can hold: a
    literal photon energy, wavelength or voltage is a single-precision number there.
    """
    blocks = [
        list(_top_lines(geometry)),
        *(list(_region_lines(region, geometry)) for region in geometry.bad_regions),
        *(list(_panel_lines(panel)) for panel in geometry.panels),
        [f"group_{name} = {','.join(members)}" for name, members in geometry.groups.items()],
    ]
    return "\n".join("".join(f"{line}\n" for line in block) for block in blocks if block)


def _top_lines(geometry: Geometry) -> Iterator[str]:
    if geometry.beam is not None and geometry.beam_kind is not None:
        kind = geometry.beam_kind
        yield f"{kind.value} = {_quantity(geometry.beam, kind.si_unit)}"
    if geometry.clen is not None:
        yield f"clen = {_quantity(geometry.clen, 'm')}"
    yield f"bandwidth = {geometry.bandwidth!r}"
    for axis, shift in zip("xy", geometry.detector_shift or (), strict=False):
        if shift != Quantity():
            yield f"detector_shift_{axis} = {_quantity(shift, 'm')}"
    if geometry.peak_list is not None:
        yield f"peak_list = {geometry.peak_list}"
    yield f"peak_list_type = {geometry.peak_list_type}"


def _quantity(quantity: Quantity, si_unit: str) -> str:
    unit = quantity.unit or si_unit
    if quantity.value is not None:
        return f"{quantity.value / quantity.scale!r} {unit}"
    # A header without a name cannot have a unit either: the blank before it would be trimmed.
    return f"{quantity.header} {unit}" if quantity.header else ""


def _region_lines(region: BadRegion, geometry: Geometry) -> Iterator[str]:
    if region.panel is None:
        for key, limit in zip(LAB_LIMITS, region.limits, strict=True):
            yield f"{region.name}/{key} = {limit!r}"
        return
    panel = next(panel for panel in geometry.panels if panel.name == region.panel)
    ranges = {key: getattr(panel, key) for key in DATA_LIMITS}
    corner = (0, 0, 0, 0)
    if fits_panel(region.limits, ranges):
        yield f"{region.name}/panel = {region.panel}"
    else:
        # Only a file with one panel can hold such a region, and only as it stood there: without
        # the panel's name, and counted from the panel's corner.
        corner = (panel.min_fs, panel.min_fs, panel.min_ss, panel.min_ss)
    for key, limit, start in zip(DATA_LIMITS, region.limits, corner, strict=True):
        yield f"{region.name}/{key} = {wrap_int32(int(limit) - start)}"


def _panel_lines(panel: Panel) -> Iterator[str]:
    for key, value in _panel_items(panel):
        yield f"{panel.name}/{key} = {value}"


def _panel_items(panel: Panel) -> Iterator[tuple[str, object]]:
    yield "data", panel.data
    for number, role in enumerate(panel.dims):
        yield f"dim{number}", role
    for key in (*DATA_LIMITS, "corner_x", "corner_y"):
        yield key, repr(getattr(panel, key))
    yield "fs", format_direction(panel.fs)
    yield "ss", format_direction(panel.ss)
    yield "coffset", repr(panel.coffset)
    yield "res", repr(panel.res)
    if panel.adu_per_photon is not None:
        yield "adu_per_photon", repr(panel.adu_per_photon)
    else:
        yield "adu_per_eV", repr(panel.adu_per_ev)
    if panel.max_adu != float("inf"):
        yield "max_adu", repr(panel.max_adu)
    if panel.no_index:
        yield "no_index", "true"
    if panel.mask_edge_pixels:
        yield "mask_edge_pixels", panel.mask_edge_pixels
    for flag in panel.flags:
        yield f"flag_{flag.kind}", flag.value
    for mask in panel.masks:
        yield from _mask_items(mask)
    if panel.saturation_map is not None:
        yield "saturation_map", panel.saturation_map
    if panel.saturation_map_file is not None:
        yield "saturation_map_file", panel.saturation_map_file


def _mask_items(mask: Mask) -> Iterator[tuple[str, object]]:
    prefix = f"mask{mask.number}"
    yield f"{prefix}_data", mask.data
    if mask.file is not None:
        yield f"{prefix}_file", mask.file
    yield f"{prefix}_goodbits", f"{mask.good_bits:#x}"
    yield f"{prefix}_badbits", f"{mask.bad_bits:#x}"
