"""What a frame costs: decoding, planes, and the peak search, in processor time on one core.

Frames of an EIGER2 4M with a water ring and some sixty spots, packed as the detector packs them.
The yardstick is what it takes to undo LZ4 alone, block by block into a buffer that stays in the
fastest memory. Every run draws a fresh seed and prints it.
"""

from __future__ import annotations

import argparse
import os
import platform
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import numpy.typing as npt

from cxlsfind.finding.peakfinder8 import Peakfinder8, Peakfinder8Settings
from cxlsfind.finding.photons import FrameMaker
from cxlsfind.geometry.crystfel import parse_geometry
from cxlsfind.geometry.layout import build_layout, slab_key
from cxlsfind.geometry.maps import radius_bins
from cxlsfind.io.packed import PackedFrame
from cxlsfind.kernels._jit import kernel
from cxlsfind.kernels.lz4 import SLACK, decode_block
from cxlsfind.kernels.ring_map import ring_map
from cxlsfind.records import PlaneFrame

SHAPE = (2162, 2068)
ENERGY = 7000.0
#: Settings with which CrystFEL's peakfinder8 is run on counts.
SEARCH = Peakfinder8Settings(
    threshold=5.0, min_snr=5.0, min_pix_count=2, max_pix_count=40, local_bg_radius=3
)
#: Share of hits in a run of which the others are seen through.
HIT_SHARE = 0.05
#: Peaks that make a hit: frames that cannot have as many are seen through before the search.
HIT_PEAKS = 5


def geometry_text(shape: tuple[int, int]) -> str:
    """Return the geometry of one panel of this shape with the beam in its middle."""
    return f"""\
photon_energy = {ENERGY} eV
adu_per_photon = 1
clen = 0.15
res = 13333.3
data = /entry/data/data
dim0 = %
dim1 = ss
dim2 = fs
p0/min_fs = 0
p0/max_fs = {shape[1] - 1}
p0/min_ss = 0
p0/max_ss = {shape[0] - 1}
p0/corner_x = {-shape[1] / 2}
p0/corner_y = {-shape[0] / 2}
p0/fs = x
p0/ss = y
"""


@kernel
def unpack_lz4(chunk: npt.NDArray[np.uint8], size: int, scratch: npt.NDArray[np.uint8]) -> int:
    """Decode the blocks of a chunk of ``size`` bytes one after the other into the same place."""
    block, at = scratch.size - SLACK, 12
    first, result = np.uint64(chunk.ctypes.data), np.uint64(scratch.ctypes.data)
    for start in range(0, size, block):
        length = 0
        for byte in range(at, at + 4):
            length = length << 8 | np.int64(chunk[byte])
        at += 4 + length
        wanted, end = min(block, size - start), first + np.uint64(at)
        result_end = result + np.uint64(wanted)
        here, no_rows = end - np.uint64(length), np.uint64(0)
        if decode_block(here, end, result, result_end, no_rows) != wanted:
            return -1
    return at


def usable_pixels() -> npt.NDArray[np.bool_]:
    """Return the mask of an EIGER2 4M: gaps are bad."""
    usable = np.ones(SHAPE, np.bool_)
    for gap in range(1, 4):
        usable[gap * 512 + (gap - 1) * 38 : gap * 550] = False
    usable[:, 1028:1040] = False
    return usable


def draw_frames(
    rng: np.random.Generator, level: float, n_spots: int, n_frames: int
) -> npt.NDArray[np.int64]:
    """Draw counts with this many photons per pixel of background on average."""
    ss, fs = np.mgrid[: SHAPE[0], : SHAPE[1]]
    radius = np.hypot(ss - SHAPE[0] / 2, fs - SHAPE[1] / 2)
    water = 1.0 + 3.0 * np.exp(-0.5 * ((radius - 700) / 120) ** 2) + 2.0 * np.exp(-radius / 150)
    frames = rng.poisson(level * water / water.mean(), (n_frames, *SHAPE))
    row, column = np.mgrid[-4:5, -4:5]
    for frame in frames:
        for _ in range(n_spots):
            at = rng.uniform(8, np.array(SHAPE) - 8)
            whole = at.astype(int)
            distance = (row + whole[0] - at[0]) ** 2 + (column + whole[1] - at[1]) ** 2
            profile = np.exp(-distance / (2 * 0.9**2))
            photons = np.exp(rng.uniform(np.log(30), np.log(600)))
            window = tuple(slice(place - 4, place + 5) for place in whole)
            frame[window] += rng.poisson(photons * profile / profile.sum())
    return frames


