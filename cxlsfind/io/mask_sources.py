"""The mask arrays that a geometry names, or that a Dectris detector left in its data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from cxlsfind.errors import InputError
from cxlsfind.geometry.layout import Layout, slab_key
from cxlsfind.geometry.model import Dim, Geometry, Mask, Panel
from cxlsfind.io.dectris import (
    CHANNELS,
    DETECTOR,
    PIXEL_MASKS,
    channel_mask,
    is_pixel_mask,
    sibling_master,
)
from cxlsfind.io.files import FileCache, hdf5_errors
from cxlsfind.io.links import AbsentError, Place, fill_path, locate, resolve_file
from cxlsfind.io.notes import Notes

BoolArray = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]

#: Bit 31 of a pixel mask marks pixels whose value the detector interpolates: they can be used.
_TROUBLE_BITS = 0x7FFFFFFF

#: Rows of a mask that are worked on together: they stay in a cache.
_ROWS_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class MaskSource:
    """A mask array: where it is, how to read it, and which bits make a pixel bad.

    Parameters
    ----------
    dims
        Role of each dimension, slowest first; with ``%`` where there is one array per frame.
    numbers
        The ``%`` dimensions of the wanted frames, without repetitions.
    """

    place: Place
    dims: tuple[Dim, ...]
    good_bits: int
    bad_bits: int
    numbers: tuple[tuple[int, ...], ...] = ()

    def __str__(self) -> str:
        return f"{self.place.file}:{self.place.path}"


@dataclass(frozen=True, slots=True)
class MaskUse:
    """The part of a mask array that one panel (or a whole slab) needs.

    Rows and columns are those of the data array, half open.
    """

    source: MaskSource
    slab: int
    rows: tuple[int, int]
    columns: tuple[int, int]


class MaskFinder:
    """Finds and reads mask arrays.

    Parameters
    ----------
    geometry, layout
        What the frames look like.
    files
        Opens the files.
    notes
        Takes what the user should know.
    """

    def __init__(self, geometry: Geometry, layout: Layout, files: FileCache, notes: Notes) -> None:
        self._geometry = geometry
        self._layout = layout
        self._files = files
        self._notes = notes

    def find(
        self, file: str, parts: tuple[str, ...], numbers: Numbers | None
    ) -> tuple[MaskUse, ...]:
        """Return the masks for frames of a file; arguments as in ``MaskStore.add``.

        Raises
        ------
        InputError
            A mask that the geometry names is not there.
        """
        if not any(panel.masks for panel in self._geometry.panels):
            return tuple(self._detector_uses(file, "the geometry names none"))
        if (others := self._uses_of_other_format(file, parts)) is not None:
            return others
        places: dict[tuple[Mask, tuple[Dim, ...]], MaskSource] = {}
        uses = []
        for window in self._layout.windows:
            panel = self._geometry.panels[window.panel]
            rows, columns = (panel.min_ss, panel.max_ss + 1), (panel.min_fs, panel.max_fs + 1)
            for mask in panel.masks:
                if not mask.good_bits and not mask.bad_bits:
                    continue  # no value of the array can make a pixel bad
                key = (mask, panel.dims)
                if key not in places:
                    places[key] = self._named_source(mask, panel, file, parts, numbers)
                uses.append(MaskUse(places[key], window.slab, rows, columns))
        return tuple(uses)

    def _uses_of_other_format(
        self, file: str, parts: tuple[str, ...]
    ) -> tuple[MaskUse, ...] | None:
        """Return the detector's masks where the geometry names that of another Dectris format."""
        named = {(m.file, fill_path(m.data, parts)) for p in self._geometry.panels for m in p.masks}
        if len(named) != 1:
            return None
        ((mask_file, path),) = named
        if mask_file is not None or not is_pixel_mask(path):
            return None
        origins = [file, sibling_master(file)]
        if any(origin and self._try(origin, path) is not None for origin in origins):
            return None
        return tuple(self._detector_uses(file, f"it has no {path}")) or None

    def read(self, source: MaskSource) -> BoolArray:
        """Return a mask array as usable pixels, [ss, fs].

        Of an array per frame, pixels are usable that are so in all wanted frames.

        Raises
        ------
        InputError
            The array cannot be read or does not hold bits.
        """
        dataset = self._files.dataset(source.place.file, source.place.path)
        first: BoolArray | None = None
        n_different = 0
        with hdf5_errors(str(source)):
            for numbers in source.numbers or ((),):
                plane = _usable(dataset[_selection(source.dims, numbers, dataset.shape)], source)
                if first is None:
                    first = usable = plane
                elif not np.array_equal(plane, first):
                    n_different += 1
                    usable = usable & plane
        if n_different:
            self._notes.add(
                source.place.file,
                f"the mask {source.place.path} differs between frames: pixels that are bad in any "
                f"of the {len(source.numbers)} frames are left out of all",
            )
        return usable

    def _named_source(
        self,
        mask: Mask,
        panel: Panel,
        file: str,
        parts: tuple[str, ...],
        numbers: Numbers | None,
    ) -> MaskSource:
        path = fill_path(mask.data, parts)
        place = self._named_place(file if mask.file is None else mask.file, path)
        dataset = self._files.dataset(place.file, place.path)
        static: tuple[Dim, ...] = tuple(dim for dim in panel.dims if dim != "%")
        wanted: tuple[tuple[int, ...], ...] = ()
        if dataset.ndim == len(static):
            dims = static
        elif dataset.ndim == len(panel.dims):
            dims = panel.dims
            wanted = tuple(dict.fromkeys(map(tuple, [] if numbers is None else numbers.tolist())))
        elif dataset.ndim == 2 and len({slab_key(p) for p in self._geometry.panels}) == 1:
            # CrystFEL refuses it, but there is only one image that it can be for.
            dims = ("ss", "fs")
        else:
            expected = " or ".join(str(n) for n in sorted({len(static), len(panel.dims)}))
            raise InputError(
                f"{place.file}:{place.path}: the mask has {dataset.ndim} dimensions; panel "
                f"{panel.name} of the geometry needs {expected}"
            )
        _check_complete(dataset, place)
        return MaskSource(place, dims, mask.good_bits, mask.bad_bits, wanted)

    def _named_place(self, file: str, path: str) -> Place:
        try:
            return locate(self._files, file, path)
        except AbsentError as error:
            master = sibling_master(file) if is_pixel_mask(path) else None
            if master is not None:
                place = self._try(master, path)
                if place is not None:
                    self._notes.add(file, f"mask {path} taken from {master}")
                    return place
            raise InputError(
                f"{file}: the geometry names a mask {path} that this file does not have; "
                "list files that have it (of a Dectris run, the master), or take the mask "
                "out of the geometry"
            ) from error

    def _detector_uses(self, file: str, why: str) -> list[MaskUse]:
        uses = []
        for number, slab in enumerate(self._layout.slabs):
            channel = next((dim for dim in slab.dims if isinstance(dim, int)), 0)
            source = self._detector_source(file, channel, slab.shape, why)
            if source is not None:
                rows, columns = (0, slab.shape[0]), (0, slab.shape[1])
                uses.append(MaskUse(source, number, rows, columns))
        return uses

    def _detector_source(
        self, file: str, channel: int, shape: tuple[int, int], why: str
    ) -> MaskSource | None:
        """Return the mask that the detector wrote for one slab, if there is one."""
        for origin in (file, sibling_master(file)):
            if origin is None:
                continue
            for path in (*PIXEL_MASKS, *self._channel_masks(origin, channel)):
                place = self._try(origin, path)
                if place is None:
                    continue
                dataset = self._files.dataset(place.file, place.path)
                _check_complete(dataset, place)
                if dataset.shape[-2:] != shape or dataset.ndim > 3:
                    self._notes.add(
                        file,
                        f"the pixel mask {path} of {origin} is not used: its shape is "
                        f"{dataset.shape}, that of the frames {shape}",
                    )
                    return None
                own: tuple[Dim, ...] = ("ss", "fs")
                if dataset.ndim == 3:
                    own = (min(channel, dataset.shape[0] - 1), "ss", "fs")
                where = path if origin == file else f"{path} of {origin}"
                self._notes.add(file, f"pixel mask from {where} ({why})")
                return MaskSource(place, own, 0, _TROUBLE_BITS)
        return None

    def _channel_masks(self, file: str, channel: int) -> list[str]:
        """Return the path of the mask of a channel, of which the data have several."""
        names: list[str] = []
        place = self._try(file, CHANNELS)
        if place is not None:
            dataset = self._files.dataset(place.file, place.path)
            with hdf5_errors(f"{place.file}:{place.path}"):
                if dataset.ndim == 1 and h5py.check_string_dtype(dataset.dtype):
                    names = list(dataset.asstr()[()])
        if not names and (place := self._try(file, DETECTOR)) is not None:
            with hdf5_errors(f"{place.file}:{place.path}"):
                found = self._files.open(place.file)[place.path]
                names = [n.removesuffix("_channel") for n in found if n.endswith("_channel")]
            # The order of the data: thresholds by number, then their difference.
            names.sort(key=lambda name: (not name.startswith("threshold"), name))
        return [channel_mask(names[channel])] if channel < len(names) else []

    def _try(self, file: str, path: str) -> Place | None:
        try:
            return locate(self._files, file, path)
        except AbsentError:
            return None


