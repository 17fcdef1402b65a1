"""Mean and upper limit of every ring of a frame, from counts or from pixel values."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cxlsfind.finding.planes import photon_list
from cxlsfind.kernels.bright_pixels import Detector
from cxlsfind.kernels.planes import Words
from cxlsfind.kernels.ring_counts import N_COLUMNS, count_pixels, fill_histogram, fill_listed
from cxlsfind.kernels.ring_map import list_rings
from cxlsfind.kernels.rings import RingLimits, clip_dense, clip_histograms, clip_sequence
from cxlsfind.kernels.windows import locate
from cxlsfind.records import PlaneFrame


class RingStatistics:
    """Clipped statistics of the rings of one detector with one mask; for one thread.

    Parameters
    ----------
    detector
        Rings and panels.
    usable
        Usable pixels on rings; words.
    min_snr
        Values further than this many standard deviations from the mean are clipped.
    threshold
        Values up to this one are never clipped for being large.
    """

    def __init__(
        self, detector: Detector, usable: Words, min_snr: np.float32, threshold: np.float32
    ) -> None:
        self._detector = detector
        self._usable = usable
        self._cuts = (min_snr, threshold)
        n_rings = detector.rings.n_rings
        self._n_pixels = np.zeros(n_rings, np.int64)
        count_pixels(detector.rings, usable, self._n_pixels)
        self._histogram = np.zeros((n_rings, N_COLUMNS), np.int32)

    def of_counts(self, frame: PlaneFrame, free: Words) -> RingLimits:
        """Return the statistics of a frame of counts.

        They are those of :meth:`of_values` for the same counts, bit by bit.

        Parameters
        ----------
        free
            Usable pixels on rings, less those that are bad in this frame; words.
        """
        rings, index = self._detector.rings, frame.index
        n_pixels = self._n_pixels.copy()
        n_pixels -= np.bincount(self._rings(frame.bad, self._usable), minlength=n_pixels.size)
        n_pixels[0] = 0
        self._histogram[:] = 0
        fill_histogram(frame.planes, free, rings, self._histogram)
        large = np.empty(index.size, np.int32)
        n_large = fill_listed(index, frame.count, free, rings, self._histogram, large)
        large = large[:n_large]
        large = large[np.argsort(self._rings(index[large], free), kind="stable")]
        limits = _new_limits(n_pixels.size)
        is_inexact = np.zeros(n_pixels.size, np.bool_)
        clip_histograms(
            self._histogram,
            n_pixels,
            self._rings(index[large], free),
            frame.count[large],
            self._cuts,
            limits,
            is_inexact,
        )
        if is_inexact.any():
            self._clip_in_order(frame, free, n_pixels, is_inexact, limits)
        return limits

    def of_values(self, values: npt.NDArray[np.float32], free: Words) -> RingLimits:
        """Return the statistics of a frame of pixel values; ``free`` as above."""
        limits = _new_limits(self._n_pixels.size)
        detector = self._detector
        clip_dense(values, free, detector.rings, detector.windows, self._cuts, limits)
        return limits

    def _clip_in_order(
        self,
        frame: PlaneFrame,
        free: Words,
        n_pixels: npt.NDArray[np.int64],
        is_inexact: npt.NDArray[np.bool_],
        limits: RingLimits,
    ) -> None:
        """Clip rings with large sums photon by photon, in the order of panels."""
        photons = photon_list(frame)
        ring = self._rings(photons.index, free)
        chosen = np.flatnonzero((ring > 0) & is_inexact[ring])
        panel = np.empty(chosen.size, np.int32)
        locate(photons.index[chosen], self._detector.windows, panel)
        order = chosen[np.lexsort((panel, ring[chosen]))]
        values = photons.count[order].astype(np.float32)
        ends = np.cumsum(np.bincount(ring[order], minlength=n_pixels.size))
        for number in np.flatnonzero(is_inexact):
            end = int(ends[number])
            start = int(ends[number - 1]) if number else 0
            n_zeros = int(n_pixels[number]) - (end - start)
            clip_sequence(values[start:end], n_zeros, self._cuts, limits, int(number))

    def _rings(self, pixels: npt.NDArray[np.int32], mask: Words) -> npt.NDArray[np.int32]:
        """Return the ring of pixels, 0 for those that a mask does not let through."""
        rings = np.empty(pixels.size, np.int32)
        list_rings(pixels, mask, self._detector.rings, rings)
        return rings


def _new_limits(n_rings: int) -> RingLimits:
    return RingLimits(*(np.zeros(n_rings, np.float32) for _ in RingLimits._fields))
