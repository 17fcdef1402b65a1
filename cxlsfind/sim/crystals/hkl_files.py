"""Lists of intensities: CrystFEL's reflection lists, and plain rows of h k l I."""

from __future__ import annotations

import gzip
import math
import re
import zlib
from pathlib import Path
from typing import TextIO

import numpy as np

from cxlsfind.errors import InputError
from cxlsfind.sim.crystals.cell import UnitCell
from cxlsfind.sim.crystals.reflections import Crystal, complete, inverse_d
from cxlsfind.sim.crystals.symmetry import SymmetryGroup, point_group

_ROW = re.compile(r"^\s*(-?\d+)\s+(-?\d+)\s+(-?\d+)\s+([-+.\deE]+)(\s|$)")


def read_hkl(path: Path, cell: UnitCell, group: SymmetryGroup | None, d_min_m: float) -> Crystal:
    """Read squared structure factors, electrons squared, and complete them by symmetry.

    Negative intensities, as measurements have them, count as zero.

    Parameters
    ----------
    group
        Symmetry of the list; ``None``: that of the line ``Symmetry:`` of a CrystFEL list.
    d_min_m
        Resolution beyond which the list is not used, metres.

    Raises
    ------
    InputError
        The file cannot be read, holds no reflections, or names no symmetry where one is needed.
    """
    rows, named = _parse(path)
    if not rows:
        raise InputError(f"{path}: holds no reflections; expected rows of h k l and intensity")
    if group is None:
        if named is None:
            raise InputError(f"{path}: names no symmetry; give that of the list, as 4/mmm")
        try:
            group = point_group(named)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
    table = np.array(rows, np.float64)
    hkl = table[:, :3].astype(np.int16)
    kept = (inverse_d(cell, hkl) <= 1.0 / d_min_m) & hkl.any(axis=1)
    if not kept.any():
        raise InputError(f"{path}: all reflections lie beyond {d_min_m * 1e10:g} A in this cell")
    limit = max(d_min_m, float(1.0 / inverse_d(cell, hkl[kept]).max()) * (1.0 - 1e-8))
    values = np.maximum(table[kept, 3], 0.0)
    return complete(cell, group, hkl[kept], values, limit, path.stem, f"list {path.name}")


def _parse(path: Path) -> tuple[list[tuple[float, ...]], str | None]:
    rows: list[tuple[float, ...]] = []
    named = None
    try:
        with _open(path) as lines:
            for number, line in enumerate(lines, start=1):
                if line.startswith("Symmetry:"):
                    named = line.partition(":")[2].strip()
                elif line.startswith("End of reflections"):
                    break
                else:
                    match = _ROW.match(line)
                    if match is not None:
                        rows.append(_numbers(match, path, number))
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read as a reflection list: {error}") from error
    return rows, named


def _numbers(match: re.Match[str], path: Path, line: int) -> tuple[float, ...]:
    try:
        values = tuple(float(text) for text in match.groups()[:4])
    except ValueError:
        raise InputError(f"{path}:{line}: {match[4]!r} is no intensity") from None
    if not math.isfinite(values[3]) or max(abs(index) for index in values[:3]) > 4095:
        raise InputError(f"{path}:{line}: {match[0].strip()!r} is no reflection")
    return values


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8")
    return path.open(encoding="utf-8")