class Stack:
    """Frames in a file in memory, and their chunks."""

    def __init__(self, raw: npt.NDArray[Any]) -> None:
        self._file = h5py.File(f"{id(self)}.h5", "w", driver="core", backing_store=False)
        self.dataset = self._file.create_dataset(
            "d",
            raw.shape,
            raw.dtype,
            chunks=(1, *raw.shape[1:]),
            **hdf5plugin.Bitshuffle(cname="lz4"),
        )
        self.raw = raw
        self.packed = []
        for number, frame in enumerate(self.raw):
            self.dataset[number] = frame
            chunk = self.dataset.id.read_direct_chunk((number, 0, 0))[1]
            padded = np.frombuffer(chunk + bytes(SLACK), np.uint8)
            self.packed.append(PackedFrame(padded, len(chunk), self.raw.dtype, str(number)))
        self.chunk_bytes = float(np.mean([packed.n_bytes for packed in self.packed]))

    def close(self) -> None:
        self._file.close()


class Bench:
    """Steps that are timed, each a function of the number of a frame.

    Parameters
    ----------
    blanks
        Frames without spots; ``None`` leaves out what is timed with these.
    """

    def __init__(self, hits: Stack, blanks: Stack | None, usable: npt.NDArray[np.bool_]) -> None:
        self._hits, self._blanks = hits, blanks
        shape = hits.raw.shape[1:]
        geometry = parse_geometry(geometry_text(shape), file="bench.geom")
        layout = build_layout(geometry, {slab_key(panel): shape for panel in geometry.panels})
        usable = usable.ravel()
        self._maker = FrameMaker(geometry, layout, usable)
        rings = ring_map(radius_bins(geometry, layout))
        self._finder = Peakfinder8(SEARCH, geometry, layout, rings, usable)
        self._flat = hits.raw.reshape(len(hits.raw), -1)
        self._copy, self._image = np.empty_like(self._flat[0]), np.empty_like(hits.raw[0])
        self._scratch = np.zeros(8192 + SLACK, np.uint8)
        self._size = self._flat[0].nbytes - self._flat[0].size % 8 * self._flat[0].itemsize

    def planes(self, number: int) -> PlaneFrame:
        return self._maker.from_packed(self._hits.packed[number])

    def steps(self) -> dict[str, Callable[[int], Any]]:
        hits, blanks = self._hits, self._blanks
        item = self._flat.dtype.itemsize
        steps: dict[str, Callable[[int], Any]] = {
            "LZ4 alone": lambda k: unpack_lz4(hits.packed[k].chunk, self._size, self._scratch),
            "copy of an image": lambda k: np.copyto(self._copy, self._flat[k]),
            "planes": self.planes,
            "planes of an array": lambda k: self._maker.from_array(self._flat[k], ENERGY),
            "all peaks": lambda k: self._finder.find(self.planes(k), ENERGY),
            "a hit?": lambda k: self._finder.find(self.planes(k), ENERGY, HIT_PEAKS),
            "HDF5, image": lambda k: hits.dataset.read_direct(self._image, np.s_[k]),
        }
        if blanks is not None:
            steps["blank, all peaks"] = lambda k: self._finder.find(
                self._maker.from_packed(blanks.packed[k]), ENERGY
            )
            steps["blank, a hit?"] = lambda k: self._finder.find(
                self._maker.from_packed(blanks.packed[k]), ENERGY, HIT_PEAKS
            )
        if find_spec("dectris"):
            from dectris.compression import decompress

            chunks = [packed.chunk[: packed.n_bytes].tobytes() for packed in hits.packed]
            steps["dectris, image"] = lambda k: decompress(chunks[k], "bslz4", elem_size=item)
        return steps


def cpu_times(step: Callable[[int], Any], n_frames: int, n_rounds: int) -> npt.NDArray[np.float64]:
    """Return milliseconds of processor time per frame, one element per round; warmed up before."""
    for number in range(n_frames):
        step(number)
    rounds = []
    for _ in range(n_rounds):
        start = time.process_time()
        for number in range(n_frames):
            step(number)
        rounds.append((time.process_time() - start) / n_frames * 1e3)
    return np.array(rounds)


