"""The finder at the physical limit: blocks of frames in, peaks and hit decisions out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from cxlsfind.finding.poisson.background import (
    Sums,
    bin_sums,
    count_caps,
    cut_spots,
    estimate_background,
    rough_background,
    sum_up,
    total_counts,
)
from cxlsfind.finding.poisson.candidates import Scanner
from cxlsfind.finding.poisson.canvas import PlacedFrame, build_canvas
from cxlsfind.finding.poisson.changes import dark_frames, split_at_changes, zone_sums
from cxlsfind.finding.poisson.hits import MOST_COMMON, judge_frame
from cxlsfind.finding.poisson.lying import FEWEST_FRAMES, find_lying
from cxlsfind.finding.poisson.pairs import is_far
from cxlsfind.finding.poisson.peaks import measure_peaks, place_peaks
from cxlsfind.finding.poisson.repeats import first_of_equals
from cxlsfind.finding.poisson.ring_centre import Offset, RingCentre
from cxlsfind.finding.poisson.ring_light import LightCells, is_flat
from cxlsfind.finding.poisson.scores import expected_photons
from cxlsfind.finding.poisson.settings import FrameClass, PoissonResult, PoissonSettings
from cxlsfind.finding.poisson.stretch import Stretch, learn_stretch
from cxlsfind.finding.poisson.surroundings import Surroundings, survey
from cxlsfind.finding.poisson.thresholds import tail_of
from cxlsfind.finding.poisson.tracks import find_tracks
from cxlsfind.geometry.layout import Layout
from cxlsfind.geometry.maps import rings
from cxlsfind.geometry.model import Geometry
from cxlsfind.kernels.plane_sums import withdraw
from cxlsfind.records import PlaneFrame

#: Peaks are reported down to this many times the false peaks asked for.
_DEEPER = 10.0

#: More pulses than this per frame are counted as Poisson: a pixel that misses one photon in a
#: thousand is beyond anyone's notice.
_MANY_PULSES = 300.0

#: Counts that exceed the background's caps by this factor would pull what single pixels are
#: measured by.
_GLARE = 4

#: A stretch of a block this much darker than its brightest has lost the jet.
_NO_JET_SHARE = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class BlockResult:
    """Results of a block, in its order, and the mask that was used.

    Parameters
    ----------
    usable
        Pixels of the frame array that were used: the given ones less those that lie; bool.
    light
        What :meth:`LightCells.sum_up` returns, of frames with a jet; ``None`` without any, and
        where the panels do not lie in one plane.
    """

    frames: tuple[PoissonResult, ...]
    usable: npt.NDArray[np.bool_]
    light: npt.NDArray[np.float64] | None


class PoissonFinder:
    """Finds peaks and hits in blocks of photon frames; built once per geometry, mask and thread.

    Parameters
    ----------
    geometry, layout
        Panels, and where their pixels lie in the frame array.
    usable
        Which pixels of the frame array may be used; bool.
    shift_m
        Shift (x, y) of the detector, metres.
    """

    def __init__(
        self,
        settings: PoissonSettings,
        geometry: Geometry,
        layout: Layout,
        usable: npt.NDArray[np.bool_],
        shift_m: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self._settings = settings
        self._geometry = geometry
        self._layout = layout
        self._shift_m = shift_m
        self._usable = usable
        self._around = self._survey((0.0, 0.0))
        place = self._around.canvas.place
        self._mask = (place >= 0) & self._around.usable[place]
        self._ring_centre = RingCentre(geometry, layout, self._around, shift_m)
        self._cells = None
        if is_flat(geometry):
            self._cells = LightCells(self._around, self._ring_centre)
        self._elsewhere: tuple[Offset, Surroundings] = (0.0, 0.0), self._around
        self._scanner = Scanner()
        self._sheet = np.zeros(self._around.canvas.size, np.uint16)
        pulses = settings.pulses_per_frame
        self._tail = tail_of(math.inf if pulses > _MANY_PULSES else float(round(pulses)), 0.0, 0.0)

    def find_block(self, frames: Iterable[PlaneFrame]) -> BlockResult:
        """Find peaks and hits in consecutive frames of one dataset.

        Nothing outside the block has any influence.

        Parameters
        ----------
        frames
            Frames of the layout that the finder was built for.
        """
        return self.find_placed([self._around.canvas.lay(frame) for frame in frames])

    def find_placed(self, placed: Sequence[PlacedFrame]) -> BlockResult:
        """Do what :meth:`find_block` does for frames that lie on the layout's canvas.

        The finder changes them: pixels that lie are cleared.
        """
        bins, lit_bins = bin_sums(placed, self._around)
        first = first_of_equals(placed, bins)
        distinct = np.unique(first)
        different = [placed[number] for number in distinct.tolist()]
        results, lying, light = self._find_different(different, bins[distinct], lit_bins[distinct])
        if len(different) < len(placed):
            for frame, number in zip(placed, first.tolist(), strict=True):
                frame.planes[:] = placed[number].planes
            # Their peaks apart: what is added to them later may differ.
            results = [
                replace(results[number], peaks=results[number].peaks.copy())
                for number in np.searchsorted(distinct, first).tolist()
            ]
        mask = self._mask.copy()
        mask[self._around.canvas.source(lying)] = False
        return BlockResult(tuple(results), mask, light)

    def _find_different(
        self,
        placed: Sequence[PlacedFrame],
        bins: npt.NDArray[np.int64],
        lit_bins: npt.NDArray[np.int64],
    ) -> tuple[list[PoissonResult], npt.NDArray[np.int32], npt.NDArray[np.float64] | None]:
        """Return the results of frames none of which comes twice, the pixels that lie, and light.

        Parameters
        ----------
        bins, lit_bins
            What :func:`bin_sums` says of them; used up.
        """
        canvas = self._around.canvas
        totals = bins.sum(axis=1).astype(np.float64)
        dark = dark_frames(totals)
        zones = zone_sums(bins)
        zones[dark] = 0.0
        cuts = [0, *split_at_changes(zones), len(placed)]
        around, known = self._without_liars(placed, bins, lit_bins, dark, cuts)
        lying = np.flatnonzero(self._around.usable & ~around.usable).astype(np.int32)
        for frame, row, lit_row in zip(placed, bins, lit_bins, strict=True):
            withdraw(frame.planes, lying, around.word_bin, row, lit_row)
        brightest = np.median(totals[~dark]) if not dark.all() else 0.0
        results: list[PoissonResult] = []
        light: list[npt.NDArray[np.float64]] = []
        for start, stop in pairwise(cuts):
            part = placed[start:stop]
            its_bins, its_lit = bins[start:stop], lit_bins[start:stop]
            if start in known:
                counts, lit = known.pop(start)
                counts.clear(lying, around.ring)
            else:
                totals_here, lit = total_counts([frame.planes for frame in part], canvas)
                counts = sum_up(totals_here, its_bins, around)
            lit[lying] = 0
            offset = self._ring_centre.find(counts.totals, lying)
            here = around
            if offset != (0.0, 0.0):
                here = self._around_offset(offset).without(lying)
                its_bins, its_lit = bin_sums(part, here)
                counts = sum_up(counts.totals, its_bins, here)
            rough = rough_background(counts, lit, its_lit, here)
            stretch = learn_stretch(part, here, counts, rough, self._scanner, self._tail)
            lost = len(cuts) > 2 and np.median(totals[start:stop]) < _NO_JET_SHARE * brightest
            usual = FrameClass.NO_JET if lost else FrameClass.BLANK
            if self._cells is not None and not lost:
                light.append(self._cells.sum_up(stretch.kept, stretch.cut_out, lying))
            for t in range(start, stop):
                kind = FrameClass.BEAM_OFF if dark[t] else usual
                results.append(self._find_frame(placed[t], stretch, t - start, kind, offset))
        return results, lying, np.sum(light, axis=0) if light else None

    def _without_liars(
        self,
        placed: Sequence[PlacedFrame],
        bins: npt.NDArray[np.int64],
        lit_bins: npt.NDArray[np.int64],
        dark: npt.NDArray[np.bool_],
        cuts: Sequence[int],
    ) -> tuple[Surroundings, dict[int, tuple[Sums, npt.NDArray[np.uint32]]]]:
        """Return the surroundings less the pixels that lie in any stretch of the block.

        And, by their first frames, the sums over stretches that have beam throughout, and in how
        many frames pixels hold anything.
        """
        around = self._around
        known = {}
        lying = [np.empty(0, np.int32)]
        for start, stop in pairwise(cuts):
            bright = [t for t in range(start, stop) if not dark[t]]
            if len(bright) < FEWEST_FRAMES:
                continue
            part = [placed[t] for t in bright]
            totals, ever = total_counts([frame.planes for frame in part], around.canvas)
            counts = sum_up(totals, bins[bright], around)
            kept = self._without_glare(part, counts, ever, lit_bins[bright])
            nothing = [np.empty(0, np.int32)] * len(bright)
            # By photons: a crystal that stands still is not to be taken for pixels that lie.
            model = estimate_background(kept, around, nothing, with_tiles=True)
            lying.append(find_lying(part, around, model, kept.totals, ever))
            if len(bright) == stop - start:
                # Not a copy of the bins: they are to lose what lies.
                known[start] = replace(counts, bins=bins[start:stop]), ever
        return around.without(np.unique(np.concatenate(lying))), known

    def _without_glare(
        self,
        frames: Sequence[PlacedFrame],
        counts: Sums,
        lit: npt.NDArray[np.uint32],
        lit_bins: npt.NDArray[np.int64],
    ) -> Sums:
        """Return sums in which a single spot is not brighter than the background by far.

        Planes that hold few bits see to that by themselves.
        """
        around = self._around
        fullest = max(frame.full for frame in frames)
        if fullest <= _GLARE:
            return counts
        caps = count_caps(rough_background(counts, lit, lit_bins, around))
        if fullest <= _GLARE * caps.min():
            return counts
        return cut_spots(frames, around, counts, caps, [np.empty(0, np.int32)] * len(frames))

    def _find_frame(
        self,
        placed: PlacedFrame,
        stretch: Stretch,
        number: int,
        kind: FrameClass,
        offset: Offset,
    ) -> PoissonResult:
        settings, tail, around = self._settings, stretch.tail, stretch.around
        scale = stretch.background.scales[number]
        cut, expected = stretch.cuts(number, settings.false_peaks)
        deep, _ = stretch.cuts(number, _DEEPER * settings.false_peaks)
        found = stretch.find(placed, number, self._scanner)
        log_expected = tail.log_rates(found.at_nodes, found.background) + math.log(around.n_pixels)
        doubt = stretch.doubt(found, number)
        log_expected += doubt
        deepest = max(deep, cut)
        looked_at = np.flatnonzero(log_expected <= math.log(deepest))
        tracks = find_tracks(
            placed,
            around,
            found.position[looked_at],
            found.background[looked_at],
            tail.family.streak_px,
        )
        log_expected[looked_at[tracks]] = np.inf
        told_apart, its_expected, replaced = stretch.tell_apart(
            found, log_expected, deepest, placed, self._sheet, number, self._scanner
        )
        measured = measure_peaks(
            told_apart, its_expected, placed, self._sheet, around, tail, deepest
        )
        log_expected[found.numbers_of(measured.refused)] = np.inf
        vain = is_far(found.position[replaced], measured.position, around.canvas.stride)
        log_expected[replaced[vain]] = np.inf
        pooled = log_expected <= math.log(MOST_COMMON)
        nulls = stretch.nulls(number, float(doubt[pooled].max(initial=0.0)))
        score = judge_frame(found.score, log_expected, around.n_pixels, nulls)
        peaks = measured.peaks[: settings.max_peaks]
        place_peaks(
            peaks,
            measured.position[: settings.max_peaks],
            around,
            self._layout,
            placed.censored,
            stretch.rings,
        )
        peaks["intensity"] = peaks["photons"]
        n_peaks = int((measured.expected[: settings.max_peaks] <= cut).sum())
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
            background=expected_photons(stretch.background.profile * scale, tail.n_pulses).astype(
                np.float32
            ),
            ring_centre_px=offset,
            rings=stretch.rings,
        )

    def _around_offset(self, offset: Offset) -> Surroundings:
        """Return the surroundings with rings around another centre; kept for the next block."""
        if self._elsewhere[0] != offset:
            self._elsewhere = offset, self._survey(offset)
        return self._elsewhere[1]

    def _survey(self, offset: Offset) -> Surroundings:
        pitch = 1.0 / self._geometry.panels[0].res
        shift_m = self._shift_m[0] - pitch * offset[0], self._shift_m[1] - pitch * offset[1]
        ring = rings(self._geometry, self._layout, shift_m)
        return survey(build_canvas(self._layout), ring, self._usable)
