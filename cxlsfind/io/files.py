"""A bounded set of open HDF5 files, and the errors of reading them in one line."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import h5py

from cxlsfind.errors import InputError
from cxlsfind.io._hdf5 import open_hdf5

#: What h5py raises when a file is damaged or is not what it was taken for.
HDF5_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError)

_MAX_MESSAGE = 200


class FileCache:
    """HDF5 files kept open for reading, the least recently used closed first.

    Objects of a file (groups, datasets) die with it: fetch them anew through :meth:`open` or
    :meth:`dataset` after any other file may have been opened.

    Parameters
    ----------
    limit
        Largest number of files open at a time.
    """

    def __init__(self, limit: int = 32) -> None:
        self._limit = limit
        self._files: OrderedDict[str, h5py.File] = OrderedDict()
        self._datasets: dict[tuple[str, str], h5py.Dataset] = {}
        self._real: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all files."""
        while self._files:
            self._close_oldest()

    def open(self, file: str) -> h5py.File:
        """Return the open file of this name.

        Raises
        ------
        InputError
            The file cannot be opened.
        """
        real = self.real_name(file)
        handle = self._files.get(real)
        if handle is not None:
            self._files.move_to_end(real)
            return handle
        while len(self._files) >= self._limit:
            self._close_oldest()
        handle = open_hdf5(file)
        self._files[real] = handle
        return handle

    def real_name(self, file: str) -> str:
        """Return the absolute name of a file without symbolic links."""
        real = self._real.get(file)
        if real is None:
            real = self._real[file] = os.path.realpath(file)
        return real

    def dataset(self, file: str, path: str) -> h5py.Dataset:
        """Return a dataset of a file.

        Raises
        ------
        InputError
            The file cannot be opened, or the object is damaged or no dataset.
        """
        handle = self.open(file)
        key = self.real_name(file), path
        dataset = self._datasets.get(key)
        if dataset is not None:
            return dataset
        with hdf5_errors(f"{path} in {file}"):
            dataset = handle[path]
        if not isinstance(dataset, h5py.Dataset):
            raise InputError(f"{path} in {file} is a group, not a dataset")
        self._datasets[key] = dataset
        return dataset

    def _close_oldest(self) -> None:
        name, handle = self._files.popitem(last=False)
        for key in [key for key in self._datasets if key[0] == name]:
            del self._datasets[key]
        handle.close()


@contextmanager
def hdf5_errors(place: str) -> Iterator[None]:
    """Turn what h5py raises inside the block into an :class:`InputError` naming the place."""
    try:
        yield
    except InputError:  # a ValueError too, but already in plain words
        raise
    except HDF5_ERRORS as error:
        raise InputError(f"{place}: cannot be read: {one_line(error)}") from error


def one_line(error: BaseException) -> str:
    """Return the message of an exception as one short line."""
    text = " ".join(str(error.args[0] if error.args else error).split()) or type(error).__name__
    return text if len(text) <= _MAX_MESSAGE else text[: _MAX_MESSAGE - 3] + "..."
