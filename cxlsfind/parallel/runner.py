"""A run from start to end on all ranks: prepare, process, merge, tell."""

from __future__ import annotations

import platform
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from cxlsfind.config import RunConfig
from cxlsfind.errors import CxlsfindError, StoppedError
from cxlsfind.parallel.comm import Comm
from cxlsfind.parallel.launch import LaunchError, connect
from cxlsfind.parallel.progress import Counts, ProgressDisplay
from cxlsfind.parallel.schedule import deal, take
from cxlsfind.parallel.shards import Shard, ShardEntry, ShardError, ShardFolder, merge
from cxlsfind.parallel.shared import share_arrays
from cxlsfind.parallel.signals import Reaction, StopRequest
from cxlsfind.parallel.speech import hand_over, say
from cxlsfind.pipeline.blocks import Block
from cxlsfind.pipeline.finish import write_outputs
from cxlsfind.pipeline.hit_rate import estimate_hit_rate
from cxlsfind.pipeline.plan import Plan, prepare
from cxlsfind.pipeline.processor import FrameCrashError, Processor
from cxlsfind.writers.blocks import BlockOutput
from cxlsfind.writers.outputs import OutputSet

#: Exit code of a complete run in which more frames were skipped than allowed.
_TOO_MANY_SKIPPED = 4
#: What a launcher gets to pass on standard error before something goes to standard output.
_TURN_S = 0.1


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
    failure: ShardError | None


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


def run(config: RunConfig, stop: StopRequest) -> int:
    """Do a run on the ranks that were started; return the exit code, the same on all of them."""
    try:
        comm = connect()
    except LaunchError as error:
        if error.is_first:
            _complain(error)
        return error.exit_code
    try:
        return _run(config, comm, stop)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the other ranks must not hang
        _complain(error, rank=comm.rank if comm.size > 1 else None)
        code = error.exit_code if isinstance(error, CxlsfindError) else 1
        comm.abort(code)
        return code


def _run(config: RunConfig, comm: Comm, stop: StopRequest) -> int:
    started = time.time()
    with ExitStack() as stack:
        plan: Plan | CxlsfindError | None = None
        # Whatever the others are asked, rank 0 decides; it may be busy with what must be whole.
        stop.reaction = Reaction.NOTE
        if comm.rank == 0:
            plan = _begin(config, stop, stack)
        plan = comm.share(plan)
        if not isinstance(plan, Plan):
            return plan.exit_code if plan is not None else 1
        masks = share_arrays(comm, dict(enumerate(plan.run.masks)))
        if comm.node_rank != 0 and masks:
            plan = plan.with_masks(tuple(masks.values()))

        work = _process(config, comm, plan, stop)
        stop.reaction = Reaction.NOTE
        code = 0
        if comm.rank == 0:
            try:
                code = _conclude(config, comm, plan, work, stop, started)
            except CxlsfindError as error:
                _complain(error)
                code = error.exit_code
    return int(comm.share(code))


def _begin(config: RunConfig, stop: StopRequest, stack: ExitStack) -> Plan | CxlsfindError:
    """Prepare the run and its folder on rank 0; return why it cannot be, once that was said."""
    try:
        stop.reaction = Reaction.RAISE
        if config.wait_for_file:
            say("waits for listed files that are not there yet (--wait-for-file)")
        plan = prepare(config)
        stop.reaction = Reaction.NOTE
        stack.enter_context(ShardFolder(plan.shard_folder))
        OutputSet(config.output).remove_leftovers()
        for line in plan.announcement():
            say(line)
    except CxlsfindError as error:
        stop.reaction = Reaction.NOTE
        _complain(error)
        return error
    return plan


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

        with Processor(plan.run, config, plan.models, comm.node_rank) as processor:
            # Compiled kernels go to a cache that all ranks of a node share; the first fills it.
            if comm.node_rank == 0:
                _warm_up(processor, stop)
            rings = share_arrays(comm, processor.rings.arrays())
            if comm.node_rank != 0:
                processor.rings.adopt(rings)
            stop.reaction = Reaction.FINISH_BLOCK
            display.start_clock()
            entries: list[ShardEntry] = []
            failure = None
            try:
                with Shard(plan.shard_folder, comm.rank) as shard:
                    entries = shard.entries
                    for report in _block_reports(take(share, comm), processor, shard, stop):
                        comm.report(report)
                        if comm.rank == 0:
                            listen()
            except ShardError as error:
                failure = error
            # All blocks are taken, or nobody need take more.
            comm.close_tickets()
        comm.report(_RankReport(entries, time.process_time() - cpu, failure))
        while comm.rank == 0 and len(work.finished) < comm.size:
            listen()
            time.sleep(0.01)
    return work


def _block_reports(
    blocks: Iterable[Block], processor: Processor, shard: Shard, stop: StopRequest
) -> Iterator[_BlockReport]:
    """Process blocks until there is a request to stop, and yield a report of each."""
    for block in blocks:
        if stop.is_made:
            return
        output = processor.process(block)
        shard.append(block.number, output)
        yield _BlockReport(block.number, Counts.of(output), output.log_bayes_factor)


def _warm_up(processor: Processor, stop: StopRequest) -> None:
    """Compile what the run needs; a request to stop need not wait for that."""
    stop.reaction = Reaction.RAISE
    try:
        processor.warm_up()
    except CxlsfindError:
        if not stop.is_made:
            raise
    finally:
        stop.reaction = Reaction.NOTE


def _conclude(
    config: RunConfig,
    comm: Comm,
    plan: Plan,
    work: _Work,
    stop: StopRequest,
    started: float,
) -> int:
    """Merge the shards into the outputs, say what came of the run, return the exit code."""
    failure = next((report.failure for report in work.finished if report.failure), None)
    if failure is not None:
        raise failure
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
    results = _unless_stopped(merge(plan.shard_folder, entries), stop)
    ending = write_outputs(config, plan, results, work.hit_rate(), performance)
    for line in ending.lines:
        say(line)
    say(f"Final: {work.counts.sentence()}.")
    if comm.size > 1:
        # Launchers pass on the two streams independently; the command should be read last.
        time.sleep(_TURN_S)
    hand_over(ending.next_command)
    return _TOO_MANY_SKIPPED if ending.lost_frames > config.max_skipped else 0


def _unless_stopped(blocks: Iterable[BlockOutput], stop: StopRequest) -> Iterator[BlockOutput]:
    """Yield blocks until a request to stop; one after the last block comes too late."""
    for block in blocks:
        if stop.is_made:
            raise StoppedError("stopped on request while the outputs were written; none is kept")
        yield block


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
