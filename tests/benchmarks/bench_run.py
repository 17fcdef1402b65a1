"""The whole command: what it takes beside the kernel, its first frame, its memory, and two ranks.

Frames of an EIGER2 4M, drawn once, repeated, and spread over data files as the detector writes
them. A kernel's time is that of the same calls on the same frames, one after the other, without
files, outputs and the start. Every run draws a fresh seed and prints it.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from bench_throughput import machine
from eiger_files import SEARCH_OPTIONS, Cost, Files, run_program, write_files

from cxlsfind.config import PeakMethod, RunConfig
from cxlsfind.pipeline.plan import prepare
from cxlsfind.pipeline.processor import Processor

FINDERS = {
    "peakfinder8": SEARCH_OPTIONS,
    "pre-screened": (*SEARCH_OPTIONS, "--min-peaks=5", "--no-non-hits-in-stream"),
    "poisson": (),
}


def command(files: Files, n_frames: int, finder: str, n_ranks: int = 0) -> list[str]:
    """Return the command that searches so many frames; no ranks: without mpirun."""
    program = shutil.which("cxlsfind")
    assert program is not None
    start = ["mpirun", "-n", str(n_ranks)] if n_ranks else []
    places = ["-i", str(files.write_list(n_frames)), "-g", str(files.geometry)]
    output = ["-o", str(files.folder / "run.stream"), "--overwrite"]
    return [*start, program, *places, *output, *FINDERS[finder]]


def kernel_time(files: Files, finder: str, n_frames: int, n_rounds: int) -> list[float]:
    """Return milliseconds of processor time per frame of loading and searching, one per round."""
    config = RunConfig(
        command="",
        input=str(files.write_list(n_frames)),
        geometry=str(files.geometry),
        output=files.folder / "kernel.stream",
        peaks=PeakMethod.POISSON if finder == "poisson" else PeakMethod.PEAKFINDER8,
        threshold=5.0,
        min_snr=5.0,
        min_pix_count=2,
        max_pix_count=40,
        local_bg_radius=3,
        min_peaks=5 if finder == "pre-screened" else None,
        non_hits_in_stream=finder != "pre-screened",
        overwrite=True,
    )
    plan = prepare(config)
    with Processor(plan.run, config) as processor:
        processor.warm_up()
        search = _search_of(processor, plan.blocks[0].stop, finder)
        search()
        times = []
        for _ in range(n_rounds):
            start = time.process_time()
            n_done = search()
            times.append((time.process_time() - start) / n_done * 1e3)
    return times


def _search_of(processor: Processor, n_frames: int, finder: str) -> Callable[[], int]:
    """Return what searches the first frames and nothing else."""
    if finder == "poisson":
        poisson = processor._poisson
        assert poisson is not None

        def blockwise() -> int:
            poisson.find([processor._load_placed(k) for k in range(n_frames)])
            return n_frames

        return blockwise

    def one_by_one() -> int:
        for number in range(n_frames):
            processor._find(number)
        return n_frames

    return one_by_one


def show_overhead(files: Files, finder: str, n_frames: int) -> None:
    """Print what a run takes beside its kernel."""
    run_program(command(files, 64, finder))
    before = kernel_time(files, finder, 64, 5)
    cost = run_program(command(files, n_frames, finder))
    after = kernel_time(files, finder, 64, 5)
    kernel = float(np.median(before + after))
    whole = cost.cpu_s / n_frames * 1e3
    print(
        f"  {finder:12} {n_frames} frames: {whole:.3f} ms a frame in all, kernel {kernel:.3f} "
        f"(before {np.median(before):.3f}, after {np.median(after):.3f}); "
        f"beside it {100 * (1 - kernel / whole):.1f} %, wanted: < 10; "
        f"{1e3 / whole:.0f} frames/s of processor time, wall {cost.wall_s:.1f} s, "
        f"{n_frames / cost.wall_s:.0f} frames/s",
        flush=True,
    )


def show_first_frame(files: Files, finder: str) -> None:
    """Print how long a run of a single frame takes, start and outputs included."""
    costs = [run_program(command(files, 1, finder)) for _ in range(4)][1:]
    both = ", ".join(f"{cost.wall_s:.2f} ({cost.cpu_s:.2f})" for cost in costs)
    print(f"  {finder:12} one frame from start to closed outputs: {both} s wall (cpu), wanted: < 2")


def show_ranks(files: Files, finder: str, n_frames: int, n_rounds: int) -> None:
    """Print how much faster two ranks are, with the load of the machine."""
    gains = []
    for _ in range(n_rounds):
        load = os.getloadavg()[0]
        costs = [run_program(command(files, n_frames, finder, n)) for n in (1, 2)]
        few = [run_program(command(files, 64, finder, n)) for n in (1, 2)]
        gain = costs[0].wall_s / costs[1].wall_s
        steady = _steady(costs[0], few[0]) / _steady(costs[1], few[1])
        gains.append(gain)
        print(
            f"  {finder:12} {n_frames} frames: 1 rank {costs[0].wall_s:.2f} s, 2 ranks "
            f"{costs[1].wall_s:.2f} s: {gain:.2f}; without the start {steady:.2f}; "
            f"processor {costs[0].cpu_s:.1f} and {costs[1].cpu_s:.1f} s; load {load:.1f}",
            flush=True,
        )
    print(f"  {finder:12} median {np.median(gains):.2f}, wanted: >= 1.7")


def _steady(cost: Cost, start: Cost) -> float:
    return cost.wall_s - start.wall_s


def show_memory(files: Files, finder: str, n_frames: int) -> None:
    """Print what each of two ranks holds at its most, by the system's account."""
    process = subprocess.Popen(
        command(files, n_frames, finder, 2), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    most: dict[int, dict[str, int]] = {}
    is_over = threading.Event()
    threading.Thread(target=lambda: (process.wait(), is_over.set())).start()
    while not is_over.wait(0.1):
        for pid in _ranks(process.pid):
            memory = _memory(pid)
            if memory.get("Pss", 0) > most.get(pid, {}).get("Pss", 0):
                most[pid] = memory
    for memory in most.values():
        own = memory["Private_Clean"] + memory["Private_Dirty"]
        print(
            f"  {finder:12} a rank of two: {own / 1024:.0f} MB of its own, "
            f"{memory['Pss'] / 1024:.0f} MB by share; wanted: < 200"
        )


def _ranks(pid: int) -> list[int]:
    """Return the processes below this one that run the command."""
    children = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children += [int(child) for child in task.read_text().split()]
        except OSError:
            continue
    found = []
    for child in children:
        try:
            line = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        is_rank = b"python" in line[0] and any(part.endswith(b"cxlsfind") for part in line)
        found += [child] if is_rank else _ranks(child)
    return found


def _memory(pid: int) -> dict[str, int]:
    """Return a process's account of its memory, kB."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return {}
    return {line.split(":")[0]: int(line.split()[1]) for line in lines}


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--what", nargs="+", default=["overhead", "first", "memory", "ranks"])
    parser.add_argument("--finder", nargs="+", default=list(FINDERS))
    parser.add_argument("--level", type=float, default=0.03)
    parser.add_argument("--dtype", default="u2")
    parser.add_argument("--hits", type=float, default=0.05, help="share of frames with spots")
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    options = parser.parse_args(arguments)
    print(f"seed {options.seed}; {machine()}")
    print(f"{options.dtype}, {options.level:g} photons/px, {100 * options.hits:g} % hits")
    rng = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        # Programs find their modules compiled, as those of an installation.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = str(Path(folder) / "bytecode")
        files = write_files(
            Path(folder),
            rng,
            options.level,
            options.dtype,
            n_frames=options.frames,
            hit_share=options.hits,
        )
        for finder in options.finder:
            if "overhead" in options.what:
                show_overhead(files, finder, options.frames)
            if "first" in options.what:
                show_first_frame(files, finder)
            if "memory" in options.what:
                show_memory(files, finder, min(options.frames, 2000))
            if "ranks" in options.what:
                n_frames = min(options.frames, 4000) if finder == "poisson" else options.frames
                show_ranks(files, finder, n_frames, options.rounds)


if __name__ == "__main__":
    main(sys.argv[1:])
