"""Values that image files hold beside their pixels: one per file, or one per frame."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from cxlsfind.errors import InputError
from cxlsfind.io.dectris import sibling_master
from cxlsfind.io.files import FileCache, hdf5_errors
from cxlsfind.io.links import AbsentError, fill_path, locate
from cxlsfind.records import EventId, HeaderValue

#: Larger datasets are images that somebody mistook for a header.
_MAX_VALUES = 10_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Header:
    """One dataset with a value per file or per frame.

    Parameters
    ----------
    file, path
        The file that was asked, or its master file; and the path there, with its ``%`` filled.
    values
        All values, in the shape of the dataset; numbers, or Python strings.
    units
        Attribute ``units`` of the dataset; empty without.
    is_constant
        Whether all values are equal.
    is_from_master
        Whether it is from the master file that belongs to the file that was asked.
    """

    file: str
    path: str
    values: npt.NDArray[Any]
    units: str
    is_constant: bool
    is_from_master: bool

    def __str__(self) -> str:
        return f"{self.file}:{self.path}"

    def first(self) -> Header:
        """Return a header with the first value alone, which then holds for all frames."""
        return replace(self, values=self.values.ravel()[:1], is_constant=True)

    def value(self, event: EventId) -> HeaderValue:
        """Return the value for a frame.

        Every dimension larger than one takes the next number of the event, as in CrystFEL. In
        a master file, where rows are not those of the data file, only constants have a meaning.

        Raises
        ------
        InputError
            There is none; the message does not name the event.
        """
        if self.is_from_master and self.values.size != 1:
            if not self.is_constant:
                raise InputError(
                    f"{self}: has {self.values.size} values that differ, and the rows of a data "
                    "file are not those of its master file; list the master file instead"
                )
            return _python_value(self.values.flat[0])
        numbers = iter(event.dims)
        index = []
        for size in self.values.shape:
            number = 0 if size == 1 else next(numbers, None)
            if number is None:
                raise InputError(
                    f"{self}: has the shape {self.values.shape}, and the events have only "
                    f"{len(event.dims)} numbers to choose a value with"
                )
            if number >= size:
                raise InputError(
                    f"{self}: has the shape {self.values.shape}, too small for all frames"
                )
            index.append(number)
        return _python_value(self.values[tuple(index)])

    def number(self, event: EventId) -> float:
        """Return the value for a frame as a number; strings are converted.

        Raises
        ------
        InputError
            There is none, or it is not finite.
        """
        value = self.value(event)
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise InputError(f"{self}: found {value!r}, expected a finite number")
        return number


class HeaderReader:
    """Reads headers, each dataset once; can be pickled, without what it has read."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Header | str] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"_known": {}}

    def read(self, files: FileCache, file: str, path: str, event: EventId) -> Header:
        """Return the header that a path names in a file or, failing that, in its master file.

        Parameters
        ----------
        path
            May hold ``%``, to be filled from the event.

        Raises
        ------
        AbsentError
            There is no such dataset.
        InputError
            It cannot be read or holds neither numbers nor strings.
        """
        filled = fill_path(path, event.path)
        found = self._known.get((file, filled))
        if found is None:
            try:
                found = _find(files, file, filled)
            except AbsentError as error:
                found = str(error)
            self._known[file, filled] = found
        if isinstance(found, str):
            raise AbsentError(found)
        return found


def _find(files: FileCache, file: str, path: str) -> Header:
    try:
        return _read(files, file, path, is_from_master=False)
    except AbsentError:
        master = sibling_master(file)
        if master is None:
            raise
        return _read(files, master, path, is_from_master=True)


def _read(files: FileCache, file: str, path: str, *, is_from_master: bool) -> Header:
    place = locate(files, file, path)
    dataset = files.dataset(place.file, place.path)
    name = f"{file}:{path}"
    with hdf5_errors(name):
        if dataset.shape is None or dataset.size == 0:
            raise InputError(f"{name}: holds no value")
        if dataset.size > _MAX_VALUES:
            raise InputError(f"{name}: has {dataset.size} values; expected a header, not images")
        if h5py.check_string_dtype(dataset.dtype) is not None:
            values = np.asarray(dataset.asstr(errors="replace")[()], dtype=object)
        elif dataset.dtype.kind in "biuf":
            values = np.asarray(dataset[()])
        else:
            raise InputError(
                f"{name}: holds values of type {dataset.dtype}; expected numbers or strings"
            )
        units = dataset.attrs.get("units", "")
        if isinstance(units, np.ndarray) and units.size == 1:
            units = units.item()
        if isinstance(units, bytes):
            units = units.decode("utf-8", "replace")
    is_constant = bool((values == values.flat[0]).all())
    return Header(file, path, values, str(units).strip(), is_constant, is_from_master)


def _python_value(value: Any) -> HeaderValue:
    if isinstance(value, str):
        return " ".join(value.strip("\0 ").splitlines())  # streams have one line per header
    number: bool | int | float = value.item()
    return int(number) if isinstance(number, bool) else number
