"""Names of sharp rings by their resolution: ice, salt, lipid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from cxlsfind.finding.poisson.settings import SharpRing
from cxlsfind.geometry.model import Geometry
from cxlsfind.records import FrameHeader
from cxlsfind.units import wavelength_m

#: Lattice spacings, angstrom: hexagonal ice (Ih), and sodium chloride, the commonest salt.
_POWDERS: Final = {
    "ice": (3.90, 3.67, 3.44, 2.67, 2.25, 2.07, 1.95, 1.92, 1.88, 1.72),
    "salt": (3.26, 2.82, 1.99, 1.70, 1.63),
}

#: Chains of lipids lie this far from each other in a mesophase, angstrom.
_LIPID: Final = (4.1, 4.8)

#: By so much of itself may a spacing be off: the camera length is never known better than that.
_TOLERANCE: Final = 0.012


def describe_rings(rings: Sequence[SharpRing], geometry: Geometry, header: FrameHeader) -> str:
    """Return the rings of a frame as ``name:spacing``, angstrom, from the beam outwards.

    Returns
    -------
    Such as ``ice:3.66 unknown:3.1``; empty without rings.
    """
    panel = geometry.panels[0]
    distance = header.clen_m + panel.coffset
    words = []
    for ring in rings:
        two_theta = math.atan2(ring.radius_px / panel.res, distance)
        sine = math.sin(0.5 * two_theta)
        if sine <= 0.0:
            continue
        spacing = 1e10 * wavelength_m(header.photon_energy_ev) / (2.0 * sine)
        words.append(f"{name_ring(spacing)}:{spacing:.3g}")
    return " ".join(words)


def name_ring(spacing: float) -> str:
    """Return what has a lattice spacing, in angstrom: the nearest powder, or ``unknown``."""
    off = {
        name: min(abs(spacing / known - 1.0) for known in spacings)
        for name, spacings in _POWDERS.items()
    }
    nearest = min(off, key=lambda name: off[name])
    if off[nearest] <= _TOLERANCE:
        return nearest
    return "lipid" if _LIPID[0] <= spacing <= _LIPID[1] else "unknown"
