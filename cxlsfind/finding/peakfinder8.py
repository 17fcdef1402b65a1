"""Peaks as CrystFEL's peakfinder8 finds them.

The algorithm is that of A. Barty et al., J. Appl. Cryst. 47, 1118 (2014),
https://doi.org/10.1107/S1600576714007626, as CrystFEL 0.12.0-113-g80f24855 runs it,
single-precision arithmetic included: the lists are the same, peak by peak. For photon frames the
cost goes with the photons, not with the pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from cxlsfind.errors import UsageError
from cxlsfind.finding._windows import window_table
from cxlsfind.finding.gains import adu_per_photon
from cxlsfind.finding.ring_limits import RingStatistics
from cxlsfind.geometry.layout import Layout
from cxlsfind.geometry.maps import radii
from cxlsfind.geometry.model import Geometry
from cxlsfind.kernels.bright_pixels import (
    BAD,
    CENSORED,
    CLAIMED,
    Image,
    clear_counts,
    list_near,
    locate,
    scatter_counts,
    select_bright_photons,
    select_bright_pixels,
)
from cxlsfind.kernels.peakfinder8 import Cuts, PeakTable, new_peak_table, search
from cxlsfind.kernels.rings import RingLimits
from cxlsfind.records import PEAK_DTYPE, DenseFrame, PeakArray, PeakFlag, PhotonFrame

#: Peaks per frame at most; what comes after them is not searched. CrystFEL's limit.
MAX_PEAKS: Final = 2048

_UNKNOWN: Final = ("sigma_fs", "sigma_ss", "log_likelihood_ratio", "p_value", "inverse_d")


@dataclass(frozen=True, slots=True)
class Peakfinder8Settings:
    """Settings of the search, in CrystFEL's names and meanings.

    Parameters
    ----------
    threshold
        No pixel at or below this starts or joins a peak; in the units of the data.
    min_snr
        Least signal-to-noise ratio of pixels (against their ring) and of peaks.
    min_pix_count, max_pix_count
        Least and largest number of pixels of a peak.
    local_bg_radius
        Half the radius of the disc round a peak in which its background is measured, pixels.
    min_res, max_res
        Only pixels with a radius strictly between these are used, pixels; 0 is no limit.

    Raises
    ------
    UsageError
        A setting makes no sense; the message names the option.
    """

    threshold: float
    min_snr: float = 5.0
    min_pix_count: int = 2
    max_pix_count: int = 200
    local_bg_radius: int = 3
    min_res: float = 0.0
    max_res: float = 0.0

    def __post_init__(self) -> None:
        """Check the settings."""
        _check("threshold", self.threshold, math.isfinite(self.threshold), "a finite number")
        _check("min-snr", self.min_snr, 0.0 <= self.min_snr < math.inf, "a number from 0")
        _check("min-pix-count", self.min_pix_count, self.min_pix_count >= 1, "at least 1")
        _check(
            "max-pix-count",
            self.max_pix_count,
            self.max_pix_count >= self.min_pix_count,
            f"at least --min-pix-count={self.min_pix_count}",
        )
        _check("local-bg-radius", self.local_bg_radius, self.local_bg_radius >= 1, "at least 1")
        _check("min-res", self.min_res, 0.0 <= self.min_res < math.inf, "a number from 0")
        _check(
            "max-res",
            self.max_res,
            self.max_res == 0.0 or self.min_res < self.max_res < math.inf,
            f"0 (no limit) or more than --min-res={self.min_res:g}",
        )


def _check(option: str, value: float, is_sensible: bool, expected: str) -> None:
    if not is_sensible:
        raise UsageError(f"--{option}={value:g}: expected {expected}")


class Peakfinder8:
    """Finds peaks in the frames of one detector with one mask; one thread at a time.

    Parameters
    ----------
    settings
        Settings of the search.
    geometry, layout
        Detector and frame array.
    radius_bins
        Ring of every pixel (:func:`cxlsfind.geometry.maps.radius_bins`); int32. Read only, so
        that threads can share it.
    usable
        Pixels that the run's mask lets through; bool. Read only as well.
    shift_m
        Shift (x, y) of the detector for which ``radius_bins`` was made, metres.
    """

    def __init__(
        self,
        settings: Peakfinder8Settings,
        geometry: Geometry,
        layout: Layout,
        radius_bins: npt.NDArray[np.int32],
        usable: npt.NDArray[np.bool_],
        shift_m: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self._geometry = geometry
        self._threshold = np.float32(settings.threshold)
        if settings.min_res > 0.0 or settings.max_res > 0.0:
            usable = usable & _is_within(radii(geometry, layout, shift_m), settings)
        self._image = Image(
            values=np.zeros(layout.n_pixels, np.float32),
            state=np.zeros(layout.n_pixels, np.uint8),
            usable=usable,
            rings=radius_bins,
            windows=window_table(layout),
            max_adu=np.array([panel.max_adu for panel in geometry.panels], np.float32),
        )
        min_snr = np.float32(settings.min_snr)
        self._statistics = RingStatistics(self._image, min_snr, self._threshold)
        self._cuts = Cuts(
            min_snr, settings.min_pix_count, settings.max_pix_count, settings.local_bg_radius
        )
        # The background of a peak reaches less than this far from one of its pixels in the array.
        rows = 2 * settings.local_bg_radius + 1
        self._reach = rows * max(window.stride for window in layout.windows)
        self._peaks = new_peak_table(MAX_PEAKS)
        self._corner = np.array([(p.min_fs, p.min_ss) for p in geometry.panels], np.float64)

    def find(self, frame: PhotonFrame | DenseFrame, photon_energy_ev: float) -> PeakArray:
        """Return the peaks of a frame: panel after panel, in the order of their first pixels.

        Parameters
        ----------
        frame
            The frame, made with the ``usable`` of this finder.
        photon_energy_ev
            Photon energy; of use only where the geometry gives ``adu_per_eV``.

        Returns
        -------
        Array of :data:`~cxlsfind.records.PEAK_DTYPE`, at most 2048 peaks; empty if none. ``snr``
        is CrystFEL's: the intensity over the standard deviation of one background pixel.
        ``sigma_photons`` holds the Poisson noise of the peak's pixels and the error of the
        background under them.

        Raises
        ------
        FrameError
            The reading of one photon is not known.
        """
        gains = adu_per_photon(self._geometry, photon_energy_ev)
        state = self._image.state
        state[frame.bad] |= BAD
        state[frame.censored] |= CENSORED
        if isinstance(frame, DenseFrame):
            n_peaks = self._search_dense(self._image._replace(values=frame.values))
        elif self._threshold < 0.0:  # pixels without photons may be bright
            scatter_counts(frame.index, frame.count, self._image.values)
            n_peaks = self._search_dense(self._image)
            clear_counts(frame.index, self._image.values)
        else:
            n_peaks = self._search_sparse(frame)
        state[frame.bad] = 0
        state[frame.censored] = 0
        return self._to_records(n_peaks, gains)

    def _search_dense(self, image: Image) -> int:
        limits = self._statistics.of_image(image)
        bright = np.empty(image.values.size, np.int32)
        n_bright = select_bright_pixels(image, limits, bright)
        return self._search(image, limits, bright[:n_bright])

    def _search_sparse(self, frame: PhotonFrame) -> int:
        image, index, count = self._image, frame.index, frame.count
        limits = self._statistics.of_photons(frame)
        bright = np.empty(index.size, np.int32)
        n_bright = select_bright_photons(index, count, image, limits, self._threshold, bright)
        if n_bright == 0:
            return 0
        near = np.empty(index.size, np.int32)
        near = near[: list_near(index, bright[:n_bright], self._reach, near)]
        scatter_counts(index[near], count[near], image.values)
        n_peaks = self._search(image, limits, bright[:n_bright])
        clear_counts(index[near], image.values)
        return n_peaks

    def _search(self, image: Image, limits: RingLimits, bright: npt.NDArray[np.int32]) -> int:
        """Find the peaks among the bright pixels, and release these."""
        panels = np.empty(bright.size, np.int32)
        locate(bright, image.windows, panels)
        order = np.argsort(panels, kind="stable")  # panels may lie side by side
        claimed = np.empty(bright.size, np.int32)
        n_peaks, n_claimed = search(
            image, limits, bright[order], panels[order], self._cuts, claimed, self._peaks
        )
        image.state[claimed[:n_claimed]] &= ~CLAIMED
        return n_peaks

    def _to_records(self, n_peaks: int, gains: npt.NDArray[np.float64]) -> PeakArray:
        found = PeakTable._make(column[:n_peaks] for column in self._peaks)
        gain = gains[found.panel]
        background_error = found.n_pixels * found.sigma / np.sqrt(np.maximum(found.n_background, 1))
        half = np.float32(0.5)  # the table counts from the centre of the panel's first pixel
        peaks = np.zeros(n_peaks, PEAK_DTYPE)
        for name in _UNKNOWN:
            peaks[name] = np.nan
        peaks["fs"] = self._corner[found.panel, 0] + (found.fs + half)
        peaks["ss"] = self._corner[found.panel, 1] + (found.ss + half)
        peaks["panel"] = found.panel
        peaks["intensity"] = found.intensity
        peaks["photons"] = found.intensity / gain
        peaks["sigma_photons"] = np.sqrt(
            np.maximum(found.total, 0) / gain + (background_error / gain) ** 2
        )
        peaks["background"] = found.background / gain
        peaks["snr"] = found.snr
        peaks["n_pixels"] = found.n_pixels
        peaks["flags"][found.saturated] |= np.uint32(PeakFlag.SATURATED)
        peaks["flags"][found.edge] |= np.uint32(PeakFlag.EDGE)
        return peaks


def _is_within(
    radius: npt.NDArray[np.float32], settings: Peakfinder8Settings
) -> npt.NDArray[np.bool_]:
    """Return which radii the settings leave, strictly inside their limits."""
    upper = settings.max_res if settings.max_res > 0.0 else np.inf
    return np.asarray((radius > np.float32(settings.min_res)) & (radius < np.float32(upper)))
