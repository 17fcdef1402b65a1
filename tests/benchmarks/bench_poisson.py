"""What a frame costs with ``--peaks=poisson``: from packed chunks to peaks and hit decision.

Processor time on one core for blocks of 64 frames as in ``bench_throughput.py``, EIGER2 4M with a
water ring and spots, none of them twice, with a pulse energy that jitters by a factor 0.5 to 1.5.
Beside it what LZ4 alone costs, and decoding to bit planes. Every run draws a fresh seed and prints
it.
"""

from __future__ import annotations

import argparse
from itertools import product

import numpy as np
from bench_throughput import (
    SHAPE,
    Stack,
    cpu_times,
    draw_frames,
    geometry_text,
    unpack_lz4,
    usable_pixels,
)
from measures import start

from cxlsfind.finding.photons import FrameMaker
from cxlsfind.finding.poisson.finder import BlockResult, PoissonFinder
from cxlsfind.finding.poisson.settings import PoissonSettings
from cxlsfind.geometry.crystfel import parse_geometry
from cxlsfind.geometry.layout import build_layout, slab_key
from cxlsfind.io.packed import PackedFrame
from cxlsfind.kernels.lz4 import SLACK
from cxlsfind.pipeline.blocks import BLOCK_FRAMES
from cxlsfind.records import PlaneFrame


def draw_block(
    rng: np.random.Generator, level: float, n_spots: int, dtype: str
) -> list[PackedFrame]:
    """Draw the chunks of a block."""
    usable, packed = usable_pixels(), []
    for _ in range(BLOCK_FRAMES):
        counts = draw_frames(rng, level * rng.uniform(0.5, 1.5), n_spots, 1)
        stack = Stack(np.where(usable, counts, np.iinfo(dtype).max).astype(dtype))
        packed += stack.packed
        stack.close()
    return packed


def measure(
    packed: list[PackedFrame], maker: FrameMaker, finder: PoissonFinder, size: int, rounds: int
) -> tuple[float, float, float]:
    """Return what LZ4 alone, decoding to bit planes, and all of it cost per frame, ms."""
    scratch = np.zeros(8192 + SLACK, np.uint8)

    def unpack(number: int) -> int:
        return unpack_lz4(packed[number].chunk, size, scratch)

    def decode(number: int) -> PlaneFrame:
        return maker.from_packed(packed[number])

    def find(_: int) -> BlockResult:
        return finder.find_block(maker.from_packed(each) for each in packed)

    floor, planes = (np.median(cpu_times(each, len(packed), rounds)) for each in (unpack, decode))
    return float(floor), float(planes), float(np.median(cpu_times(find, 1, rounds)) / len(packed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--level", type=float, nargs="+", default=[0.01, 0.03, 0.1, 1.0])
    parser.add_argument("--dtype", nargs="+", default=["u2"])
    parser.add_argument("--spots", type=int, nargs="+", default=[60, 0])
    parser.add_argument("--rounds", type=int, default=3)
    options, generator = start(parser)
    geometry = parse_geometry(geometry_text(SHAPE), file="bench.geom")
    layout = build_layout(geometry, {slab_key(panel): SHAPE for panel in geometry.panels})
    usable = usable_pixels().ravel()
    maker = FrameMaker(geometry, layout, usable)
    print("          photons/px  spots    LZ4  planes    all  frames/s  x LZ4  hits  peaks a frame")
    for dtype, level, n_spots in product(options.dtype, options.level, options.spots):
        packed = draw_block(generator, level, n_spots, dtype)
        finder = PoissonFinder(PoissonSettings(), geometry, layout, usable)
        size = usable.size // 8 * 8 * np.dtype(dtype).itemsize
        floor, planes, full = measure(packed, maker, finder, size, options.rounds)
        found = finder.find_block(maker.from_packed(each) for each in packed).frames
        n_hits = sum(each.is_hit for each in found)
        print(
            f"{dtype:8} {level:11g} {n_spots:6d} {floor:6.2f} {planes:7.2f} {full:6.2f} "
            f"{1e3 / full:9.0f} {full / floor:6.1f} {n_hits:5d} "
            f"{np.mean([each.n_peaks for each in found]):14.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
