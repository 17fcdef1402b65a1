"""What consecutive frames with the same kind of background teach about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxlsfind.finding.poisson.background import (
    Background,
    PlacedFrame,
    Surroundings,
    count_caps,
    estimate_background,
)
from cxlsfind.finding.poisson.candidates import Candidates, Scanner, lowest_of_segments
from cxlsfind.finding.poisson.rates import Levels, levels_of
from cxlsfind.finding.poisson.sharing import SharingMeter
from cxlsfind.finding.poisson.thresholds import NullTail, round_tail

FloatArray = npt.NDArray[np.float64]

#: Spots this significant (false maxima expected per frame) are cut out of the background.
_CUT_OUT = 3.0
_CUT_HALF = 4
_CUT_HALF_BRIGHT = 8
_BRIGHT_SCORE = 300.0

#: Width of the bins of the shape's logarithm.
_BIN = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Background and null tail of consecutive frames.

    Parameters
    ----------
    lowest
        Smallest background shape in each segment of the canvas.
    tail
        Null tail for the charge sharing that was measured.
    log_shape, pixels
        Histogram of the natural logarithm of the shape over usable pixels.
    """

    around: Surroundings
    background: Background
    lowest: npt.NDArray[np.float32]
    tail: NullTail
    log_shape: FloatArray
    pixels: FloatArray

    def levels(self, number: int) -> Levels:
        """Return how many pixels of a frame have which background."""
        scale = self.background.scales[number]
        weight = float(np.average(scale, weights=self.background.profile))
        return levels_of(self.log_shape, self.pixels, weight, self.tail)


def learn_stretch(
    placed: Sequence[PlacedFrame], around: Surroundings, scanner: Scanner, tail: NullTail
) -> Stretch:
    """Learn background and charge sharing, leaving out the spots that a first look finds.

    Parameters
    ----------
    placed
        Frames that share the shape of their background.
    tail
        Null tail without charge sharing.
    """
    caps = count_caps(placed, around)
    nothing = [np.empty(0, np.int32)] * len(placed)
    rough = estimate_background(placed, around, caps, nothing, with_tiles=False)
    lowest = lowest_of_segments(rough.shape)
    meter = SharingMeter(around)
    cut_out = []
    for number, frame in enumerate(placed):
        scanner.lay_out(frame)
        crowded = scanner.crowded(frame, lowest, rough.scales[number])
        found = scanner.score(crowded, rough.shape, rough.scales[number])
        cut = _around_spots(found, around, tail)
        meter.add(frame, scanner.sheet, cut, int(caps.max()))
        scanner.clear(frame)
        cut_out.append(cut)
    final = estimate_background(placed, around, caps, cut_out, with_tiles=True)
    log_shape, pixels = _shape_histogram(final, around)
    return Stretch(
        around,
        final,
        lowest_of_segments(final.shape),
        round_tail(tail.n_pulses, meter.share()),
        log_shape,
        pixels,
    )


def _around_spots(found: Candidates, around: Surroundings, tail: NullTail) -> npt.NDArray[np.int32]:
    """Return the usable pixels around the significant candidates, ascending."""
    n_pixels = float(around.usable.sum())
    log_rates = tail.log_rates(found.at_nodes, found.background)
    strong = log_rates + math.log(n_pixels) <= math.log(_CUT_OUT)
    bright = found.score > _BRIGHT_SCORE
    pieces = [np.empty(0, np.int64)]
    for chosen, half in ((strong & ~bright, _CUT_HALF), (strong & bright, _CUT_HALF_BRIGHT)):
        steps = np.arange(-half, half + 1)
        window = (steps[:, None] * around.canvas.stride + steps[None, :]).ravel()
        pieces.append((found.position[chosen, None].astype(np.int64) + window).ravel())
    pixels = np.unique(np.concatenate(pieces))
    pixels = pixels[(pixels >= 0) & (pixels < around.canvas.size)]
    return pixels[around.usable[pixels]].astype(np.int32)


def _shape_histogram(background: Background, around: Surroundings) -> tuple[FloatArray, FloatArray]:
    """Return the histogram of the natural logarithm of the shape: middles and pixels."""
    values = np.log(np.maximum(background.shape[around.usable], 1e-12))
    lowest, highest = float(values.min()) - 1e-3, float(values.max()) + 1e-3
    n_bins = max(1, math.ceil((highest - lowest) / _BIN))
    counts, edges = np.histogram(values, bins=n_bins, range=(lowest, highest))
    return 0.5 * (edges[1:] + edges[:-1]), counts.astype(np.float64)
