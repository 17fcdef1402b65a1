"""Expected background photons per pixel: a shape shared by the frames of a block, times scales.

The model of frame t at pixel x in ring r is ``b = profile(r) * factor(x) * scale_t(r)``: the
profile is the smoothed mean of each ring, the factor corrects it tile by tile where the frames
show structure that rings do not have, and the scale is smooth in radius. Means are used
throughout: medians are zero below 0.7 photons per pixel, and clipping at multiples of sigma throws
real photons away. Counts are cut at caps that a background pixel does not reach, and pixels around
found spots are left out. Before any spot is known, dim frames are judged by how many pixels hold
photons, to which a spot adds little however bright it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cxlsfind.finding.poisson.canvas import Canvas, PlacedFrame
from cxlsfind.finding.poisson.surroundings import RINGS_PER_BIN, Surroundings
from cxlsfind.finding.poisson.tiles import no_correction, tile_correction
from cxlsfind.kernels.background_maps import count_members, sum_rings
from cxlsfind.kernels.plane_sums import (
    add_frames,
    clip_counts,
    spread_totals,
    sum_words,
    take_out,
)

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Places = npt.NDArray[np.int32]
Words = npt.NDArray[np.uint64]

#: Frames that are added up at a time.
BATCH = 8

#: Photons on which the mean of a ring should rest, by background per pixel: about the inverse
#: square of the relative error at which false peaks rise by a tenth.
_NEED_BACKGROUND = np.log([1e-4, 1e-2, 0.1, 1.0, 10.0])
_NEED_PHOTONS = np.log([200.0, 400.0, 1500.0, 10000.0, 60000.0])

#: Standard errors by which rings differ plainly from their neighbours.
_PLAINLY = 5.0

#: Photons that a zone of one frame should hold before its scale is judged apart.
_ZONE_PHOTONS = 4000.0
_MOST_ZONES = 16

#: Up to this share of pixels that hold photons, their number tells the background.
_DIM = 0.2
#: The largest share that is trusted in single rings.
_MOST_LIT = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class Background:
    """Background of consecutive frames that share a shape.

    Parameters
    ----------
    profile
        Photons per pixel of each ring at scale 1; float64.
    factor
        By how much tiles exceed it; float32, shape (tiles down, tiles across).
    scales
        Scale of each frame in each ring, shape (frames, rings); float32.
    smooth_scales
        The same, but nowhere above what it would be without sharp rings.
    support
        Photons that the profile of each ring rests on; float64.
    photons
        Photons that the scale of each frame rests on; float64.
    """

    profile: FloatArray
    factor: npt.NDArray[np.float32]
    scales: npt.NDArray[np.float32]
    smooth_scales: npt.NDArray[np.float32]
    support: FloatArray
    photons: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Photons of consecutive frames, or pixels that hold any, pixel by pixel and frame by frame.

    Parameters
    ----------
    totals
        Sum over frames at every canvas pixel; uint32.
    rings
        The same over the usable pixels of rings; int64.
    bins
        Sum over bins of radius of every frame, shape (frames, bins); int64.
    """

    totals: npt.NDArray[np.uint32]
    rings: IntArray
    bins: IntArray

    def clear(self, pixels: Places, ring: npt.NDArray[np.int32]) -> None:
        """Take out usable pixels, distinct, that the bins do not hold any more."""
        np.subtract.at(self.rings, ring[pixels], self.totals[pixels])
        self.totals[pixels] = 0


def bin_sums(frames: Sequence[PlacedFrame], around: Surroundings) -> tuple[IntArray, IntArray]:
    """Return the photons of every frame by radius, as far as the planes count them.

    And how many pixels hold any.
    """
    sums, lit = np.zeros((2, len(frames), around.n_bins), np.int64)
    for number, frame in enumerate(frames):
        sum_words(frame.planes, around.word_bin, sums[number], lit[number])
    return sums, lit


