"""Photon lists as bit planes."""

from __future__ import annotations

from typing import Final

import numpy as np

from cxlsfind.records import PhotonFrame, PlaneFrame

#: Numbers of planes that are tried; the last counts as far as the types of detectors do.
_NUMBERS: Final = (2, 3, 4, 5, 6, 8, 10, 12, 14, 16)

#: A number of planes will do if no more than one pixel in this many has all bits set.
_LISTED_SHARE: Final = 4096


def plane_frame(frame: PhotonFrame) -> PlaneFrame:
    """Return a photon list as bit planes."""
    few = frame.n_pixels // _LISTED_SHARE
    n_planes = next(
        (n for n in _NUMBERS if np.count_nonzero(frame.count >= 2**n - 1) <= few), _NUMBERS[-1]
    )
    full = 2**n_planes - 1
    padded = np.zeros(-(-frame.n_pixels // 64) * 64, np.uint32)
    padded[frame.index] = np.minimum(frame.count, full)
    planes = np.array(
        [
            np.packbits((padded >> k & 1).astype(np.uint8), bitorder="little").view("<u8")
            for k in range(n_planes)
        ],
        np.uint64,
    )
    listed = frame.count >= full
    return PlaneFrame(
        frame.n_pixels,
        planes,
        frame.index[listed],
        frame.count[listed],
        frame.bad,
        frame.censored,
    )
