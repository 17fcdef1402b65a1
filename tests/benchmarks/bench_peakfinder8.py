"""peakfinder8 beside the finder and the limit: false peaks on blanks, and half detection.

peakfinder8 stands with its usual settings (threshold 0 or 1.5, min-snr 5, min-pix-count 2), and
with the best of a grid at every background: the one that finds the faintest spots with no more
than the false peaks asked for. The limit lets through as many false peaks as the finder did. Every
run draws a fresh seed and prints it.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from functools import partial
from itertools import product

import numpy as np
from bench_efficiency import draw_block
from limits import Limit, make_world, typical_photons
from measures import (
    BLOCK,
    Blanks,
    Finder,
    Ours,
    Outcome,
    Shot,
    efficiency,
    half_detection,
    locate,
    nearest,
    start,
    watch_blanks,
    watch_spots,
)
from photon_frames import EIGER_SHAPE, Detector, make_detector, water_ring

from cxlsfind.finding.peakfinder8 import Peakfinder8, Peakfinder8Settings
from cxlsfind.kernels.ring_map import ring_map
from cxlsfind.records import PlaneFrame

USUAL = (
    Peakfinder8Settings(threshold=0.0, min_snr=5.0, min_pix_count=2),
    Peakfinder8Settings(threshold=1.5, min_snr=5.0, min_pix_count=2),
)
THRESHOLDS = (0.0, 1.5, 2.5)
SNRS = (3.0, 4.0, 5.0, 6.0, 8.0)
PIXELS = (1, 2, 3, 4)

#: Intensities of spots, in those that the limit needs for half detection.
WIDE = np.array([0.7, 0.85, 1.0, 1.2, 1.4, 1.7, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0, 30.0, 100.0])


class TheirFinder:
    """peakfinder8 with some settings; it adds up its time."""

    def __init__(self, detector: Detector, settings: Peakfinder8Settings) -> None:
        self.settings = settings
        self._finder = Peakfinder8(
            settings,
            detector.geometry,
            detector.layout,
            ring_map(detector.radius_bins),
            detector.usable,
        )
        self.seconds, self.n_frames = 0.0, 0

    def __call__(self, frames: Sequence[PlaneFrame]) -> list[Outcome]:
        """Find peaks in frames; five make a hit."""
        begin = time.process_time()
        peaks = [self._finder.find(frame, 7000.0) for frame in frames]
        self.seconds += time.process_time() - begin
        self.n_frames += len(frames)
        return [Outcome(each, len(each) >= 5, math.nan) for each in peaks]

    def __str__(self) -> str:
        """Name the settings."""
        s = self.settings
        return f"peakfinder8 {s.threshold:g}/{s.min_snr:g}/{s.min_pix_count}"


def recall(finder: Finder, shots: list[Shot], frames: list[PlaneFrame]) -> tuple[float, float]:
    """Return half detection, and the share found of the brightest spots."""
    factor, found = [], []
    for shot, outcome in zip(shots, finder(frames), strict=True):
        factor.append(shot.factor)
        found.append(nearest(shot.spots, outcome.peaks, 2.0) >= 0)
    factors, seen = np.concatenate(factor), np.concatenate(found).astype(float)
    return half_detection(factors, seen), float(seen[factors == factors.max()].mean())


def best_setting(
    detector: Detector,
    blanks: list[PlaneFrame],
    shots: list[Shot],
    frames: list[PlaneFrame],
    asked: float,
) -> Peakfinder8Settings | None:
    """Return the setting of the grid that finds the faintest spots at the false peaks asked for."""
    best, least = None, math.inf
    for threshold, snr, pixels in product(THRESHOLDS, SNRS, PIXELS):
        settings = Peakfinder8Settings(threshold=threshold, min_snr=snr, min_pix_count=pixels)
        finder = TheirFinder(detector, settings)
        n_false = 0
        for frame in blanks:
            n_false += len(finder([frame])[0].peaks)
            if n_false > asked * len(blanks):
                break
        if n_false <= asked * len(blanks):
            half, _ = recall(finder, shots, frames)
            if half < least:
                best, least = settings, half
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--background", type=float, nargs="+", default=[1e-3, 0.01, 0.1, 0.3, 1.0, 10.0]
    )
    parser.add_argument("--asked", type=float, default=1.0, help="false peaks per EIGER2 4M frame")
    parser.add_argument("--frames", type=int, default=16, help="with spots, and blank, to tune on")
    parser.add_argument("--spots", type=int, default=280, help="per EIGER2 4M frame")
    parser.add_argument("--ring", action="store_true", help="with a water ring")
    parser.add_argument("--side", type=int, help="of a smaller detector, px")
    options, generator = start(parser)
    detector = make_detector((options.side, options.side) if options.side else EIGER_SHAPE)
    asked = options.asked * detector.share
    print(
        "       b  finder (threshold/min-snr/min-pix)    S50  limit's/S50  found at 100 S50  "
        "false per blank  hits per 64 blanks  ms/frame"
    )
    for level in options.background:
        background = water_ring(detector.radius, level) if options.ring else level
        world = make_world(detector, background)
        draw = partial(
            draw_block,
            generator=generator,
            detector=detector,
            background=background,
            world=world,
            n_spots=max(5, round(options.spots * detector.share)),
            pulses=math.inf,
        )
        half = locate(partial(_make_limit, detector), partial(draw, n_frames=6), asked)
        limit, typical = _make_limit(detector, half), float(typical_photons(level))
        ours = Ours(detector, options.asked)
        blanks = watch_blanks(ours, limit, draw, detector, 1)
        spots, _ = watch_spots(
            ours, limit, partial(draw, n_frames=options.frames), detector, half * WIDE, 1
        )
        eta = efficiency(spots, blanks, generator)
        bright = spots["factor"] == spots["factor"].max()
        line = partial(_print, level, detector)
        line("cxlsfind", eta.ours * typical, eta.eta, spots["found"][bright].mean(), blanks, ours)
        line("limit", eta.limit * typical, 1.0, 1.0, Blanks(blanks.found), None)
        shots = list(draw(half * WIDE, n_frames=options.frames))
        frames = [detector.frame(shot.counts) for shot in shots]
        empty = [detector.frame(shot.counts) for shot in draw(np.empty(0), n_frames=options.frames)]
        best = best_setting(detector, empty, shots, frames, asked)
        for settings in (*USUAL, *([best] if best else [])):
            finder = TheirFinder(detector, settings)
            at, brightest = recall(finder, shots, frames)
            finder = TheirFinder(detector, settings)
            theirs = watch_blanks(finder, None, draw, detector, 1)
            line(str(finder), at * typical, eta.limit / at, brightest, theirs, finder)


def _make_limit(detector: Detector, photons: float) -> Limit:
    return Limit(detector, photons=photons)


def _print(
    level: float,
    detector: Detector,
    name: str,
    half: float,
    eta: float,
    brightest: float,
    blanks: Blanks,
    finder: Ours | TheirFinder | None,
) -> None:
    cost = 1e3 * finder.seconds / finder.n_frames if finder else math.nan
    print(
        f"{level:8g}  {name:34s} {half:7.2f} {eta:12.3f} {brightest:17.3f} "
        f"{np.mean(blanks.found) / detector.share:16.3f} "
        f"{blanks.hits * BLOCK / len(blanks.found):19.0f} {cost:9.1f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
