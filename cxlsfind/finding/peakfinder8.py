"""Peaks as CrystFEL's peakfinder8 finds them.

The algorithm is that of A. Barty et al., J. Appl. Cryst. 47, 1118 (2014),
https://doi.org/10.1107/S1600576714007626, as CrystFEL 0.12.0-113-g80f24855 runs it,
single-precision arithmetic included: the lists are the same, peak by peak. For photon counts the
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
from cxlsfind.finding.planes import dense_values, mask_words
from cxlsfind.finding.ring_limits import RingStatistics
from cxlsfind.geometry.layout import Layout
from cxlsfind.geometry.maps import radii
from cxlsfind.geometry.model import Geometry
from cxlsfind.kernels.bright_pixels import Detector, Image, keep_bright, list_bright, list_counts
from cxlsfind.kernels.peakfinder8 import Cuts, PeakTable, bound_peaks, new_peak_table, search
from cxlsfind.kernels.planes import clear_bits, copy_bits, set_bits
from cxlsfind.kernels.ring_map import RingMap, ring_words
from cxlsfind.kernels.rings import RingLimits
from cxlsfind.kernels.windows import locate
from cxlsfind.records import PEAK_DTYPE, DenseFrame, PeakArray, PeakFlag, PlaneFrame

#: Peaks per frame at most; what comes after them is not searched. CrystFEL's limit.
MAX_PEAKS: Final = 2048

#: Frames of counts with more bit planes than this are searched like readings, with the same
#: result: more than one pixel in ``LISTED_SHARE`` holds 15 photons or more.
MOST_PLANES: Final = 4

#: With this many times the pixels that are needed above the threshold there will be peaks.
_PLENTY: Final = 32

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
    rings
        Rings of all pixels: of :func:`cxlsfind.geometry.maps.radius_bins`. Read only, so that
        threads and processes can share it.
    usable
        Pixels that the run's mask lets through; bool.
    shift_m
        Shift (x, y) of the detector for which ``rings`` was made, metres.
    """

    def __init__(
        self,
        settings: Peakfinder8Settings,
        geometry: Geometry,
        layout: Layout,
        rings: RingMap,
        usable: npt.NDArray[np.bool_],
        shift_m: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self._geometry = geometry
        self._threshold = np.float32(settings.threshold)
        if settings.min_res > 0.0 or settings.max_res > 0.0:
            usable = usable & _is_within(radii(geometry, layout, shift_m), settings)
        max_adu = np.array([panel.max_adu for panel in geometry.panels], np.float32)
        self._detector = Detector(rings, window_table(layout), max_adu)
        self._usable = mask_words(usable)
        self._on_rings = self._usable & ring_words(rings)
        self._good, self._free = self._usable.copy(), self._on_rings.copy()
        self._bright = np.zeros_like(self._usable)
        min_snr = np.float32(settings.min_snr)
        self._statistics = RingStatistics(self._detector, self._on_rings, min_snr, self._threshold)
        self._cuts = Cuts(
            self._threshold,
            min_snr,
            settings.min_pix_count,
            settings.max_pix_count,
            settings.local_bg_radius,
        )
        self._peaks = new_peak_table(MAX_PEAKS)
        self._corner = np.array([(p.min_fs, p.min_ss) for p in geometry.panels], np.float64)

    def find(
        self, frame: PlaneFrame | DenseFrame, photon_energy_ev: float, at_least: int = 1
    ) -> PeakArray:
        """Return the peaks of a frame: panel after panel, in the order of their first pixels.

        Parameters
        ----------
        frame
            The frame, made with the ``usable`` of this finder.
        photon_energy_ev
            Photon energy; of use only where the geometry gives ``adu_per_eV``.
        at_least
            Frames with fewer peaks than this are taken to have none, which is often seen at once.

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
        clear_bits(self._good, frame.bad)
        clear_bits(self._free, frame.bad)
        if isinstance(frame, DenseFrame):
            n_peaks = self._search_values(frame.values, frame.censored)
        elif self._threshold < 0.0 or len(frame.planes) > MOST_PLANES:
            n_peaks = self._search_values(dense_values(frame), frame.censored)
        else:
            n_peaks = self._search_counts(frame, at_least)
        copy_bits(self._usable, frame.bad, self._good)
        copy_bits(self._on_rings, frame.bad, self._free)
        return self._to_records(n_peaks if n_peaks >= at_least else 0, gains)

    def _search_values(
        self, values: npt.NDArray[np.float32], censored: npt.NDArray[np.int32]
    ) -> int:
        limits = self._statistics.of_values(values, self._free)
        no_planes = np.empty((0, 0), np.uint64)
        nowhere, nothing = np.empty(0, np.int32), np.empty(0, np.uint32)
        image = Image(
            values, no_planes, nowhere, nothing, self._good, self._free, self._bright, censored
        )
        bright = np.empty(values.size, np.int32)
        n_bright = list_bright(image, self._detector, limits, bright)
        return self._search(image, limits, bright[:n_bright])

    def _search_counts(self, frame: PlaneFrame, at_least: int) -> int:
        image = Image(
            np.empty(0, np.float32),
            frame.planes,
            frame.index,
            frame.count,
            self._good,
            self._free,
            self._bright,
            frame.censored,
        )
        # No limit is below the threshold: only these pixels can be bright.
        least = min(math.floor(self._threshold) + 1, 2**32)
        pixels = np.empty(frame.n_pixels, np.int32)  # what is not written costs nothing
        pixels = pixels[: list_counts(image, least, pixels)]
        is_plenty = pixels.size >= _PLENTY * at_least * self._cuts.min_pix_count
        if not is_plenty and self._most_peaks(image, pixels) < at_least:
            return 0
        limits = self._statistics.of_counts(frame, self._free)
        n_bright = keep_bright(pixels, image, self._detector.rings, limits)
        return self._search(image, limits, pixels[:n_bright])

    def _most_peaks(self, image: Image, pixels: npt.NDArray[np.int32]) -> int:
        """Return how many peaks the pixels above the threshold can make at most."""
        panels, claimed = np.empty_like(pixels), np.empty_like(pixels)
        locate(pixels, self._detector.windows, panels)
        least = self._cuts.min_pix_count
        most, n_claimed = bound_peaks(image, self._detector, pixels, panels, least, claimed)
        set_bits(image.free, claimed[:n_claimed])
        return most

    def _search(self, image: Image, limits: RingLimits, bright: npt.NDArray[np.int32]) -> int:
        """Find the peaks among the bright pixels, and release these."""
        panels, claimed = np.empty_like(bright), np.empty_like(bright)
        locate(bright, self._detector.windows, panels)
        order = np.argsort(panels, kind="stable")  # panels may lie side by side
        n_peaks, n_claimed = search(
            image,
            self._detector,
            limits,
            bright[order],
            panels[order],
            self._cuts,
            claimed,
            self._peaks,
        )
        set_bits(image.free, claimed[:n_claimed])
        return n_peaks

    def _to_records(self, n_peaks: int, gains: npt.NDArray[np.float64]) -> PeakArray:
        if n_peaks == 0:
            return np.zeros(0, PEAK_DTYPE)
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
