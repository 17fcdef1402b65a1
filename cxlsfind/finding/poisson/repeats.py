"""Frames that come more than once: each is one observation, however often it is listed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cxlsfind.finding.poisson.canvas import PlacedFrame


def first_of_equals(
    frames: Sequence[PlacedFrame], bins: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return for every frame the first one that holds the same photons, pixel by pixel.

    Frames without photons are alike, and still so many observations: they stand for themselves.

    Parameters
    ----------
    bins
        Photons by bin of radius, shape (frames, bins).
    """
    first = np.arange(len(frames))
    known: dict[bytes, list[int]] = {}
    for number in np.flatnonzero(bins.any(axis=1)).tolist():
        like = known.setdefault(bins[number].tobytes(), [])
        same = [other for other in like if _is_same(frames[other], frames[number])]
        if same:
            first[number] = same[0]
        else:
            like.append(number)
    return first


def _is_same(one: PlacedFrame, other: PlacedFrame) -> bool:
    return (
        np.array_equal(one.planes, other.planes)
        and np.array_equal(one.place, other.place)
        and np.array_equal(one.count, other.count)
        and np.array_equal(one.censored, other.censored)
    )
