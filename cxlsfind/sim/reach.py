"""How far a detector sees."""

from __future__ import annotations

import math
from typing import Final

from cxlsfind.sim.detector import PixelArray
from cxlsfind.sim.panels import farthest_tangent, panel_grid
from cxlsfind.units import wavelength_m

#: Beam centres wander, and blurred reflections land beside where they should.
_MARGIN: Final = 0.95


def finest_spacing_m(
    detector: PixelArray, photon_energy_ev: float, clen_m: float, bandwidth: float
) -> float:
    """Return the smallest d, metres, whose reflections can reach a detector."""
    tangent = farthest_tangent(panel_grid(detector.panels, detector.shape, clen_m, (0.0, 0.0)))
    shortest = wavelength_m(photon_energy_ev) * math.exp(-bandwidth)
    return _MARGIN * shortest / (2.0 * math.sin(0.5 * math.atan(tangent)))
