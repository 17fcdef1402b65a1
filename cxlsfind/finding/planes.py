"""From integers, packed or not, to bit planes of photon counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cxlsfind.errors import FrameError
from cxlsfind.finding._windows import window_table
from cxlsfind.geometry.layout import Layout
from cxlsfind.geometry.model import Geometry, Panel
from cxlsfind.io.codecs import ChunkError, check_bitshuffle
from cxlsfind.io.packed import PackedFrame
from cxlsfind.kernels.plane_decode import Elements, decode_planes
from cxlsfind.kernels.plane_pack import LISTED, BadValues, PixelLists, Target, pack_planes
from cxlsfind.kernels.planes import (
    count_bits,
    count_full,
    photons_from_planes,
    planes_from_photons,
    words_of,
)
from cxlsfind.records import PhotonFrame, PlaneFrame

#: Numbers of planes that frames have.
PLANE_NUMBERS: Final = (2, 3, 4, 5, 6, 8)

#: A number of planes will do if no more than one pixel in this many has all bits set.
LISTED_SHARE: Final = 4096

#: But so many pixels may have all bits set in any case.
_FEW: Final = 16

#: The smallest count that stands in the list whatever the number of planes.
_ALWAYS_LISTED: Final = 2 ** PLANE_NUMBERS[-1] - 1

_NONE_BAD: Final = BadValues(np.zeros((0, 4), np.int64), np.zeros(0), np.zeros((0, 0), np.int64))


class PlaneMaker:
    """Makes plane frames of one frame array; for one thread.

    The number of planes is the first of ``PLANE_NUMBERS`` for which no more than one pixel in
    ``LISTED_SHARE`` has all bits set, else the last; of types whose numbers do not fill that
    many, the last that they fill. It follows from the counts alone.

    Parameters
    ----------
    n_pixels
        Length of the frame array.
    values
        Counts that mark bad pixels: those of :func:`bad_values`.
    """

    def __init__(self, n_pixels: int, values: BadValues = _NONE_BAD) -> None:
        self._n_pixels = n_pixels
        self._values = values
        self._n_planes = PLANE_NUMBERS[0]
        # Memory that is not written takes no room: long lists cost nothing.
        self._lists = PixelLists(
            full=np.empty(n_pixels, np.int32),
            full_count=np.empty(n_pixels, np.uint32),
            bad=np.empty(n_pixels, np.int32),
            censored=np.empty(n_pixels, np.int32),
            lengths=np.zeros(4, np.int64),
        )

    def from_array(self, raw: npt.NDArray[Any], usable: npt.NDArray[np.uint64]) -> PlaneFrame:
        """Return the frame of an array of integers of up to 32 bits, in native byte order.

        Parameters
        ----------
        usable
            Usable pixels; see :func:`mask_words`.
        """
        return self._make(lambda target: pack_planes(raw, target), raw.dtype, usable)

    def from_packed(self, packed: PackedFrame, usable: npt.NDArray[np.uint64]) -> PlaneFrame:
        """Return the frame of packed bytes.

        Raises
        ------
        FrameError
            They are damaged.
        """
        dtype = packed.dtype
        elements = Elements(self._n_pixels, dtype.itemsize, dtype.kind == "i")

        def decode(target: Target) -> None:
            if not decode_planes(packed.chunk, packed.n_bytes, elements, target):
                raise FrameError(f"{packed.place}: {_damage(packed, self._n_pixels)}")

        return self._make(decode, dtype, usable)

    def _make(
        self,
        fill: Callable[[Target], None],
        dtype: np.dtype[np.generic],
        usable: npt.NDArray[np.uint64],
    ) -> PlaneFrame:
        largest = int(np.iinfo(dtype.str).max)
        numbers = [n for n in PLANE_NUMBERS if _full(n) <= largest]
        few = _few(self._n_pixels)
        # Frames that follow each other are alike.
        n_planes = min(self._n_planes, numbers[-1])
        while True:
            room = self._n_pixels if n_planes == numbers[-1] else few
            lists = self._lists._replace(
                full=self._lists.full[:room], full_count=self._lists.full_count[:room]
            )
            lists.lengths[:] = 0
            planes = np.empty((n_planes, usable.size), np.uint64)
            fill(Target(usable, largest, self._values, planes, lists))
            if lists.lengths[LISTED] > room:
                n_planes = next(n for n in numbers if n > n_planes)
                continue
            fewer = max((n for n in numbers if n < n_planes), default=0)
            if not fewer or count_full(planes, fewer, few) > few:
                break
            n_planes = fewer
        self._n_planes = n_planes
        n_listed, n_negative, n_flagged, n_censored = lists.lengths.tolist()
        bad = lists.bad[: n_negative + n_flagged].copy()
        if n_negative and n_flagged:
            bad.sort()
        return PlaneFrame(
            n_pixels=self._n_pixels,
            planes=planes,
            index=lists.full[:n_listed].copy(),
            count=lists.full_count[:n_listed].copy(),
            bad=bad,
            censored=lists.censored[:n_censored].copy(),
        )


def _few(n_pixels: int) -> int:
    """Return how many pixels of a frame may have all bits set."""
    return max(n_pixels // LISTED_SHARE, _FEW)


def _damage(packed: PackedFrame, n_pixels: int) -> str:
    """Return what is wrong with packed bytes that cannot be decoded."""
    item_bytes = packed.dtype.itemsize
    try:
        check_bitshuffle(
            packed.chunk[: packed.n_bytes].tobytes(), n_pixels * item_bytes, item_bytes
        )
    except ChunkError as error:
        return f"the pixels cannot be decoded: {error}"
    return "the pixels cannot be decoded: a compressed block is damaged"


def mask_words(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint64]:
    """Return a mask over the frame array as words, one bit per pixel, lowest bit first."""
    words = np.empty(-(-mask.size // 64), np.uint64)
    words_of(mask, words)
    return words


def photon_list(frame: PlaneFrame) -> PhotonFrame:
    """Return a frame as a list of photons."""
    n_most = int(sum(count_bits(plane) for plane in frame.planes))
    index, count = np.empty(n_most, np.int32), np.empty(n_most, np.uint32)
    n = photons_from_planes(frame.planes, frame.index, frame.count, index, count)
    return PhotonFrame(
        frame.n_pixels, index[:n].copy(), count[:n].copy(), frame.bad, frame.censored
    )


def dense_values(frame: PlaneFrame) -> npt.NDArray[np.float32]:
    """Return the counts of all pixels; frame array."""
    photons = photon_list(frame)
    values = np.zeros(frame.n_pixels, np.float32)
    values[photons.index] = photons.count
    return values


def plane_frame(frame: PhotonFrame) -> PlaneFrame:
    """Return a list of photons as bit planes; the inverse of :func:`photon_list`."""
    few = _few(frame.n_pixels)
    numbers = [n for n in PLANE_NUMBERS if np.count_nonzero(frame.count >= _full(n)) <= few]
    n_planes = numbers[0] if numbers else PLANE_NUMBERS[-1]
    planes = np.empty((n_planes, -(-frame.n_pixels // 64)), np.uint64)
    index, count = np.empty_like(frame.index), np.empty_like(frame.count)
    n = planes_from_photons(frame.index, frame.count, planes, index, count)
    return PlaneFrame(
        frame.n_pixels, planes, index[:n].copy(), count[:n].copy(), frame.bad, frame.censored
    )


def counts_at(frame: PlaneFrame, pixels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the counts of pixels."""
    bits = frame.planes[:, pixels >> 6] >> (pixels & 63).astype(np.uint64) & np.uint64(1)
    counts: npt.NDArray[np.int64] = (bits.astype(np.int64) << np.arange(len(bits))[:, None]).sum(
        axis=0
    )
    full = counts == _full(len(bits))
    counts[full] = frame.count[np.searchsorted(frame.index, pixels[full])]
    return counts