def machine() -> str:
    """Return what was measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if "model name" in line), "?")
    load = os.getloadavg()[0]
    return f"{model}, {len(os.sched_getaffinity(0))} cores, load {load:.1f}, {platform.platform()}"


class Table:
    """What is wanted, and what was measured: one line for each kind of frames."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, title: str, medians: dict[str, float]) -> None:
        """Add the medians of the steps with one kind of frames, milliseconds."""
        floor, full = medians["LZ4 alone"], medians["all peaks"]
        line = (
            f"  {title:24} {floor:8.3f} {medians['planes']:8.3f} {full:8.3f} "
            f"{1e3 / full:8.0f} {full / floor:8.2f}"
        )
        if "blank, a hit?" in medians:
            mean = HIT_SHARE * medians["a hit?"] + (1 - HIT_SHARE) * medians["blank, a hit?"]
            line += f" {mean:12.3f} {1e3 / mean:8.0f}"
        self._lines.append(line)

    def show(self) -> None:
        print("\npeakfinder8, medians, ms a frame and frames/s of processor time on one core")
        names = ("LZ4", "planes", "list", "list/s", "x LZ4")
        screened = f"{100 * HIT_SHARE:.0f} % hits"
        print(f"  {'':24} {' '.join(f'{name:>8}' for name in names)} {screened:>12} {'hits?/s':>8}")
        print(
            f"  {'wanted':24} {'':8} {'':8} {'':8} {'>= 300':>8} {'<= 3':>8} {'':12} {'>= 500':>8}"
        )
        print("\n".join(self._lines), flush=True)


def measure(bench: Bench, title: str, n_frames: int, n_rounds: int) -> dict[str, float]:
    """Time all steps and print them; return the medians, milliseconds."""
    print(f"\n{title}, {len(bench.planes(0).planes)} planes")
    medians: dict[str, float] = {}
    for name, step in bench.steps().items():
        times = cpu_times(step, n_frames, n_rounds)
        low, middle, high = np.quantile(times, [0.25, 0.5, 0.75])
        medians[name] = float(middle)
        print(
            f"  {name:20} {middle:7.3f} ({low:.3f} to {high:.3f}), {times.min():7.3f}; "
            f"{1e3 / middle:6.0f}/s; {middle / medians['LZ4 alone']:5.2f} x LZ4",
            flush=True,
        )
    return medians


def read_real(file: Path, n_frames: int) -> npt.NDArray[Any]:
    """Return the first frames of the first stack of images in a file, over and over."""
    stacks: list[h5py.Dataset] = []

    def note(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim == 3:
            stacks.append(item)

    with h5py.File(file) as opened:
        opened.visititems(note)
        frames = stacks[0][:n_frames]
    return np.resize(frames, (n_frames, *frames.shape[1:]))


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--level", type=float, nargs="*", default=[0.01, 0.03, 0.1, 0.3, 1.0])
    parser.add_argument("--dtype", nargs="+", default=["u2", "u4"])
    parser.add_argument("--real", type=Path, nargs="*", default=[], help="HDF5 files of frames")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--spots", type=int, default=60)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    options = parser.parse_args(arguments)
    print(f"seed {options.seed}; {machine()}")
    print(f"{options.frames} frames, {options.rounds} rounds: median (quartiles), best; ms a frame")
    table, usable = Table(), usable_pixels()
    for dtype in options.dtype:
        for level in options.level:
            rng = np.random.default_rng([options.seed, int(1e4 * level)])
            stacks = []
            for n_spots in (options.spots, 0):
                frames = draw_frames(rng, level, n_spots, options.frames)
                raw = np.where(usable, frames, np.iinfo(dtype).max).astype(dtype)
                stacks.append(Stack(raw))
            hits, blanks = stacks
            title = f"{dtype}, {level:g} photons/px"
            bench = Bench(hits, blanks, usable)
            size = f"{hits.chunk_bytes / 1e6:.3f} MB"
            table.add(title, measure(bench, f"{title}: {size}", options.frames, options.rounds))
            hits.close()
            blanks.close()
    for file in options.real:
        hits = Stack(read_real(file, options.frames))
        good = (hits.raw >= 0) & (hits.raw < np.iinfo(hits.raw.dtype).max)
        bench = Bench(hits, None, good.all(axis=0))
        size = f"{hits.raw[0].size / 1e6:.1f} Mpx, {hits.chunk_bytes / 1e6:.3f} MB"
        table.add(file.stem, measure(bench, f"{file.stem}: {size}", options.frames, options.rounds))
        hits.close()
    table.show()


if __name__ == "__main__":
    main(sys.argv[1:])
