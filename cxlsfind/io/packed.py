"""Bytes of packed frames, read from their files without the HDF5 library."""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxlsfind.errors import FrameError
from cxlsfind.io._hdf5 import explain_os_error
from cxlsfind.kernels.lz4 import SLACK

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class PackedFrame:
    """A frame as it lies in its file: one chunk of bitshuffle and LZ4.

    Parameters
    ----------
    chunk, n_bytes
        The chunk is ``chunk[:n_bytes]``; behind it there is the room that decoding needs.
    dtype
        Type of the pixels: little-endian integers of up to 32 bits.
    place
        What messages name: file and event, dataset and its file.
    """

    chunk: Bytes
    n_bytes: int
    dtype: np.dtype[np.generic]
    place: str


class PackedFiles:
    """Files kept open for reading, the least recently used closed first, and one buffer.

    Parameters
    ----------
    limit
        Largest number of files open at a time.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: OrderedDict[str, int] = OrderedDict()
        self._buffer = np.zeros(0, np.uint8)

    def close(self) -> None:
        """Close all files."""
        while self._open:
            os.close(self._open.popitem()[1])

    def read(self, file: str, start: int, n_bytes: int) -> Bytes:
        """Return bytes of a file, and room for ``SLACK`` more; the next call overwrites them.

        Raises
        ------
        FrameError
            The file cannot be read, or ends before.
        """
        if self._buffer.size < n_bytes + SLACK:
            self._buffer = np.zeros(n_bytes + n_bytes // 4 + SLACK, np.uint8)
        view, done = self._buffer.data[:n_bytes], 0
        try:
            number = self._number(file)
            while done < n_bytes and (n := os.preadv(number, [view[done:]], start + done)):
                done += n
        except OSError as error:
            raise FrameError(f"{file}: {explain_os_error(error)}") from error
        if done < n_bytes:
            raise FrameError(
                f"{file}: the file is cut short: it ends {n_bytes - done} bytes before the end of "
                "the frame; copy it again"
            )
        return self._buffer

    def expect(self, file: str, start: int, n_bytes: int) -> None:
        """Tell the system that these bytes will be read soon.

        What goes wrong here goes wrong again when they are read.
        """
        try:
            os.posix_fadvise(self._number(file), start, n_bytes, os.POSIX_FADV_WILLNEED)
        except OSError:
            return

    def _number(self, file: str) -> int:
        number = self._open.get(file)
        if number is None:
            while len(self._open) >= self._limit:
                os.close(self._open.popitem(last=False)[1])
            number = self._open[file] = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        self._open.move_to_end(file)
        return number
