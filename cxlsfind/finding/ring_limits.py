"""Mean and upper limit of every ring of a frame, from photon lists or full frames."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels.bright_pixels import BAD, Image, locate
from cxlsfind.kernels.rings import (
    N_COLUMNS,
    RingLimits,
    clip_dense,
    clip_histograms,
    clip_sequence,
    count_pixels,
    fill_histogram,
)
from cxlsfind.records import PhotonFrame


class RingStatistics:
    """Clipped statistics of the rings of one detector with one mask.

    Parameters
    ----------
    image
        Maps of the detector; ``rings``, ``usable`` and ``windows`` are used here.
    min_snr
        Values further than this many standard deviations from the mean are clipped.
    threshold
        Values up to this one are never clipped for being large.
    """

    def __init__(self, image: Image, min_snr: np.float32, threshold: np.float32) -> None:
        self._image = image
        self._cuts = (min_snr, threshold)
        n_rings = max(int(image.rings.max(initial=-1)), 0) + 1
        self._n_pixels = np.zeros(n_rings, np.int64)
        count_pixels(image.rings, image.usable, self._n_pixels)
        self._histogram = np.zeros((n_rings, N_COLUMNS), np.int32)

    def of_photons(self, frame: PhotonFrame) -> RingLimits:
        """Return the statistics of a photon frame.

        They are those of :meth:`of_image` for the same counts, bit by bit.
        """
        rings, usable = self._image.rings, self._image.usable
        n_pixels = self._n_pixels.copy()
        bad = frame.bad[usable[frame.bad] & (rings[frame.bad] > 0)]
        np.subtract.at(n_pixels, rings[bad], 1)
        self._histogram[:] = 0
        large = np.empty(frame.index.size, np.int32)
        n_large = fill_histogram(frame.index, frame.count, rings, usable, self._histogram, large)
        large = large[:n_large]
        large = large[np.argsort(rings[frame.index[large]], kind="stable")]
        limits = _new_limits(n_pixels.size)
        is_inexact = np.zeros(n_pixels.size, np.bool_)
        clip_histograms(
            self._histogram,
            n_pixels,
            rings[frame.index[large]],
            frame.count[large],
            self._cuts,
            limits,
            is_inexact,
        )
        if is_inexact.any():
            self._clip_in_order(frame, n_pixels, is_inexact, limits)
        return limits

    def of_image(self, image: Image) -> RingLimits:
        """Return the statistics of a full frame."""
        limits = _new_limits(self._n_pixels.size)
        clip_dense(
            image.values,
            image.usable,
            image.state & BAD,
            image.rings,
            image.windows,
            self._cuts,
            limits,
        )
        return limits

    def _clip_in_order(
        self,
        frame: PhotonFrame,
        n_pixels: npt.NDArray[np.int64],
        is_inexact: npt.NDArray[np.bool_],
        limits: RingLimits,
    ) -> None:
        """Clip rings with large sums photon by photon, in the order of panels."""
        ring = self._image.rings[frame.index]
        chosen = np.flatnonzero((ring > 0) & self._image.usable[frame.index] & is_inexact[ring])
        panel = np.empty(chosen.size, np.int32)
        locate(frame.index[chosen], self._image.windows, panel)
        order = chosen[np.lexsort((panel, ring[chosen]))]
        values = frame.count[order].astype(np.float32)
        ends = np.cumsum(np.bincount(ring[order], minlength=n_pixels.size))
        for number in np.flatnonzero(is_inexact):
            end = int(ends[number])
            start = int(ends[number - 1]) if number else 0
            n_zeros = int(n_pixels[number]) - (end - start)
            clip_sequence(values[start:end], n_zeros, self._cuts, limits, int(number))


def _new_limits(n_rings: int) -> RingLimits:
    return RingLimits(*(np.zeros(n_rings, np.float32) for _ in RingLimits._fields))
