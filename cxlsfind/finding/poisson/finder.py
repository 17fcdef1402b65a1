"""The finder at the physical limit: blocks of frames in, peaks and hit decisions out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from cxlsfind.finding.poisson.background import (
    Background,
    PlacedFrame,
    Surroundings,
    count_caps,
    estimate_background,
    ring_sums,
)
from cxlsfind.finding.poisson.candidates import Candidates, Scanner, lowest_of_segments
from cxlsfind.finding.poisson.canvas import build_canvas
from cxlsfind.finding.poisson.changes import dark_frames, split_at_changes, zone_sums
from cxlsfind.finding.poisson.hits import judge_frame
from cxlsfind.finding.poisson.lying import find_lying
from cxlsfind.finding.poisson.peaks import measure_peaks, place_peaks
from cxlsfind.finding.poisson.rates import attainable, levels_of
from cxlsfind.finding.poisson.settings import FrameClass, PoissonResult, PoissonSettings
from cxlsfind.finding.poisson.thresholds import round_tail
from cxlsfind.geometry.layout import Layout
from cxlsfind.geometry.model import Geometry
from cxlsfind.records import PhotonFrame

FloatArray = npt.NDArray[np.float64]

#: Spots this significant (false maxima expected per frame) are cut out of the background.
_CUT_OUT = 3.0
_CUT_HALF = 4
_CUT_HALF_BRIGHT = 8
_BRIGHT_SCORE = 300.0

#: More pulses than this per frame are counted as Poisson: a pixel that misses one photon in a
#: thousand is beyond anyone's notice.
_MANY_PULSES = 300.0

#: A stretch of a block this much darker than its brightest has lost the jet.
_NO_JET_SHARE = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class BlockResult:
    """Results of a block, in its order, and the mask that was used.

    Parameters
    ----------
    usable
        Pixels of the frame array that were used: the given ones less those that lie; bool.
    """

    frames: tuple[PoissonResult, ...]
    usable: npt.NDArray[np.bool_]


class PoissonFinder:
    """Finds peaks and hits in blocks of photon frames; built once per geometry, mask and thread.

    Parameters
    ----------
    geometry, layout
        Panels, and where their pixels lie in the frame array.
    radius_bins
        Radius bin of every pixel of the frame array, -1 outside every panel; int32.
    usable
        Which pixels of the frame array may be used; bool.
    """

    def __init__(
        self,
        settings: PoissonSettings,
        geometry: Geometry,
        layout: Layout,
        radius_bins: npt.NDArray[np.int32],
        usable: npt.NDArray[np.bool_],
    ) -> None:
        self._settings = settings
        self._layout = layout
        self._gain = _common_gain(geometry)
        canvas = build_canvas(layout)
        ring = canvas.spread(radius_bins, -1)
        self._around = Surroundings(
            canvas, ring, canvas.spread(usable, False) & (ring >= 0), int(ring.max()) + 1
        )
        pulses = settings.pulses_per_frame
        self._tail = round_tail(math.inf if pulses > _MANY_PULSES else float(round(pulses)))
        self._scanner = Scanner(self._around, self._tail)

    def find_block(self, frames: Sequence[PhotonFrame]) -> BlockResult:
        """Find peaks and hits in consecutive frames of one dataset.

        Nothing outside the block has any influence.

        Parameters
        ----------
        frames
            Frames of the layout that the finder was built for.
        """
        placed = [self._place(frame) for frame in frames]
        base = self._around
        caps = count_caps(placed, base)
        sums = ring_sums(placed, base, caps)
        totals = sums.sum(axis=1).astype(np.float64)
        dark = dark_frames(totals)
        zones = zone_sums(sums)
        zones[dark] = 0.0
        cuts = [0, *split_at_changes(zones), len(frames)]
        usable = base.usable.copy()
        for start, stop in pairwise(cuts):
            lit = [placed[t] for t in range(start, stop) if not dark[t]]
            if lit:
                rough = estimate_background(
                    lit, base, count_caps(lit, base), _nothing(len(lit)), with_tiles=False
                )
                usable[find_lying(lit, base, rough)] = False
        around = Surroundings(base.canvas, base.ring, usable, base.n_rings)
        scanner = Scanner(around, self._tail)
        results: list[PoissonResult] = []
        for start, stop in pairwise(cuts):
            level = np.median(totals[start:stop])
            jet = level >= _NO_JET_SHARE * np.median(totals[~dark]) if (~dark).any() else True
            results += self._find_stretch(
                frames[start:stop],
                placed[start:stop],
                around,
                scanner,
                dark[start:stop],
                has_jet=bool(jet) or len(cuts) == 2,
            )
        mask = np.zeros(self._layout.n_pixels, np.bool_)
        inside = base.canvas.place >= 0
        mask[inside] = usable[base.canvas.place[inside]]
        return BlockResult(tuple(results), mask)

    def _place(self, frame: PhotonFrame) -> PlacedFrame:
        place = self._around.canvas.place[frame.index]
        count = frame.count
        if self._gain != 1.0:
            count = np.rint(count / self._gain).astype(np.uint32)
        if frame.bad.size:
            place = np.where(np.isin(frame.index, frame.bad), np.int32(-1), place)
        return PlacedFrame(place, count)

    def _find_stretch(
        self,
        frames: Sequence[PhotonFrame],
        placed: Sequence[PlacedFrame],
        around: Surroundings,
        scanner: Scanner,
        dark: npt.NDArray[np.bool_],
        *,
        has_jet: bool,
    ) -> list[PoissonResult]:
        caps = count_caps(placed, around)
        rough = estimate_background(placed, around, caps, _nothing(len(placed)), with_tiles=False)
        n_pixels = float(around.usable.sum())
        lowest = lowest_of_segments(rough.shape)
        positions = []
        cut_out = []
        for number, frame in enumerate(placed):
            scanner.lay_out(frame)
            crowded = scanner.crowded(frame, lowest, rough.scales[number])
            found = scanner.score(crowded, rough.shape, rough.scales[number])
            scanner.clear(frame)
            positions.append(crowded)
            cut_out.append(self._around_spots(found, around, n_pixels))
        final = estimate_background(placed, around, caps, cut_out, with_tiles=True)
        histogram = _shape_histogram(final, around)
        return [
            self._find_frame(
                frames[number],
                placed[number],
                positions[number],
                around,
                scanner,
                final,
                number,
                histogram,
                FrameClass.BEAM_OFF
                if dark[number]
                else (FrameClass.BLANK if has_jet else FrameClass.NO_JET),
            )
            for number in range(len(placed))
        ]

    def _around_spots(
        self, found: Candidates, around: Surroundings, n_pixels: float
    ) -> npt.NDArray[np.int32]:
        log_rates = self._tail.log_rates(found.at_nodes, found.background)
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

    def _find_frame(
        self,
        frame: PhotonFrame,
        placed: PlacedFrame,
        positions: npt.NDArray[np.int32],
        around: Surroundings,
        scanner: Scanner,
        background: Background,
        number: int,
        histogram: tuple[FloatArray, FloatArray],
        kind: FrameClass,
    ) -> PoissonResult:
        settings = self._settings
        scale = background.scales[number]
        scanner.lay_out(placed)
        found = scanner.score(positions, background.shape, scale)
        weight = float(np.average(scale, weights=background.profile))
        levels = levels_of(*histogram, weight, self._tail)
        cut, expected = attainable(settings.false_peaks, levels, self._tail)
        deep, _ = attainable(10.0 * settings.false_peaks, levels, self._tail)
        peaks, pixels, false = measure_peaks(
            found, scanner.sheet, around, self._tail, levels.n_pixels, max(deep, cut)
        )
        scanner.clear(placed)
        peaks = peaks[: settings.max_peaks]
        place_peaks(
            peaks,
            pixels[: settings.max_peaks],
            around,
            self._layout,
            around.canvas.place[frame.censored],
        )
        peaks["intensity"] = peaks["photons"] * self._gain
        n_peaks = int((false[: settings.max_peaks] <= cut).sum())
        log_expected = self._tail.log_rates(found.at_nodes, found.background)
        score = judge_frame(
            found.score, log_expected + math.log(levels.n_pixels), levels, self._tail
        )
        if settings.min_peaks is None:
            is_hit = score.p_value <= settings.hit_fpr
        else:
            is_hit = n_peaks >= settings.min_peaks
        is_hit = is_hit and kind is not FrameClass.BEAM_OFF
        return PoissonResult(
            peaks=peaks,
            n_peaks=n_peaks,
            expected_false=expected,
            hit_statistic=score.statistic,
            hit_p_value=score.p_value,
            hit_log_bayes_factor=score.log_bayes_factor,
            is_hit=is_hit,
            frame_class=FrameClass.HIT if is_hit else kind,
            background=(background.profile * scale).astype(np.float32),
        )


def _nothing(n_frames: int) -> list[npt.NDArray[np.int32]]:
    return [np.empty(0, np.int32)] * n_frames


def _common_gain(geometry: Geometry) -> float:
    """Return the data units of one photon, if the panels agree on a number; otherwise 1."""
    gains = {panel.adu_per_photon for panel in geometry.panels}
    gain = gains.pop() if len(gains) == 1 else None
    return gain if gain else 1.0


def _shape_histogram(background: Background, around: Surroundings) -> tuple[FloatArray, FloatArray]:
    """Return the histogram of the natural logarithm of the shape: middles and pixels."""
    values = np.log(np.maximum(background.shape[around.usable], 1e-12))
    lowest, highest = float(values.min()) - 1e-3, float(values.max()) + 1e-3
    n_bins = max(1, math.ceil((highest - lowest) / 0.02))
    counts, edges = np.histogram(values, bins=n_bins, range=(lowest, highest))
    return 0.5 * (edges[1:] + edges[:-1]), counts.astype(np.float64)