def _selection(
    dims: tuple[Dim, ...], numbers: tuple[int, ...], shape: tuple[int, ...]
) -> tuple[int | slice, ...]:
    remaining = iter(numbers)
    selection: list[int | slice] = []
    for dim, size in zip(dims, shape, strict=True):
        if dim == "%":
            number = next(remaining, 0)
            # One array for all frames, written with a dimension of one.
            selection.append(0 if size == 1 else number)
        else:
            selection.append(dim if isinstance(dim, int) else slice(None))
    return tuple(selection)


def _usable(array: npt.NDArray[Any], source: MaskSource) -> BoolArray:
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise InputError(f"{source}: the mask holds NaN or infinities; expected bits")
        array = array.astype(np.int64)
    elif array.dtype.kind not in "bui":
        raise InputError(f"{source}: the mask holds {array.dtype}; expected integers")
    good, bad = np.uint32(source.good_bits), np.uint32(source.bad_bits)
    usable: BoolArray = np.empty(array.shape, np.bool_)
    # A few rows at a time: to get memory for whole images takes longer than the work.
    for start in range(0, len(array), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        bits = array[rows].astype(np.uint32)  # negative numbers keep their bits
        usable[rows] = ((bits & good) == good) & ((bits & bad) == 0)
    return usable


def _check_complete(dataset: h5py.Dataset, place: Place) -> None:
    """Refuse a virtual dataset without its sources: HDF5 would read zeros, "no bad pixel"."""
    if not dataset.is_virtual:
        return
    for source in dataset.virtual_sources():
        file = place.file
        if source.file_name != ".":
            file = resolve_file(source.file_name, place.file)
        try:
            with h5py.File(file, "r", locking=False) as handle:
                is_there = source.dset_name in handle
        except OSError:
            is_there = False
        if not is_there:
            raise InputError(
                f"{place.file}:{place.path}: the mask is a virtual dataset, and its source "
                f"{source.dset_name} in {file} is missing"
            )
