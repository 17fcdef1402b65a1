"""Images as the compressed chunks of HDF5 datasets: made on any rank, written by one."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Final, Self

import h5py
import hdf5plugin
import numpy as np
import numpy.typing as npt

#: HDF5 grows its file in memory by this much, bytes.
_BLOCK: Final = 1 << 24


def bitshuffle_lz4() -> dict[str, Any]:
    """Return the options of a dataset that is compressed as Dectris does."""
    return dict(hdf5plugin.Bitshuffle(cname="lz4"))


class ChunkEncoder:
    """Compresses images as the HDF5 library would in a dataset with one image per chunk.

    The library itself does it, in a file that exists in memory alone.

    Parameters
    ----------
    shape
        Size (ss, fs) of the images.
    dtype
        Type of their pixels in the files.
    """

    def __init__(self, shape: tuple[int, int], dtype: npt.DTypeLike) -> None:
        self._file = h5py.File(
            f"chunks in memory {id(self):x}",
            "w",
            driver="core",
            backing_store=False,
            block_size=_BLOCK,
        )
        self._dataset = self._file.create_dataset(
            "image", (1, *shape), np.dtype(dtype), chunks=(1, *shape), **bitshuffle_lz4()
        )

    def encode(self, image: npt.NDArray[np.integer[Any]]) -> bytes:
        """Return the chunk of an image, [ss, fs]."""
        self._dataset[0] = image
        _, chunk = self._dataset.id.read_direct_chunk((0, 0, 0))
        return bytes(chunk)

    def __enter__(self) -> Self:
        """Return the encoder itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Free the memory."""
        self._file.close()
