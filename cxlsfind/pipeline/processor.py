"""From a block of raw frames to its part of the outputs."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

import numpy as np

from cxlsfind.config import RunConfig
from cxlsfind.errors import CxlsfindError, FrameError
from cxlsfind.finding.peakfinder8 import Peakfinder8, Peakfinder8Settings
from cxlsfind.finding.photons import mean_photons, normalise
from cxlsfind.geometry.maps import inverse_d, radius_bins
from cxlsfind.io.reader import RunReader
from cxlsfind.io.run import Run
from cxlsfind.pipeline.blocks import Block
from cxlsfind.records import (
    DenseFrame,
    FrameHeader,
    FrameResult,
    PeakArray,
    PhotonFrame,
    Skipped,
)
from cxlsfind.units import wavelength_m
from cxlsfind.writers.blocks import BlockOutput

#: Peaks that make a hit unless ``--min-peaks`` says otherwise: the fewest that can be indexed.
DEFAULT_MIN_PEAKS = 5


class FrameCrashError(CxlsfindError):
    """Processing a frame failed in a way that no bad input explains."""


class Processor:
    """Processes blocks of a run; one per rank.

    Parameters
    ----------
    run
        The run, opened.
    config
        Its settings.
    """

    def __init__(self, run: Run, config: RunConfig) -> None:
        self._run = run
        self._config = config
        self._local = threading.local()
        self._workers: list[_Worker] = []
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(config.threads) if config.threads > 1 else None

    def process(self, block: Block) -> BlockOutput:
        """Read, search and render the frames of a block, in input order."""
        frames = range(block.start, block.stop)
        if self._pool is None:
            outcomes = [self._process_frame(frame) for frame in frames]
        else:
            outcomes = list(self._pool.map(self._process_frame, frames))
        run, config = self._run, self._config
        results = [outcome for outcome in outcomes if isinstance(outcome, FrameResult)]
        skipped = [outcome for outcome in outcomes if isinstance(outcome, Skipped)]
        return BlockOutput.from_results(
            results,
            skipped,
            frames=run.frames,
            geometry=run.geometry,
            serial_start=config.serial_start,
            non_hits_in_stream=config.non_hits_in_stream,
        )

    def warm_up(self) -> None:
        """Compile what the run needs by processing its first frame for nothing."""
        self._process_frame(0)

    def _process_frame(self, frame: int) -> FrameResult | Skipped:
        name, event = self._run.frames.filename(frame), str(self._run.frames.event(frame))
        try:
            return self._worker().process(frame)
        except FrameError as error:
            return Skipped(name, event, 1, str(error))
        except Exception as error:
            raise FrameCrashError(f"{name} {event}: {type(error).__name__}: {error}") from error

    def _worker(self) -> _Worker:
        """Return the worker of this thread."""
        worker: _Worker | None = getattr(self._local, "worker", None)
        if worker is None:
            worker = self._local.worker = _Worker(self._run, self._config)
            with self._lock:
                self._workers.append(worker)
        return worker

    def __enter__(self) -> Self:
        """Return the processor itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all files."""
        if self._pool is not None:
            self._pool.shutdown()
        for worker in self._workers:
            worker.close()


class _Worker:
    """What one thread needs: open files, and a finder with its workspace."""

    def __init__(self, run: Run, config: RunConfig) -> None:
        self._run = run
        self._config = config
        self._reader = RunReader(run)
        self._finder: Peakfinder8 | None = None
        self._finder_key: tuple[int, tuple[float, float]] | None = None

    def read(self, frame: int) -> tuple[PhotonFrame | DenseFrame, FrameHeader]:
        """Read one frame and apply its mask."""
        run = self._run
        header = self._reader.header(frame)
        usable = run.masks[run.groups[int(run.frames.group[frame])].mask]
        raw = self._reader.read(frame)
        return normalise(raw, usable, run.geometry, run.layout, header.photon_energy_ev), header

    def process(self, frame: int) -> FrameResult:
        """Read one frame and find its peaks."""
        run, config = self._run, self._config
        image, header = self.read(frame)
        mask = run.groups[int(run.frames.group[frame])].mask
        peaks = self._finder_for(mask, header).find(image, header.photon_energy_ev)
        self._add_resolution(peaks, header)
        least = DEFAULT_MIN_PEAKS if config.min_peaks is None else config.min_peaks
        return FrameResult(
            frame=frame,
            is_hit=len(peaks) >= least,
            peaks=peaks,
            header=header,
            mean_photons=mean_photons(
                image, run.masks[mask], run.geometry, run.layout, header.photon_energy_ev
            ),
            n_censored=len(image.censored),
        )

    def _finder_for(self, mask: int, header: FrameHeader) -> Peakfinder8:
        """Return a finder for this mask and detector position; mostly the last one."""
        key = (mask, header.detector_shift_m)
        if self._finder is None or key != self._finder_key:
            run, config = self._run, self._config
            settings = peakfinder8_settings(config)
            bins = radius_bins(run.geometry, run.layout, header.detector_shift_m)
            self._finder = Peakfinder8(
                settings,
                run.geometry,
                run.layout,
                bins,
                run.masks[mask],
                header.detector_shift_m,
            )
            self._finder_key = key
        return self._finder

    def _add_resolution(self, peaks: PeakArray, header: FrameHeader) -> None:
        for panel in np.unique(peaks["panel"]).tolist():
            here = peaks["panel"] == panel
            peaks["inverse_d"][here] = inverse_d(
                self._run.geometry,
                panel,
                peaks["fs"][here],
                peaks["ss"][here],
                wavelength_m=wavelength_m(header.photon_energy_ev),
                clen_m=header.clen_m,
                shift_m=header.detector_shift_m,
            )

    def close(self) -> None:
        """Close all files."""
        self._reader.__exit__(None, None, None)


def peakfinder8_settings(config: RunConfig) -> Peakfinder8Settings:
    """Return the finder's part of the settings."""
    if config.threshold is None:
        raise ValueError("peakfinder8 without a threshold")
    return Peakfinder8Settings(
        threshold=config.threshold,
        min_snr=config.min_snr,
        min_pix_count=config.min_pix_count,
        max_pix_count=config.max_pix_count,
        local_bg_radius=config.local_bg_radius,
        min_res=config.min_res,
        max_res=config.max_res,
    )
