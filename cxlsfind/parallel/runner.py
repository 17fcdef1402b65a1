"""A run from start to end on all ranks: prepare, process, merge, tell."""

from __future__ import annotations

import platform
import shutil
import sys
import time
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from cxlsfind.config import RunConfig
from cxlsfind.errors import CxlsfindError, StoppedError
from cxlsfind.parallel.comm import Comm
from cxlsfind.parallel.launch import LaunchError, connect
from cxlsfind.parallel.progress import Counts, ProgressDisplay, say
from cxlsfind.parallel.schedule import deal, take
from cxlsfind.parallel.shards import Shard, ShardEntry, merge
from cxlsfind.parallel.signals import StopRequest, stop_requests
from cxlsfind.pipeline.finish import write_outputs
from cxlsfind.pipeline.hit_rate import estimate_hit_rate
from cxlsfind.pipeline.plan import Plan, prepare
from cxlsfind.pipeline.processor import FrameCrashError, Processor

#: Exit code of a complete run in which more frames were skipped than allowed.
_TOO_MANY_SKIPPED = 4


@dataclass(frozen=True, slots=True)
class _BlockReport:
    """What a rank tells rank 0 after each block."""

    block: int
    counts: Counts
    log_bayes_factors: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _RankReport:
    """What a rank tells rank 0 when it has no more work."""

    entries: list[ShardEntry]
    cpu_s: float
    is_stopped: bool


class _Work:
    """What rank 0 has heard of the work of all ranks."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.finished: list[_RankReport] = []
        self._log_bayes_factors: dict[int, npt.NDArray[np.float64]] = {}

    def take(self, message: _BlockReport | _RankReport) -> None:
        """Add a message."""
        if isinstance(message, _RankReport):
            self.finished.append(message)
        else:
            self.counts.add(message.counts)
            self._log_bayes_factors[message.block] = message.log_bayes_factors

    def hit_rate(self) -> float | None:
        """Return the hit rate of the run; ``None`` where the finder has no probabilities."""
        # In the order of blocks, not of messages: sums of floats depend on it.
        parts = [self._log_bayes_factors[block] for block in sorted(self._log_bayes_factors)]
        factors = np.concatenate([np.zeros(0), *parts])
        return estimate_hit_rate(factors) if np.isfinite(factors).any() else None


def run(config: RunConfig) -> int:
    """Do a run on the ranks that were started; return the exit code, the same on all of them."""
    try:
        comm = connect()
    except LaunchError as error:
        if error.is_first:
            _complain(error)
        return error.exit_code
    try:
        with stop_requests() as stop:
            return _run(config, comm, stop)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the other ranks must not hang
        _complain(error, rank=comm.rank if comm.size > 1 else None)
        code = error.exit_code if isinstance(error, CxlsfindError) else 1
        comm.abort(code)
        return code


def _run(config: RunConfig, comm: Comm, stop: StopRequest) -> int:
    started = time.time()
    plan: Plan | CxlsfindError | None = None
    if comm.rank == 0:
        try:
            plan = prepare(config)
        except CxlsfindError as error:
            _complain(error)
            plan = error
        else:
            for line in plan.announcement():
                say(line)
    plan = comm.share(plan)
    if not isinstance(plan, Plan):
        return plan.exit_code if plan is not None else 1

    try:
        stop.is_deferred = True
        work = _process(config, comm, plan, stop)
        stop.is_deferred = False
        code = 0
        if comm.rank == 0:
            try:
                code = _conclude(config, comm, plan, work, started)
            except CxlsfindError as error:
                _complain(error)
                code = error.exit_code
    finally:
        if comm.rank == 0:
            shutil.rmtree(plan.shard_folder, ignore_errors=True)
    return int(comm.share(code))


def _process(config: RunConfig, comm: Comm, plan: Plan, stop: StopRequest) -> _Work:
    """Process blocks until none is left; return, on rank 0, what all ranks reported."""
    share = deal(plan.blocks, comm.n_nodes)[comm.node]
    cpu = time.process_time()
    work = _Work()
    with ProgressDisplay(len(plan.run.frames), is_shown=comm.rank == 0) as display:

        def listen() -> None:
            for message in comm.reports():
                work.take(message)
            display.show(work.counts)

        with Shard(plan.shard_folder, comm.rank) as shard, Processor(plan.run, config) as processor:
            # Compiled kernels go to a cache that all ranks of a node share; the first fills it.
            if comm.node_rank == 0:
                processor.warm_up()
            comm.node_barrier()
            for block in take(share, comm):
                output = processor.process(block)
                shard.append(block.number, output)
                comm.report(_BlockReport(block.number, Counts.of(output), output.log_bayes_factor))
                if comm.rank == 0:
                    listen()
                if stop.is_made:
                    comm.close_tickets()
        comm.report(_RankReport(shard.entries, time.process_time() - cpu, stop.is_made))
        while comm.rank == 0 and len(work.finished) < comm.size:
            listen()
            time.sleep(0.01)
    return work


def _conclude(
    config: RunConfig,
    comm: Comm,
    plan: Plan,
    work: _Work,
    started: float,
) -> int:
    """Merge the shards into the outputs, say what came of the run, return the exit code."""
    entries = [entry for report in work.finished for entry in report.entries]
    if len(entries) < len(plan.blocks):
        raise StoppedError(
            f"stopped on request after {len(entries)} of {len(plan.blocks)} blocks of frames; "
            "no output was written"
        )
    performance = {
        "ranks": comm.size,
        "nodes": comm.n_nodes,
        "threads_per_rank": config.threads,
        "host": platform.node(),
        "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        "seconds": round(time.time() - started, 3),
        "cpu_seconds_processing": round(sum(report.cpu_s for report in work.finished), 3),
    }
    results = merge(plan.shard_folder, entries)
    ending = write_outputs(config, plan, results, work.hit_rate(), performance)
    for line in ending.lines:
        say(line)
    say(f"Final: {work.counts.sentence()}.")
    sys.stdout.write(ending.next_command + "\n")
    sys.stdout.flush()
    return _TOO_MANY_SKIPPED if ending.lost_frames > config.max_skipped else 0


def _complain(error: BaseException, rank: int | None = None) -> None:
    """Tell the user of an error: its message, and a traceback only where it is our fault."""
    where = "" if rank is None else f"rank {rank}: "
    if not isinstance(error, CxlsfindError):
        say("".join(traceback.format_exception(error)).rstrip())
        say(f"cxlsfind: {where}internal error: {type(error).__name__}: {error}")
        return
    if isinstance(error, FrameCrashError) and error.__cause__ is not None:
        say("".join(traceback.format_exception(error.__cause__)).rstrip())
    for line in str(error).splitlines():
        say(f"cxlsfind: {where}{line}")
