"""A file for the HDF5 library whose write errors wait until the library is done with it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self


class LateErrorFile:
    """A file object for :class:`h5py.File`, and a context manager to be put around that.

    HDF5 cannot undo a write that fails, as on a full disk: while it closes the file it stumbles
    over its own state, raises errors of any kind, or ends the process with a segmentation fault.
    So it is told that all went well, and the error is raised at the end of the ``with`` block,
    in place of whatever HDF5 made of it.

    Parameters
    ----------
    path
        File to write; what is in it is lost.
    """

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
        self._position = self._size = 0
        self._error: OSError | None = None

    def __enter__(self) -> Self:
        """Return the file itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file.

        Raises
        ------
        OSError
            The first one there was.
        """
        self.truncate(self._size)
        os.close(self._handle)
        if self._error is not None:
            raise self._error from None

    def write(self, data: bytes | memoryview) -> int:
        """Write bytes at the position; an error is kept for later."""
        rest = memoryview(data)
        at = self._position
        try:
            while self._error is None and len(rest):
                count = os.pwrite(self._handle, rest, at)
                rest, at = rest[count:], at + count
        except OSError as error:
            self._error = error
        self._position += len(data)
        self._size = max(self._size, self._position)
        return len(data)

    def readinto(self, target: memoryview) -> int:
        """Fill ``target`` from the position; what could not be written reads as zeros."""
        count = 0
        with suppress(OSError):
            count = os.preadv(self._handle, [target], self._position)
        target[count:] = bytes(len(target) - count)
        self._position += len(target)
        return len(target)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}
        self._position = start[whence] + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def truncate(self, size: int) -> int:
        """Set the size of the file; an error is kept for later."""
        try:
            os.ftruncate(self._handle, size)
        except OSError as error:
            self._error = self._error or error
        self._size = size
        return size

    def flush(self) -> None:
        """Return at once: nothing is held back."""
