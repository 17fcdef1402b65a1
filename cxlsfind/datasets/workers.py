"""Do the same to many frames, in several processes where that is wanted."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

from cxlsfind.errors import CxlsfindError

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")

#: Jobs that wait for each process: enough that none is ever idle.
_QUEUED = 4


class WorkerLostError(CxlsfindError):
    """A process ended without a word; its frames are not done."""


def run_jobs(
    work: Callable[[_Job], _Result], jobs: Sequence[_Job], processes: int
) -> Generator[_Result]:
    """Yield the result of every job, in their order.

    Parameters
    ----------
    work
        Function of a module, so that other processes find it.
    processes
        With 1, all is done in this process.

    Raises
    ------
    WorkerLostError
        A process was killed.
    """
    if processes == 1 or len(jobs) < 2:
        yield from map(work, jobs)
        return
    # Not forked: HDF5 and compiled code may hold locks at that moment.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(processes, len(jobs)), context, _ignore_interrupts)
    try:
        yield from _in_order(pool, work, iter(jobs), _QUEUED * processes)
    except BrokenProcessPool as error:
        raise WorkerLostError(
            "a worker process was killed, perhaps for lack of memory: use fewer processes (-j) and "
            "start again"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _in_order(
    pool: ProcessPoolExecutor,
    work: Callable[[_Job], _Result],
    jobs: Iterable[_Job],
    queued: int,
) -> Iterator[_Result]:
    waiting: list[Future[_Result]] = [pool.submit(work, job) for job in islice(jobs, queued)]
    while waiting:
        yield waiting.pop(0).result()
        waiting += [pool.submit(work, job) for job in islice(jobs, 1)]


def _ignore_interrupts() -> None:
    """Leave Ctrl-C, which a terminal sends to all processes, to the one that started them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
