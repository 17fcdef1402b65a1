"""What a frame costs with ``--peaks=poisson``: from packed chunks to peaks and hit decision.

Processor time on one core for blocks of 64 frames as in ``bench_throughput.py``, EIGER2 4M with a
water ring and spots, none of them twice, with a pulse energy that jitters by a factor 0.5 to 1.5.
Beside it what LZ4 alone costs, and decoding to bit planes. Every run draws a fresh seed and prints
it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from bench_throughput import SHAPE, Stack, draw_frames, geometry_text, unpack_lz4, usable_pixels
from measures import start

from cxlsfind.finding.photons import FrameMaker
from cxlsfind.finding.poisson.finder import PoissonFinder
from cxlsfind.finding.poisson.settings import PoissonSettings
from cxlsfind.geometry.crystfel import parse_geometry
from cxlsfind.geometry.layout import build_layout, slab_key
from cxlsfind.io.packed import PackedFrame
from cxlsfind.kernels.lz4 import SLACK
from cxlsfind.pipeline.blocks import BLOCK_FRAMES


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


def time_blocks(action: Callable[[], object], rounds: int) -> float:
    """Return the median over rounds of the processor time per frame, ms; warmed up before."""
    action()
    times = []
    for _ in range(rounds):
        before = time.process_time()
        action()
        times.append(time.process_time() - before)
    return float(np.median(times)) / BLOCK_FRAMES * 1e3


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
    scratch = np.zeros(8192 + SLACK, np.uint8)
    print("          photons/px  spots    LZ4  planes    all  frames/s  x LZ4  hits  peaks a frame")
    for dtype in options.dtype:
        size = usable.size // 8 * 8 * np.dtype(dtype).itemsize
        for level in options.level:
            for n_spots in options.spots:
                packed = draw_block(generator, level, n_spots, dtype)
                finder = PoissonFinder(PoissonSettings(), geometry, layout, usable)

                def unpack(chunks: list[PackedFrame] = packed, size: int = size) -> None:
                    for each in chunks:
                        unpack_lz4(each.chunk, size, scratch)

                def decode(chunks: list[PackedFrame] = packed) -> None:
                    for each in chunks:
                        maker.from_packed(each)

                def find(chunks: list[PackedFrame] = packed, by: PoissonFinder = finder) -> None:
                    by.find_block(maker.from_packed(each) for each in chunks)

                floor, planes, full = (
                    time_blocks(action, options.rounds) for action in (unpack, decode, find)
                )
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
