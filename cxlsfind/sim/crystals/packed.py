"""Compact files of intensities: the unique reflections of a crystal, 16 bits each."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from cxlsfind.sim.crystals.cell import UnitCell
from cxlsfind.sim.crystals.reflections import Crystal, complete, half_sphere, representatives
from cxlsfind.sim.crystals.symmetry import symmetry_group

#: Intensities from here on, electrons squared, are told apart; weaker ones count as this.
_FLOOR: Final = 0.1


def write_packed(path: Path, crystal: Crystal, generators: tuple[str, ...]) -> None:
    """Write the unique intensities of a crystal: logarithms, 16 bits.

    Parameters
    ----------
    generators
        Operators that make its space group.
    """
    _, first = np.unique(
        representatives(crystal.hkl, symmetry_group(generators)), return_index=True
    )
    logarithm = np.log(np.maximum(crystal.intensity[first].astype(np.float64), _FLOOR))
    low, high = float(logarithm.min()), float(logarithm.max())
    code = np.round((logarithm - low) / (high - low) * 65535).astype(np.uint16)
    cell = crystal.cell
    np.savez_compressed(
        path,
        name=crystal.name,
        source=crystal.source,
        generators=";".join(generators),
        cell=np.array([cell.a, cell.b, cell.c, cell.alpha, cell.beta, cell.gamma]),
        d_min_m=crystal.d_min_m,
        range=np.array([low, high]),
        code=code,
    )


def read_packed(path: Path, d_min_m: float) -> Crystal:
    """Read what :func:`write_packed` wrote, to a resolution or to that of the file.

    The unique reflections are those of the cell and the group: the file holds no indices.
    """
    with np.load(path) as file:
        cell = UnitCell(*file["cell"].tolist())
        generators = tuple(str(file["generators"]).split(";"))
        low, high = file["range"].tolist()
        code = file["code"].astype(np.float64)
        resolution = float(file["d_min_m"])
        name, source = str(file["name"]), str(file["source"])
    group = symmetry_group(generators)
    # The last reflection lies at the resolution itself: not to be lost to rounding.
    every = half_sphere(cell, resolution * (1.0 - 1e-8))
    every = every[~group.absent(every)]
    _, first = np.unique(representatives(every, group), return_index=True)
    values = np.exp(low + code / 65535 * (high - low))
    return complete(
        cell, group, every[first], values, max(d_min_m, resolution * (1.0 - 1e-8)), name, source
    )
