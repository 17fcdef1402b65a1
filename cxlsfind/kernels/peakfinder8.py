"""The peak search of CrystFEL's peakfinder8 on a frame whose rings are already known.

Bright pixels (above the upper limit of their ring) that touch each other make a peak; the quiet
pixels round it give its background. Single precision throughout, in CrystFEL's order of sums.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel, kernel_part
from cxlsfind.kernels.bits import lowest_one
from cxlsfind.kernels.bright_pixels import Detector, Image, value_at
from cxlsfind.kernels.local_background import Disc, quiet_counts, quiet_pixels
from cxlsfind.kernels.planes import bits_at, clear_bit, clear_bits, has_bit, set_bits
from cxlsfind.kernels.ring_map import ring_of
from cxlsfind.kernels.rings import RingLimits

_ONE: Final = np.uint64(1)
_SIGMA_UNKNOWN: Final = np.float32(0.01)
_SIGMA_ZERO: Final = np.float32(1e-10)


class Cuts(NamedTuple):
    """Settings of the search, in CrystFEL's names; no limit of a ring is below the threshold."""

    threshold: np.float32
    min_snr: np.float32
    min_pix_count: int
    max_pix_count: int
    local_bg_radius: int


class Members(NamedTuple):
    """Pixels of a peak and their values."""

    panel: int
    pixels: npt.NDArray[np.int32]
    values: npt.NDArray[np.float32]


class PeakTable(NamedTuple):
    """Peaks found, one element each; positions from the first pixel of the panel.

    Parameters
    ----------
    fs, ss
        Centre of the pixel values, in pixels, from the centre of the panel's first pixel.
    total, intensity
        Sum of the values, and the same after subtracting the background.
    background, sigma, n_background
        Mean, standard deviation and number of the quiet pixels round the peak.
    saturated, edge
        Whether a pixel is saturated; whether one touches the panel's edge or a masked pixel.
    """

    panel: npt.NDArray[np.int32]
    fs: npt.NDArray[np.float32]
    ss: npt.NDArray[np.float32]
    total: npt.NDArray[np.float32]
    intensity: npt.NDArray[np.float32]
    background: npt.NDArray[np.float32]
    sigma: npt.NDArray[np.float32]
    n_background: npt.NDArray[np.int32]
    snr: npt.NDArray[np.float32]
    n_pixels: npt.NDArray[np.int32]
    saturated: npt.NDArray[np.bool_]
    edge: npt.NDArray[np.bool_]


def new_peak_table(size: int) -> PeakTable:
    """Return a table with room for this many peaks."""
    return PeakTable(
        panel=np.zeros(size, np.int32),
        fs=np.zeros(size, np.float32),
        ss=np.zeros(size, np.float32),
        total=np.zeros(size, np.float32),
        intensity=np.zeros(size, np.float32),
        background=np.zeros(size, np.float32),
        sigma=np.zeros(size, np.float32),
        n_background=np.zeros(size, np.int32),
        snr=np.zeros(size, np.float32),
        n_pixels=np.zeros(size, np.int32),
        saturated=np.zeros(size, np.bool_),
        edge=np.zeros(size, np.bool_),
    )


@kernel
def search(
    image: Image,
    detector: Detector,
    limits: RingLimits,
    bright: npt.NDArray[np.int32],
    panels: npt.NDArray[np.int32],
    cuts: Cuts,
    claimed: npt.NDArray[np.int32],
    peaks: PeakTable,
) -> tuple[int, int]:
    """Find the peaks of a frame.

    Parameters
    ----------
    bright, panels
        All bright pixels with their panels, in the order of panels, then row after row.
    claimed
        Result, as long as ``bright``: pixels that were joined to a peak, kept or not.
    peaks
        Result; the search ends when it is full.

    Returns
    -------
    Number of peaks, number of claimed pixels.
    """
    # The counts of bright pixels are in a list: what was looked up once is kept.
    claimed_values = np.empty(claimed.size, np.float32)
    n_peaks = n_claimed = int(np.int64(0))  # a literal would have all kernels compiled twice
    set_bits(image.bright, bright)
    for number in range(bright.size):
        panel = panels[number]
        start, stride, height, width = detector.windows[panel]
        ss = (bright[number] - start) // stride
        fs = bright[number] - start - ss * stride
        if ss < 1 or fs < 1 or ss > height - 2 or fs > width - 2:
            continue  # pixels at the edge join peaks but start none
        if not has_bit(image.bright, bright[number]):
            continue
        first = n_claimed
        claimed[first] = bright[number]
        n_claimed = _flood(image, detector, panel, claimed, claimed_values, first)
        n_pixels = n_claimed - first
        if n_pixels < cuts.min_pix_count or n_pixels > cuts.max_pix_count:
            continue
        members = Members(panel, claimed[first:n_claimed], claimed_values[first:n_claimed])
        if _measure(image, detector, limits, members, cuts, peaks, n_peaks):
            _flag(image, detector, members, peaks, n_peaks)
            n_peaks += 1
            if n_peaks == peaks.panel.size:
                break
    clear_bits(image.bright, bright)
    return n_peaks, n_claimed


