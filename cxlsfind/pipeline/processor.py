"""From a block of raw frames to its part of the outputs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

import numpy as np

from cxlsfind.config import PeakMethod, RunConfig
from cxlsfind.errors import CxlsfindError, FrameError, StoppedError
from cxlsfind.io.reader import RunReader
from cxlsfind.io.run import Run
from cxlsfind.pipeline.blocks import Block
from cxlsfind.pipeline.search import (
    AnyFrame,
    Peakfinder8Search,
    PoissonSearch,
    ReadFrame,
    read_frame,
    to_photons,
)
from cxlsfind.records import FrameResult, PhotonFrame, Skipped
from cxlsfind.writers.blocks import BlockOutput

T = TypeVar("T")


class FrameCrashError(CxlsfindError):
    """Processing a frame or block failed in a way that no bad input explains."""


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
        self._readers: list[RunReader] = []
        self._pool = ThreadPoolExecutor(config.threads) if config.threads > 1 else None
        self._poisson = PoissonSearch(run, config) if config.peaks is PeakMethod.POISSON else None

    def process(self, block: Block) -> BlockOutput:
        """Read, search and render the frames of a block, in input order."""
        return self._process(range(block.start, block.stop))

    def warm_up(self) -> None:
        """Compile what the run needs by processing its first frame for nothing."""
        self._process(range(1))

    def _process(self, frames: range) -> BlockOutput:
        lying = np.zeros(0, np.int32)
        if self._poisson is None:
            results, skipped = self._each(self._find, frames)
        else:
            images, skipped = self._each(self._read_photons, frames)
            try:
                results, lying = self._poisson.find(images)
            except StoppedError:
                raise
            except Exception as error:
                raise self._crash(frames.start, error) from error
        run, config = self._run, self._config
        return BlockOutput.from_results(
            results,
            skipped,
            frames=run.frames,
            geometry=run.geometry,
            lying=lying,
            serial_start=config.serial_start,
            non_hits_in_stream=config.non_hits_in_stream,
        )

    def _each(
        self, step: Callable[[int], T], frames: Iterable[int]
    ) -> tuple[list[T], list[Skipped]]:
        """Apply a step to frames, in threads where there are some; results in order."""
        skipped: dict[int, Skipped] = {}

        def guarded(frame: int) -> list[T]:
            try:
                return [step(frame)]
            except FrameError as error:
                names = self._run.frames
                name, event = names.filename(frame), str(names.event(frame))
                reason = str(error).removeprefix(f"{name} {event}: ")
                skipped[frame] = Skipped(name, event, 1, reason)
                return []
            except StoppedError:
                raise
            except Exception as error:
                raise self._crash(frame, error) from error

        apply = map if self._pool is None else self._pool.map
        done = [result for results in apply(guarded, frames) for result in results]
        return done, [skipped[frame] for frame in sorted(skipped)]

    def _read_photons(self, frame: int) -> ReadFrame[PhotonFrame]:
        return to_photons(self._run, self._read(frame))

    def _read(self, frame: int) -> AnyFrame:
        return read_frame(self._run, self._reader(), frame)

    def _find(self, frame: int) -> FrameResult:
        search: Peakfinder8Search | None = getattr(self._local, "search", None)
        if search is None:
            search = self._local.search = Peakfinder8Search(self._run, self._config)
        return search.find(self._read(frame))

    def _reader(self) -> RunReader:
        """Return the reader of this thread."""
        reader: RunReader | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = self._local.reader = RunReader(self._run)
            self._readers.append(reader)
        return reader

    def _crash(self, frame: int, error: Exception) -> FrameCrashError:
        name, event = self._run.frames.filename(frame), self._run.frames.event(frame)
        return FrameCrashError(f"{name} {event}: {type(error).__name__}: {error}")

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
            self._pool.shutdown(cancel_futures=True)
        for reader in self._readers:
            reader.__exit__(None, None, None)
