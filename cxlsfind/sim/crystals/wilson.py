"""Intensities of a crystal that nobody has solved: Wilson statistics about a protein's mean.

Intensities of general reflections are exponentially distributed about their mean, those of centric
ones as the square of a normal variable (Wilson, Acta Cryst. 2, 318, 1949). The mean is the sum over
the atoms of the cell, times what the packing of atoms in proteins, and solvent around them, make of
it: low at 6 angstrom, high at 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from cxlsfind.errors import InputError
from cxlsfind.sim.crystals.cell import UnitCell
from cxlsfind.sim.crystals.reflections import (
    Crystal,
    complete,
    half_sphere,
    inverse_d,
    representatives,
)
from cxlsfind.sim.crystals.symmetry import SymmetryGroup

FloatArray = npt.NDArray[np.float64]

#: Volume of the protein part of a cell per atom other than hydrogen, cubic angstrom (proteinase K,
#: 2032 atoms in 59.1 % of an eighth of its cell).
_ATOM_VOLUME: Final = 17.5
#: Share of the elements among them, and their form factors: a, b, c of the International Tables
#: for Crystallography, volume C (1992), table 6.1.1.4.
_COMPOSITION: Final = (
    (0.634, (2.31, 1.02, 1.5886, 0.865), (20.8439, 10.2075, 0.5687, 51.6512), 0.2156),
    (0.172, (12.2126, 3.1322, 2.0125, 1.1663), (0.0057, 9.8933, 28.9975, 0.5826), -11.529),
    (0.190, (3.0485, 2.2868, 1.5463, 0.867), (13.2771, 5.7011, 0.3239, 32.9089), 0.2508),
    (0.004, (6.9053, 5.2034, 1.4379, 1.5863), (1.4679, 22.2151, 0.2536, 56.172), 0.8669),
)
#: Mean intensity over that of independent atoms at rest, at 1/d squared (per square angstrom): the
#: calculated intensities of proteinase K, its B factor of 10.6 taken off, smoothed, one far out.
_ENVELOPE: Final = (
    (0.0, 0.003, 0.006, 0.009, 0.0138, 0.0176, 0.0225, 0.0275, 0.035, 0.045, 0.055, 0.065, 0.075,
     0.09, 0.11, 0.13, 0.15, 0.18, 0.22, 0.26, 0.30),
    (1.0, 0.85, 0.50, 0.62, 0.64, 0.53, 0.39, 0.41, 0.55, 0.92, 1.07, 1.15, 1.22,
     1.10, 0.98, 0.92, 0.90, 0.98, 1.08, 1.08, 1.0),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class WilsonRecipe:
    """What Wilson intensities need to know of a crystal.

    Parameters
    ----------
    group
        Its space group, or its point group where screw axes do not matter.
    solvent
        Share of the cell's volume that is not protein.
    b_factor
        Mean B factor, square angstrom.
    seed
        Settles the intensities.

    Raises
    ------
    InputError
        A number has no meaning.
    """

    cell: UnitCell
    group: SymmetryGroup
    solvent: float = 0.5
    b_factor: float = 20.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers without a meaning."""
        if not 0.0 <= self.solvent < 1.0:
            raise InputError(f"the solvent's share is {self.solvent}: expected 0 to below 1")
        if not self.b_factor >= 0.0:
            raise InputError(f"the B factor is {self.b_factor}: expected 0 or more")

    def mean_intensity(self, inverse_d_m: FloatArray) -> FloatArray:
        """Return the mean squared structure factor of general reflections, electrons squared.

        Parameters
        ----------
        inverse_d_m
            1/d, per metre.
        """
        square = (inverse_d_m * 1e-10) ** 2
        per_atom = np.zeros_like(square)
        for share, heights, widths, constant in _COMPOSITION:
            factor = constant + sum(
                height * np.exp(-width * square / 4)
                for height, width in zip(heights, widths, strict=True)
            )
            per_atom += share * factor**2
        n_atoms = self.cell.volume_m3 * 1e30 * (1.0 - self.solvent) / _ATOM_VOLUME
        envelope = np.interp(square, *_ENVELOPE)
        return np.asarray(n_atoms * per_atom * envelope * np.exp(-self.b_factor * square / 2))


def wilson_crystal(recipe: WilsonRecipe, d_min_m: float, name: str) -> Crystal:
    """Return a crystal with Wilson intensities to a resolution.

    The strongest reflections are the same whatever the resolution: unique reflections get their
    numbers in order of falling d.
    """
    hkl = half_sphere(recipe.cell, d_min_m)
    hkl = hkl[~recipe.group.absent(hkl)]
    _, first = np.unique(representatives(hkl, recipe.group), return_index=True)
    unique = hkl[np.sort(first)]
    rng = np.random.default_rng(recipe.seed)
    # Two normal variables each: their squares make both distributions.
    squares = rng.standard_normal((len(unique), 2)) ** 2
    relative = np.where(recipe.group.centric(unique), squares[:, 0], squares.sum(axis=1) / 2)
    mean = recipe.mean_intensity(inverse_d(recipe.cell, unique))
    values = relative * mean * recipe.group.multiplicity(unique)
    source = f"Wilson statistics, seed {recipe.seed}"
    return complete(recipe.cell, recipe.group, unique, values, d_min_m, name, source)
