"""Changes inside a block: the shutter closes, the jet is lost, the detector moves."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

#: A frame with fewer photons than this, or than this share of the block's bright frames, was
#: taken without beam.
_DARK_PHOTONS = 30.0
_DARK_SHARE = 0.01

#: Nats by which two shapes must describe the frames better than one, per zone compared, and
#: beyond that; and the smallest difference between zones that matters.
_GAIN_PER_ZONE = 3.0
_GAIN = 15.0
_SMALLEST_CHANGE = 0.02

_N_ZONES = 24


def dark_frames(totals: FloatArray) -> npt.NDArray[np.bool_]:
    """Tell frames taken without beam from their photon totals."""
    bright = np.quantile(totals, 0.9)
    dark: npt.NDArray[np.bool_] = totals < max(_DARK_PHOTONS, _DARK_SHARE * bright)
    return dark


def zone_sums(ring_sums: npt.NDArray[np.int64]) -> FloatArray:
    """Pool rings to zones of about equal photons over the block; shape (frames, zones)."""
    total = ring_sums.sum(axis=0).astype(np.float64)
    share = np.cumsum(total) / max(float(total.sum()), 1.0)
    zone = np.minimum((share * _N_ZONES).astype(np.int64), _N_ZONES - 1)
    members = np.zeros((len(total), _N_ZONES))
    members[np.arange(len(total)), zone] = 1.0
    return ring_sums.astype(np.float64) @ members


def split_at_changes(zones: FloatArray) -> list[int]:
    """Return the frames at which the shape of the background changes, ascending.

    A change of scale alone is no change. The best split is taken while the multinomial
    likelihood of two shapes beats that of one, and then each side is looked at again.

    Parameters
    ----------
    zones
        Photons per frame and zone; rows of frames without beam are zero.
    """
    if len(zones) < 2:
        return []
    before = np.cumsum(zones, axis=0)[:-1]
    after = zones.sum(axis=0)[None, :] - before
    gain = (
        _log_likelihood(before)
        + _log_likelihood(after)
        - _log_likelihood(zones.sum(axis=0)[None, :])
    )
    gain /= _clumping(zones)
    best = int(np.argmax(gain))
    needed = _GAIN + _GAIN_PER_ZONE * zones.shape[1]
    if gain[best] < needed or not _matters(before[best], after[best]):
        return []
    cut = best + 1
    left = split_at_changes(zones[:cut])
    right = [cut + place for place in split_at_changes(zones[cut:])]
    return [*left, cut, *right]


def _clumping(zones: FloatArray) -> float:
    """Return by how much the scatter from frame to frame exceeds that of single photons.

    Spots put many photons into one place. Neighbouring frames are compared, so that a change
    hardly counts.
    """
    one, two = zones[:-1], zones[1:]
    lit = (one.sum(axis=1) > 0) & (two.sum(axis=1) > 0)
    one, two = one[lit], two[lit]
    if not len(one):
        return 1.0
    ratio = np.sqrt(one.sum(axis=1, keepdims=True) / two.sum(axis=1, keepdims=True))
    square = ((one / ratio - two * ratio) ** 2 / np.maximum(one + two, 1.0)).sum(axis=1)
    typical = float(np.median(square))
    return max(1.0, typical / max(int(zones.shape[1]) - 1, 1))


def _log_likelihood(counts: FloatArray) -> FloatArray:
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1e-300)
    terms: FloatArray = (counts * np.log(np.maximum(counts, 1e-300) / total)).sum(axis=1)
    return terms


def _matters(left: FloatArray, right: FloatArray) -> bool:
    a = left / max(float(left.sum()), 1.0)
    b = right / max(float(right.sum()), 1.0)
    return bool(0.5 * np.abs(a - b).sum() > _SMALLEST_CHANGE)
