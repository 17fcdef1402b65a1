"""What does not change from frame to frame: canvas, rings, usable pixels, and sums over them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cxlsfind.finding.poisson.canvas import Canvas
from cxlsfind.finding.poisson.tiles import TileRings, tile_rings
from cxlsfind.kernels.background_maps import bin_words

IntArray = npt.NDArray[np.int64]

#: Rings that make a bin of radius, in which the photons of single frames are summed.
RINGS_PER_BIN = 8


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """Canvas, rings and usable pixels.

    Parameters
    ----------
    ring
        Ring of every canvas pixel, -1 outside; int32.
    usable
        Per canvas pixel; False wherever ``ring`` is negative.
    usable_words
        The same as bits, uint64.
    ring_sizes
        Usable pixels of every ring; int64.
    word_bin
        Bin of radius of the words of a bit plane, ``RINGS_PER_BIN`` rings wide, by the mean ring
        of their usable pixels; -1 without any; int32.
    bin_sizes
        Usable pixels of every bin; int64.
    tiles
        How the rings cross the tiles.
    """

    canvas: Canvas
    ring: npt.NDArray[np.int32]
    usable: npt.NDArray[np.bool_]
    usable_words: npt.NDArray[np.uint64]
    ring_sizes: IntArray
    word_bin: npt.NDArray[np.int32]
    bin_sizes: IntArray
    tiles: TileRings

    @property
    def n_rings(self) -> int:
        """Number of rings."""
        return len(self.ring_sizes)

    @property
    def n_bins(self) -> int:
        """Number of bins of radius."""
        return len(self.bin_sizes)

    @property
    def n_pixels(self) -> int:
        """Number of usable pixels."""
        return int(self.ring_sizes.sum())

    def without(self, pixels: npt.NDArray[np.int32]) -> Surroundings:
        """Return the surroundings less some usable pixels, which are distinct."""
        if not pixels.size:
            return self
        usable = self.usable.copy()
        usable[pixels] = False
        lost = np.bincount(self.ring[pixels], minlength=self.n_rings)
        lost_of_bins = np.bincount(self.word_bin[pixels >> 6], minlength=self.n_bins)
        return replace(
            self,
            usable=usable,
            usable_words=self.canvas.words(usable),
            ring_sizes=self.ring_sizes - lost,
            bin_sizes=self.bin_sizes - lost_of_bins,
            tiles=self.tiles.without(pixels, self.ring),
        )


def survey(
    canvas: Canvas, rings: npt.NDArray[np.int32], usable: npt.NDArray[np.bool_]
) -> Surroundings:
    """Survey a detector.

    Parameters
    ----------
    rings, usable
        Per pixel of the frame array.
    """
    ring = canvas.spread(rings, -1)
    on_canvas = canvas.spread(usable, False) & (ring >= 0)
    n_rings = int(ring.max()) + 1
    sizes = np.bincount(ring[on_canvas], minlength=n_rings).astype(np.int64)
    word_bin = np.empty(canvas.n_words, np.int32)
    bin_words(ring, on_canvas, RINGS_PER_BIN, word_bin)
    usable_words = canvas.words(on_canvas)
    inside = word_bin >= 0
    bin_sizes = np.zeros((n_rings - 1) // RINGS_PER_BIN + 1, np.int64)
    np.add.at(bin_sizes, word_bin[inside], np.bitwise_count(usable_words[inside]))
    return Surroundings(
        canvas,
        ring,
        on_canvas,
        usable_words,
        sizes,
        word_bin,
        bin_sizes,
        tile_rings(ring, on_canvas, canvas.stride),
    )
