"""Candidates of a frame: pixels worth a score, and the local maxima among their scores."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cxlsfind.finding.poisson.background import Background
from cxlsfind.finding.poisson.canvas import WORD, PlacedFrame
from cxlsfind.finding.poisson.scores import expected_photons
from cxlsfind.finding.poisson.surroundings import RINGS_PER_BIN, Surroundings
from cxlsfind.finding.poisson.thresholds import LOWEST_SCORE, MAXIMUM_RADIUS, ROUNDING, NullTail
from cxlsfind.finding.poisson.tiles import SIDE
from cxlsfind.kernels.background_maps import find_directions, lowest_of_words
from cxlsfind.kernels.likelihood import score_positions
from cxlsfind.kernels.maxima import (
    background_at,
    list_asked,
    list_enough,
    mark_maxima,
    weigh_boxes,
)
from cxlsfind.kernels.plane_scan import CHUNK, ask_less, ask_words, scan_boxes

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

    def numbers_of(self, positions: npt.NDArray[np.int32]) -> npt.NDArray[np.intp]:
        """Return the numbers of those candidates that stand at some canvas pixels."""
        numbers = np.searchsorted(self.position, positions)
        inside = numbers < self.position.size
        numbers, positions = numbers[inside], positions[inside]
        found: npt.NDArray[np.intp] = numbers[self.position[numbers] == positions]
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Crowd:
    """Pixels of a frame whose 3x3 box holds many photons.

    Parameters
    ----------
    position
        Canvas pixels, ascending; int32.
    box
        Photons in the box; int64.
    asked
        Photons that boxes had to hold, by word, or fewer; uint16.
    lift
        By how many nodes the frame's scale lifts the bins of radius for that; float64.
    """

    position: npt.NDArray[np.int32]
    box: npt.NDArray[np.int64]
    asked: npt.NDArray[np.uint16]
    lift: FloatArray


def strong_part(
    crowd: Crowd,
    around: Surroundings,
    tail: NullTail,
    node_of_word: npt.NDArray[np.float32],
) -> Crowd:
    """Return the pixels whose box holds what is asked of proper spots, as by :func:`ask_boxes`."""
    strong = np.empty(len(crowd.position), np.int64)
    n_strong = list_asked(
        crowd.position,
        crowd.box,
        node_of_word,
        around.word_bin,
        crowd.lift,
        tail.strong_needs,
        strong,
    )
    strong = strong[:n_strong]
    return replace(crowd, position=crowd.position[strong], box=crowd.box[strong])


def sharpest(frame: PlacedFrame, around: Surroundings, crowd: Crowd) -> npt.NDArray[np.int32]:
    """Return the crowded pixels around which photons lie most densely, ascending.

    They are about where the score has its maxima, and far fewer than there are to score.
    """
    everywhere = np.ones(crowd.position.size, np.bool_)
    dense = _sharpness(frame, around, crowd.position, everywhere)
    largest = np.empty(crowd.position.size, np.bool_)
    mark_maxima(
        crowd.position, dense, dense, math.inf, around.canvas.stride, MAXIMUM_RADIUS, largest
    )
    return crowd.position[largest]


class Scanner:
    """Finds candidates; owns the memory for their list, so one per thread."""

    def __init__(self) -> None:
        self._found = np.empty(1 << 15, np.int32)
        self._boxes = np.empty(1 << 15, np.int64)

    def crowd(
        self,
        frame: PlacedFrame,
        around: Surroundings,
        asked: npt.NDArray[np.uint16],
        lift: FloatArray,
    ) -> Crowd:
        """Return the pixels of a frame whose 3x3 box holds what its word asks.

        Parameters
        ----------
        asked, lift
            By :func:`ask_boxes`, and what it was given.
        """
        everywhere = np.ones(-(-len(asked) // CHUNK), np.bool_)
        return Crowd(*self._scan(frame, around, asked, everywhere), asked, lift)

    def more_crowd(
        self,
        frame: PlacedFrame,
        around: Surroundings,
        asked: npt.NDArray[np.uint16],
        lift: FloatArray,
        known: Crowd,
    ) -> Crowd:
        """Return the pixels of a frame that were crowded before, and what less is asked of."""
        less = np.empty(-(-len(asked) // CHUNK), np.bool_)
        if not ask_less(asked, known.asked, less):
            return replace(known, lift=lift)
        old = ~less[known.position // (WORD * CHUNK)]
        its_position, its_box = self._scan(frame, around, asked, less)
        position = np.concatenate([known.position[old], its_position])
        order = np.argsort(position, kind="stable")
        box = np.concatenate([known.box[old], its_box])
        return Crowd(position[order], box[order], asked, lift)

    def _scan(
        self,
        frame: PlacedFrame,
        around: Surroundings,
        asked: npt.NDArray[np.uint16],
        chosen: npt.NDArray[np.bool_],
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        while True:
            n_found = scan_boxes(
                frame.planes,
                frame.place,
                frame.count,
                around.usable_words,
                around.canvas.words_per_row,
                asked,
                chosen,
                self._found,
                self._boxes,
            )
            if n_found <= self._found.size:
                return self._found[:n_found].copy(), self._boxes[:n_found].copy()
            self._found = np.empty(2 * n_found, np.int32)
            self._boxes = np.empty(2 * n_found, np.int64)

    def score(
        self,
        frame: PlacedFrame,
        around: Surroundings,
        tail: NullTail,
        crowd: Crowd,
        level: FloatArray,
        factor: npt.NDArray[np.float32],
    ) -> Candidates:
        """Score crowded pixels of a frame and return the local maxima.

        Parameters
        ----------
        level, factor
            Background of the frame: counts per pixel of each ring, and the factor of each tile.
        """
        stride = around.canvas.stride
        background = background_under(crowd.position, level, factor, around, tail)
        places = tail.places(background)
        # The scan asked the darkest pixel of a word; the tail holds for this pixel's level.
        enough = np.empty(len(places), np.int64)
        enough = enough[: list_enough(crowd.box, places, tail.box_needs, ROUNDING, enough)]
        positions, background, places = crowd.position[enough], background[enough], places[enough]
        below = places.astype(np.int64)
        direction = directions_at(positions, around, len(tail.tables))
        scores = self._scores(frame, around, tail, positions, below, direction)
        # The others are no maxima that are kept, and hide none.
        fair = np.flatnonzero(scores >= LOWEST_SCORE)
        positions, scores, background = positions[fair], scores[fair], background[fair]
        places, below, direction = places[fair], below[fair], direction[fair]
        largest = np.empty(positions.size, np.bool_)
        # Which of two neighbours is the larger is asked at the lower node, as for the tail.
        mark_maxima(
            positions,
            scores,
            _sharpness(frame, around, positions, scores > BRIGHT_SCORE),
            BRIGHT_SCORE,
            stride,
            MAXIMUM_RADIUS,
            largest,
        )
        kept = np.flatnonzero(largest)
        positions, places, below = positions[kept], places[kept], below[kept]
        above = self._scores(frame, around, tail, positions, below + 1, direction[kept])
        return _between_nodes(positions, places, scores[kept], above, background[kept])

    def score_at(
        self,
        frame: PlacedFrame,
        around: Surroundings,
        tail: NullTail,
        positions: npt.NDArray[np.int32],
        level: FloatArray,
        factor: npt.NDArray[np.float32],
    ) -> Candidates:
        """Score canvas pixels whether they are local maxima or not; else like :meth:`score`."""
        background = background_under(positions, level, factor, around, tail)
        places = tail.places(background)
        below = places.astype(np.int64)
        direction = directions_at(positions, around, len(tail.tables))
        low, high = (
            self._scores(frame, around, tail, positions, below + step, direction) for step in (0, 1)
        )
        return _between_nodes(positions, places, low, high, background)

    def _scores(
        self,
        frame: PlacedFrame,
        around: Surroundings,
        tail: NullTail,
        positions: npt.NDArray[np.int32],
        nodes: npt.NDArray[np.int64],
        direction: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.float32]:
        scores = np.empty(positions.size, np.float32)
        for number, tables in enumerate(tail.tables):
            here = slice(None) if len(tail.tables) == 1 else np.flatnonzero(direction == number)
            part = np.empty(len(positions[here]), np.float32)
            score_positions(
                frame.planes,
                frame.place,
                frame.count,
                around.usable_words,
                around.canvas.stride,
                positions[here],
                nodes[here],
                tables,
                tail.family.banks[number].half,
                part,
            )
            scores[here] = part
        return scores


def _between_nodes(
    positions: npt.NDArray[np.int32],
    places: FloatArray,
    below: npt.NDArray[np.float32],
    above: npt.NDArray[np.float32],
    background: FloatArray,
) -> Candidates:
    """Return candidates from their scores at the nodes below and above their backgrounds."""
    at_nodes = np.column_stack([below, above]).astype(np.float64)
    part = places - places.astype(np.int64)
    score = (1.0 - part) * at_nodes[:, 0] + part * at_nodes[:, 1]
    return Candidates(positions, score, at_nodes, background)


def _sharpness(
    frame: PlacedFrame,
    around: Surroundings,
    positions: npt.NDArray[np.int32],
    chosen: npt.NDArray[np.bool_],
) -> npt.NDArray[np.float32]:
    """Return the photons, weighted as a spot, around those positions that are chosen."""
    sharpness = np.zeros(positions.size, np.float32)
    if chosen.any():
        bright = positions[chosen]
        boxes, sharp = np.empty(bright.size, np.int64), np.empty(bright.size, np.float32)
        weigh_boxes(
            bright, frame.planes, frame.place, frame.count, around.canvas.stride, boxes, sharp
        )
        sharpness[chosen] = sharp
    return sharpness


def background_under(
    positions: npt.NDArray[np.int32],
    level: FloatArray,
    factor: npt.NDArray[np.float32],
    around: Surroundings,
    tail: NullTail,
) -> FloatArray:
    """Return the photons per pixel expected under spots; ``level`` as in :meth:`Scanner.score`."""
    counts = np.empty(len(positions))
    background_at(positions, level, factor, SIDE, around.ring, around.canvas.stride, counts)
    return expected_photons(counts, tail.n_pulses)


def directions_at(
    positions: npt.NDArray[np.int32], around: Surroundings, n_directions: int
) -> npt.NDArray[np.int64]:
    """Return the direction of the radius at canvas pixels, as the number of a bank of shapes."""
    directions = np.zeros(positions.size, np.int64)
    if n_directions > 1:
        find_directions(positions, around.ring, around.canvas.stride, n_directions, directions)
    return directions


def ask_boxes(
    around: Surroundings,
    node_of_word: npt.NDArray[np.float32],
    lift: FloatArray,
    needs: npt.NDArray[np.uint16],
) -> npt.NDArray[np.uint16]:
    """Return the photons that boxes must hold, by word.

    Parameters
    ----------
    node_of_word
        :func:`nodes_of_words` of the background's shape.
    lift
        By how many nodes the frame's scale lifts the bins of radius.
    needs
        Photons by node.
    """
    asked = np.empty(around.canvas.n_words, np.uint16)
    ask_words(node_of_word, around.word_bin, lift, needs, asked)
    return asked


def lift_of_bins(
    around: Surroundings, tail: NullTail, scale: npt.NDArray[np.float32]
) -> FloatArray:
    """Return by how many nodes a frame's scale, known in every ring, lifts the bins of radius."""
    middle = np.arange(around.n_bins) * RINGS_PER_BIN + RINGS_PER_BIN // 2
    values = scale[np.minimum(middle, len(scale) - 1)].astype(np.float64)
    lift: FloatArray = np.log(np.maximum(values, 1e-300)) / tail.log_step
    return lift


def least_rise(
    around: Surroundings, old: npt.NDArray[np.float32], new: npt.NDArray[np.float32]
) -> FloatArray:
    """Return by how much the nodes of words have risen at least, by bin of radius."""
    rise = np.full(around.n_bins, np.inf)
    inside = around.word_bin >= 0
    np.minimum.at(rise, around.word_bin[inside], (new - old)[inside])
    return rise


def nodes_of_words(
    background: Background, around: Surroundings, tail: NullTail
) -> npt.NDArray[np.float32]:
    """Return the lowest background shape in every word, as a place among the nodes."""
    lowest = np.empty(around.canvas.n_words, np.float32)
    lowest_of_words(
        background.profile,
        background.factor,
        SIDE,
        around.ring,
        around.canvas.words_per_row,
        lowest,
    )
    nodes: npt.NDArray[np.float32] = tail.unclipped_places(np.maximum(lowest, 1e-30))
    return nodes
