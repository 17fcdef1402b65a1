"""Reflections: which there are to a resolution, and the intensities of all from a few."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxlsfind.sim.crystals.cell import UnitCell
from cxlsfind.sim.crystals.symmetry import SymmetryGroup

HklArray = npt.NDArray[np.int16]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Crystal:
    """A kind of crystal: its cell, and how strongly it scatters.

    Parameters
    ----------
    name
        For messages and metadata.
    hkl
        Miller indices, one of each Friedel pair, in order of falling d; int16, shape (n, 3).
    intensity
        Squared structure factor of the cell, electrons squared; float32, shape (n,). Friedel
        mates are equal: no anomalous scattering.
    source
        Where the intensities come from.
    """

    name: str
    cell: UnitCell
    hkl: HklArray
    intensity: npt.NDArray[np.float32]
    source: str

    @property
    def d_min_m(self) -> float:
        """Resolution of the list, metres; infinite for an empty one."""
        if not len(self.hkl):
            return float("inf")
        return float(1.0 / np.linalg.norm(self.cell.reciprocal @ self.hkl[-1].astype(np.float64)))

    def to_resolution(self, d_min_m: float) -> Crystal:
        """Return the crystal with the reflections of this or larger d alone."""
        inverse = inverse_d(self.cell, self.hkl)
        last = int(np.searchsorted(inverse, 1.0 / d_min_m, side="right"))
        return Crystal(self.name, self.cell, self.hkl[:last], self.intensity[:last], self.source)


def inverse_d(cell: UnitCell, hkl: npt.NDArray[np.integer]) -> FloatArray:
    """Return 1/d of reflections, per metre."""
    return np.asarray(np.linalg.norm(hkl @ cell.reciprocal.T, axis=1), np.float64)


def half_sphere(cell: UnitCell, d_min_m: float) -> HklArray:
    """Return one of each Friedel pair to a resolution, in order of falling d; shape (n, 3).

    The pair's member with l > 0 is taken, then k > 0, then h > 0; 000 is left out.
    """
    # In the direction of an axis no index passes the length of that axis over d.
    first, second, third = (int(axis * 1e-10 / d_min_m) for axis in (cell.a, cell.b, cell.c))
    grid = (
        np.mgrid[-first : first + 1, -second : second + 1, 0 : third + 1]
        .reshape(3, -1)
        .T.astype(np.int16)
    )
    grid = grid[is_upper(grid)]
    inverse = inverse_d(cell, grid)
    inside = inverse <= 1.0 / d_min_m
    grid, inverse = grid[inside], inverse[inside]
    # Equal d: by the indices, so that the order does not hang on rounding.
    order = np.lexsort((grid[:, 2], grid[:, 1], grid[:, 0], np.round(0.1 * inverse)))
    return np.ascontiguousarray(grid[order])


def is_upper(hkl: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Return which reflections are the chosen ones of their Friedel pairs."""
    first, second, third = hkl.T
    in_plane = (second > 0) | ((second == 0) & (first > 0))
    return np.asarray((third > 0) | ((third == 0) & in_plane))


def representatives(hkl: npt.NDArray[np.integer], group: SymmetryGroup) -> npt.NDArray[np.int64]:
    """Return the key of the reflections that are equivalent to each: the largest of their codes."""
    best = np.full(len(hkl), -1, np.int64)
    wide = hkl.astype(np.int64)
    for rotation in group.point_rotations:
        np.maximum(best, _code(wide @ rotation), out=best)
    return best


def complete(
    cell: UnitCell,
    group: SymmetryGroup,
    hkl: npt.NDArray[np.integer],
    intensity: FloatArray,
    d_min_m: float,
    name: str,
    source: str,
) -> Crystal:
    """Return a crystal with all reflections to a resolution, from the unique ones.

    Parameters
    ----------
    hkl, intensity
        At least one of each set of equivalent reflections, in any order; several are averaged,
        missing ones are zero.
    """
    keys, place = np.unique(representatives(hkl, group), return_inverse=True)
    total = np.bincount(place, intensity, len(keys))
    mean = total / np.bincount(place, minlength=len(keys))
    wanted = half_sphere(cell, d_min_m)
    wanted = wanted[~group.absent(wanted)]
    code = representatives(wanted, group)
    at = np.minimum(np.searchsorted(keys, code), max(len(keys) - 1, 0))
    known = keys[at] == code if len(keys) else np.zeros(len(code), np.bool_)
    values = np.where(known, mean[at] if len(keys) else 0.0, 0.0)
    return Crystal(name, cell, wanted, values.astype(np.float32), source)


def _code(hkl: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return one number per reflection; positive for indices up to 4095."""
    shifted = hkl + 4096
    return np.asarray((shifted[:, 2] << 28) | (shifted[:, 1] << 14) | shifted[:, 0])
