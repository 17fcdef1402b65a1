"""Conditions of data sets: photon energies and camera lengths, as a grid or drawn from ranges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np

from cxlsfind.datasets.naming import DRAWN_CLEN
from cxlsfind.errors import UsageError


@dataclass(frozen=True, slots=True)
class Range:
    """Values drawn evenly from ``low`` to ``high``, or evenly in their logarithm."""

    low: float
    high: float
    is_logarithmic: bool = False

    def draw(self, rng: np.random.Generator) -> float:
        """Return one value."""
        if self.is_logarithmic:
            return math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        return float(rng.uniform(self.low, self.high))


#: One value, or a range to draw from for every frame.
Value = float | Range


def smallest(value: Value) -> float:
    """Return the smallest number that a value may become."""
    return value.low if isinstance(value, Range) else value


def largest(value: Value) -> float:
    """Return the largest number that a value may become."""
    return value.high if isinstance(value, Range) else value


@dataclass(frozen=True, slots=True)
class Condition:
    """What the frames of one data set have in common.

    Parameters
    ----------
    dataset
        Number of the data set, from 1.
    photon_energy_ev, clen_m
        Photon energy and camera length (m).
    clen_number
        Number of the camera length in names.
    crystal
        Name of the crystal.
    photons
        Photons of the beam in one frame.
    """

    dataset: int
    photon_energy_ev: Value
    clen_m: Value
    clen_number: int
    crystal: str
    photons: Value

    @property
    def is_fixed(self) -> bool:
        """Whether no value is drawn: all frames have the same."""
        values = (self.photon_energy_ev, self.clen_m, self.photons)
        return not any(isinstance(value, Range) for value in values)


#: Photon energies (eV) and camera lengths (m) of the nine data sets of Everett & Kurth (2024),
#: Table 1: the energy changes fastest.
TABLE_ENERGIES_EV: Final = (6000.0, 7000.0, 8000.0)
TABLE_CLENS_M: Final = (0.15, 0.25, 0.35)


def table_condition(dataset: int) -> tuple[float, float] | None:
    """Return energy (eV) and camera length (m) of a data set of that table; ``None`` beyond 9."""
    if not 1 <= dataset <= len(TABLE_ENERGIES_EV) * len(TABLE_CLENS_M):
        return None
    row, column = divmod(dataset - 1, len(TABLE_ENERGIES_EV))
    return TABLE_ENERGIES_EV[column], TABLE_CLENS_M[row]


def condition_grid(
    energies_ev: Sequence[Value],
    clens_m: Sequence[Value],
    crystals: Sequence[str],
    photons: Sequence[Value],
) -> tuple[Condition, ...]:
    """Return all combinations, numbered from 1 as in that table.

    The photon energy changes fastest, then camera length, photons and crystal.

    Raises
    ------
    UsageError
        A list has a value twice: its frames would be told apart by nothing.
    """
    lists: dict[str, Sequence[object]] = {
        "photon energy": energies_ev,
        "camera length": clens_m,
        "crystal": crystals,
        "number of photons": photons,
    }
    for what, values in lists.items():
        twice = [value for value in values if values.count(value) > 1]
        if twice:
            raise UsageError(f"the {what} {twice[0]} is given twice: give each value once")
    fixed = sorted(clen for clen in clens_m if not isinstance(clen, Range))
    grid = product(crystals, photons, clens_m, energies_ev)
    return tuple(
        Condition(
            dataset=number,
            photon_energy_ev=energy,
            clen_m=clen,
            clen_number=DRAWN_CLEN if isinstance(clen, Range) else fixed.index(clen) + 1,
            crystal=crystal,
            photons=flux,
        )
        for number, (crystal, flux, clen, energy) in enumerate(grid, start=1)
    )
