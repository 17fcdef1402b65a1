"""Photon efficiency, intensities and positions of peaks against the physical limit.

The limit is the likelihood ratio with the true background and the true spot shape (marginal over
nine centres inside the pixel), on the same frames, with the same local-maximum rule and the same
rate of false peaks. Run as a script; every run draws a fresh seed and prints it.
"""

from __future__ import annotations

import argparse
import math
import secrets

import numpy as np
import numpy.typing as npt
from photon_frames import (
    EIGER_SHAPE,
    SPOT_SIGMA_PX,
    Detector,
    draw_frame,
    make_detector,
    scatter_spots,
    water_ring,
)

from cxlsfind.finding.poisson import scores as score_module
from cxlsfind.finding.poisson.background import PlacedFrame, Surroundings
from cxlsfind.finding.poisson.candidates import Scanner, lowest_of_segments
from cxlsfind.finding.poisson.canvas import build_canvas
from cxlsfind.finding.poisson.finder import PoissonFinder
from cxlsfind.finding.poisson.scores import typical_photons
from cxlsfind.finding.poisson.settings import PoissonSettings
from cxlsfind.finding.poisson.shapes import ShapeBank, gaussian_taps
from cxlsfind.finding.poisson.thresholds import NullTail
from cxlsfind.records import PhotonFrame

FloatArray = npt.NDArray[np.float64]


