"""Reflections of a still crystal that meet the Ewald spheres of a band of wavelengths."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel

#: Beyond this many sigma the profile of a reflection counts as nothing.
REACH = 4.5


class Band(NamedTuple):
    """The spheres, and what widens reflections.

    Parameters
    ----------
    wavenumber
        One over the wavelength in the middle, per metre.
    low, high
        Ends of the spectrum, as logarithms of the wavenumber over that in the middle.
    angle
        Standard deviation of the angle between beam and lattice: divergence and mosaicity, rad.
    node
        Standard deviation of the reciprocal lattice's nodes, per metre.
    limit
        Largest length of q, per metre.
    """

    wavenumber: float
    low: float
    high: float
    angle: float
    node: float
    limit: float


@kernel
def select_reflections(
    hkl: npt.NDArray[np.int16],
    orientation: npt.NDArray[np.float64],
    band: Band,
    row: npt.NDArray[np.int32],
    q: npt.NDArray[np.float64],
    log_k: npt.NDArray[np.float64],
    sigma: npt.NDArray[np.float64],
) -> int:
    """List the reflections whose profile overlaps the band; return their number.

    A node q of the reciprocal lattice diffracts the wavenumber k with ``k + q`` as long as ``k``:
    ``k = -q^2 / (2 q_z)``, the beam along +z. Of a Friedel pair at most one does.

    Parameters
    ----------
    hkl
        One of each Friedel pair, ascending in length, shape (n, 3).
    orientation
        Reciprocal axes of the turned crystal as columns, per metre, shape (3, 3).
    row
        Output: row of ``hkl``; ``-1 - row`` where it is the Friedel mate that diffracts.
    q
        Output: node, per metre, shape (capacity, 3).
    log_k
        Output: logarithm of the wavenumber that diffracts, over that in the middle.
    sigma
        Output: standard deviation of ``log_k`` over angles and sizes of nodes.
    """
    m = orientation
    n = 0
    for i in range(hkl.shape[0]):
        h, k, l = float(hkl[i, 0]), float(hkl[i, 1]), float(hkl[i, 2])  # noqa: E741
        z = m[2, 0] * h + m[2, 1] * k + m[2, 2] * l
        if z == 0.0:
            continue
        x = m[0, 0] * h + m[0, 1] * k + m[0, 2] * l
        y = m[1, 0] * h + m[1, 1] * k + m[1, 2] * l
        across = x * x + y * y
        square = across + z * z
        if square > band.limit * band.limit:
            break
        ratio = square / (2.0 * abs(z) * band.wavenumber)
        width = math.sqrt(band.angle**2 * across + band.node**2) / abs(z)
        # Logarithms are dear: 1 + x <= exp(x) leaves few reflections. Where they are wide, which is
        # where q hardly points along the beam, the excitation error itself decides.
        bottom, top = band.low - REACH * width, band.high + REACH * width
        if ratio < 1.0 + bottom or ratio > 1.0 + top:
            continue
        value = math.log(ratio)
        if value < bottom:
            continue
        if n == row.shape[0]:
            break
        sign = 1.0 if z < 0.0 else -1.0
        row[n] = i if z < 0.0 else -1 - i
        q[n, 0] = sign * x
        q[n, 1] = sign * y
        q[n, 2] = sign * z
        log_k[n] = value
        sigma[n] = width
        n += 1
    return n
