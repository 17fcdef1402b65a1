"""Flux at which 90 % of hits are found at one false hit in a thousand, against the limit.

The limit is the pooled likelihood ratio of a detector that knows nothing of the lattice, with the
true number of spots and their true mean intensity, computed exactly for independent 3x3 cells.
Run as a script; every run draws a fresh seed and prints it.
"""

from __future__ import annotations

import argparse
import math
import secrets

import numpy as np
from photon_frames import draw_frame, make_detector, scatter_spots

from cxlsfind.finding.poisson.finder import PoissonFinder
from cxlsfind.finding.poisson.settings import PoissonSettings

#: Mean photons per reflection that the limit needs, by background and number of spots.
LIMIT = {(0.01, 30): 1.70, (0.1, 30): 3.43, (0.1, 100): 2.06, (1.0, 100): 5.2}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--frames", type=int, default=64, help="per intensity")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    options = parser.parse_args()
    generator = np.random.default_rng(options.seed)
    detector = make_detector()
    finder = PoissonFinder(
        PoissonSettings(),
        detector.geometry,
        detector.layout,
        detector.radius_bins,
        detector.usable,
    )
    print(f"seed {options.seed}")
    factors = np.array([0.8, 0.9, 1.0, 1.1, 1.25])
    for (level, n_spots), limit in [list(LIMIT.items())[case] for case in options.cases]:
        shares = []
        for factor in factors:
            hits, done = 0, 0
            while done < options.frames:
                block = min(64, options.frames - done)
                frames = []
                for _ in range(block):
                    photons = generator.exponential(factor * limit, n_spots)
                    scale = math.exp(generator.uniform(math.log(0.3), math.log(3.0)))
                    spots = scatter_spots(generator, n_spots, photons, detector)
                    frames.append(draw_frame(generator, level, detector, spots=spots))
                    # A blank of another pulse energy between hits: they share the background.
                    frames.append(draw_frame(generator, level, detector, scale=scale))
                results = finder.find_block(frames[:79]).frames
                results += finder.find_block(frames[79:]).frames if len(frames) > 79 else ()
                hits += sum(result.is_hit for result in results[::2])
                done += block
            shares.append(hits / done)
        fit = np.clip(shares, 0.02, 0.98)
        slope, constant = np.polyfit(np.log(factors), np.log(fit / (1 - fit)), 1)
        at = math.exp((math.log(9.0) - constant) / slope)
        print(
            f"b {level:g} K {n_spots}: limit {limit}, ours {at * limit:.2f} "
            f"(limit/ours {1 / at:.3f}); found {dict(zip(factors.tolist(), shares, strict=True))}",
            flush=True,
        )


if __name__ == "__main__":
    main()
