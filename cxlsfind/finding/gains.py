"""What one photon reads in the data."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cxlsfind.errors import FrameError
from cxlsfind.geometry.model import Geometry


def adu_per_photon(geometry: Geometry, photon_energy_ev: float) -> npt.NDArray[np.float64]:
    """Return the reading of one photon on each panel, in the units of the data.

    Raises
    ------
    FrameError
        A panel's ``adu_per_photon``, or its ``adu_per_eV`` times the photon energy, is not a
        positive number.
    """
    gains = np.empty(len(geometry.panels))
    for number, panel in enumerate(geometry.panels):
        if panel.adu_per_photon is not None:
            gain = panel.adu_per_photon
        else:
            gain = (panel.adu_per_ev or 0.0) * photon_energy_ev
        if not 0.0 < gain < np.inf:
            raise FrameError(
                f"{geometry.file}: one photon reads {gain:g} on panel {panel.name} at "
                f"{photon_energy_ev:g} eV; expected a positive number: set adu_per_photon"
            )
        gains[number] = gain
    return gains
