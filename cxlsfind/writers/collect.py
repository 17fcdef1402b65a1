"""The results of a whole run, kept small: columns in memory, peaks in a nameless file."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from cxlsfind.records import FRAME_FLAGS, PEAK_DTYPE, PeakArray, Skipped
from cxlsfind.writers.blocks import BlockOutput, HeaderColumn, join_columns

#: Peaks that make a frame worth an attempt at indexing.
INDEXABLE_PEAKS = 5


@dataclass(frozen=True, slots=True, eq=False)
class RunResults:
    """Everything found in a run; arrays have one element per processed frame, in input order.

    Parameters
    ----------
    frame, is_hit, n_peaks, photon_energy_ev, clen_m, detector_shift_m, mean_photons, n_censored
        As in :class:`BlockOutput`.
    n_rolled_over, n_listed, hit_p_value, log_bayes_factor, hit_probability, frame_class
        As there.
    expected_false_peaks, rings, ring_centre_px, n_removed
        As there.
    artefact_probability, flag_probability
        As there.
    lying
        Frames of every block in which the finder left pixels out, and these pixels.
    first_peak
        Number of each frame's first peak in ``peaks``; int64.
    peaks
        Peaks of all frames, a read-only map of a file; :data:`PEAK_DTYPE`.
    headers
        Headers by path.
    skipped
        Frames and files that were not processed.
    """

    frame: npt.NDArray[np.int64]
    is_hit: npt.NDArray[np.bool_]
    n_peaks: npt.NDArray[np.int64]
    photon_energy_ev: npt.NDArray[np.float64]
    clen_m: npt.NDArray[np.float64]
    detector_shift_m: npt.NDArray[np.float64]
    mean_photons: npt.NDArray[np.float64]
    n_censored: npt.NDArray[np.int64]
    n_rolled_over: npt.NDArray[np.int64]
    n_listed: npt.NDArray[np.int64]
    hit_p_value: npt.NDArray[np.float64]
    log_bayes_factor: npt.NDArray[np.float64]
    hit_probability: npt.NDArray[np.float64]
    frame_class: npt.NDArray[np.str_]
    expected_false_peaks: npt.NDArray[np.float64]
    rings: npt.NDArray[np.str_]
    ring_centre_px: npt.NDArray[np.float64]
    n_removed: npt.NDArray[np.int64]
    artefact_probability: npt.NDArray[np.float64]
    flag_probability: npt.NDArray[np.float64]
    lying: tuple[tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]], ...]
    first_peak: npt.NDArray[np.int64]
    peaks: PeakArray
    headers: dict[str, HeaderColumn]
    skipped: tuple[Skipped, ...]

    @property
    def is_indexable(self) -> npt.NDArray[np.bool_]:
        """Hits with peaks enough for an attempt at indexing."""
        return self.is_hit & (self.n_peaks >= INDEXABLE_PEAKS)

    @property
    def is_judged(self) -> bool:
        """Whether models had their say."""
        return bool((self.n_removed >= 0).any())


class ResultCollector:
    """Takes blocks in input order and returns the results of the run.

    A context manager: the map of the peaks ends with it.

    Parameters
    ----------
    folder
        Folder with room for all peaks, 92 bytes each.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._columns: list[BlockOutput] = []
        self._n_peaks = 0

    def __enter__(self) -> ResultCollector:
        # Peaks of a night's run outgrow the memory of one rank; a file without a name cannot be
        # left behind, however the run ends.
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=self._folder)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, block: BlockOutput) -> None:
        """Take the next block.

        Raises
        ------
        ValueError
            The block does not follow the blocks before it.
        """
        last = next((int(b.frame[-1]) for b in reversed(self._columns) if len(b.frame)), -1)
        if np.any(np.diff(block.frame, prepend=last) <= 0):
            raise ValueError(f"frame {last} is followed by frames {block.frame.tolist()}")
        self._file.write(block.peaks.tobytes())
        self._n_peaks += len(block.peaks)
        self._columns.append(replace(block, peaks=block.peaks[:0].copy(), stream=b""))

    def results(self) -> RunResults:
        """Return the results of all blocks."""
        n_listed = self._join("n_listed", np.int64)
        paths = dict.fromkeys(path for block in self._columns for path in block.headers)
        return RunResults(
            frame=self._join("frame", np.int64),
            is_hit=self._join("is_hit", np.bool_),
            n_peaks=self._join("n_peaks", np.int64),
            photon_energy_ev=self._join("photon_energy_ev", np.float64),
            clen_m=self._join("clen_m", np.float64),
            detector_shift_m=np.concatenate(
                [np.empty((0, 2)), *(block.detector_shift_m for block in self._columns)]
            ),
            mean_photons=self._join("mean_photons", np.float64),
            n_censored=self._join("n_censored", np.int64),
            n_rolled_over=self._join("n_rolled_over", np.int64),
            n_listed=n_listed,
            hit_p_value=self._join("hit_p_value", np.float64),
            log_bayes_factor=self._join("log_bayes_factor", np.float64),
            hit_probability=self._join("hit_probability", np.float64),
            frame_class=self._join("frame_class", np.str_),
            expected_false_peaks=self._join("expected_false_peaks", np.float64),
            rings=self._join("rings", np.str_),
            ring_centre_px=np.concatenate(
                [np.empty((0, 2)), *(block.ring_centre_px for block in self._columns)]
            ),
            n_removed=self._join("n_removed", np.int64),
            artefact_probability=self._join("artefact_probability", np.float64),
            flag_probability=np.concatenate(
                [np.empty((0, len(FRAME_FLAGS)))]
                + [block.flag_probability for block in self._columns]
            ),
            lying=tuple((b.frame, b.lying) for b in self._columns if len(b.lying)),
            first_peak=np.cumsum(n_listed) - n_listed,
            peaks=self._map_peaks(),
            headers={
                path: join_columns(
                    [(len(block.frame), block.headers.get(path)) for block in self._columns]
                )
                for path in paths
            },
            skipped=tuple(item for block in self._columns for item in block.skipped),
        )

    def _map_peaks(self) -> PeakArray:
        if self._n_peaks == 0:
            return np.empty(0, PEAK_DTYPE)
        self._file.flush()
        return np.memmap(self._file, PEAK_DTYPE, "r", shape=(self._n_peaks,))

    def _join(self, name: str, dtype: type[np.generic]) -> npt.NDArray[Any]:
        return np.concatenate(
            [np.empty(0, dtype), *(getattr(block, name) for block in self._columns)]
        )
