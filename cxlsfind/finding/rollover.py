"""Counters that rolled over: EIGER2 detectors start again from zero at 256 in their 8-bit mode."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from cxlsfind.finding.planes import counts_at, photon_list
from cxlsfind.geometry.layout import Layout, Slab
from cxlsfind.records import PhotonFrame, PlaneFrame

#: How much brighter than a pixel three of its four neighbours must be. Six standard deviations of
#: the difference of the largest 8-bit counts: no spot looks like that, nor does noise.
_LEAST_STEP: Final = 96
_LEAST_NEIGHBOURS: Final = 3
_LARGEST: Final = 255


def count_rolled_over(frame: PlaneFrame, layout: Layout) -> int:
    """Return the number of pixels whose counter rolled over, as far as they give themselves away.

    Such a pixel is a hole in a bright spot: it reads at least 96 photons less than three of its
    four neighbours. Pixels without photons are not counted, since dead ones look the same. Of
    spots that roll over, 5 to 50 % have such a pixel, the more the larger they are.

    Parameters
    ----------
    frame
        Counts of 8-bit data; neighbours that read 255 do not count, they hold no measurement.
    """
    listed: PlaneFrame | PhotonFrame = frame
    if 2 ** len(frame.planes) - 1 > _LEAST_STEP:
        listed = photon_list(frame)  # bright pixels are not in the frame's own list
    is_bright = (listed.count >= 1 + _LEAST_STEP) & (listed.count < _LARGEST)
    bright = listed.index[is_bright].astype(np.int64)
    if len(bright) < _LEAST_NEIGHBOURS:
        return 0
    return sum(_count_holes(frame, slab, bright) for slab in layout.slabs)


def _count_holes(frame: PlaneFrame, slab: Slab, bright: npt.NDArray[np.int64]) -> int:
    height, width = slab.shape
    place = bright[(bright >= slab.offset) & (bright < slab.offset + height * width)] - slab.offset
    row, column = np.divmod(place, width)
    steps = (
        (-width, row > 0),
        (width, row < height - 1),
        (-1, column > 0),
        (1, column < width - 1),
    )
    # One entry per bright pixel and neighbour of it.
    neighbour = slab.offset + np.concatenate([place[inside] + step for step, inside in steps])
    brightness = counts_at(frame, slab.offset + np.concatenate([place[i] for _, i in steps]))
    count = counts_at(frame, neighbour)
    is_step = (count > 0) & (brightness >= count + _LEAST_STEP)
    n_brighter = np.unique(neighbour[is_step], return_counts=True)[1]
    return int(np.count_nonzero(n_brighter >= _LEAST_NEIGHBOURS))
