"""Rings of what surrounds crystals: lipids, polymers, windows; and of ice and other powders.

A ring is a Gaussian in q with as much scattering as a number of electrons squared per molecule of
water, so that a thickness in metres says how much there is, as for water. Diffuse rings are rough:
positions are those of the literature, heights those of typical backgrounds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ring:
    """One ring: place and standard deviation in q, per angstrom; height, electrons squared."""

    q: float
    sigma: float
    height: float


#: What adds diffuse rings, by name.
MATERIALS: Final = {
    # Salt and small molecules raise what water scatters to small angles.
    "buffer": (Ring(0.0, 0.45, 8.0),),
    # Monoolein: the chains' distance of 4.5 angstrom, in a phase with long repeats.
    "lcp": (Ring(1.39, 0.13, 120.0), Ring(0.13, 0.03, 250.0)),
    # Concentrated polyethylene glycol: 4.2 angstrom, broader.
    "peg": (Ring(1.48, 0.22, 45.0),),
    # Grease and oils: 4.6 angstrom.
    "oil": (Ring(1.36, 0.16, 110.0),),
    # Polyimide film: the repeat along the chain at 15.5 angstrom, its orders, an amorphous halo.
    "kapton": (Ring(0.405, 0.02, 60.0), Ring(0.82, 0.05, 12.0), Ring(1.25, 0.22, 70.0)),
}


@dataclass(frozen=True, slots=True)
class PowderLine:
    """A line of a powder: spacing in angstrom, and its strength.

    ``strength`` is the integral over q of the scattering per water molecule, electrons squared per
    angstrom.
    """

    d: float
    strength: float


def _powder(
    volume: float, molecules: int, lines: tuple[tuple[float, float], ...]
) -> tuple[PowderLine, ...]:
    """Return lines from d and multiplicity times squared structure factor of the cell.

    The mean of a lattice over all orientations is ``2 pi^2 m F^2 delta(q - 2 pi / d) / (V q^2)``.
    """
    return tuple(
        PowderLine(d, 2 * math.pi**2 * square / (volume * (2 * math.pi / d) ** 2) / molecules)
        for d, square in lines
    )


#: Powders by name. Hexagonal ice (cell 4.497 x 7.322 angstrom, four molecules): spacing, and
#: multiplicity times squared structure factor of oxygens at (1/3, 2/3, 0.0623) with the hydrogens
#: about them, B = 2. Polyethylene glycol: the two lines that stand out of its crystals' powder.
POWDERS: Final = {
    "ice": _powder(
        128.23,
        4,
        (
            (3.895, 1388.0),
            (3.661, 871.0),
            (3.438, 1057.0),
            (2.667, 839.0),
            (2.248, 2405.0),
            (2.068, 2552.0),
            (1.947, 433.0),
            (1.916, 1673.0),
            (1.882, 347.0),
        ),
    ),
    "peg": (PowderLine(4.63, 4.0), PowderLine(3.81, 4.0)),
}


def ring_form_factor(rings: tuple[Ring, ...], q: FloatArray) -> FloatArray:
    """Return the scattering of rings, electrons squared per molecule of water.

    Parameters
    ----------
    q
        4 pi sin(theta) / wavelength, per angstrom.
    """
    result = np.zeros_like(q)
    for ring in rings:
        result += ring.height * np.exp(-0.5 * ((q - ring.q) / ring.sigma) ** 2)
    return result


def powder_form_factor(lines: tuple[PowderLine, ...], width: float, q: FloatArray) -> FloatArray:
    """Return the scattering of a fine powder, electrons squared per molecule of water.

    Parameters
    ----------
    width
        Standard deviation of the spacings, relative.
    q
        As in :func:`ring_form_factor`.
    """
    rings = []
    for line in lines:
        centre = 2.0 * math.pi / line.d
        sigma = width * centre
        rings.append(Ring(centre, sigma, line.strength / (math.sqrt(2.0 * math.pi) * sigma)))
    return ring_form_factor(tuple(rings), q)
