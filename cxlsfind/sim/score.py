"""Found peaks against the truth: recall by strength, false peaks, errors of position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from cxlsfind.errors import InputError
from cxlsfind.sim.truth import Truth

#: A peak this near to a spot has found it, px.
MATCH_RADIUS_PX: Final = 2.0


@dataclass(frozen=True, slots=True)
class RecallBin:
    """Spots of similar strength: at least ``low`` and below ``high`` expected photons."""

    low: float
    high: float
    n_spots: int
    n_found: int

    @property
    def recall(self) -> float:
        """Share of the spots that were found; NaN without spots."""
        return self.n_found / self.n_spots if self.n_spots else float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """Peaks of a run compared with its truth.

    Parameters
    ----------
    photons
        Expected photons of every spot of the run.
    offset
        Peak minus spot (fs, ss) of every spot, px, shape (spots, 2); NaN where none was found.
    is_hit
        Whether each frame was meant to hold spots.
    n_false
        Peaks of each frame that belong to no spot.
    """

    photons: npt.NDArray[np.float64]
    offset: npt.NDArray[np.float64]
    is_hit: npt.NDArray[np.bool_]
    n_false: npt.NDArray[np.int64]

    @property
    def is_found(self) -> npt.NDArray[np.bool_]:
        """Whether each spot was found."""
        return np.isfinite(self.offset[:, 0])

    @property
    def false_per_blank(self) -> float:
        """Mean number of peaks on frames without spots; NaN without such frames."""
        return _mean(self.n_false[~self.is_hit])

    @property
    def false_per_hit(self) -> float:
        """Mean number of peaks that belong to no spot, on frames with spots; NaN without such."""
        return _mean(self.n_false[self.is_hit])

    @property
    def rmse_px(self) -> float:
        """Root mean square error of position, per axis, px; NaN when nothing was found."""
        return float(np.sqrt(_mean(self.offset[self.is_found] ** 2)))

    def recall(self, edges: Sequence[float]) -> tuple[RecallBin, ...]:
        """Return the recall of spots between consecutive edges (expected photons)."""
        bins: list[RecallBin] = []
        for low, high in pairwise(edges):
            inside = (self.photons >= low) & (self.photons < high)
            n_found = int(np.count_nonzero(inside & self.is_found))
            bins.append(RecallBin(low, high, int(np.count_nonzero(inside)), n_found))
        return tuple(bins)


def match_peaks(
    spots: npt.NDArray[np.float64],
    peaks: npt.NDArray[np.float64],
    radius_px: float = MATCH_RADIUS_PX,
) -> npt.NDArray[np.int64]:
    """Return the peak that found each spot, or -1: one to one, nearest pairs first.

    Parameters
    ----------
    spots, peaks
        Positions (fs, ss), px, shape (n, 2).
    """
    distance = np.linalg.norm(spots[:, None, :] - peaks[None, :, :], axis=2)
    near = np.argwhere(distance <= radius_px)
    order = np.argsort(distance[near[:, 0], near[:, 1]], kind="stable")
    found = np.full(len(spots), -1, np.int64)
    taken = np.zeros(len(peaks), np.bool_)
    for spot, peak in near[order]:
        if found[spot] < 0 and not taken[peak]:
            found[spot] = peak
            taken[peak] = True
    return found


def score_run(truth: Truth, peaks: Sequence[npt.NDArray[np.float64]]) -> Score:
    """Compare the peaks of a run with its truth.

    Parameters
    ----------
    peaks
        Positions (fs, ss) found in every frame, px from the corner of pixel 0 of the data array,
        shape (n, 2), in the order of ``truth.frames``.

    Raises
    ------
    InputError
        There are more or fewer frames than the truth has.
    """
    n_frames = len(truth.frames)
    if len(peaks) != n_frames:
        message = f"peaks of {len(peaks)} frames, truth of {n_frames}: give one run's of each"
        raise InputError(message)
    offset = np.full((len(truth.spots), 2), np.nan)
    n_false = np.zeros(n_frames, np.int64)
    first = 0
    for frame, found_peaks in enumerate(peaks):
        spots = truth.spots_of(frame)
        positions = np.column_stack([spots["fs"], spots["ss"]])
        found = match_peaks(positions, found_peaks)
        matched = found >= 0
        rows = first + np.flatnonzero(matched)
        offset[rows] = found_peaks[found[matched]] - positions[matched]
        n_false[frame] = len(found_peaks) - np.count_nonzero(matched)
        first += len(spots)
    return Score(
        photons=truth.spots["photons"].astype(np.float64),
        offset=offset,
        is_hit=truth.frames["label"] == 1,
        n_false=n_false,
    )


def _mean(values: npt.NDArray[np.float64] | npt.NDArray[np.int64]) -> float:
    return float(values.mean()) if values.size else float("nan")
