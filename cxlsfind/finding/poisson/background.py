"""Expected background photons per pixel: a shape shared by the frames of a block, times scales.

The model of frame t at pixel x in ring r is ``b = shape(x) * scale_t(r)``: the shape is the
smoothed mean of each ring, corrected by tiles where the frames show structure that rings do not
have; the scale is smooth in radius. Means are used throughout: medians are zero below 0.7
photons per pixel, and clipping at multiples of sigma throws real photons away. Counts are cut at
caps that a background pixel does not reach, and pixels around found spots are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxlsfind.finding.poisson.canvas import Canvas
from cxlsfind.finding.poisson.tiles import tile_correction
from cxlsfind.kernels.photon_scan import add_capped, histogram_by_ring, sum_by_ring

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Frames from which the caps of a block are taken, and bins of their histograms.
_CAP_FRAMES = 8
_CAP_BINS = 64

#: Photons on which the mean of a ring should rest, by background per pixel: about the inverse
#: square of the relative error at which false peaks rise by a tenth.
_NEED_BACKGROUND = np.log([1e-4, 1e-2, 0.1, 1.0, 10.0])
_NEED_PHOTONS = np.log([200.0, 400.0, 1500.0, 10000.0, 60000.0])

#: Photons that a zone of one frame should hold before its scale is judged apart.
_ZONE_PHOTONS = 4000.0
_MOST_ZONES = 16


@dataclass(frozen=True, slots=True, eq=False)
class PlacedFrame:
    """Photons of one frame on the canvas: pixels (int32, -1 off it) and counts (uint32)."""

    place: npt.NDArray[np.int32]
    count: npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """What does not change from frame to frame: canvas, rings and usable pixels.

    Parameters
    ----------
    ring
        Radius bin of every canvas pixel, -1 outside; int32.
    usable
        Per canvas pixel; False wherever ``ring`` is negative.
    n_rings
        Number of radius bins.
    """

    canvas: Canvas
    ring: npt.NDArray[np.int32]
    usable: npt.NDArray[np.bool_]
    n_rings: int


@dataclass(frozen=True, slots=True, eq=False)
class Background:
    """Background of consecutive frames that share a shape.

    Parameters
    ----------
    shape
        Photons per pixel at scale 1 on the canvas, zero outside the rings; float32.
    scales
        Scale of each frame in each ring, shape (frames, rings); float32.
    profile
        Shape averaged over rings, photons per pixel; float64.
    caps
        Largest count that background makes, per ring; int64.
    """

    shape: npt.NDArray[np.float32]
    scales: npt.NDArray[np.float32]
    profile: FloatArray
    caps: IntArray


def count_caps(frames: Sequence[PlacedFrame], around: Surroundings) -> IntArray:
    """Return, per ring, a count that its background pixels practically never exceed.

    The level is taken from the share of empty pixels, or from the median where most pixels hold
    photons: neither is moved by spots.
    """
    chosen = frames[:: max(1, len(frames) // _CAP_FRAMES)]
    histogram = np.zeros((around.n_rings, _CAP_BINS), np.int64)
    for frame in chosen:
        histogram_by_ring(frame.place, frame.count, around.usable, around.ring, histogram)
    n_pixels = len(chosen) * ring_sizes(around)
    filled = histogram.sum(axis=1)
    empty = np.maximum(n_pixels - filled, 0.5)
    histogram[:, 0] = np.maximum(n_pixels - filled, 0)
    middle = (np.cumsum(histogram, axis=1) * 2 < n_pixels[:, None]).sum(axis=1)
    sparse = -np.log(np.minimum(empty / np.maximum(n_pixels, 1), 1.0))
    level = np.where(middle > 0, middle + 0.7, sparse)
    # A ring of few photons knows its level badly; neighbours lend theirs.
    width = 15
    level = np.maximum(level, np.convolve(level, np.ones(width) / width, mode="same"))
    caps: IntArray = np.ceil(level + 7.0 * np.sqrt(level) + 3.0).astype(np.int64)
    caps[middle >= _CAP_BINS - 1] = np.iinfo(np.int64).max
    return caps


def ring_sizes(around: Surroundings) -> IntArray:
    """Return the number of usable pixels in each ring."""
    sizes: IntArray = np.bincount(around.ring[around.usable], minlength=around.n_rings).astype(
        np.int64
    )
    return sizes


def ring_sums(frames: Sequence[PlacedFrame], around: Surroundings, caps: IntArray) -> IntArray:
    """Return the capped photons of every frame in every ring, shape (frames, rings)."""
    sums = np.zeros((len(frames), around.n_rings), np.int64)
    for number, frame in enumerate(frames):
        sum_by_ring(frame.place, frame.count, around.usable, around.ring, caps, sums[number])
    return sums


def estimate_background(
    frames: Sequence[PlacedFrame],
    around: Surroundings,
    caps: IntArray,
    cut_out: Sequence[npt.NDArray[np.int32]],
    *,
    with_tiles: bool,
) -> Background:
    """Estimate the background of frames that share a shape.

    Parameters
    ----------
    cut_out
        Per frame, canvas pixels that belong to spots and are left out; distinct, all usable.
    with_tiles
        Whether to look for structure that rings do not have.
    """
    sums = ring_sums(frames, around, caps).astype(np.float64)
    exposed = np.broadcast_to(ring_sizes(around).astype(np.float64), sums.shape).copy()
    kept = [_without(frame, pixels) for frame, pixels in zip(frames, cut_out, strict=True)]
    for number, (frame, pixels) in enumerate(zip(kept, cut_out, strict=True)):
        if pixels.size:
            rings = around.ring[pixels]
            exposed[number] -= np.bincount(rings, minlength=around.n_rings)
            sums[number] = 0.0
            sums[number] = ring_sums([frame], around, caps)[0]
    everything = max(float(exposed[0].sum()), 1.0)
    level = np.maximum(sums.sum(axis=1), 0.5) / everything
    weight = level @ exposed
    profile = smooth_profile(sums.sum(axis=0), weight, float(level.mean()))
    scales = frame_scales(sums, exposed, profile)
    inside = around.ring >= 0
    shape = np.zeros(around.canvas.size, np.float32)
    shape[inside] = profile[around.ring[inside]]
    if with_tiles:
        total = np.zeros(around.canvas.size, np.uint32)
        for frame in kept:
            add_capped(frame.place, frame.count, around.usable, around.ring, caps, total)
        expected = np.zeros(around.canvas.size, np.float32)
        expected[around.usable] = (profile * scales.sum(axis=0))[around.ring[around.usable]]
        for number, pixels in enumerate(cut_out):
            rings = around.ring[pixels]
            expected[pixels] -= (profile[rings] * scales[number, rings]).astype(np.float32)
        shape *= tile_correction(total, expected, around.canvas)
    return Background(shape, scales.astype(np.float32), profile, caps)


def smooth_profile(sums: FloatArray, weight: FloatArray, level: float) -> FloatArray:
    """Return the mean of every ring, over as many neighbouring rings as its photons need.

    Parameters
    ----------
    sums
        Photons per ring over all frames.
    weight
        Pixels per ring times the frame's mean photons per pixel, summed over frames.
    level
        Mean photons per pixel and frame.

    Returns
    -------
    Photons per ring relative to ``weight``, about 1 on average; above zero.
    """
    flat = np.full(len(sums), max(float(sums.sum()), 0.5) / max(float(weight.sum()), 1e-300))
    coarse = _smooth(sums, weight, flat, level)
    return _smooth(sums, weight, coarse, level)


def _smooth(sums: FloatArray, weight: FloatArray, guess: FloatArray, level: float) -> FloatArray:
    # Expected photons decide the width, not those that came: a width chosen by the counts
    # themselves would favour upward fluctuations.
    needed = np.exp(
        np.interp(np.log(np.maximum(guess * level, 1e-300)), _NEED_BACKGROUND, _NEED_PHOTONS)
    )
    radius = np.arange(len(sums), dtype=np.float64)
    expected = _running(weight * guess)
    width = np.zeros(len(sums), np.int64)
    for trial in _widths(len(sums)):
        low, high = _window(len(sums), np.full(len(sums), trial))
        width = np.where(expected[high] - expected[low] < needed, trial, width)
    low, high = _window(len(sums), width)
    mass = np.maximum(_running(weight)[high] - _running(weight)[low], 1e-300)
    mean = (_running(sums)[high] - _running(sums)[low]) / mass
    centre = (_running(weight * radius)[high] - _running(weight * radius)[low]) / mass
    spread = (_running(weight * radius**2)[high] - _running(weight * radius**2)[low]) / mass
    moment = (_running(sums * radius)[high] - _running(sums * radius)[low]) / mass
    variance = np.maximum(spread - centre**2, 1e-6)
    slope = (moment - mean * centre) / variance
    # A straight line through the window, so that its edges and empty rings do not lean.
    line = mean + slope * (radius - centre)
    smallest: FloatArray = np.maximum(0.2 * mean, 0.5 * guess.min() * 1e-2)
    return np.maximum(line, smallest)


def _running(values: FloatArray) -> FloatArray:
    return np.concatenate([[0.0], np.cumsum(values)])


def _window(n_rings: int, width: IntArray) -> tuple[IntArray, IntArray]:
    radius = np.arange(n_rings)
    return np.maximum(radius - width, 0), np.minimum(radius + width + 1, n_rings)


def _widths(n_rings: int) -> list[int]:
    widths = [0]
    while widths[-1] < n_rings:
        widths.append(max(widths[-1] + 1, int(widths[-1] * 1.3)))
    return widths


def frame_scales(sums: FloatArray, exposed: FloatArray, profile: FloatArray) -> FloatArray:
    """Return the scale of every frame in every ring, photons per pixel at profile 1.

    Each frame has one scale, and differences between zones of radius as far as they exceed
    chance (an empirical Bayes estimate).

    Parameters
    ----------
    sums, exposed
        Photons and pixels, shape (frames, rings).
    profile
        Relative photons per pixel of each ring.
    """
    expected = exposed * profile
    total = np.maximum(sums.sum(axis=1), 0.5)
    scale = total / np.maximum(expected.sum(axis=1), 1e-300)
    n_zones = int(np.clip(np.median(total) / _ZONE_PHOTONS, 1, _MOST_ZONES))
    if n_zones == 1:
        return np.repeat(scale[:, None], len(profile), axis=1)
    share = _running(expected.mean(axis=0))
    middle = 0.5 * (share[1:] + share[:-1]) / share[-1]
    zone = np.minimum((middle * n_zones).astype(np.int64), n_zones - 1)
    members = np.zeros((len(profile), n_zones))
    members[np.arange(len(profile)), zone] = 1.0
    hoped = np.maximum((expected * scale[:, None]) @ members, 0.5)
    excess = sums @ members / hoped - 1.0
    chance = n_zones - 1.0
    square = (hoped * excess**2).sum(axis=1)
    spread = np.maximum(square - chance - 2.0 * np.sqrt(2.0 * chance), 0.0) / hoped.sum(axis=1)
    shrunk = excess * spread[:, None] / np.maximum(spread[:, None] + 1.0 / hoped, 1e-300)
    centres = np.array([middle[zone == number].mean() for number in range(n_zones)])
    scales: FloatArray = np.array(
        [scale[t] * (1.0 + np.interp(middle, centres, shrunk[t])) for t in range(len(sums))]
    )
    positive: FloatArray = np.maximum(scales, 1e-3 * scale[:, None])
    return positive


def _without(frame: PlacedFrame, pixels: npt.NDArray[np.int32]) -> PlacedFrame:
    if not pixels.size:
        return frame
    kept = ~np.isin(frame.place, pixels)
    return PlacedFrame(frame.place[kept], frame.count[kept])
