"""Flux at which 90 % of hits are found at one false hit in a thousand, against the limit.

Hits hold spots with exponential (Wilson) intensities. The limit is the pooled likelihood ratio
that knows nothing of a lattice, but the true number of spots, their mean intensity, background
and shape, on the same frames (``pooled_limit.py``). Beside it stands the limit of independent
3x3 cells, computed exactly. ``--blanks`` counts false hits instead, with the pulse energy
jittering by 0.3 to 3. Every run draws a fresh seed and prints it.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
from limits import make_world
from measures import BLOCK, Ours, start
from photon_frames import (
    EIGER_SHAPE,
    Detector,
    FloatArray,
    draw_counts,
    make_detector,
    scatter_places,
    water_ring,
)
from pooled_limit import PooledLimit
from scipy.stats import beta

#: Mean photons per reflection that independent cells need, by background and number of spots.
CELLS = {
    (0.01, 30): 1.70,
    (0.1, 30): 3.43,
    (0.1, 100): 2.06,
    (1.0, 100): 5.2,
    (0.001, 30): 0.98,
    (0.001, 100): 0.50,
}

FACTORS = np.array([0.75, 0.87, 1.0, 1.15, 1.35])
FPR = 1e-3


def jitter(generator: np.random.Generator) -> float:
    """Return a pulse energy relative to the usual one."""
    return math.exp(generator.uniform(math.log(0.3), math.log(3.0)))


def flux_at(factor: FloatArray, is_hit: FloatArray, share: float = 0.9) -> float:
    """Return the flux at which a share of frames are hits, from a logistic in its logarithm."""
    levels, owner = np.unique(factor, return_inverse=True)
    number = np.bincount(owner)
    seen = (np.bincount(owner, is_hit) + 0.5) / (number + 1.0)
    weight = np.sqrt(number * seen * (1 - seen))
    slope, constant = np.polyfit(np.log(levels), np.log(seen / (1 - seen)), 1, w=weight)
    return math.exp((math.log(share / (1 - share)) - constant) / slope)


def count_false_hits(
    levels: list[float],
    n_blanks: int,
    options: argparse.Namespace,
    detector: Detector,
    generator: np.random.Generator,
) -> None:
    """Print the false hits among blanks of jittering pulse energy."""
    print("       b  blanks  hits  share of blanks (95 %)   false peaks asked  ms/frame")
    for level in levels:
        background = water_ring(detector.radius, level) if options.ring else level
        finder, hits, peaks, done = Ours(detector, 1.0, models=options.models), 0, 0, 0
        while done < n_blanks:
            frames = [
                detector.frame(
                    draw_counts(generator, background, detector, scale=jitter(generator))[0]
                )
                for _ in range(BLOCK)
            ]
            outcomes = finder(frames)
            hits += sum(outcome.is_hit for outcome in outcomes)
            peaks += sum(len(outcome.peaks) for outcome in outcomes)
            done += BLOCK
        low = beta.ppf(0.025, hits, done - hits + 1) if hits else 0.0
        high = beta.ppf(0.975, hits + 1, done - hits)
        print(
            f"{level:8g} {done:7d} {hits:5d}  {hits / done:.2e} ({low:.1e}-{high:.1e}) "
            f"{peaks / done / detector.share:8.3f}     1 "
            f"{1e3 * finder.seconds / finder.n_frames:9.1f}",
            flush=True,
        )


def compare(
    level: float, n_spots: int, options: argparse.Namespace, generator: np.random.Generator
) -> None:
    """Print one line: the flux that finder and limit need."""
    detector = make_detector((options.side, options.side) if options.side else EIGER_SHAPE)
    spots_here = max(1, round(n_spots * detector.share))
    cells = CELLS[level, n_spots]
    world = make_world(detector, level, box_share=options.box_share)
    limits = [
        PooledLimit(detector, world, spots_here, factor * cells, FPR, generator)
        for factor in FACTORS
    ]
    finder = Ours(detector, 1.0, models=options.models)
    factor, mine, best, false = [], [], [], 0
    for _ in range(options.blocks):
        frames = []
        for _ in range(BLOCK // 2):
            number = int(generator.integers(len(FACTORS)))
            photons = generator.exponential(FACTORS[number] * cells, spots_here)
            spots = np.column_stack([scatter_places(generator, spots_here, detector), photons])
            counts, _ = draw_counts(generator, level, detector, spots=spots)
            best.append(limits[number].statistic(counts) >= limits[number].threshold)
            factor.append(FACTORS[number])
            frames.append(detector.frame(counts))
            # A blank of another pulse energy between hits: they share the background.
            blank, _ = draw_counts(generator, level, detector, scale=jitter(generator))
            frames.append(detector.frame(blank))
        outcomes = finder(frames)
        mine += [outcome.is_hit for outcome in outcomes[::2]]
        false += sum(outcome.is_hit for outcome in outcomes[1::2])
    at, seen, seen_best = np.array(factor), np.array(mine, float), np.array(best, float)
    ratios = []
    for _ in range(200):
        pick = generator.integers(0, len(at), len(at))
        ratios.append(flux_at(at[pick], seen_best[pick]) / flux_at(at[pick], seen[pick]))
    ours, limit = flux_at(at, seen), flux_at(at, seen_best)
    shares = " ".join(
        f"{seen[at == f].mean():.2f}/{seen_best[at == f].mean():.2f}" for f in FACTORS
    )
    print(
        f"{level:8g} {n_spots:4d} {cells:6.2f} {limit * cells:6.2f} {ours * cells:6.2f} "
        f"{limit / ours:10.3f} {np.std(ratios):6.3f} {cells / (ours * cells):10.3f} "
        f"{len(at):6d} {false:4d}/{len(at):<6d} {1e3 * finder.seconds / finder.n_frames:6.1f}  "
        f"{shares}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, nargs="+", default=list(range(len(CELLS))))
    parser.add_argument("--blocks", type=int, default=4, help="of 32 hits and 32 blanks, per case")
    parser.add_argument("--blanks", type=int, help="count false hits among so many blanks instead")
    parser.add_argument("--background", type=float, nargs="+", default=[0.01, 0.1], help="of them")
    parser.add_argument("--ring", action="store_true", help="a water ring in them")
    parser.add_argument("--side", type=int, help="of a smaller detector, px, with fewer spots")
    parser.add_argument(
        "--box-share", type=float, default=1e-3, help="of the pixels that the limit looks at"
    )
    parser.add_argument("--models", type=Path, help="folder of a hit model, to judge frames too")
    options, generator = start(parser)
    if options.blanks:
        detector = make_detector((options.side, options.side) if options.side else EIGER_SHAPE)
        count_false_hits(options.background, options.blanks, options, detector, generator)
        return
    print("                 photons per spot for 90 % found at 1e-3")
    print(
        "       b    K  cells  limit   ours limit/ours     +- cells/ours  hits   false hits   "
        "ms/frame  found by ours/limit at 0.75 .. 1.35 of cells"
    )
    for case in options.cases:
        compare(*list(CELLS)[case], options, generator)


if __name__ == "__main__":
    main()
