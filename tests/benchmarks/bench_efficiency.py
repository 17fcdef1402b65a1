"""Photon efficiency, positions and intensities of peaks against the physical limit.

The limit (see ``limits.py``) is judged on the same frames, and lets through as many false peaks
on the same blank frames as the finder did. ``--pulses`` makes pixels that count one photon per
pulse at most, for both. Every run draws a fresh seed and prints it.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from functools import partial

import numpy as np
import numpy.typing as npt
from limits import Limit, World, make_world, position_variance, typical_photons
from measures import (
    BLOCK,
    GRID,
    Ours,
    Shot,
    efficiency,
    locate,
    start,
    watch_blanks,
    watch_spots,
)
from photon_frames import (
    EIGER_SHAPE,
    Detector,
    FloatArray,
    draw_counts,
    make_detector,
    scatter_places,
    water_ring,
)

#: Intensities at which positions are judged: multiples of half detection, and photons.
MULTIPLES = (1.0, 1.5, 2.0, 3.0)
PHOTONS = (30.0, 100.0, 300.0)

#: A bound beyond this says nothing, since peaks farther away count as missed; px.
_WIDEST_PX = 0.8


def draw_block(
    factors: FloatArray,
    generator: np.random.Generator,
    detector: Detector,
    background: float | FloatArray,
    world: World,
    n_spots: int,
    pulses: float,
    n_frames: int = BLOCK,
) -> Iterator[Shot]:
    """Draw frames with round spots of random ones of some intensities."""
    for _ in range(n_frames):
        spots, factor = np.empty((0, 3)), np.empty(0)
        if len(factors):
            places = scatter_places(generator, n_spots, detector)
            factor = generator.choice(factors, n_spots)
            row, column = places[:, 1].astype(int), places[:, 0].astype(int)
            here = np.broadcast_to(np.asarray(background, np.float64), detector.usable.shape)
            typical = typical_photons(here[row * detector.shape[1] + column])
            spots = np.column_stack([places, factor * typical])
        counts, drawn = draw_counts(
            generator, background, detector, spots=spots if len(spots) else None, pulses=pulses
        )
        yield Shot(counts, world, spots, factor, drawn)


def print_positions(
    spots: npt.NDArray[np.void], level: float, pulses: float, half: float, ring: bool
) -> None:
    """Print the table of positions and photons, intensity by intensity."""
    for factor in np.unique(spots["factor"]):
        here = spots[spots["factor"] == factor]
        found = here[here["found"]]
        if len(found) < 20:
            continue
        offsets = np.concatenate([found["fs"], found["ss"]])
        rmse = math.sqrt(float(np.mean(offsets**2)))
        grid = np.geomspace(1.0, 1500.0, 25)
        plain, drawn = np.empty(len(found)), np.empty(len(found))
        steps = np.rint(np.log(found["background"]) / 0.1)
        for step in np.unique(steps):
            same = steps == step
            at = level if not ring else float(np.exp(0.1 * step))
            table = np.log(position_variance(grid, at, pulses=pulses))
            for values, photons in ((plain, found["planted"]), (drawn, found["drawn"])):
                values[same] = np.exp(np.interp(np.log(photons[same]), np.log(grid), table))
        widest = _WIDEST_PX**2
        bound = math.sqrt(float(np.minimum(plain, widest).mean()))
        bound_drawn = math.sqrt(float(np.minimum(drawn, widest).mean()))
        error = rmse / bound_drawn / math.sqrt(2 * len(offsets))
        pull = np.std(found["fs"] / found["sigma"])
        print(
            f"{level:8g} {np.median(here['planted']):7.1f} {factor / half:6.2f} {len(found):6d} "
            f"{len(found) / len(here):6.3f} {rmse:6.3f} {rmse / bound:8.3f} "
            f"{rmse / bound_drawn:8.3f} {error:5.3f} {pull:6.2f} "
            f"{np.median(found['photons'] / found['drawn']):6.3f} "
            f"{np.mean(found['photons']) / np.mean(found['drawn']):6.3f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--background", type=float, nargs="+", default=[1e-4, 1e-3, 0.01, 0.03, 0.1, 0.3, 1, 3, 10]
    )
    parser.add_argument("--asked", type=float, default=1.0, help="false peaks per EIGER2 4M frame")
    parser.add_argument("--blocks", type=int, default=1, help="of frames around half detection")
    parser.add_argument("--blanks", type=int, default=2, help="blocks of blank frames")
    parser.add_argument("--positions", type=int, default=1, help="blocks for positions")
    parser.add_argument("--spots", type=int, default=200, help="per EIGER2 4M frame")
    parser.add_argument("--side", type=int, help="of a smaller detector, px")
    parser.add_argument("--ring", action="store_true", help="with a water ring")
    parser.add_argument("--pulses", type=float, default=math.inf, help="per frame")
    options, generator = start(parser)
    shape = (options.side, options.side) if options.side else EIGER_SHAPE
    detector = make_detector(shape)
    n_spots = max(5, round(options.spots * detector.share))
    print(
        "       b  S50 ours S50 limit    eta     +-  blanks  false asked attain.  extra  hits"
        "  ms/frame  seconds\n"
        "       b       S  S/S50  found recall   rmse  /bound   /drawn    +-   pull"
        " photons: median mean"
    )
    for level in options.background:
        begin = time.monotonic()
        background = water_ring(detector.radius, level) if options.ring else level
        world = make_world(detector, background)
        draw = partial(
            draw_block,
            generator=generator,
            detector=detector,
            background=background,
            world=world,
            n_spots=n_spots,
            pulses=options.pulses,
        )
        make_limit = partial(_make_limit, detector, options.pulses)
        half = locate(make_limit, partial(draw, n_frames=6), options.asked * detector.share)
        limit = make_limit(half)
        finder = Ours(detector, options.asked, options.pulses)
        blanks = watch_blanks(finder, limit, draw, detector, options.blanks)
        spots, extra = watch_spots(finder, limit, draw, detector, half * GRID, options.blocks)
        eta = efficiency(spots, blanks, generator)
        typical = float(typical_photons(level))
        n_frames = options.blocks * BLOCK
        print(
            f"{level:8g} {eta.ours * typical:9.3f} {eta.limit * typical:9.3f} {eta.eta:6.3f} "
            f"{eta.sigma:6.3f} {len(blanks.found):7d} "
            f"{np.mean(blanks.found) / detector.share:6.3f} {options.asked:5g} "
            f"{np.mean(blanks.expected) / detector.share:7.3f} "
            f"{extra / n_frames / detector.share:6.3f} {blanks.hits:5d} "
            f"{1e3 * finder.seconds / finder.n_frames:9.1f} {time.monotonic() - begin:8.0f}",
            flush=True,
        )
        factors = [m * eta.limit for m in MULTIPLES]
        factors += [s / typical for s in PHOTONS if s > 1.05 * eta.limit * typical]
        factors = [f for f in factors if f * typical <= 300.0001]
        if options.positions:
            seen, _ = watch_spots(
                finder, None, draw, detector, np.array(factors), options.positions
            )
            print_positions(seen, level, options.pulses, eta.limit, options.ring)


def _make_limit(detector: Detector, pulses: float, photons: float) -> Limit:
    return Limit(detector, pulses=pulses, photons=photons)


if __name__ == "__main__":
    main()
