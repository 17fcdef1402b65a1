"""What one photon reads in the data."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cxlsfind.errors import FrameError
from cxlsfind.geometry.model import Geometry

#: Fewest lit pixels that tell a gain, and the share of them that may read 1 all the same.
_FEWEST_LIT = 50
_ONES = 0.01

#: Pixels of the parts over whose ratios of variance and mean the median is taken.
_PART = 256

#: Least ratio that is a gain, and pixels that must share a value to say of what it is a multiple.
_LEAST_GAIN = 1.5
_COMMON = 3


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


def estimate_gain(raw: npt.NDArray[np.integer], usable: npt.NDArray[np.bool_]) -> float:
    """Return what one photon seems to read in integers that are said to be counts.

    Counts of photons scatter with a variance equal to their mean. Where the variance is a
    multiple of it and nothing reads 1, the values are multiples of a gain. Neighbours two pixels
    apart are compared, so that neither slopes nor shared charge matter, and the median over parts
    of the frame is taken, so that spots do not.

    Parameters
    ----------
    raw
        Frame array as in the file.
    usable
        Pixels that the run's mask lets through.

    Returns
    -------
    1 for counts, and where too few pixels are lit to tell.
    """
    # The two largest numbers are marks.
    good = usable & (raw > 0) & (raw < np.iinfo(raw.dtype).max - 1)
    values, numbers = np.unique(raw[good], return_counts=True)
    n_lit = int(numbers.sum())
    if n_lit < _FEWEST_LIT or numbers[values == 1].sum() > _ONES * n_lit:
        return 1.0
    counts = np.where(good, raw, 0).astype(np.float64)
    paired = usable[:-2] & usable[2:]
    one, two = np.where(paired, counts[:-2], 0.0), np.where(paired, counts[2:], 0.0)
    starts = np.arange(0, one.size, _PART)
    square = np.add.reduceat((one - two) ** 2, starts)
    total = np.add.reduceat(one + two, starts)
    lit = total > 0
    ratio = float(np.median(square[lit] / total[lit])) if lit.any() else 1.0
    if ratio < _LEAST_GAIN:
        return 1.0
    step = float(np.gcd.reduce(values[numbers >= _COMMON])) if (numbers >= _COMMON).any() else 1.0
    return step if step > 1.0 else float(f"{ratio:.3g}")
