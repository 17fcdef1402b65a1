"""peakfinder8 here and in CrystFEL, on the same files with the same settings: cost and peaks.

Processor time per frame is the slope between two numbers of frames, so that starting up does not
count; the programs take turns. Needs an ``indexamajig`` that somebody built. Every run draws a
fresh seed and prints it.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import hdf5plugin
import numpy as np
from bench_throughput import machine
from eiger_files import SEARCH_OPTIONS, Files, run_program, write_files

#: Frames of the short and the long run of each program.
THEIRS = (4, 24)
OURS = (100, 1500)

Peaks = dict[tuple[str, str], list[tuple[float, ...]]]


def read_peaks(stream: Path) -> Peaks:
    """Return fs, ss and intensity of the peaks of every event."""
    peaks: Peaks = {}
    for chunk in stream.read_text().split("----- Begin chunk -----")[1:]:
        name = re.search("^Image filename: (.*)$", chunk, re.MULTILINE)
        event = re.search("^Event: (.*)$", chunk, re.MULTILINE)
        assert name is not None
        assert event is not None
        table = chunk.split("Peaks from peak search\n")
        rows = table[1].split("End of peak list")[0].splitlines()[1:] if len(table) > 1 else []
        fields = [row.split() for row in rows]
        peaks[name[1], event[1]] = [(float(f[0]), float(f[1]), float(f[3])) for f in fields]
    return peaks


def compare(ours: Peaks, theirs: Peaks) -> str:
    """Return how many of their peaks we have, and how many more."""
    n_same = n_theirs = n_ours = 0
    for frame, expected in theirs.items():
        found = ours[frame]
        n_theirs, n_ours = n_theirs + len(expected), n_ours + len(found)
        rest = list(found)
        for fs, ss, intensity in expected:
            for peak in rest:
                near = max(abs(peak[0] - fs), abs(peak[1] - ss)) < 0.011
                if near and abs(peak[2] - intensity) <= 0.011 + 2e-6 * abs(intensity):
                    rest.remove(peak)
                    n_same += 1
                    break
    return f"{n_same} of {n_theirs} peaks in {len(theirs)} frames, {n_ours - n_same} more"


class Programs:
    """Both programs on the same files."""

    def __init__(self, indexamajig: str, files: Files) -> None:
        self._indexamajig = indexamajig
        self._files = files

    def theirs(self, n_frames: int, *more: str) -> float:
        """Return the processor time of CrystFEL on so many frames, seconds."""
        return self._run(
            [self._indexamajig, "--indexing=none", "-j", "1", *more], n_frames, "theirs"
        )

    def ours(self, n_frames: int) -> float:
        """Return our processor time."""
        command = shutil.which("cxlsfind")
        assert command is not None
        return self._run([command, "--overwrite"], n_frames, "ours")

    def _run(self, start: list[str], n_frames: int, name: str) -> float:
        files = self._files
        command = [
            *start,
            "-i",
            str(files.write_list(n_frames)),
            "-g",
            str(files.geometry),
            "-o",
            str(files.folder / f"{name}.stream"),
            *SEARCH_OPTIONS,
        ]
        with tempfile.TemporaryDirectory() as scratch:
            if name == "theirs":
                command += [f"--temp-dir={scratch}"]
            plugins = {"HDF5_PLUGIN_PATH": hdf5plugin.PLUGIN_PATH}
            # CrystFEL leaves files of its own where it runs.
            return run_program(command, plugins, Path(scratch)).cpu_s

    def peaks(self, name: str) -> Peaks:
        return read_peaks(self._files.folder / f"{name}.stream")


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("indexamajig")
    parser.add_argument("--level", type=float, nargs="+", default=[0.01, 0.03, 0.1])
    parser.add_argument("--dtype", nargs="+", default=["u2", "u4"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    options = parser.parse_args(arguments)
    indexamajig = shutil.which(options.indexamajig)
    if indexamajig is None:
        parser.error(f"{options.indexamajig}: no such program")
    indexamajig = str(Path(indexamajig).resolve())
    version = subprocess.run([indexamajig, "--version"], capture_output=True, check=True)
    print(f"seed {options.seed}; {machine()}; {version.stdout.decode().splitlines()[0]}")
    print("processor time, ms a frame, slopes, median of rounds (all); wanted: 30 times")
    for dtype in options.dtype:
        for level in options.level:
            rng = np.random.default_rng([options.seed, int(1e4 * level)])
            with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
                files = write_files(Path(folder), rng, level, dtype, n_frames=OURS[1])
                show(Programs(indexamajig, files), f"{dtype}, {level:g}", options.rounds)


def show(programs: Programs, title: str, n_rounds: int) -> None:
    """Measure and print one line."""
    programs.ours(OURS[0])  # compiled now if it was not
    slopes = {"ours": [], "theirs": [], "theirs, fast": []}  # type: dict[str, list[float]]
    same = ""
    for number in range(n_rounds):
        few, many = (programs.ours(n) for n in OURS)
        slopes["ours"].append((many - few) / (OURS[1] - OURS[0]) * 1e3)
        few, many = (programs.theirs(n, "--peakfinder8-fast") for n in THEIRS)
        slopes["theirs, fast"].append((many - few) / (THEIRS[1] - THEIRS[0]) * 1e3)
        few, many = (programs.theirs(n) for n in THEIRS)
        slopes["theirs"].append((many - few) / (THEIRS[1] - THEIRS[0]) * 1e3)
        if number == 0:
            same = compare(programs.peaks("ours"), programs.peaks("theirs"))
    ours = float(np.median(slopes["ours"]))
    for name, values in slopes.items():
        middle = float(np.median(values))
        each = ", ".join(f"{value:.2f}" for value in values)
        print(f"  {title:9} {name:13} {middle:8.2f} ({each}); {middle / ours:6.1f} x ours")
    print(f"  {title:9} {same}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