def sum_counts(frame: PlaneFrame) -> int:
    """Return the photons of a frame; censored pixels count as what they read."""
    in_planes = sum(count_bits(plane) << k for k, plane in enumerate(frame.planes))
    beyond = int(frame.count.sum(dtype=np.int64)) - frame.count.size * _full(len(frame.planes))
    return in_planes + beyond


def _full(n_planes: int) -> int:
    """Return the count that fills so many planes."""
    return (1 << n_planes) - 1


def bad_values(geometry: Geometry, layout: Layout) -> BadValues | None:
    """Return the counts that the geometry calls bad; ``None`` if small ones are among them.

    Only counts that stand in the list of any frame can be told while planes are made.
    """
    limits = [_largest_good(panel) for panel in geometry.panels]
    marks = [_marks(panel) for panel in geometry.panels]
    is_low = any(f.kind == "lessthan" and f.value > 0 for p in geometry.panels for f in p.flags)
    smallest = min([limit + 1 for limit in limits] + [mark for panel in marks for mark in panel])
    if is_low or smallest < _ALWAYS_LISTED:
        return None
    chosen = [n for n, limit in enumerate(limits) if marks[n] or limit < np.inf]
    equal = np.full((len(chosen), max((len(marks[n]) for n in chosen), default=0)), -1, np.int64)
    for row, number in enumerate(chosen):
        equal[row, : len(marks[number])] = marks[number]
    return BadValues(window_table(layout)[chosen], np.array(limits)[chosen], equal)


def _largest_good(panel: Panel) -> float:
    return min((flag.value for flag in panel.flags if flag.kind == "morethan"), default=np.inf)


def _marks(panel: Panel) -> list[int]:
    """Return the counts that the flags of a panel name."""
    values = [flag.value for flag in panel.flags if flag.kind == "equal"]
    return [value for value in values if 0 <= value < 2**32]
