"""Geometry files that CrystFEL accepts although no frame can be processed with them."""

from __future__ import annotations

import math
from typing import Final

from cxlsfind.errors import InputError
from cxlsfind.geometry.beam import clen_m, wavelength_m
from cxlsfind.geometry.model import Geometry, Panel, Quantity

#: Beyond this, in pixels, a distance from the beam is a mistake, and a histogram per pixel of
#: radius would not fit in memory.
MAX_RADIUS_PX: Final = 2**24


def geometry_obstacles(geometry: Geometry) -> tuple[str, ...]:
    """Return why frames cannot be processed with a geometry: one sentence each, empty if they can.

    Numbers that the images hold are not looked at, and the wavelength and camera length may be
    missing.
    """
    problems = [
        f"{geometry.file}: panel {panel.name} {problem}"
        for panel in geometry.panels
        for problem in panel_obstacles(panel)
    ]
    checks = []
    if geometry.beam is not None and geometry.beam.header is None:
        checks.append(wavelength_m)
    if geometry.clen is not None and (geometry.clen.header is None or not geometry.clen.scale):
        checks.append(clen_m)
    for check in checks:
        try:
            check(geometry)
        except InputError as error:
            problems.append(str(error))
    return (*problems, *_shift_obstacles(geometry))


def panel_obstacles(panel: Panel) -> list[str]:
    """Return what is wrong with a panel, each as the end of a sentence that starts with it."""
    problems = []
    if panel.width <= 0 or panel.height <= 0:
        problems.append(
            f"is empty: fs {panel.min_fs} to {panel.max_fs}, ss {panel.min_ss} to {panel.max_ss}"
        )
    if any(isinstance(role, int) and role < 0 for role in panel.dims):
        problems.append("has a dimension without a role; give every dim up to the last")
    if panel.dims.count("ss") > 1 or panel.dims.count("fs") > 1:
        problems.append("has more than one dimension for ss or for fs")
    if not (0.0 < panel.res < math.inf):
        problems.append(f"has res = {panel.res:g}; expected the pixels per metre")
    if not math.isfinite(panel.coffset):
        problems.append(f"has coffset = {panel.coffset:g}; expected metres")
    reach = (
        math.hypot(panel.corner_x, panel.corner_y)
        + abs(panel.width) * math.hypot(*panel.fs)
        + abs(panel.height) * math.hypot(*panel.ss)
    )
    if not reach < MAX_RADIUS_PX:
        problems.append(f"is {reach:g} pixels from the beam; check corner_x, corner_y, fs and ss")
    gain = panel.adu_per_ev if panel.adu_per_photon is None else panel.adu_per_photon
    if gain is None or not 0.0 < gain < math.inf:
        problems.append(f"has a gain of {gain}; expected a positive adu_per_photon or adu_per_eV")
    return problems


def _shift_obstacles(geometry: Geometry) -> list[str]:
    shifts = geometry.detector_shift
    if shifts is None or shifts[0] == Quantity():
        return []
    problems = []
    for axis, shift in zip("xy", shifts, strict=True):
        name = f"{geometry.file}: detector_shift_{axis}"
        if shift == Quantity():
            problems.append(f"{name} is missing; expected both or none")
        elif not shift.scale:
            problems.append(f"{name} has the unit {shift.unit!r}; expected m or mm after one blank")
        elif shift.value is not None and not math.isfinite(shift.value):
            problems.append(f"{name} is {shift.value}; expected a finite number")
    return problems
