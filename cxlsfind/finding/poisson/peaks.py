"""From local maxima to peaks: neighbours told apart, positions fitted, significance stated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxlsfind.finding.poisson.candidates import Candidates
from cxlsfind.finding.poisson.canvas import PlacedFrame
from cxlsfind.finding.poisson.settings import SharpRing
from cxlsfind.finding.poisson.streaks import first_of_streaks, streak_photons
from cxlsfind.finding.poisson.surroundings import Surroundings
from cxlsfind.finding.poisson.thresholds import NullTail, tail_of
from cxlsfind.geometry.layout import Layout
from cxlsfind.kernels.plane_canvas import paint_windows, wipe_windows
from cxlsfind.kernels.spot_fit import FIT_HALF, FitPriors
from cxlsfind.kernels.spot_resolve import SpotRules, resolve_spots
from cxlsfind.records import PEAK_DTYPE, PeakArray, PeakFlag

FloatArray = npt.NDArray[np.float64]

#: What is known of a spot before its fit.
PRIORS = FitPriors(sigma_px=0.65, log_sigma_spread=0.3, offset_spread_px=1.0)

#: Spots farther apart do not see each other; a spot's tails may hold this share of its photons,
#: spread this wide, beyond a round Gaussian.
_REACH_PX = 9
_HALO_SHARE = 0.03
_HALO_SIGMA_PX = 2.0

#: A pixel that fires alone explains five photons better than the sharpest spot does.
_SHARPEST_PX = 0.45
_SPIKE_GAIN = 3.0

#: Half the side of the window in which an unusable or censored pixel is worth a flag.
_FLAG_HALF = 2


#: Peaks stay this far inside their panel, more than the single precision of tables moves them.
_INSIDE_PX = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredPeaks:
    """Peaks of a frame, most significant first.

    Parameters
    ----------
    peaks
        Array of :data:`~cxlsfind.records.PEAK_DTYPE` without what depends on the layout:
        ``fs`` and ``ss`` are offsets from the middle of ``position``.
    position
        Canvas pixels; int32.
    expected
        False peaks expected per frame at or above the significance of each.
    refused
        Canvas pixels of candidates that turned out to be firing pixels or neighbours' tails.
    """

    peaks: PeakArray
    position: npt.NDArray[np.int32]
    expected: FloatArray
    refused: npt.NDArray[np.int32]


def measure_peaks(
    candidates: Candidates,
    log_expected: FloatArray,
    frame: PlacedFrame,
    sheet: npt.NDArray[np.uint16],
    around: Surroundings,
    tail: NullTail,
    most_expected: float,
) -> MeasuredPeaks:
    """Fit the candidates of a frame and keep those that stand beside their neighbours.

    Parameters
    ----------
    log_expected
        Natural logarithm of the false peaks expected at or above each candidate.
    sheet
        A canvas of zeros, given back as it was.
    most_expected
        False peaks expected per frame at or above the least significant peak.
    """
    order = np.flatnonzero(log_expected <= math.log(most_expected))
    order = order[np.lexsort((candidates.position[order], log_expected[order]))]
    if tail.family.streak_px:
        order = order[first_of_streaks(candidates.position[order], around, tail.family.streak_px)]
    positions = candidates.position[order]
    background = candidates.background[order]
    n_pixels = around.n_pixels
    scores = candidates.score[order].copy()
    log_expected = log_expected[order]
    values = np.zeros((len(order), 4))
    errors = np.zeros((len(order), 4))
    local = np.zeros(len(order))
    accepted = np.zeros(len(order), np.bool_)
    rules = SpotRules(
        reach_px=_REACH_PX,
        halo_share=_HALO_SHARE,
        halo_sigma_px=_HALO_SIGMA_PX,
        n_pulses=tail.n_pulses,
        sharpest_px=_SHARPEST_PX,
        spike_gain=_SPIKE_GAIN,
    )
    stride = around.canvas.stride
    # What is left beside a neighbour is looked at as a round spot.
    tables = tail_of(tail.n_pulses, tail.sharing, 0.0).tables[0]
    paint_windows(frame.planes, frame.place, frame.count, stride, positions, FIT_HALF + 1, sheet)
    resolve_spots(
        sheet,
        around.usable,
        around.canvas.stride,
        positions,
        background,
        tail.scores_at(math.log(most_expected / n_pixels), background),
        tables.strength,
        tables.log_weight,
        np.rint(tail.places(background)).astype(np.int64),
        PRIORS,
        rules,
        scores,
        local,
        values,
        errors,
        accepted,
    )
    wipe_windows(stride, positions, FIT_HALF + 1, sheet)
    changed = accepted & (local > background * 1.0001)
    both = np.repeat(scores[changed, None], 2, axis=1)
    # Beside a neighbour R hardly depends on the background, and the ratio holds all of it.
    log_expected[changed] = tail.log_rates(both, background[changed]) + math.log(n_pixels)
    accepted &= log_expected <= math.log(most_expected)
    kept = np.flatnonzero(accepted)
    kept = kept[np.lexsort((positions[kept], log_expected[kept]))]
    peaks = np.zeros(len(kept), PEAK_DTYPE)
    peaks["fs"] = values[kept, 1]
    peaks["ss"] = values[kept, 2]
    peaks["photons"] = values[kept, 0]
    peaks["sigma_photons"] = errors[kept, 0]
    if tail.family.streak_px:
        peaks["photons"], peaks["sigma_photons"] = streak_photons(
            frame, around, positions[kept], local[kept], tail.family.streak_px
        )
    peaks["sigma_fs"] = errors[kept, 1]
    peaks["sigma_ss"] = errors[kept, 2]
    peaks["background"] = local[kept]
    peaks["snr"] = peaks["photons"] / np.maximum(peaks["sigma_photons"], 1e-9)
    peaks["log_likelihood_ratio"] = scores[kept]
    peaks["p_value"] = -np.expm1(-np.exp(log_expected[kept]))
    peaks["inverse_d"] = np.nan
    peaks["n_pixels"] = _spot_pixels(np.exp(values[kept, 3]))
    return MeasuredPeaks(peaks, positions[kept], np.exp(log_expected[kept]), positions[~accepted])


def place_peaks(
    peaks: PeakArray,
    positions: npt.NDArray[np.int32],
    around: Surroundings,
    layout: Layout,
    censored: npt.NDArray[np.int32],
    rings: Sequence[SharpRing],
) -> None:
    """Fill in panel, data-array coordinates and flags.

    Parameters
    ----------
    positions
        Canvas pixels from which the peaks' fs and ss are offsets so far.
    censored
        Canvas pixels that read the largest value of the data type.
    rings
        Sharp rings of the background.
    """
    canvas = around.canvas
    panel, row, column = canvas.locate(positions)
    offset = np.array([layout.slabs[w.slab].offset for w in layout.windows], np.int64)[panel]
    width = np.array([layout.slabs[w.slab].shape[1] for w in layout.windows], np.int64)[panel]
    top, left = np.divmod(canvas.windows[panel, 0] - offset, width)
    size = canvas.windows[panel, 2:4]
    peaks["panel"] = panel
    peaks["fs"] += left + column + 0.5
    peaks["ss"] += top + row + 0.5
    # Half a spot can be fitted beyond the edge, where another panel may lie, or none.
    peaks["fs"] = peaks["fs"].clip(left + _INSIDE_PX, left + size[:, 1] - _INSIDE_PX)
    peaks["ss"] = peaks["ss"].clip(top + _INSIDE_PX, top + size[:, 0] - _INSIDE_PX)
    steps = np.arange(-_FLAG_HALF, _FLAG_HALF + 1)
    window = (steps[:, None] * canvas.stride + steps[None, :]).ravel()
    near = positions[:, None] + window[None, :]
    flags = np.zeros(len(peaks), np.uint32)
    flags[~around.usable[near].all(axis=1)] |= np.uint32(PeakFlag.EDGE)
    if censored.size:
        flags[np.isin(near, censored).any(axis=1)] |= np.uint32(PeakFlag.SATURATED)
    on_ring = around.ring[positions]
    for ring in rings:
        here = (on_ring >= ring.first) & (on_ring <= ring.last)
        flags[here] |= np.uint32(PeakFlag.RING)
    peaks["flags"] = flags


def _spot_pixels(sigma: FloatArray) -> npt.NDArray[np.int32]:
    """Return the pixels of a disc that holds nine tenths of a spot."""
    pixels: npt.NDArray[np.int32] = np.maximum(np.rint(14.5 * sigma**2), 1).astype(np.int32)
    return pixels
