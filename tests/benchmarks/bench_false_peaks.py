"""False peaks and false hits on blank frames against what was asked, by background.

Run as a script; ``--help`` tells the options. Every run draws a fresh seed and prints it.
"""

from __future__ import annotations

import argparse
import math
import secrets
import time

import numpy as np
from photon_frames import draw_frame, make_detector, water_ring

from cxlsfind.finding.poisson.finder import PoissonFinder
from cxlsfind.finding.poisson.settings import PoissonSettings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--background", type=float, nargs="+", default=[1e-3, 0.01, 0.1])
    parser.add_argument("--asked", type=float, nargs="+", default=[1.0])
    parser.add_argument("--events", type=int, default=100, help="expected false peaks per cell")
    parser.add_argument("--block", type=int, default=64)
    parser.add_argument("--ring", action="store_true", help="with a water ring")
    parser.add_argument("--jitter", action="store_true", help="pulse energy by 0.3 to 3")
    parser.add_argument("--pulses", type=float, default=math.inf)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    options = parser.parse_args()
    generator = np.random.default_rng(options.seed)
    detector = make_detector()
    print(f"seed {options.seed}, blocks of {options.block}, ring {options.ring}")
    print("       b  asked  frames   events  measured attainable  ratio  hits  ms/frame")
    for level in options.background:
        background = water_ring(detector.radius, level) if options.ring else level
        for asked in options.asked:
            finder = PoissonFinder(
                PoissonSettings(false_peaks=asked, pulses_per_frame=options.pulses),
                detector.geometry,
                detector.layout,
                detector.radius_bins,
                detector.usable,
            )
            n_blocks = math.ceil(options.events / asked / options.block)
            found, hits, attainable, seconds = 0, 0, [], 0.0
            for _ in range(n_blocks):
                scales = np.ones(options.block)
                if options.jitter:
                    scales = np.exp(generator.uniform(math.log(0.3), math.log(3.0), options.block))
                frames = [
                    draw_frame(generator, background, detector, scale=scale, pulses=options.pulses)
                    for scale in scales
                ]
                start = time.perf_counter()
                results = finder.find_block(frames).frames
                seconds += time.perf_counter() - start
                found += sum(result.n_peaks for result in results)
                hits += sum(result.is_hit for result in results)
                attainable += [result.expected_false for result in results]
            n_frames = n_blocks * options.block
            measured = found / n_frames
            print(
                f"{level:8g} {asked:6g} {n_frames:7d} {found:8d} {measured:9.3f} "
                f"{np.mean(attainable):10.3f} {measured / asked:6.2f} {hits:5d} "
                f"{1e3 * seconds / n_frames:9.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