@kernel
def bound_peaks(
    image: Image,
    detector: Detector,
    bright: npt.NDArray[np.int32],
    panels: npt.NDArray[np.int32],
    min_pix_count: int,
    claimed: npt.NDArray[np.int32],
) -> tuple[int, int]:
    """Return how many peaks there can be, at most, among pixels of which all bright ones are some.

    Parameters are those of :func:`search`, and so is the second result.
    """
    claimed_values = np.empty(claimed.size, np.float32)
    most = end = int(np.int64(0))
    set_bits(image.bright, bright)
    for number in range(bright.size):
        if has_bit(image.bright, bright[number]):
            first = end
            claimed[first] = bright[number]
            end = _flood(image, detector, panels[number], claimed, claimed_values, first)
            most += (end - first) // min_pix_count
    return most, end


@kernel_part
def _flood(
    image: Image,
    detector: Detector,
    panel: int,
    claimed: npt.NDArray[np.int32],
    claimed_values: npt.NDArray[np.float32],
    first: int,
) -> int:
    """Claim a bright pixel and all that hang together with it.

    Parameters
    ----------
    claimed, claimed_values
        Result, from ``first`` on, where the pixel to begin with stands already: pixels and values.

    Returns
    -------
    The end of the result.
    """
    values, planes, listed, counts = image.values, image.planes, image.listed, image.counts
    free, bright = image.free, image.bright
    start, stride, height, width = detector.windows[panel]
    clear_bit(bright, claimed[first])
    end = first + 1
    here = first
    while here < end:
        pixel = claimed[here]
        claimed_values[here] = value_at(values, planes, listed, counts, pixel)
        clear_bit(free, pixel)
        here += 1
        ss = (pixel - start) // stride
        fs = pixel - start - ss * stride
        left, right = max(fs - 1, 0), min(fs + 2, width)
        for near_ss in range(max(ss - 1, 0), min(ss + 2, height)):
            begin = start + near_ss * stride + left
            near = bits_at(bright, begin, right - left)
            while near != 0:
                claimed[end] = begin + lowest_one(near)
                clear_bit(bright, claimed[end])
                end += 1
                near &= near - _ONE
    return end


@kernel_part
def _measure(
    image: Image,
    detector: Detector,
    limits: RingLimits,
    members: Members,
    cuts: Cuts,
    peaks: PeakTable,
    place: int,
) -> bool:
    """Measure a peak and write it to its place in the table; return whether it is one."""
    start, stride, height, width = detector.windows[members.panel]
    pixels, values = members.pixels, members.values
    centre_ss, centre_fs = _centre(detector, limits, members)
    if centre_ss < 0:
        return False
    disc = Disc(members.panel, centre_ss, centre_fs, 2 * cuts.local_bg_radius)
    brightest_around = _local_background(image, detector, limits, disc, cuts, peaks, place)
    background = peaks.background[place]
    total, total_fs, total_ss = np.float32(0), np.float32(0), np.float32(0)
    intensity, brightest = np.float32(0), np.float32(0)
    for number in range(pixels.size):
        ss = (pixels[number] - start) // stride
        fs = pixels[number] - start - ss * stride
        value = values[number]
        total += value
        total_fs += value * np.float32(fs)
        total_ss += value * np.float32(ss)
        intensity += value - background
        brightest = max(brightest, value - background)
    sigma = peaks.sigma[place]
    snr = intensity / sigma if sigma > _SIGMA_ZERO else np.float32(0)
    if snr < cuts.min_snr or brightest < brightest_around - background or total == 0:
        return False
    # Not a slip: CrystFEL divides by the modulus. Negative values can pull the centre anywhere.
    fs_mean, ss_mean = total_fs / abs(total), total_ss / abs(total)
    if fs_mean < 0 or ss_mean < 0 or fs_mean > width - 1 or ss_mean > height - 1:
        return False
    peaks.panel[place] = members.panel
    peaks.fs[place], peaks.ss[place] = fs_mean, ss_mean
    peaks.total[place], peaks.intensity[place], peaks.snr[place] = total, intensity, snr
    peaks.n_pixels[place] = pixels.size
    return True


