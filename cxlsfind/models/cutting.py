"""Cutting the patches around candidates out of a frame, whatever form the frame has."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.geometry.layout import Layout
from cxlsfind.models.peak import PEAK_WINDOW
from cxlsfind.records import PeakArray


class PatchPixels(NamedTuple):
    """Where the pixels of patches lie in the frame array.

    Parameters
    ----------
    pixel
        Flat indices, (n, 11, 11), int64; where ``inside`` is false, of some pixel of the panel.
    inside
        Whether the pixel belongs to the candidate's panel; bool.
    """

    pixel: npt.NDArray[np.int64]
    inside: npt.NDArray[np.bool_]


def patch_pixels(peaks: PeakArray, layout: Layout) -> PatchPixels:
    """Return the pixels around candidates; a patch ends at the edge of its panel.

    Parameters
    ----------
    peaks
        Array of :data:`~cxlsfind.records.PEAK_DTYPE`, with panel and position.
    """
    windows = [layout.windows[panel] for panel in peaks["panel"].tolist()]
    start = np.array([window.start for window in windows], np.int64)
    stride = np.array([window.stride for window in windows], np.int64)
    offset = np.array([layout.slabs[window.slab].offset for window in windows], np.int64)
    top, left = np.divmod(start - offset, np.maximum(stride, 1))
    height = np.array([window.height for window in windows], np.int64)
    width = np.array([window.width for window in windows], np.int64)
    steps = np.arange(PEAK_WINDOW) - PEAK_WINDOW // 2
    ss = (np.floor(peaks["ss"]).astype(np.int64) - top)[:, None, None] + steps[:, None]
    fs = (np.floor(peaks["fs"]).astype(np.int64) - left)[:, None, None] + steps
    inside = (ss >= 0) & (ss < height[:, None, None]) & (fs >= 0) & (fs < width[:, None, None])
    index = start[:, None, None] + (
        np.clip(ss, 0, height[:, None, None] - 1) * stride[:, None, None]
        + np.clip(fs, 0, width[:, None, None] - 1)
    )
    return PatchPixels(index, np.broadcast_to(inside, index.shape))


def patch_backgrounds(
    pixels: PatchPixels,
    peaks: PeakArray,
    profile: npt.NDArray[np.floating],
    radius_bins: npt.NDArray[np.int32],
) -> npt.NDArray[np.float32]:
    """Return expected background photons around candidates, (n, 11, 11).

    The frame's profile by radius, scaled in every patch to what the finder found under the peak:
    that knows of streaks and shadows, which no profile does.

    Parameters
    ----------
    profile
        Background photons per pixel of each radius bin.
    radius_bins
        Radius bin of every pixel of the frame array, -1 outside every panel.
    """
    bins = np.maximum(radius_bins[pixels.pixel], 0)
    around = profile.astype(np.float64)[bins]
    middle = around[:, PEAK_WINDOW // 2, PEAK_WINDOW // 2]
    scale = peaks["background"].astype(np.float64) / np.maximum(middle, 1e-12)
    level: npt.NDArray[np.float32] = np.maximum(around * scale[:, None, None], 1e-9).astype(
        np.float32
    )
    return level
