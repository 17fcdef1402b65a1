"""False peaks and false hits on blank frames against what was asked, by background.

Measured, and what the finder says it can attain: below 0.01 photons per pixel whole photons leave
no finer step. Every run draws a fresh seed and prints it.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from functools import partial

import numpy as np
from limits import World
from measures import BLOCK, Ours, Shot, start, watch_blanks
from photon_frames import (
    EIGER_SHAPE,
    Detector,
    FloatArray,
    draw_counts,
    make_detector,
    water_ring,
)

_NO_WORLD = World(np.empty(0), np.empty(0, np.bool_), np.empty(0, np.uint16))


def draw_block(
    factors: FloatArray,
    generator: np.random.Generator,
    detector: Detector,
    background: float | FloatArray,
    jitter: bool,
    pulses: float,
    n_frames: int,
) -> Iterator[Shot]:
    """Draw blank frames."""
    for _ in range(n_frames):
        scale = math.exp(generator.uniform(math.log(0.3), math.log(3.0))) if jitter else 1.0
        counts, drawn = draw_counts(generator, background, detector, scale=scale, pulses=pulses)
        yield Shot(counts, _NO_WORLD, np.empty((0, 3)), factors, drawn)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--background", type=float, nargs="+", default=[1e-4, 1e-3, 0.01, 0.03, 0.1, 0.3, 1, 3, 10]
    )
    parser.add_argument("--asked", type=float, nargs="+", default=[10.0, 1.0])
    parser.add_argument("--events", type=float, default=100, help="expected false peaks per cell")
    parser.add_argument("--block", type=int, default=BLOCK)
    parser.add_argument("--ring", action="store_true", help="with a water ring")
    parser.add_argument("--jitter", action="store_true", help="pulse energy by 0.3 to 3")
    parser.add_argument("--pulses", type=float, default=math.inf, help="per frame")
    parser.add_argument("--side", type=int, help="of a smaller detector, px")
    options, generator = start(parser)
    detector = make_detector((options.side, options.side) if options.side else EIGER_SHAPE)
    print(
        "       b  asked  frames events measured attainable  meas/asked     +-"
        "  meas/att.   hits  ms/frame"
    )
    for level in options.background:
        background = water_ring(detector.radius, level) if options.ring else level
        source = partial(
            draw_block,
            generator=generator,
            detector=detector,
            background=background,
            jitter=options.jitter,
            pulses=options.pulses,
            n_frames=options.block,
        )
        for asked in options.asked:
            finder = Ours(detector, asked, options.pulses)
            n_blocks = math.ceil(options.events / asked / detector.share / options.block)
            blanks = watch_blanks(finder, None, source, detector, n_blocks)
            events, n_frames = sum(blanks.found), len(blanks.found)
            measured = events / n_frames / detector.share
            attainable = float(np.mean(blanks.expected)) / detector.share
            print(
                f"{level:8g} {asked:6g} {n_frames:7d} {events:6d} {measured:8.3f} "
                f"{attainable:10.3f} {measured / asked:11.3f} "
                f"{measured / asked / math.sqrt(max(events, 1)):6.3f} "
                f"{measured / attainable:10.3f} {blanks.hits:6d} "
                f"{1e3 * finder.seconds / finder.n_frames:9.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
