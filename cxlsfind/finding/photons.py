"""From raw pixel values to frames: counts as bit planes, everything else as full arrays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cxlsfind.errors import FrameError
from cxlsfind.finding._windows import window_table
from cxlsfind.finding.gains import adu_per_photon
from cxlsfind.finding.planes import PlaneMaker, bad_values, mask_words, sum_counts
from cxlsfind.geometry.layout import Layout, PanelWindow
from cxlsfind.geometry.model import Flag, Geometry
from cxlsfind.io.packed import PackedFrame
from cxlsfind.kernels.photons import list_rounded, sum_photons
from cxlsfind.records import DenseFrame, PhotonFrame, PlaneFrame

BoolArray = npt.NDArray[np.bool_]

#: Integers are photon counts when one photon reads between these: geometries of counting
#: detectors may give ``adu_per_eV`` as one over the nominal photon energy.
_COUNTING: Final = (0.95, 1.05)

_PHOTON_TYPES: Final = frozenset(np.dtype(f"{kind}{size}") for kind in "iu" for size in (1, 2, 4))
_REAL_TYPES: Final = frozenset(np.dtype(f"f{size}") for size in (4, 8))


class FrameMaker:
    """Makes frames of one detector with one mask of what is in files; for one thread.

    Integers are counts when one photon reads 1: such frames become bit planes. Negative counts
    are marks that detectors put on pixels without a measurement (-1 and -2 of Dectris, the
    smallest number of others): those pixels are bad. Floats, and integers with another gain, are
    readings that noise can take below zero: such frames stay arrays, and NaN and infinities are
    bad. In all frames, pixels with a value that the geometry flags are bad.

    Parameters
    ----------
    usable
        Pixels that the run's mask lets through; frame array.
    """

    def __init__(self, geometry: Geometry, layout: Layout, usable: BoolArray) -> None:
        self._geometry = geometry
        self._layout = layout
        self._usable = usable
        self._words = mask_words(usable)
        self._n_usable = int(np.count_nonzero(usable))
        values = bad_values(geometry, layout)
        # To tell small counts that are bad the pixels are gone through one by one.
        self._has_small_flags = values is None
        self._planes = PlaneMaker(layout.n_pixels, *([] if values is None else [values]))

    def takes_packed(self, photon_energy_ev: float) -> bool:
        """Return whether packed integers can be made a frame; others need their pixels.

        Raises
        ------
        FrameError
            The reading of one photon is not known.
        """
        return not self._has_small_flags and self._is_counting(photon_energy_ev)

    def from_packed(self, packed: PackedFrame) -> PlaneFrame:
        """Return the frame of packed bytes.

        Raises
        ------
        FrameError
            They are damaged.
        """
        return self._planes.from_packed(packed, self._words)

    def from_array(self, raw: npt.NDArray[Any], photon_energy_ev: float) -> PlaneFrame | DenseFrame:
        """Return the frame of pixels.

        Parameters
        ----------
        raw
            Frame array as in the file: integers of up to 32 bits or floats, either byte order.
        photon_energy_ev
            Photon energy; of use only where the geometry gives ``adu_per_eV``.

        Returns
        -------
        The frame. If it is a :class:`~cxlsfind.records.DenseFrame` it may share memory with
        ``raw``.

        Raises
        ------
        FrameError
            The data type is another one, or the reading of one photon is not known.
        """
        raw = raw.astype(raw.dtype.newbyteorder("="), copy=False)
        if raw.dtype not in _PHOTON_TYPES | _REAL_TYPES:
            raise FrameError(
                f"pixel values are of type {raw.dtype}; expected integers of 8, 16 or 32 bits, or "
                "floats of 32 or 64"
            )
        is_counts = self._is_counting(photon_energy_ev) and raw.dtype in _PHOTON_TYPES
        if is_counts and not self._has_small_flags:
            return self._planes.from_array(raw, self._words)
        flagged = _flagged_pixels(raw, self._usable, self._geometry, self._layout)
        usable = self._usable.copy()
        usable[flagged] = False
        if not is_counts:
            return _dense_frame(raw, usable, flagged)
        frame = self._planes.from_array(raw, mask_words(usable))
        return replace(frame, bad=np.union1d(flagged, frame.bad))

    def mean_photons(self, frame: PlaneFrame | DenseFrame, photon_energy_ev: float) -> float:
        """Return the mean number of photons per usable pixel; NaN without such a pixel.

        Censored pixels, which may read anything, are left out.

        Raises
        ------
        FrameError
            The reading of one photon is not known.
        """
        n_usable = self._n_usable - frame.bad.size - frame.censored.size
        if n_usable <= 0:
            return float("nan")
        if isinstance(frame, PlaneFrame):
            lost = frame.count[np.searchsorted(frame.index, frame.censored)]
            return (sum_counts(frame) - int(lost.sum(dtype=np.int64))) / n_usable
        here = _usable_here(frame, self._usable)
        here[frame.censored] = False
        gains = adu_per_photon(self._geometry, photon_energy_ev)
        return sum_photons(frame.values, here, window_table(self._layout), gains) / n_usable

    def _is_counting(self, photon_energy_ev: float) -> bool:
        gains = adu_per_photon(self._geometry, photon_energy_ev)
        low, high = _COUNTING
        return bool(low <= gains.min() and gains.max() <= high)


def normalise(
    raw: npt.NDArray[Any],
    usable: BoolArray,
    geometry: Geometry,
    layout: Layout,
    photon_energy_ev: float,
) -> PlaneFrame | DenseFrame:
    """Return the frame of pixels, as :meth:`FrameMaker.from_array` does, where there is but one."""
    return FrameMaker(geometry, layout, usable).from_array(raw, photon_energy_ev)


def photons_from_adu(
    frame: DenseFrame,
    usable: BoolArray,
    geometry: Geometry,
    layout: Layout,
    photon_energy_ev: float,
) -> PhotonFrame:
    """Return the photons of a frame of readings: the nearest whole number, none below zero.

    Parameters and errors are those of :func:`normalise`.
    """
    size = frame.values.size
    index, count = np.empty(size, np.int32), np.empty(size, np.uint32)
    n = list_rounded(
        frame.values,
        _usable_here(frame, usable),
        window_table(layout),
        adu_per_photon(geometry, photon_energy_ev),
        index,
        count,
    )
    order = np.argsort(index[:n], kind="stable")  # panels may lie side by side
    return PhotonFrame(size, index[order], count[order], frame.bad, frame.censored)


def panel_view(array: npt.NDArray[Any], layout: Layout, window: PanelWindow) -> npt.NDArray[Any]:
    """Return the pixels of a panel, [ss, fs], as a view of a frame array."""
    slab = layout.slabs[window.slab]
    top, left = divmod(window.start - slab.offset, window.stride)
    plane = array[slab.offset : slab.offset + slab.shape[0] * slab.shape[1]].reshape(slab.shape)
    return plane[top : top + window.height, left : left + window.width]


def _usable_here(frame: DenseFrame, usable: BoolArray) -> BoolArray:
    here = usable.copy()
    here[frame.bad] = False
    return here


def _dense_frame(
    raw: npt.NDArray[Any], usable: BoolArray, flagged: npt.NDArray[np.int32]
) -> DenseFrame:
    if raw.dtype in _PHOTON_TYPES:
        censored = _where((raw == np.iinfo(raw.dtype).max) & usable)
        return DenseFrame(raw.astype(np.float32), flagged, censored)
    with np.errstate(over="ignore"):  # doubles beyond single precision become infinite, so bad
        values = raw.astype(np.float32, copy=False)
    bad = np.union1d(flagged, _where(~np.isfinite(values) & usable))
    return DenseFrame(values, bad, _where(np.zeros(0, np.bool_)))


def _flagged_pixels(
    raw: npt.NDArray[Any], usable: BoolArray, geometry: Geometry, layout: Layout
) -> npt.NDArray[np.int32]:
    """Return the usable pixels with a value that the geometry calls bad, ascending."""
    if not any(panel.flags for panel in geometry.panels):
        return _where(np.zeros(0, np.bool_))
    is_flagged = np.zeros(raw.size, np.bool_)
    for window in layout.windows:
        pixels = panel_view(raw, layout, window)
        target = panel_view(is_flagged, layout, window)
        for flag in geometry.panels[window.panel].flags:
            target |= _matches(pixels, flag)
    return _where(is_flagged & usable)


def _matches(pixels: npt.NDArray[Any], flag: Flag) -> BoolArray:
    """Return which pixels have a flag's value; NaN has none.

    Integers are compared as they are, floats in single precision, as CrystFEL reads them.
    """
    is_real = pixels.dtype in _REAL_TYPES
    values = pixels.astype(np.float32, copy=False) if is_real else pixels
    limit: Any = np.float32(flag.value) if is_real else flag.value
    if flag.kind == "lessthan":
        return np.asarray(values < limit)
    if flag.kind == "morethan":
        return np.asarray(values > limit)
    return np.asarray((np.rint(values) if is_real else values) == limit)


def _where(condition: BoolArray) -> npt.NDArray[np.int32]:
    return np.flatnonzero(condition).astype(np.int32)
