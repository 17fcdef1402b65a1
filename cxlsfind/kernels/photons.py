"""From full arrays of readings to photons."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel

#: Largest count a photon list holds.
LARGEST_COUNT = 2**32 - 1


@kernel
def list_rounded(
    values: npt.NDArray[np.float32],
    usable: npt.NDArray[np.bool_],
    windows: npt.NDArray[np.int64],
    adu_per_photon: npt.NDArray[np.float64],
    index: npt.NDArray[np.int32],
    count: npt.NDArray[np.uint32],
) -> int:
    """List the usable pixels that read at least half a photon, with the nearest number of photons.

    Parameters
    ----------
    values
        Frame array, in the units of the data; finite where usable.
    windows
        One row per panel: start, stride, height, width.
    adu_per_photon
        Reading of one photon, per panel.
    index, count
        Results, as long as ``values``; panel after panel. Counts stop at ``LARGEST_COUNT``.

    Returns
    -------
    Number of pixels listed.
    """
    n = 0
    for panel in range(windows.shape[0]):
        start, stride, height, width = windows[panel]
        for ss in range(height):
            for pixel in range(start + ss * stride, start + ss * stride + width):
                photons = np.floor(values[pixel] / adu_per_photon[panel] + 0.5)
                if photons >= 1.0 and usable[pixel]:
                    index[n] = pixel
                    count[n] = np.uint32(min(photons, np.float64(LARGEST_COUNT)))
                    n += 1
    return n


@kernel
def sum_photons(
    values: npt.NDArray[np.float32],
    usable: npt.NDArray[np.bool_],
    windows: npt.NDArray[np.int64],
    adu_per_photon: npt.NDArray[np.float64],
) -> float:
    """Return the sum, in photons, of the usable pixels of all panels; parameters as above."""
    total = 0.0
    for panel in range(windows.shape[0]):
        start, stride, height, width = windows[panel]
        in_panel = 0.0
        for ss in range(height):
            for pixel in range(start + ss * stride, start + ss * stride + width):
                if usable[pixel]:
                    in_panel += values[pixel]
        total += in_panel / adu_per_photon[panel]
    return total
