"""Arrays that the ranks of a node read from the same memory.

The memory is a file without a name, which the other ranks open through the process that made it.
It is gone with the last process that uses it, however that ends: there is nothing to clean up.
"""

from __future__ import annotations

import mmap
import os
import secrets
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import numpy as np
import numpy.typing as npt

from cxlsfind.parallel.comm import Comm

K = TypeVar("K", bound=Hashable)
Array = npt.NDArray[Any]

#: Arrays begin at multiples of this, as vector code likes it.
_ALIGNMENT: Final = 64
_TOKEN_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Address:
    """Where shared arrays are.

    Parameters
    ----------
    process, file
        The process that made the file, and the file's number there.
    token
        What the file begins with. In containers the same number may be another process.
    places
        Data type, shape and first byte of every array.
    """

    process: int
    file: int
    token: bytes
    places: tuple[tuple[str, tuple[int, ...], int], ...]


class SharedMemory:
    """A copy of arrays for other processes; a context manager that stops the sharing at its end.

    Processes that have attached to it by then keep it.
    """

    def __init__(self, arrays: list[Array]) -> None:
        token = secrets.token_bytes(_TOKEN_BYTES)
        self._file = os.memfd_create("cxlsfind")
        places, end = [], _TOKEN_BYTES
        with os.fdopen(self._file, "wb", closefd=False) as file:
            file.write(token)
            for array in arrays:
                start = -(-end // _ALIGNMENT) * _ALIGNMENT
                file.write(bytes(start - end))
                file.write(np.ascontiguousarray(array).data)
                places.append((array.dtype.str, array.shape, start))
                end = start + array.nbytes
        self.address = Address(os.getpid(), self._file, token, tuple(places))

    def __enter__(self) -> Self:
        """Return the memory itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        os.close(self._file)


def attach(address: Address) -> list[Array]:
    """Return the arrays at an address, in shared memory for as long as nobody writes to them.

    Raises
    ------
    OSError
        The memory is out of reach.
    """
    with Path(f"/proc/{address.process}/fd/{address.file}").open("rb") as file:
        # A private map: kernels for arrays that may be written to are compiled anyway.
        memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    if memory[:_TOKEN_BYTES] != address.token:
        raise OSError(f"process {address.process} is not the one that shares memory")
    return [
        np.frombuffer(memory, dtype, prod(shape), start).reshape(shape)
        for dtype, shape, start in address.places
    ]


def share_arrays(comm: Comm, arrays: Mapping[K, Array]) -> Mapping[K, Array]:
    """Give the arrays of a node's first rank to all of its ranks; all have to call this.

    Parameters
    ----------
    arrays
        Of the first rank; those of others are of no interest.

    Returns
    -------
    The arrays; on ranks that cannot reach the memory, none.
    """
    if comm.size == 1:
        return arrays
    if comm.node_rank == 0:
        with SharedMemory(list(arrays.values())) as memory:
            comm.node_share((tuple(arrays), memory.address))
            comm.node_barrier()
        return arrays
    keys, address = comm.node_share(None)
    try:
        attached = dict(zip(keys, attach(address), strict=True))
    except OSError:
        attached = {}
    comm.node_barrier()
    return attached
