"""Images of zeros but for some pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

Value = TypeVar("Value", np.float32, np.uint32)


@dataclass(frozen=True, slots=True, eq=False)
class SparseImage(Generic[Value]):
    """An image of zeros but for some pixels.

    Parameters
    ----------
    index
        Those pixels, flat, ascending; int32.
    value
        What they hold: float32 for expected photons, uint32 for counts.
    n_pixels
        Number of pixels of the image.
    """

    index: npt.NDArray[np.int32]
    value: npt.NDArray[Value]
    n_pixels: int

    def dense(self) -> npt.NDArray[Value]:
        """Return the whole image, flat."""
        result: npt.NDArray[Value] = np.zeros(self.n_pixels, self.value.dtype)
        result[self.index] = self.value
        return result

    def plus(self, other: SparseImage[Value]) -> SparseImage[Value]:
        """Return the sum of two images of the same size."""
        index, place = np.unique(np.concatenate([self.index, other.index]), return_inverse=True)
        value = np.zeros(len(index), self.value.dtype)
        np.add.at(value, place, np.concatenate([self.value, other.value]))
        return SparseImage(index, value, self.n_pixels)
