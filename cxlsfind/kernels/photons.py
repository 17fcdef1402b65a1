"""From full arrays of pixel values to lists of photons."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel

#: Largest count a photon list holds.
LARGEST_COUNT = 2**32 - 1


@kernel
def list_photons(
    raw: npt.NDArray[Any],
    usable: npt.NDArray[np.bool_],
    largest: int,
    index: npt.NDArray[np.int32],
    count: npt.NDArray[np.uint32],
) -> tuple[int, int, int]:
    """List the usable pixels of an array of integers that are above zero.

    Parameters
    ----------
    raw
        Frame array, of any integer type of at most 32 bits.
    largest
        Largest value of the type.
    index, count
        Results, as long as ``raw``: pixels, ascending, and their values.

    Returns
    -------
    Numbers of usable pixels above zero, below zero, and at ``largest``.
    """
    n, n_negative, n_largest = 0, 0, 0
    for pixel in range(raw.size):
        value = raw[pixel]
        # Almost all pixels end here, and their mask is never read.
        if value == 0 or not usable[pixel]:
            continue
        if value < 0:
            n_negative += 1
            continue
        index[n] = pixel
        count[n] = value
        n += 1
        if value == largest:
            n_largest += 1
    return n, n_negative, n_largest


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
