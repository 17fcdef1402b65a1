"""Files of simulated EIGER2 4M frames as the detector writes them, and runs of programs on them."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
from bench_throughput import SHAPE, draw_frames, geometry_text, usable_pixels

#: Frames of a data file, as the detector's own files hold a fixed number.
FILE_FRAMES = 500

#: The benchmark's settings of peakfinder8, as both programs take them.
SEARCH_OPTIONS = (
    "--peaks=peakfinder8",
    "--threshold=5",
    "--min-snr=5",
    "--min-pix-count=2",
    "--max-pix-count=40",
    "--local-bg-radius=3",
)


@dataclass(frozen=True)
class Files:
    """Data files in a folder, each a link to the same one, their geometry, and how many frames."""

    folder: Path
    geometry: Path
    data: list[Path]
    n_frames: int

    def write_list(self, n_frames: int) -> Path:
        """Write a list of the first frames of the files; return its name."""
        events = (
            f"{self.data[number // FILE_FRAMES]} //{number % FILE_FRAMES}\n"
            for number in range(n_frames)
        )
        path = self.folder / f"{n_frames}.lst"
        path.write_text("".join(events))
        return path


def write_files(
    folder: Path,
    rng: np.random.Generator,
    level: float,
    dtype: str,
    *,
    n_frames: int,
    hit_share: float = 1.0,
    n_distinct: int = 100,
) -> Files:
    """Write as many data files as hold ``n_frames`` frames, of which some have spots.

    Frames are drawn once and then repeated, beyond the length of a block of the finder, which does
    not search the same frame twice: a share of hits of 0.05 needs 20 of them.
    """
    usable = usable_pixels()
    geometry = folder / "eiger.geom"
    mask_lines = f"mask_file = {folder}/mask.h5\nmask = /mask\nmask_bad = 0x1\n"
    geometry.write_text(mask_lines + geometry_text(SHAPE))
    with h5py.File(folder / "mask.h5", "w") as file:
        file["mask"] = (~usable).astype(np.uint32)
    n_hits = round(hit_share * n_distinct)
    first = folder / "data_0.h5"
    with h5py.File(first, "w") as file:
        data = file.create_dataset(
            "entry/data/data",
            (FILE_FRAMES, *SHAPE),
            dtype,
            chunks=(1, *SHAPE),
            **hdf5plugin.Bitshuffle(cname="lz4"),
        )
        for number in range(n_distinct):
            # Hits come as they do in a run, not one after the other.
            n_spots = 60 if number * n_hits % n_distinct < n_hits else 0
            frame = draw_frames(rng, level, n_spots, 1)[0]
            data[number] = np.where(usable, frame, np.iinfo(dtype).max).astype(dtype)
        for number in range(n_distinct, FILE_FRAMES):
            mask, chunk = data.id.read_direct_chunk((number % n_distinct, 0, 0))
            data.id.write_direct_chunk((number, 0, 0), chunk, mask)
    names = [first]
    for number in range(1, -(-n_frames // FILE_FRAMES)):
        names.append(folder / f"data_{number}.h5")
        os.link(first, names[-1])
    return Files(folder, geometry, names, n_frames)


@dataclass(frozen=True)
class Cost:
    """What a program took: processor time of all its processes, and wall time; seconds."""

    cpu_s: float
    wall_s: float


def run_program(
    command: list[str], environment: dict[str, str] | None = None, folder: Path | None = None
) -> Cost:
    """Run a program to its end, in a folder if one is given, and return its cost."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(
        command,
        env={**os.environ, **(environment or {})},
        cwd=folder,
        capture_output=True,
        check=False,
    )
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.returncode}: {done.stderr.decode()[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(cpu, wall)
