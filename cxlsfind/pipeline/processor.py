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
from cxlsfind.finding.poisson.canvas import PlacedFrame
from cxlsfind.io.run import Run
from cxlsfind.pipeline.blocks import Block
from cxlsfind.pipeline.model_choice import ModelChoice
from cxlsfind.pipeline.model_judge import ModelJudge
from cxlsfind.pipeline.ring_store import RingStore
from cxlsfind.pipeline.search import (
    AnyFrame,
    FrameLoader,
    Peakfinder8Search,
    PoissonSearch,
    ReadFrame,
    to_canvas,
)
from cxlsfind.records import FrameResult, RingLight, Skipped
from cxlsfind.writers.blocks import BlockOutput

T = TypeVar("T")

#: Frames that may be damaged at the beginning of a run before warming up is given up.
_TRIED = 64


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
    models
        Models that fit it.
    rank_on_node
        Number of this rank among those of its node: the node's GPUs are shared out by it.
    """

    def __init__(
        self,
        run: Run,
        config: RunConfig,
        models: ModelChoice | None = None,
        rank_on_node: int = 0,
    ) -> None:
        self._run = run
        self._config = config
        #: Maps that all threads use, and that the ranks of a node may share.
        self.rings = RingStore(run.geometry, run.layout)
        self._local = threading.local()
        self._loaders: list[FrameLoader] = []
        self._pool = ThreadPoolExecutor(config.threads) if config.threads > 1 else None
        self._poisson: PoissonSearch | None = None
        if config.peaks is PeakMethod.POISSON:
            judge = None
            if models is not None and models.files:
                judge = ModelJudge(run, config, models, rank_on_node)
            self._poisson = PoissonSearch(run, config, judge)

    def process(self, block: Block) -> BlockOutput:
        """Read, search and render the frames of a block, in input order."""
        return self._process(range(block.start, block.stop))

    def warm_up(self) -> None:
        """Compile what the run needs by processing a frame for nothing, the first that is good."""
        for frame in range(min(len(self._run.frames), _TRIED)):
            if not self._process(range(frame, frame + 1)).skipped:
                if self._poisson is None:
                    self._search().warm_up(self._load(frame))
                return

    def _process(self, frames: range) -> BlockOutput:
        lying = np.zeros(0, np.int32)
        light: list[RingLight] = []
        self._loader().expect(frames)
        if self._poisson is None:
            results, skipped = self._each(self._find, frames)
        else:
            images, skipped = self._each(self._load_placed, frames)
            try:
                results, lying, light = self._poisson.find(images)
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
            light=light,
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

    def _load_placed(self, frame: int) -> ReadFrame[PlacedFrame]:
        return to_canvas(self._run, self._load(frame))

    def _load(self, frame: int) -> AnyFrame:
        return self._loader().load(frame)

    def _find(self, frame: int) -> FrameResult:
        return self._search().find(self._load(frame))

    def _search(self) -> Peakfinder8Search:
        """Return the search of this thread."""
        search: Peakfinder8Search | None = getattr(self._local, "search", None)
        if search is None:
            search = self._local.search = Peakfinder8Search(self._run, self._config, self.rings)
        return search

    def _loader(self) -> FrameLoader:
        """Return the loader of this thread."""
        loader: FrameLoader | None = getattr(self._local, "loader", None)
        if loader is None:
            loader = self._local.loader = FrameLoader(self._run)
            self._loaders.append(loader)
        return loader

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
        for loader in self._loaders:
            loader.__exit__(None, None, None)