def total_counts(
    planes: Sequence[Words], canvas: Canvas
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Return the sum over frames of what their planes hold, at every canvas pixel.

    And in how many frames that is anything.
    """
    n_more = len(planes).bit_length()
    totals = np.zeros((max(len(each) for each in planes) + n_more, canvas.n_words), np.uint64)
    lit = np.zeros((n_more, canvas.n_words), np.uint64)
    for together in batches(planes):
        add_frames(together, totals, lit)
    return _spread_planes(totals, canvas), _spread_planes(lit, canvas)


def sum_up(totals: npt.NDArray[np.uint32], bins: IntArray, around: Surroundings) -> Sums:
    """Return sums over frames whose totals and bins are known."""
    rings = np.zeros(around.n_rings, np.int64)
    sum_rings(totals, around.ring, around.usable, rings)
    return Sums(totals, rings, bins)


def batches(planes: Sequence[Words]) -> Iterator[tuple[Words, ...]]:
    """Return frames in batches of the same number, the last filled up with frames of no planes."""
    nothing = np.empty((0, planes[0].shape[1]), np.uint64)
    for start in range(0, len(planes), BATCH):
        some = planes[start : start + BATCH]
        yield (*some, *[nothing] * (BATCH - len(some)))


def _spread_planes(totals: Words, canvas: Canvas) -> npt.NDArray[np.uint32]:
    """Return numbers that bit planes hold, at every canvas pixel."""
    values = np.empty(canvas.size, np.uint32)
    spread_totals(totals, values)
    return values


def cut_spots(
    frames: Sequence[PlacedFrame],
    around: Surroundings,
    sums: Sums,
    caps: IntArray,
    cut_out: Sequence[Places],
) -> Sums:
    """Return sums without the pixels of spots, and with what planes could not count of others.

    Parameters
    ----------
    caps
        Largest count that background makes, per ring.
    cut_out
        Per frame, canvas pixels that belong to spots; ascending and usable.
    """
    totals, rings, bins = sums.totals.copy(), sums.rings.copy(), sums.bins.copy()
    for frame, row, cut in zip(frames, bins, cut_out, strict=True):
        take_out(frame.planes, cut, around.ring, around.word_bin, totals, rings, row)
        kept = around.usable[frame.place] & ~_is_listed(frame.place, cut)
        place = frame.place[kept]
        most = np.minimum(frame.count[kept].astype(np.int64), caps[around.ring[place]])
        more = most - frame.full
        totals[place] += more.astype(np.uint32)  # less wraps round, and back again
        np.add.at(rings, around.ring[place], more)
        np.add.at(row, around.word_bin[place >> 6], more)
        clip_counts(
            frame.planes,
            around.usable_words,
            around.ring,
            caps,
            cut,
            around.word_bin,
            totals,
            rings,
            row,
        )
    return Sums(totals, rings, bins)


def rough_background(
    counts: Sums, lit: npt.NDArray[np.uint32], lit_bins: IntArray, around: Surroundings
) -> Background:
    """Estimate the background of frames whose spots are not known yet.

    Parameters
    ----------
    counts
        Photons.
    lit, lit_bins
        Pixels that hold any, summed as photons are in :class:`Sums`.
    """
    n_frames = len(lit_bins)
    nothing = [np.empty(0, np.int32)] * n_frames
    if lit_bins.sum() > _DIM * n_frames * around.n_pixels:
        return estimate_background(counts, around, nothing, with_tiles=False)
    shares = estimate_background(sum_up(lit, lit_bins, around), around, nothing, with_tiles=False)
    level = -np.log1p(-np.minimum(shares.profile * shares.scales, _MOST_LIT))
    scales = (level / shares.profile).astype(np.float32)
    photons = counts.bins.sum(axis=1).astype(np.float64)
    return replace(shares, scales=scales, smooth_scales=scales, photons=photons)


def estimate_background(
    sums: Sums, around: Surroundings, cut_out: Sequence[Places], *, with_tiles: bool
) -> Background:
    """Estimate the background of frames that share a shape.

    Parameters
    ----------
    sums
        Photons outside the pixels cut out.
    cut_out
        Per frame, canvas pixels that were left out; distinct, all usable.
    with_tiles
        Whether to look for structure that rings do not have.
    """
    n_cut = np.array([cut.size for cut in cut_out])
    level = np.maximum(sums.bins.sum(axis=1), 0.5) / np.maximum(around.n_pixels - n_cut, 1)
    of_rings, of_bins = _count_cut(cut_out, around)
    weight = level.sum() * around.ring_sizes - level @ of_rings
    profile, support = smooth_profile(sums.rings.astype(np.float64), weight, float(level.mean()))
    scales = frame_scales(sums.bins, around, profile, of_rings, of_bins)
    factor = no_correction(around.tiles)
    if with_tiles:
        expected = around.tiles.expected(profile * scales.sum(axis=0))
        for cut, scale in zip(cut_out, scales, strict=True):
            around.tiles.drop(cut, around.ring, profile * scale, expected)
        factor = tile_correction(around.tiles.seen(sums.totals, around.usable), expected)
    photons = sums.bins.sum(axis=1).astype(np.float64)
    smooth = scales.astype(np.float32)
    return Background(profile, factor, smooth, smooth, support, photons)


def count_caps(background: Background) -> IntArray:
    """Return, per ring, a count that its background pixels practically never exceed."""
    level = background.profile * background.scales.max(axis=0) * float(background.factor.max())
    caps: IntArray = np.ceil(level + 7.0 * np.sqrt(level) + 3.0).astype(np.int64)
    return caps


def smooth_profile(
    sums: FloatArray, weight: FloatArray, level: float
) -> tuple[FloatArray, FloatArray]:
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
    Photons per ring relative to ``weight``, about 1 on average, above zero; and the photons that
    each rests on.
    """
    flat = np.full(len(sums), max(float(sums.sum()), 0.5) / max(float(weight.sum()), 1e-300))
    coarse, _ = _smooth(sums, weight, flat, level)
    profile, support = _smooth(sums, weight, coarse, level)
    return _sharpen(profile, support, sums, weight)


def _smooth(
    sums: FloatArray, weight: FloatArray, guess: FloatArray, level: float
) -> tuple[FloatArray, FloatArray]:
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
    return np.maximum(line, smallest), np.maximum(expected[high] - expected[low], 1.0)


def _sharpen(
    profile: FloatArray, support: FloatArray, sums: FloatArray, weight: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Follow the rings where they plainly differ from the mean of a window that holds them.

    Close to the beam rings have few pixels, and the background is steep.

    Parameters
    ----------
    profile, support
        As :func:`smooth_profile` returns them.
    """
    profile, support = profile.copy(), support.copy()
    seen = _running(sums)
    mass = _running(weight)
    for trial in reversed(_widths(len(sums))):
        low, high = _window(len(sums), np.full(len(sums), trial))
        hoped = _running(weight * profile)
        expected = np.maximum(hoped[high] - hoped[low], 0.0)
        photons = seen[high] - seen[low]
        above = photons > expected + _PLAINLY * np.sqrt(expected) + _PLAINLY
        below = photons < expected - _PLAINLY * np.sqrt(expected) - _PLAINLY
        plain = (above | below) & (photons < support)
        inside = np.maximum(mass[high] - mass[low], 1e-300)
        profile = np.where(plain, np.maximum(photons, 0.5) / inside, profile)
        support = np.where(plain, np.maximum(photons, 1.0), support)
    return profile, support


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


def _count_cut(cut_out: Sequence[Places], around: Surroundings) -> tuple[IntArray, IntArray]:
    """Return how many pixels of each ring, and of each bin, were cut out of every frame."""
    of_rings = np.zeros((len(cut_out), around.n_rings), np.int64)
    of_bins = np.zeros((len(cut_out), around.n_bins), np.int64)
    for number, cut in enumerate(cut_out):
        count_members(cut, around.ring, around.word_bin, of_rings[number], of_bins[number])
    return of_rings, of_bins


def frame_scales(
    bins: IntArray,
    around: Surroundings,
    profile: FloatArray,
    cut_of_rings: IntArray,
    cut_of_bins: IntArray,
) -> FloatArray:
    """Return the scale of every frame in every ring, photons per pixel at profile 1.

    Each frame has one scale, and differences between zones of radius as far as they exceed
    chance (an empirical Bayes estimate).

    Parameters
    ----------
    bins
        Photons outside the pixels cut out, shape (frames, bins of radius).
    profile
        Relative photons per pixel of each ring.
    cut_of_rings, cut_of_bins
        Pixels that were left out, shapes (frames, rings) and (frames, bins of radius).
    """
    expected = float((around.ring_sizes * profile).sum())
    lost = cut_of_rings @ profile
    total = np.maximum(bins.sum(axis=1), 0.5)
    scale = total / np.maximum(expected - lost, 1e-300)
    n_zones = int(np.clip(np.median(total) / _ZONE_PHOTONS, 1, _MOST_ZONES))
    if n_zones == 1:
        return np.repeat(scale[:, None], len(profile), axis=1)
    exposed = 1.0 - cut_of_bins / np.maximum(around.bin_sizes, 1)
    shape = bins.sum(axis=0) / np.maximum((scale[:, None] * exposed).sum(axis=0), 1e-300)
    share = _running(shape)
    middle = 0.5 * (share[1:] + share[:-1]) / max(share[-1], 1e-300)
    zone = np.minimum((middle * n_zones).astype(np.int64), n_zones - 1)
    members = np.zeros((len(shape), n_zones))
    members[np.arange(len(shape)), zone] = 1.0
    hoped = np.maximum((shape * scale[:, None] * exposed) @ members, 0.5)
    excess = bins @ members / hoped - 1.0
    chance = n_zones - 1.0
    square = (hoped * excess**2).sum(axis=1)
    spread = np.maximum(square - chance - 2.0 * np.sqrt(2.0 * chance), 0.0) / hoped.sum(axis=1)
    shrunk = excess * spread[:, None] / np.maximum(spread[:, None] + 1.0 / hoped, 1e-300)
    radius = RINGS_PER_BIN * (np.arange(len(shape)) + 0.5)
    known = np.flatnonzero(shape @ members)
    centres = ((shape * radius) @ members)[known] / (shape @ members)[known]
    rings: FloatArray = np.arange(len(profile), dtype=np.float64) + 0.5
    spread_out = _linear(rings, centres)
    scales: FloatArray = scale[:, None] * (1.0 + shrunk[:, known] @ spread_out)
    positive: FloatArray = np.maximum(scales, 1e-3 * scale[:, None])
    return positive


def _linear(places: FloatArray, nodes: npt.NDArray[np.floating]) -> FloatArray:
    """Return the weights, shape (nodes, places), that interpolate linearly between nodes."""
    return np.array([np.interp(places, nodes, own) for own in np.eye(len(nodes))])


def _is_listed(places: Places, cut: Places) -> npt.NDArray[np.bool_]:
    """Tell which places stand in an ascending list."""
    if not cut.size:
        return np.zeros(len(places), np.bool_)
    where = np.minimum(np.searchsorted(cut, places), cut.size - 1)
    listed: npt.NDArray[np.bool_] = cut[where] == places
    return listed
