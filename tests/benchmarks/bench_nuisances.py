"""False peaks and efficiency with what real detectors and beams add to Poisson counts.

The limit is computed anew for every null: it knows the true background, streak and rings
included, the pixels that lie, and what charge sharing adds; it lets through as many false peaks
on the same blank frames as the finder did. Spots have the photons that the limit of a uniform
background needs at their place. Every run draws a fresh seed and prints it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from limits import PAD, Limit, World, make_world, pad, typical_photons
from measures import BLOCK, GRID, Ours, Shot, efficiency, start, watch_blanks, watch_spots
from photon_frames import (
    EIGER_SHAPE,
    Counts,
    Detector,
    FloatArray,
    draw_counts,
    make_detector,
    scatter_places,
    water_ring,
)

#: What stays all the time; ``all`` has every one of them.
STEADY = ("hot", "streak", "ice", "sharing", "centre")
CHANGES = ("shutter", "jet", "camera")
KINDS = ("none", *STEADY, "all", *CHANGES)

_HOT_PIXELS = 200
_SHARED = 0.02
_OFF_CENTRE_PX = 5.0

#: The shutter opens at frame 500: this many frames of its block are dark.
_DARK_FRAMES = 500 % BLOCK
_DARK = 1e-7


class Nuisance:
    """A source of blocks with one kind of nuisance, or all steady ones.

    Parameters
    ----------
    kind
        One of ``KINDS``, or several joined by ``+``.
    level
        Mean background, photons per pixel.
    """

    def __init__(
        self,
        kind: str,
        level: float,
        n_spots: int,
        generator: np.random.Generator,
        side: int | None,
    ) -> None:
        self._has = set(STEADY) if kind == "all" else set(kind.split("+"))
        offset = _OFF_CENTRE_PX if "centre" in self._has else 0.0
        shape = (side, side) if side else EIGER_SHAPE
        self.detector = make_detector(shape, offset_px=offset)
        self._generator = generator
        self._n_spots = max(5, round(n_spots * self.detector.share))
        self._usable = np.flatnonzero(self.detector.usable)
        self._backgrounds = _backgrounds(self.detector, level, self._has)
        # Each shared photon fires one pixel more.
        more = 1.0 + (_SHARED if "sharing" in self._has else 0.0)
        self._worlds = [make_world(self.detector, mean * more) for mean in self._backgrounds]

    def _which(self, frame: int) -> int:
        if "shutter" in self._has:
            return 1 if frame < _DARK_FRAMES else 0
        return int(len(self._backgrounds) > 1 and frame >= BLOCK // 2)

    def __call__(self, factors: FloatArray) -> Iterator[Shot]:
        """Draw a block."""
        generator, detector = self._generator, self.detector
        worlds = self._worlds
        if "hot" in self._has:
            hot = generator.choice(self._usable, _HOT_PIXELS, replace=False)
            fires = generator.uniform(0.1, 1.0, _HOT_PIXELS)
            usable = detector.usable.copy()
            usable[hot] = False
            told = pad(usable.reshape(detector.shape), False)
            worlds = [replace(world, usable=told) for world in worlds]
        for frame in range(BLOCK):
            which = self._which(frame)
            mean, world = self._backgrounds[which], worlds[which]
            # Without a beam, or without a jet, there are no crystals.
            has_spots = len(factors) > 0 and ("camera" in self._has or which == 0)
            spots, factor = np.empty((0, 3)), np.empty(0)
            if has_spots:
                spots, factor = self._spots(factors, world)
            counts, drawn = draw_counts(
                generator, mean, detector, spots=spots if has_spots else None
            )
            if "sharing" in self._has:
                counts = share_charge(counts, detector, generator)
            if "hot" in self._has:
                flashes = generator.poisson(8.0, _HOT_PIXELS) * (
                    generator.random(_HOT_PIXELS) < fires
                )
                counts[hot] += flashes.astype(np.uint16)
            is_lit = not ("shutter" in self._has and which == 1)
            if has_spots or not len(factors) or not is_lit:
                yield Shot(counts, world, spots, factor, drawn, is_lit)
            else:
                yield Shot(counts, world, np.empty((0, 3)), np.empty(0), np.empty(0), is_lit)

    def _spots(self, factors: FloatArray, world: World) -> tuple[FloatArray, FloatArray]:
        places = scatter_places(self._generator, self._n_spots, self.detector)
        factor = self._generator.choice(factors, self._n_spots)
        row, column = places[:, 1].astype(int) + PAD, places[:, 0].astype(int) + PAD
        typical = typical_photons(world.background[row, column])
        return np.column_stack([places, factor * typical]), factor


def share_charge(counts: Counts, detector: Detector, generator: np.random.Generator) -> Counts:
    """Let a part of the photons fire a neighbouring pixel too."""
    width = detector.shape[1]
    lit = np.flatnonzero(counts)
    where = np.repeat(lit, generator.binomial(counts[lit], _SHARED))
    where = where + generator.choice(np.array([1, -1, width, -width]), len(where))
    where = where[(where >= 0) & (where < counts.size)]
    shared = counts.copy()
    np.add.at(shared, where[detector.usable[where]], np.uint16(1))
    return shared


def _backgrounds(detector: Detector, level: float, has: set[str]) -> list[FloatArray]:
    """Return the backgrounds of the two parts of a block, or the one that stays."""
    ring = water_ring(detector.radius, level)
    ss, fs = np.mgrid[0 : detector.shape[0], 0 : detector.shape[1]]
    if "streak" in has:
        across = np.abs(ss - detector.shape[0] / 2 - 0.2 * (fs - 1000))
        ring = ring * (1 + 0.8 * np.exp(-0.5 * (across / 12) ** 2)).ravel()
    if "ice" in has:
        for radius in (420, 610, 880):
            ring = ring + 2 * level * np.exp(-0.5 * ((detector.radius - radius) / 1.5) ** 2).ravel()
    if "shutter" in has:
        return [ring, np.full_like(ring, _DARK)]
    if "jet" in has:
        return [ring, 0.2 * level * (1 + 3 * np.exp(-detector.radius / 200)).ravel()]
    if "camera" in has:
        return [ring, water_ring(detector.radius * 0.8, level)]
    return [ring]


def measure(
    kind: str, level: float, options: argparse.Namespace, generator: np.random.Generator
) -> None:
    """Print the line of one nuisance at one background."""
    begin = time.monotonic()
    source = Nuisance(kind, level, options.spots, generator, options.side)
    detector = source.detector
    limit = Limit(detector)
    finder = Ours(detector, options.asked)
    # Few frames of the shutter's block are lit.
    times = 4 if "shutter" in kind else 1
    blanks = watch_blanks(finder, limit, source, detector, times * options.blanks)
    spots, _ = watch_spots(finder, limit, source, detector, GRID, times * options.blocks)
    eta = efficiency(spots, blanks, generator)
    n_frames = len(blanks.found)
    measured = float(np.mean(blanks.found)) / detector.share
    error = (sum(blanks.found) + 1) ** 0.5 / n_frames / detector.share
    print(
        f"{kind:12s} {level:8g} {n_frames:7d} {measured:7.3f} {options.asked:5g} "
        f"{measured / options.asked:6.2f} {error / options.asked:5.2f} "
        f"{np.mean(blanks.expected) / detector.share:7.3f} {blanks.dark:5d} {blanks.hits:5d} "
        f"{eta.ours:8.3f} {eta.limit:8.3f} {eta.eta:6.3f} {eta.sigma:6.3f} "
        f"{finder.lying / (finder.n_frames / BLOCK):6.0f} "
        f"{1e3 * finder.seconds / finder.n_frames:8.1f} {time.monotonic() - begin:8.0f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--background", type=float, nargs="+", default=[0.01, 0.1, 1.0])
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), help="joined by +")
    parser.add_argument("--blanks", type=int, default=1, help="blocks of blank frames")
    parser.add_argument("--blocks", type=int, default=1, help="blocks with spots")
    parser.add_argument("--spots", type=int, default=200, help="per EIGER2 4M frame")
    parser.add_argument("--asked", type=float, default=1.0)
    parser.add_argument("--side", type=int, help="of a smaller detector, px")
    options, generator = start(parser)
    print(
        "                                    false peaks per frame         false   half detection\n"
        "kind                b  frames measured asked  ratio    +- attain.  dark  hits     ours    "
        "limit    eta     +-  lying ms/frame  seconds"
    )
    for level in options.background:
        for kind in options.kinds:
            measure(kind, level, options, generator)


if __name__ == "__main__":
    main()
