"""Elongated spots, and spots that touch, against the limit.

``--table elongated``: Gaussian spots of 8 px (full width at half maximum) away from the beam and
1.5 px across, found if a peak lies within 4 px; the limit knows that shape. ``--table pairs``: two
equal spots some pixels apart at a random angle, each found if a peak lies within 1.5 px; the limit
is that of a spot alone. Every run draws a fresh seed and prints it.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from functools import partial

import numpy as np
from limits import Limit, World, make_world, typical_photons
from measures import (
    BLOCK,
    GRID,
    Ours,
    Shot,
    efficiency,
    locate,
    seen_by_limit,
    start,
    watch_blanks,
    watch_spots,
)
from photon_frames import (
    EIGER_SHAPE,
    FWHM,
    ROUND,
    Detector,
    FloatArray,
    SpotShape,
    draw_counts,
    make_detector,
    scatter_places,
)

ELONGATED = SpotShape(8.0 / FWHM, 1.5 / FWHM)

#: Distances of pairs, px; infinity is a spot alone. A spot of a pair is found within this.
DISTANCES = (math.inf, 8.0, 6.0, 5.0, 4.0)
PAIR_MATCH_PX = 1.5
ELONGATED_MATCH_PX = 4.0

#: Log likelihood ratios of false peaks that are asked for are at least twice as large.
_FLOOR = 5.0

MULTIPLES = (2.0, 3.0, 5.0)
PHOTONS = 100.0


def draw_block(
    factors: FloatArray,
    generator: np.random.Generator,
    detector: Detector,
    level: float,
    world: World,
    n_spots: int,
    shape: SpotShape = ROUND,
    distance: float = math.inf,
    n_frames: int = BLOCK,
) -> Iterator[Shot]:
    """Draw frames of spots, alone or in pairs of neighbours in the array of spots."""
    is_alone = math.isinf(distance)
    for _ in range(n_frames):
        spots, factor = np.empty((0, 3)), np.empty(0)
        if len(factors):
            number = n_spots if is_alone else n_spots // 2
            places = scatter_places(generator, number, detector, apart_px=28.0)
            factor = generator.choice(factors, number)
            if not is_alone:
                angle = generator.uniform(0.0, 2.0 * math.pi, number)
                arm = 0.5 * distance * np.column_stack([np.cos(angle), np.sin(angle)])
                places = np.stack([places - arm, places + arm], axis=1).reshape(-1, 2)
                factor = np.repeat(factor, 2)
            spots = np.column_stack([places, factor * typical_photons(level)])
        counts, drawn = draw_counts(
            generator, level, detector, spots=spots if len(spots) else None, shape=shape
        )
        yield Shot(counts, world, spots, factor, drawn)


def print_elongated(
    options: argparse.Namespace, detector: Detector, generator: np.random.Generator
) -> None:
    """Print the efficiency for elongated spots."""
    print(
        "       b  S50 ours S50 limit    eta     +-  blanks  false asked  extra peaks per spot at "
        f"{', '.join(f'{m:g}' for m in MULTIPLES)} S50  ms/frame  seconds"
    )
    for level in options.background:
        begin = time.monotonic()
        world = make_world(detector, level, box_share=0.25)
        draw = partial(
            draw_block,
            generator=generator,
            detector=detector,
            level=level,
            world=world,
            n_spots=max(4, round(options.spots * detector.share)),
            shape=ELONGATED,
        )
        make = partial(_make_limit, detector, ELONGATED)
        half = locate(
            make, partial(draw, n_frames=4), options.asked * detector.share, ELONGATED_MATCH_PX
        )
        limit = make(half)
        finder = Ours(detector, options.asked)
        blanks = watch_blanks(finder, limit, draw, detector, options.blanks)
        spots, _ = watch_spots(
            finder, limit, draw, detector, half * GRID, options.blocks, ELONGATED_MATCH_PX
        )
        eta = efficiency(spots, blanks, generator)
        if not 0.8 < eta.ours / eta.limit < 1.25:
            # Far from the limit: once more, where half of the spots are really found.
            wide = half * np.unique([*GRID, *(GRID * eta.ours / eta.limit)])
            spots, _ = watch_spots(
                finder, limit, draw, detector, wide, options.blocks, ELONGATED_MATCH_PX
            )
            eta = efficiency(spots, blanks, generator)
        extra = []
        for multiple in MULTIPLES:
            short = partial(draw, n_frames=16)
            bright, more = watch_spots(
                finder, None, short, detector, np.array([multiple * half]), 1, ELONGATED_MATCH_PX
            )
            extra.append(f"{more / len(bright):.2f}")
        typical = float(typical_photons(level))
        print(
            f"{level:8g} {eta.ours * typical:9.2f} {eta.limit * typical:9.2f} {eta.eta:6.3f} "
            f"{eta.sigma:6.3f} {len(blanks.found):7d} "
            f"{np.mean(blanks.found) / detector.share:6.3f} {options.asked:5g}  {' '.join(extra)} "
            f"{1e3 * finder.seconds / finder.n_frames:9.1f} {time.monotonic() - begin:8.0f}",
            flush=True,
        )


def print_pairs(
    options: argparse.Namespace, detector: Detector, generator: np.random.Generator
) -> None:
    """Print efficiency and resolved pairs by distance."""
    print(
        "       b  apart  S50 ours S50 limit    eta     +-  false asked | pairs with both found "
        "(a spot alone, at the limit, squared) at "
        f"{', '.join(f'{m:g}' for m in MULTIPLES)} S50 and {PHOTONS:g} photons"
    )
    for level in options.background:
        world = make_world(detector, level)
        draw = partial(
            draw_block,
            generator=generator,
            detector=detector,
            level=level,
            world=world,
            n_spots=2 * max(2, round(options.spots * detector.share / 2)),
        )
        make = partial(_make_limit, detector, ROUND)
        half = locate(make, partial(draw, n_frames=6), options.asked * detector.share)
        limit, typical = make(half), float(typical_photons(level))
        finder = Ours(detector, options.asked)
        blanks = watch_blanks(finder, limit, draw, detector, options.blanks)
        bright = [*(m * half for m in MULTIPLES), PHOTONS / typical]
        alone, squared = None, []
        for distance in options.distances:
            near = partial(draw, distance=distance)
            spots, _ = watch_spots(
                finder,
                limit if alone is None else None,
                near,
                detector,
                half * GRID,
                options.blocks,
                PAIR_MATCH_PX,
            )
            brighter, _ = watch_spots(
                finder,
                limit if alone is None else None,
                near,
                detector,
                np.array(bright),
                options.blocks,
                PAIR_MATCH_PX,
            )
            if alone is None:
                alone = spots
                seen = seen_by_limit(brighter["limit"], blanks.cut())
                squared = [seen[np.isclose(brighter["factor"], f)].mean() ** 2 for f in bright]
            eta = efficiency(spots, blanks, generator, isolated=alone)
            if distance == options.distances[0]:
                eta = efficiency(spots, blanks, generator)
            both = []
            for factor, best in zip(bright, squared, strict=True):
                found = brighter["found"][np.isclose(brighter["factor"], factor)]
                pairs = found.reshape(-1, 2).all(axis=1) if not math.isinf(distance) else found
                share = pairs.mean() ** (2 if math.isinf(distance) else 1)
                both.append(f"{share:.3f} ({best:.3f})")
            print(
                f"{level:8g} {distance:6g} {eta.ours * typical:9.2f} {eta.limit * typical:9.2f} "
                f"{eta.eta:6.3f} {eta.sigma:6.3f} {np.mean(blanks.found) / detector.share:6.3f} "
                f"{options.asked:5g} | {'  '.join(both)}",
                flush=True,
            )


def _make_limit(detector: Detector, shape: SpotShape, photons: float) -> Limit:
    return Limit(detector, shape=shape, photons=photons, floor=_FLOOR)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", choices=("elongated", "pairs"), required=True)
    parser.add_argument("--background", type=float, nargs="+", default=[0.01, 0.1, 1.0])
    parser.add_argument("--distances", type=float, nargs="+", default=list(DISTANCES))
    parser.add_argument("--asked", type=float, default=1.0, help="false peaks per EIGER2 4M frame")
    parser.add_argument("--blocks", type=int, default=1)
    parser.add_argument("--blanks", type=int, default=2, help="blocks of blank frames")
    parser.add_argument("--spots", type=int, default=160, help="per EIGER2 4M frame")
    parser.add_argument("--side", type=int, help="of a smaller detector, px")
    options, generator = start(parser)
    detector = make_detector((options.side, options.side) if options.side else EIGER_SHAPE)
    table = print_elongated if options.table == "elongated" else print_pairs
    table(options, detector, generator)


if __name__ == "__main__":
    main()
