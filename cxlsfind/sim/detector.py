"""Pixel arrays of the EIGER2 family: modules, the gaps between them, and simulated bad pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

MASK_GAP: Final = 1  #: bit 0 of ``pixel_mask`` (NXdetector): no sensor here
MASK_DEAD: Final = 2  #: bit 1 of ``pixel_mask``: dead pixel


@dataclass(frozen=True, slots=True)
class Detector:
    """A detector tiled from equal modules.

    Parameters
    ----------
    name
        Name on the command line.
    description
        Name in the files, as Dectris writes it.
    modules
        Number of modules (slow, fast).
    module_shape
        Pixels of a module (ss, fs).
    gap
        Pixels between modules (ss, fs).
    pixel_size_m
        Edge of a square pixel, metres.
    """

    name: str
    description: str
    modules: tuple[int, int]
    module_shape: tuple[int, int] = (512, 1028)
    gap: tuple[int, int] = (38, 12)
    pixel_size_m: float = 75e-6

    @property
    def shape(self) -> tuple[int, int]:
        """Size (ss, fs) of the data array."""
        slow, fast = (
            number * size + (number - 1) * gap
            for number, size, gap in zip(self.modules, self.module_shape, self.gap, strict=True)
        )
        return slow, fast

    @property
    def beam_centre(self) -> tuple[float, float]:
        """Beam centre (fs, ss), px from the corner of pixel 0: the middle of the array."""
        return self.shape[1] / 2, self.shape[0] / 2

    def gap_ranges(self, axis: int) -> tuple[tuple[int, int], ...]:
        """Return first and last line (inclusive) of every gap along axis 0 (ss) or 1 (fs)."""
        size, gap = self.module_shape[axis], self.gap[axis]
        starts = (number * (size + gap) + size for number in range(self.modules[axis] - 1))
        return tuple((start, start + gap - 1) for start in starts)

    def pixel_mask(self, dead_fraction: float, seed: int) -> npt.NDArray[np.uint32]:
        """Return the detector's mask, [ss, fs]: 0 for good pixels, bits of NXdetector otherwise.

        Parameters
        ----------
        dead_fraction
            Share of the pixels of the array that are dead, at random places.
        seed
            Seed of those places.
        """
        mask = np.zeros(self.shape, np.uint32)
        for first, last in self.gap_ranges(0):
            mask[first : last + 1, :] = MASK_GAP
        for first, last in self.gap_ranges(1):
            mask[:, first : last + 1] = MASK_GAP
        rng = np.random.default_rng(seed)
        dead = rng.integers(0, mask.size, round(dead_fraction * mask.size))
        mask.ravel()[dead] |= np.uint32(MASK_DEAD)
        return mask


#: Detectors known to ``cxlsfind-simulate``, by name.
DETECTORS: Final = {
    detector.name: detector
    for detector in (
        Detector("Eiger4M", "Dectris EIGER2 Si 4M", (4, 2)),
        Detector("Eiger1M", "Dectris EIGER2 Si 1M", (2, 1)),
        Detector("Eiger500K", "Dectris EIGER2 Si 500K", (1, 1)),
    )
}