@kernel_part
def _centre(detector: Detector, limits: RingLimits, members: Members) -> tuple[int, int]:
    """Return the pixel (ss, fs) nearest the centre of the excess over the rings; -1 for none."""
    start, stride, _, _ = detector.windows[members.panel]
    pixels, values, rings, mean = members.pixels, members.values, detector.rings, limits.mean
    total, total_fs, total_ss = np.float32(0), np.float32(0), np.float32(0)
    for number in range(pixels.size):
        pixel = pixels[number]
        ss = (pixel - start) // stride
        excess = abs(values[number] - mean[ring_of(rings, pixel)])
        total += excess
        total_fs += excess * np.float32(pixel - start - ss * stride)
        total_ss += excess * np.float32(ss)
    if total == 0:
        return -1, -1
    return int(np.rint(total_ss / total)), int(np.rint(total_fs / total))


@kernel_part
def _local_background(
    image: Image,
    detector: Detector,
    limits: RingLimits,
    disc: Disc,
    cuts: Cuts,
    peaks: PeakTable,
    place: int,
) -> np.float32:
    """Measure the quiet pixels round a peak; return the largest, or 0 when all are negative."""
    if image.values.size == 0 and cuts.threshold > 0:
        quiet = quiet_counts(image, detector, limits, cuts.threshold, disc)
    else:
        quiet = quiet_pixels(image, detector, limits, disc)
    peaks.n_background[place] = quiet.n
    if quiet.n == 0:
        start, stride, _, _ = detector.windows[disc.panel]
        ring = ring_of(detector.rings, start + disc.ss * stride + disc.fs)
        peaks.background[place] = limits.mean[ring] if ring > 0 else np.float32(0)
        peaks.sigma[place] = _SIGMA_UNKNOWN
        return quiet.brightest
    mean = quiet.total / np.float32(quiet.n)
    variance = quiet.squares / np.float32(quiet.n) - mean * mean
    peaks.background[place] = mean
    peaks.sigma[place] = np.sqrt(variance) if variance >= 0 else _SIGMA_UNKNOWN
    return quiet.brightest


@kernel_part
def _flag(image: Image, detector: Detector, members: Members, peaks: PeakTable, place: int) -> None:
    """Set the flags of a peak."""
    start, stride, height, width = detector.windows[members.panel]
    good, censored, max_adu = image.good, image.censored, detector.max_adu[members.panel]
    saturated, edge = False, False
    for number in range(members.pixels.size):
        pixel = members.pixels[number]
        saturated |= _is_listed(pixel, censored) or members.values[number] > max_adu
        ss = (pixel - start) // stride
        fs = pixel - start - ss * stride
        if ss == 0 or fs == 0 or ss == height - 1 or fs == width - 1:
            edge = True
            continue
        for near_ss in range(ss - 1, ss + 2):
            for near_fs in range(fs - 1, fs + 2):
                near = start + near_ss * stride + near_fs
                edge |= not has_bit(good, near)
    peaks.saturated[place], peaks.edge[place] = saturated, edge


@kernel_part
def _is_listed(pixel: int, pixels: npt.NDArray[np.int32]) -> bool:
    place = np.searchsorted(pixels, pixel)
    return bool(place < pixels.size and pixels[place] == pixel)
