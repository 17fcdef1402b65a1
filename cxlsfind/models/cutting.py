"""Cutting the patches around candidates out of a frame, whatever form the frame has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.geometry.layout import Layout
from cxlsfind.geometry.model import Geometry
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
    fs, ss
        The pixel counted from the corner of its panel, (n, 1, 11) and (n, 11, 1); int64.
    """

    pixel: npt.NDArray[np.int64]
    inside: npt.NDArray[np.bool_]
    fs: npt.NDArray[np.int64]
    ss: npt.NDArray[np.int64]


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

    def first(self, number: int) -> Patches:
        """Return the first of them."""
        return Patches(self.counts[:number], self.background[:number], self.mask[:number])


class Candidates(NamedTuple):
    """What the finder says of a frame, as far as patches need it.

    Parameters
    ----------
    peaks
        Array of :data:`~cxlsfind.records.PEAK_DTYPE`.
    profile
        Background photons per pixel of each ring.
    centre_px
        Where the rings are centred, px (x, y) from the geometry's beam.
    """

    peaks: PeakArray
    profile: npt.NDArray[np.floating]
    centre_px: tuple[float, float]


class FrameArrays(NamedTuple):
    """Where the pixels of frames are, and which were used.

    Parameters
    ----------
    usable
        By pixel of the frame array; bool.
    shift_m
        Shift (x, y) of the detector, metres.
    """

    geometry: Geometry
    layout: Layout
    usable: npt.NDArray[np.bool_]
    shift_m: tuple[float, float] = (0.0, 0.0)


def cut_patches(
    frames: Sequence[Candidates],
    arrays: FrameArrays,
    counts_at: Callable[[int, npt.NDArray[np.int64]], npt.NDArray[np.integer[Any]]],
) -> list[Patches]:
    """Cut what is around candidates out of frames.

    Parameters
    ----------
    counts_at
        Returns the photons of a frame, by its number, at pixels given by their flat indices.
    """
    peaks = join_peaks([frame.peaks for frame in frames])
    pixels = patch_pixels(peaks, arrays.layout)
    mask = arrays.usable[pixels.pixel] & pixels.inside
    background = patch_backgrounds(pixels, frames, arrays)
    patches = []
    stop = 0
    for number, frame in enumerate(frames):
        rows = slice(stop, stop + len(frame.peaks))
        stop = rows.stop
        counts = np.minimum(counts_at(number, pixels.pixel[rows]), _LARGEST_COUNT) * mask[rows]
        patches.append(
            Patches(counts.astype(np.uint16), background[rows], mask[rows].astype(np.uint8))
        )
    return patches


def join_peaks(parts: Sequence[PeakArray]) -> PeakArray:
    """Return the peaks of several frames, one frame after the other."""
    # Without the type numpy compares the fields of every part, which takes longer than copying.
    return np.concatenate([np.empty(0, PEAK_DTYPE), *parts], dtype=PEAK_DTYPE)


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
    ss = np.clip(ss, 0, height[:, None, None] - 1)
    fs = np.clip(fs, 0, width[:, None, None] - 1)
    index = start[:, None, None] + ss * stride[:, None, None] + fs
    return PatchPixels(index, np.broadcast_to(inside, index.shape), fs, ss)


def patch_backgrounds(
    pixels: PatchPixels, frames: Sequence[Candidates], arrays: FrameArrays
) -> npt.NDArray[np.float32]:
    """Return expected background photons around the candidates of frames, (n, 11, 11).

    A frame's profile by ring, scaled in every patch to what the finder found under the peak: that
    knows of streaks and shadows, which no profile does.
    """
    numbers = [len(frame.peaks) for frame in frames]
    peaks = join_peaks([frame.peaks for frame in frames])
    longest = max((len(frame.profile) for frame in frames), default=0)
    profiles = np.zeros((len(frames), max(longest, 1)))
    for row, frame in zip(profiles, frames, strict=True):
        row[: len(frame.profile)] = frame.profile
        row[len(frame.profile) :] = frame.profile[-1] if len(frame.profile) else 0.0
    centre = np.repeat([frame.centre_px for frame in frames], numbers, axis=0).reshape(-1, 2)
    ring = np.minimum(_patch_rings(pixels, peaks, centre, arrays), profiles.shape[1] - 1)
    around = profiles[np.repeat(np.arange(len(frames)), numbers)[:, None, None], ring]
    middle = around[:, PEAK_WINDOW // 2, PEAK_WINDOW // 2]
    scale = peaks["background"].astype(np.float64) / np.maximum(middle, 1e-12)
    level: npt.NDArray[np.float32] = np.maximum(around * scale[:, None, None], 1e-9).astype(
        np.float32
    )
    return level


def _patch_rings(
    pixels: PatchPixels,
    peaks: PeakArray,
    centre: npt.NDArray[np.float64],
    arrays: FrameArrays,
) -> npt.NDArray[np.int64]:
    """Return the ring of pixels, as :func:`~cxlsfind.geometry.maps.rings` has it, (n, 11, 11)."""
    table = np.array(
        [
            (
                at.corner_x + arrays.shift_m[0] * at.res,
                at.corner_y + arrays.shift_m[1] * at.res,
                *at.fs[:2],
                *at.ss[:2],
            )
            for at in arrays.geometry.panels
        ]
    )
    corner_x, corner_y, fs_x, fs_y, ss_x, ss_y = table[peaks["panel"]].T[:, :, None, None]
    fs, ss = pixels.fs + 0.5, pixels.ss + 0.5
    x = corner_x - centre[:, 0, None, None] + fs * fs_x + ss * ss_x
    y = corner_y - centre[:, 1, None, None] + fs * fs_y + ss * ss_y
    # The squares are far from overflow, and hypot is slow.
    return np.asarray(np.sqrt(x * x + y * y).astype(np.int64))
