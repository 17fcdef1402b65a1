"""Simulation on many ranks: all make frames, the first writes them in order."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cxlsfind.errors import CxlsfindError, StoppedError
from cxlsfind.parallel.comm import Comm
from cxlsfind.parallel.launch import LaunchError, connect
from cxlsfind.parallel.signals import Reaction, StopRequest
from cxlsfind.parallel.speech import hand_over, say
from cxlsfind.sim.pattern_run import PatternRun, RunSettings
from cxlsfind.sim.run import FrameRecord, SimulatedRun, write_run

#: Frames that a rank takes at a time.
_BLOCK: Final = 4
#: Seconds between lines of progress.
_INTERVAL_S: Final = 5.0
_POLL_S: Final = 0.005


@dataclass(frozen=True, slots=True)
class _Message:
    """What a rank sends the first: a frame."""

    number: int
    record: FrameRecord


def simulate(
    plan: Callable[[], RunSettings], directory: Path, frames_per_file: int, stop: StopRequest
) -> int:
    """Simulate a run on the ranks that were started; return the exit code, the same on all.

    Parameters
    ----------
    plan
        Gives the run; called on the first rank alone, and its errors are told there.
    frames_per_file
        Images per data file; 0 puts all into the master file.
    """
    try:
        comm = connect()
    except LaunchError as error:
        if error.is_first:
            say(f"cxlsfind-simulate: {error}")
        return error.exit_code
    stop.reaction = Reaction.RAISE if comm.rank == 0 else Reaction.NOTE
    try:
        return _simulate(comm, plan, directory, frames_per_file, stop)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the other ranks must not hang
        code = _complain(error, directory)
        comm.abort(code)
        return code


def _simulate(
    comm: Comm,
    plan: Callable[[], RunSettings],
    directory: Path,
    frames_per_file: int,
    stop: StopRequest,
) -> int:
    settings: RunSettings | None = None
    code = 0
    if comm.rank == 0:
        try:
            settings = plan()
            directory.mkdir(parents=True, exist_ok=True)
        except (CxlsfindError, OSError) as error:
            settings, code = None, _complain(error, directory)
    settings = comm.share(settings)
    if settings is None:
        return int(comm.share(code))

    source = PatternRun(settings)
    # Compiled kernels go to a cache that the ranks of a node share; the first of them fills it.
    if comm.node_rank == 0:
        source.record(0)
    comm.node_barrier()
    if comm.rank == 0:
        # Files are written through libraries that an exception from anywhere can make abort.
        stop.reaction = Reaction.FINISH_BLOCK
        frames = _in_order(comm, source, stop)
        run = write_run(directory, source, frames, frames_per_file=frames_per_file)
        _tell(run, settings.n_frames)
    else:
        for number in _numbers(comm, settings.n_frames):
            comm.report(_Message(number, source.record(number)))
    code = int(comm.share(code))
    _part(comm)
    return code


def _part(comm: Comm) -> None:
    """Let go of the messages that have been received: MPI complains of those at its end."""
    if comm.rank > 0:
        comm.report(None)
        return
    left = comm.size - 1
    while left > 0:
        left -= len(comm.reports())
        time.sleep(_POLL_S)


def _in_order(comm: Comm, source: PatternRun, stop: StopRequest) -> Iterator[FrameRecord]:
    """Yield all frames in order, on the first rank: its own and the others'; until a request."""
    total = source.header.n_images
    early: dict[int, FrameRecord] = {}
    own = _numbers(comm, total)
    start = last_line = time.monotonic()
    made = wanted = 0
    while wanted < total:
        stop.check()
        number = next(own, None)
        if number is not None:
            early[number] = source.record(number)
            made += 1
        elif wanted not in early:
            time.sleep(_POLL_S)
        for message in comm.reports():
            early[message.number] = message.record
            made += 1
        now = time.monotonic()
        if now - last_line >= _INTERVAL_S:
            last_line = now
            rate = made / (now - start)
            left = (total - made) / rate if rate > 0.0 else float("inf")
            say(f"{made} of {total} frames, {rate:.1f} frames/sec, about {left:.0f} s left.")
        while wanted in early:
            yield early.pop(wanted)
            wanted += 1


def _numbers(comm: Comm, total: int) -> Iterator[int]:
    """Yield numbers of frames for this rank, until the ranks of its node have taken their share."""
    starts = range(comm.node * _BLOCK, total, comm.n_nodes * _BLOCK)
    while (ticket := comm.next_ticket()) < len(starts):
        yield from range(starts[ticket], min(starts[ticket] + _BLOCK, total))


def _tell(run: SimulatedRun, n_frames: int) -> None:
    hand_over(f"{n_frames} frames: {run.files.master}")
    hand_over(f"truth: {run.truth}")
    hand_over(f"next: cxlsfind -i {run.list} -g {run.geometry} -o hits.stream")


def _complain(error: BaseException, directory: Path) -> int:
    """Tell the user of an error; return the exit code."""
    if isinstance(error, StoppedError):
        say(f"cxlsfind-simulate: {error}; {directory} is not complete")
        return error.exit_code
    if isinstance(error, CxlsfindError):
        for line in str(error).splitlines():
            say(f"cxlsfind-simulate: {line}")
        return error.exit_code
    if isinstance(error, MemoryError):
        say("cxlsfind-simulate: out of memory; start fewer ranks, or choose a smaller detector")
        return 1
    # HDF5 tells of a full disk when it closes a file, in its own words.
    is_full = isinstance(error, RuntimeError) and "errno = " in str(error)
    if isinstance(error, OSError) or is_full:
        say(f"cxlsfind-simulate: {directory}: {error}")
        return 3
    say("".join(traceback.format_exception(error)).rstrip())
    say(f"cxlsfind-simulate: internal error: {type(error).__name__}: {error}")
    return 1
