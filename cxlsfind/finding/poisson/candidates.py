"""Candidates of a frame: pixels worth a score, and the local maxima among their scores."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxlsfind.finding.poisson.background import PlacedFrame, Surroundings
from cxlsfind.finding.poisson.scores import expected_photons
from cxlsfind.finding.poisson.thresholds import LOWEST_SCORE, MAXIMUM_RADIUS, NullTail
from cxlsfind.kernels.likelihood import score_positions
from cxlsfind.kernels.maxima import describe_positions, mark_maxima
from cxlsfind.kernels.photon_scan import SEGMENT, clear_photons, scan_boxes, scatter_photons

FloatArray = npt.NDArray[np.float64]

#: Above this score nothing is left to chance, and the sharpest place of a spot is its middle.
BRIGHT_SCORE = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Local maxima of a frame's score.

    Parameters
    ----------
    position
        Canvas pixels, ascending; int32.
    score
        Log likelihood ratios; float64.
    at_nodes
        The same for the background nodes below and above, shape (candidates, 2); float64.
    background
        Photons per pixel under them; float64.
    """

    position: npt.NDArray[np.int32]
    score: FloatArray
    at_nodes: FloatArray
    background: FloatArray


class Scanner:
    """Finds candidates; owns the sheets that a frame is spread on, so one per thread."""

    def __init__(self, around: Surroundings, tail: NullTail) -> None:
        self._around = around
        self._tail = tail
        self._segment_ring = np.maximum(around.ring.reshape(-1, SEGMENT)[:, SEGMENT // 2], 0)
        self._log_step = math.log(tail.nodes[1] / tail.nodes[0])
        self.sheet = np.zeros(around.canvas.size, np.uint16)
        self._score_sheet = np.full(around.canvas.size, -np.inf, np.float32)
        self._found = np.empty(1 << 15, np.int32)

    def lay_out(self, frame: PlacedFrame) -> None:
        """Spread a frame's photons on the sheet; :meth:`clear` must follow."""
        scatter_photons(frame.place, frame.count, self._around.usable, self.sheet)

    def clear(self, frame: PlacedFrame) -> None:
        """Take a frame's photons off the sheet."""
        clear_photons(frame.place, self.sheet)

    def crowded(
        self,
        frame: PlacedFrame,
        lowest: npt.NDArray[np.float32],
        scale: npt.NDArray[np.float32],
    ) -> npt.NDArray[np.int32]:
        """Return pixels of the sheet whose 3x3 box is rare enough to deserve a score.

        Parameters
        ----------
        lowest
            :func:`lowest_of_segments` of the background's shape.
        scale
            The frame's scale in every ring.
        """
        around = self._around
        stride = around.canvas.stride
        # The scale varies slowly with radius: one value per segment is enough for a pre-choice.
        level = expected_photons(lowest * scale[self._segment_ring], self._tail.n_pulses)
        node = np.log(level / self._tail.nodes[0]) / self._log_step
        needs = self._tail.box_needs[
            np.clip(node, 0, len(self._tail.box_needs) - 1).astype(np.int64)
        ]
        rows = np.bincount(frame.place[frame.place >= 0] // stride, minlength=around.canvas.n_rows)
        while True:
            n_found = scan_boxes(self.sheet, stride, around.usable, rows, needs, self._found)
            if n_found <= self._found.size:
                return self._found[:n_found].copy()
            self._found = np.empty(2 * n_found, np.int32)

    def score(
        self,
        crowded: npt.NDArray[np.int32],
        shape: npt.NDArray[np.float32],
        scale: npt.NDArray[np.float32],
    ) -> Candidates:
        """Score crowded pixels of the frame on the sheet and return the local maxima."""
        around = self._around
        background = np.empty(crowded.size, np.float32)
        boxes = np.empty(crowded.size, np.int64)
        sharpness = np.empty(crowded.size, np.float32)
        describe_positions(
            crowded,
            self.sheet,
            shape,
            scale,
            around.ring,
            around.canvas.stride,
            background,
            boxes,
            sharpness,
        )
        background = expected_photons(background, self._tail.n_pulses)
        places = self._tail.places(background.astype(np.float64))
        # The scan asked the darkest pixel of a segment; the tail holds for this pixel's level.
        enough = boxes >= self._tail.box_needs[places.astype(np.int64)]
        positions, background, places = crowded[enough], background[enough], places[enough]
        lower = places.astype(np.int32)
        at_nodes = np.empty((positions.size, 2), np.float32)
        score_positions(
            self.sheet,
            around.usable,
            around.canvas.stride,
            positions,
            lower,
            self._tail.tables,
            self._tail.bank.half,
            at_nodes,
        )
        part = (places - lower).astype(np.float32)
        scores = (1 - part) * at_nodes[:, 0] + part * at_nodes[:, 1]
        largest = np.empty(positions.size, np.bool_)
        mark_maxima(
            positions,
            scores,
            sharpness[enough],
            BRIGHT_SCORE,
            around.canvas.stride,
            MAXIMUM_RADIUS,
            self._score_sheet,
            largest,
        )
        kept = largest & (scores >= LOWEST_SCORE)
        return Candidates(
            positions[kept],
            scores[kept].astype(np.float64),
            at_nodes[kept].astype(np.float64),
            background[kept].astype(np.float64),
        )


def lowest_of_segments(shape: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the smallest positive value in each segment of a canvas; 1 where there is none."""
    segments = shape.reshape(-1, SEGMENT)
    lowest = np.where(segments > 0, segments, np.float32(np.inf)).min(axis=1)
    smallest: npt.NDArray[np.float32] = np.where(np.isfinite(lowest), lowest, np.float32(1.0))
    return smallest