class Limit:
    """The detector at the limit."""

    def __init__(self, detector: Detector, background: FloatArray, pulses: float) -> None:
        taps = [
            gaussian_taps(SPOT_SIGMA_PX, 3, fs=fs, ss=ss)
            for ss in (-1 / 3, 0.0, 1 / 3)
            for fs in (-1 / 3, 0.0, 1 / 3)
        ]
        kept = score_module._FACTORS, score_module._FACTOR_WEIGHTS
        score_module._FACTORS, score_module._FACTOR_WEIGHTS = np.ones(1), np.ones(1)
        self.tail = NullTail(ShapeBank(3, np.array(taps), np.full(9, 1 / 9)), pulses)
        canvas = build_canvas(detector.layout)
        ring = canvas.spread(detector.radius_bins, -1)
        usable = canvas.spread(detector.usable, False) & (ring >= 0)
        self.around = Surroundings(canvas, ring, usable, int(ring.max()) + 1)
        for node in np.unique(self.tail.places(background).astype(np.int64)):
            self.tail.node(int(node))
            self.tail.node(int(node) + 1)
        score_module._FACTORS, score_module._FACTOR_WEIGHTS = kept
        self.scanner = Scanner(self.around, self.tail)
        flat = np.broadcast_to(background, detector.usable.size).astype(np.float32)
        self.shape = canvas.spread(flat, 0.0)
        self.scale = np.ones(self.around.n_rings, np.float32)
        self.n_pixels = float(usable.sum())

    def find(self, frame: PhotonFrame) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return fs, ss and expected false maxima of the local maxima of a frame."""
        canvas = self.around.canvas
        placed = PlacedFrame(canvas.place[frame.index], frame.count)
        self.scanner.lay_out(placed)
        crowded = self.scanner.crowded(placed, lowest_of_segments(self.shape), self.scale)
        found = self.scanner.score(crowded, self.shape, self.scale)
        self.scanner.clear(placed)
        log_rates = self.tail.log_rates(found.at_nodes, found.background)
        from_corner = found.position - canvas.first_row[0] * canvas.stride
        return (
            from_corner % canvas.stride - 8 + 0.5,
            from_corner // canvas.stride + 0.5,
            np.exp(log_rates) * self.n_pixels,
        )


def nearest(
    spots: FloatArray, fs: FloatArray, ss: FloatArray, radius: float
) -> npt.NDArray[np.intp]:
    """Return, per spot, the number of the nearest peak within a radius, or -1."""
    if not len(fs):
        return np.full(len(spots), -1)
    distance = np.hypot(spots[:, 0, None] - fs[None, :], spots[:, 1, None] - ss[None, :])
    best = distance.argmin(axis=1)
    return np.where(distance[np.arange(len(spots)), best] <= radius, best, -1)


def position_bound(photons: float, background: float) -> float:
    """Return the Cramer-Rao bound of a coordinate, px: flux free, mean over sub-pixel centres."""
    bounds = []
    step = 1e-4
    for ss in np.linspace(-0.4, 0.4, 5):
        for fs in np.linspace(-0.4, 0.4, 5):

            def mean(dfs: float, dss: float, factor: float, fs=fs, ss=ss) -> FloatArray:
                taps = gaussian_taps(SPOT_SIGMA_PX, 4, fs=fs + dfs, ss=ss + dss)
                return background + photons * factor * taps

            slopes = [
                (mean(step, 0, 1) - mean(-step, 0, 1)) / (2 * step),
                (mean(0, step, 1) - mean(0, -step, 1)) / (2 * step),
                (mean(0, 0, 1 + step) - mean(0, 0, 1 - step)) / (2 * step),
            ]
            matrix = np.array([[(a * b / mean(0, 0, 1)).sum() for b in slopes] for a in slopes])
            bounds.append(np.linalg.inv(matrix)[0, 0])
    return math.sqrt(float(np.mean(bounds)))


def half_detection(photons: FloatArray, share: FloatArray) -> float:
    """Return the photons at which half is detected, from a fit of a logistic in log photons."""
    share = np.clip(share, 0.01, 0.99)
    weight = share * (1 - share)
    slope, constant = np.polyfit(np.log(photons), np.log(share / (1 - share)), 1, w=np.sqrt(weight))
    return float(np.exp(-constant / slope))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--background", type=float, nargs="+", default=[1e-3, 0.01, 0.1, 1.0])
    parser.add_argument("--asked", type=float, default=1.0, help="false peaks per EIGER2 4M frame")
    parser.add_argument("--frames", type=int, default=64, help="per number of photons")
    parser.add_argument("--spots", type=int, default=12, help="per frame")
    parser.add_argument("--side", type=int, default=1024, help="of the detector, px")
    parser.add_argument("--ring", action="store_true")
    parser.add_argument("--pulses", type=float, default=math.inf)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    options = parser.parse_args()
    generator = np.random.default_rng(options.seed)
    detector = make_detector((options.side, options.side))
    share = detector.usable.sum() / make_detector(EIGER_SHAPE).usable.sum()
    print(f"seed {options.seed}, asked {options.asked} per EIGER2 4M frame, ring {options.ring}")
    print("       b   S50 ours  S50 limit    eta  +-     false/frame | S: RMSE/bound, pull, bias")
    for level in options.background:
        background = np.full(1, level)
        if options.ring:
            background = water_ring(detector.radius, level)
        limit = Limit(detector, background, options.pulses)
        finder = PoissonFinder(
            PoissonSettings(false_peaks=options.asked * share, pulses_per_frame=options.pulses),
            detector.geometry,
            detector.layout,
            detector.radius_bins,
            detector.usable,
        )
        typical = float(typical_photons(np.array([level]))[0])
        grid = typical * np.array([0.6, 0.75, 0.95, 1.2, 1.5])
        ours, best, measures = [], [], []
        for photons in [*grid, 3 * typical, 100.0, 300.0]:
            if photons > 300.0:
                continue
            near = [s for s in grid if s == photons]
            n_frames = options.frames if near else max(16, options.frames // 4)
            seen, seen_by_limit, offsets, pulls, bias = [], [], [], [], []
            while n_frames > 0:
                block = min(64, n_frames)
                n_frames -= block
                spots = [
                    scatter_spots(
                        generator, options.spots, np.full(options.spots, photons), detector
                    )
                    for _ in range(block)
                ]
                frames = [
                    draw_frame(
                        generator,
                        background[0] if len(background) == 1 else background,
                        detector,
                        spots=s,
                        pulses=options.pulses,
                    )
                    for s in spots
                ]
                results = finder.find_block(frames).frames
                for truth, frame, result in zip(spots, frames, results, strict=True):
                    peaks = result.peaks[: result.n_peaks]
                    match = nearest(truth, peaks["fs"], peaks["ss"], 2.0)
                    seen.append(match >= 0)
                    hit = peaks[match[match >= 0]]
                    offsets.append(hit["fs"] - truth[match >= 0, 0])
                    offsets.append(hit["ss"] - truth[match >= 0, 1])
                    pulls.append((hit["fs"] - truth[match >= 0, 0]) / hit["sigma_fs"])
                    bias.append(hit["photons"] / photons)
                    if near:
                        fs, ss, false = limit.find(frame)
                        # What ours lets through on average, so that steps do not decide.
                        match = nearest(truth, fs, ss, 2.0)
                        rate = np.where(match >= 0, false[match] if len(false) else 0.0, np.inf)
                        seen_by_limit.append(rate <= result.expected_false * 1.0)
            if near:
                ours.append(np.concatenate(seen))
                best.append(np.concatenate(seen_by_limit))
            rmse = math.sqrt(float(np.mean(np.concatenate(offsets) ** 2)))
            bound = position_bound(photons, level)
            measures.append(
                f"{photons:.1f}: {rmse / bound:.3f} {np.std(np.concatenate(pulls)):.2f} "
                f"{np.mean(np.concatenate(bias)):.2f}"
            )
        draws = []
        for _ in range(50):
            pick = [generator.integers(0, len(s), len(s)) for s in ours]
            one = half_detection(
                grid, np.array([s[p].mean() for s, p in zip(ours, pick, strict=True)])
            )
            two = half_detection(
                grid, np.array([s[p].mean() for s, p in zip(best, pick, strict=True)])
            )
            draws.append(two / one)
        s_ours = half_detection(grid, np.array([s.mean() for s in ours]))
        s_best = half_detection(grid, np.array([s.mean() for s in best]))
        print(
            f"{level:8g} {s_ours:10.3f} {s_best:10.3f} {s_best / s_ours:6.3f} {np.std(draws):.3f}"
            f" {result.expected_false / share:10.3f} | " + "  ".join(measures),
            flush=True,
        )


if __name__ == "__main__":
    main()
