"""Cutting the patches around candidates out of a frame, whatever form the frame has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.geometry.layout import Layout
from cxlsfind.models.peak import PEAK_WINDOW
from cxlsfind.records import PEAK_DTYPE, PeakArray

#: Patches hold 16 bits; a brighter pixel adds nothing to what is certain.
_LARGEST_COUNT: Final = 65535


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


class Patches(NamedTuple):
    """What is around candidates, as the peak model takes it.

    Parameters
    ----------
    counts
        Photons, (n, 11, 11), uint16; 0 at unusable pixels.
    background
        Expected background photons per pixel, (n, 11, 11), float32.
    mask
        1 at usable pixels, 0 elsewhere, (n, 11, 11), uint8.
    """

    counts: npt.NDArray[np.uint16]
    background: npt.NDArray[np.float32]
    mask: npt.NDArray[np.uint8]


class FrameArrays(NamedTuple):
    """What is known of every pixel of the frame array, and how a candidate's pixels are found.

    Parameters
    ----------
    layout
        Of the frame array.
    radius_bins
        Radius bin of every pixel, -1 outside every panel; int32.
    usable
        Which pixels were used; bool.
    """

    layout: Layout
    radius_bins: npt.NDArray[np.int32]
    usable: npt.NDArray[np.bool_]


def cut_patches(
    peaks: Sequence[PeakArray],
    profiles: Sequence[npt.NDArray[np.floating]],
    arrays: FrameArrays,
    counts_at: Callable[[int, npt.NDArray[np.int64]], npt.NDArray[np.integer[Any]]],
) -> list[Patches]:
    """Cut what is around candidates out of frames.

    Parameters
    ----------
    peaks
        Candidates of each frame.
    profiles
        Background photons per pixel of each radius bin, for each frame.
    counts_at
        Returns the photons of a frame, by its number, at pixels given by their flat indices.
    """
    together = np.concatenate([np.empty(0, PEAK_DTYPE), *peaks], dtype=PEAK_DTYPE)
    pixels = patch_pixels(together, arrays.layout)
    mask = arrays.usable[pixels.pixel] & pixels.inside
    frame = np.repeat(np.arange(len(peaks)), [len(some) for some in peaks])
    background = patch_backgrounds(pixels, together, np.array(profiles), frame, arrays.radius_bins)
    patches = []
    stop = 0
    for number, some in enumerate(peaks):
        rows = slice(stop, stop + len(some))
        stop = rows.stop
        counts = np.minimum(counts_at(number, pixels.pixel[rows]), _LARGEST_COUNT) * mask[rows]
        patches.append(
            Patches(counts.astype(np.uint16), background[rows], mask[rows].astype(np.uint8))
        )
    return patches


def join_patches(parts: Sequence[Patches]) -> Patches:
    """Return the patches of several frames, one frame after the other."""
    shape = (0, PEAK_WINDOW, PEAK_WINDOW)
    nothing = Patches(
        np.empty(shape, np.uint16), np.empty(shape, np.float32), np.empty(shape, np.uint8)
    )
    return Patches(*(np.concatenate(arrays) for arrays in zip(nothing, *parts, strict=True)))


def patch_pixels(peaks: PeakArray, layout: Layout) -> PatchPixels:
    """Return the pixels around candidates; a patch ends at the edge of its panel.

    Parameters
    ----------
    peaks
        Array of :data:`~cxlsfind.records.PEAK_DTYPE`, with panel and position.
    """
    table = np.array(
        [
            (at.start, at.stride, layout.slabs[at.slab].offset, at.height, at.width)
            for at in layout.windows
        ],
        np.int64,
    )
    start, stride, offset, height, width = table[peaks["panel"]].T
    top, left = np.divmod(start - offset, np.maximum(stride, 1))
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
    profiles: npt.NDArray[np.floating],
    frame: npt.NDArray[np.int64],
    radius_bins: npt.NDArray[np.int32],
) -> npt.NDArray[np.float32]:
    """Return expected background photons around candidates, (n, 11, 11).

    A frame's profile by radius, scaled in every patch to what the finder found under the peak:
    that knows of streaks and shadows, which no profile does.

    Parameters
    ----------
    profiles
        Background photons per pixel of each radius bin, (frames, bins).
    frame
        Number of the frame of each candidate.
    radius_bins
        Radius bin of every pixel of the frame array, -1 outside every panel.
    """
    bins = np.maximum(radius_bins[pixels.pixel], 0)
    around = profiles[frame[:, None, None], bins].astype(np.float64)
    middle = around[:, PEAK_WINDOW // 2, PEAK_WINDOW // 2]
    scale = peaks["background"].astype(np.float64) / np.maximum(middle, 1e-12)
    level: npt.NDArray[np.float32] = np.maximum(around * scale[:, None, None], 1e-9).astype(
        np.float32
    )
    return level
