"""``cxlsfind-geometry``: check geometry files, and show what is in them."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Iterator, Sequence

from cxlsfind.errors import GeometryError
from cxlsfind.geometry.crystfel import read_geometry
from cxlsfind.geometry.model import Geometry, Quantity
from cxlsfind.geometry.obstacles import geometry_obstacles
from cxlsfind.geometry.shipped import find_geometry
from cxlsfind.geometry.summary import geometry_summary, literal_wavelength_m
from cxlsfind.units import photon_energy_ev

_MOST_PANELS = 8


def main(argv: Sequence[str] | None = None) -> int:
    """Check the geometry files named on the command line.

    Returns
    -------
    0, or 3 when a file is refused; its reason is on standard error as ``file:line: reason``.
    """
    options = _parser().parse_args(argv)
    try:
        return _check(options)
    except BrokenPipeError:
        # Whoever read the report has seen enough; Python must not fail when it flushes the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _check(options: argparse.Namespace) -> int:
    code = 0
    for name in options.files:
        geometry: Geometry | GeometryError
        try:
            geometry = read_geometry(find_geometry(name))
        except GeometryError as error:
            geometry = error
            code = error.exit_code
            sys.stderr.write(f"{_printable(str(error))}\n")
        if options.json:
            sys.stdout.write(json.dumps(geometry_summary(geometry, name)) + "\n")
        elif isinstance(geometry, Geometry):
            sys.stdout.writelines(f"{_printable(line)}\n" for line in _report(geometry))
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cxlsfind-geometry",
        description="Check CrystFEL geometry files as strictly as CrystFEL does. A file that is "
        "refused is named with line and reason, and the exit status is 3.",
    )
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="+",
        help="geometry file, or the name of a geometry that comes with cxlsfind, such as Eiger4M",
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON per file")
    return parser


def _report(geometry: Geometry) -> Iterator[str]:
    """Yield the lines that describe a geometry to a person."""
    yield geometry.file
    yield f"  beam      {_beam(geometry)}"
    yield f"  distance  {_clen(geometry)}"
    yield f"  panels    {len(geometry.panels)}"
    for panel in geometry.panels[:_MOST_PANELS]:
        yield (
            f"    {panel.name:10s} {panel.width} x {panel.height} pixels of {_pitch(panel.res)} at "
            f"fs {panel.min_fs}, ss {panel.min_ss}; corner {panel.corner_x:g}, {panel.corner_y:g}; "
            f"data {panel.data}"
        )
    if len(geometry.panels) > _MOST_PANELS:
        yield f"    and {len(geometry.panels) - _MOST_PANELS} more"
    yield f"  masked by {_masks(geometry)}"
    for line, _, text in (warning.partition(": ") for warning in geometry.warnings):
        yield f"  warning   line {line}: {text}"
    for problem in geometry_obstacles(geometry):
        yield f"  problem   {problem}"


def _beam(geometry: Geometry) -> str:
    if geometry.beam is not None and geometry.beam_kind is not None and geometry.beam.value is None:
        return f"{geometry.beam_kind.value} from header {_header(geometry.beam)}"
    wavelength = literal_wavelength_m(geometry)
    if wavelength is None or not 0.0 < wavelength < math.inf:
        return "impossible"
    return f"{photon_energy_ev(wavelength):.6g} eV, {wavelength * 1e10:.6g} A"


def _clen(geometry: Geometry) -> str:
    clen = geometry.clen or Quantity()
    text = f"from header {_header(clen)}" if clen.value is None else f"{clen.value * 1e3:.6g} mm"
    return text if geometry.detector_shift is None else text + ", with a shift of the detector"


def _header(quantity: Quantity) -> str:
    return f"{quantity.header} in {quantity.unit}"


def _pitch(res: float) -> str:
    return f"{1e6 / res:.6g} um" if res else "unknown size"


def _masks(geometry: Geometry) -> str:
    arrays = sorted({mask.data for panel in geometry.panels for mask in panel.masks})
    flags = sorted({f"{f.kind} {f.value}" for panel in geometry.panels for f in panel.flags})
    parts = [f"array {path}" for path in arrays]
    parts += [f"values {flag}" for flag in flags]
    if geometry.bad_regions:
        parts.append(f"{len(geometry.bad_regions)} bad regions")
    off = [panel.name for panel in geometry.panels if panel.no_index]
    if off:
        parts.append(f"no_index of {', '.join(off)}")
    if any(panel.mask_edge_pixels > 0 for panel in geometry.panels):
        parts.append("panel edges")
    return "; ".join(parts) or "nothing"


def _printable(text: str) -> str:
    """Replace what a terminal cannot show: bytes that are no UTF-8, control characters."""
    return "".join(c if c.isprintable() else "?" for c in text)


if __name__ == "__main__":
    sys.exit(main())
