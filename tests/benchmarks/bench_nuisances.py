"""False peaks and efficiency with what real detectors and beams add to Poisson counts.

Run as a script; every run draws a fresh seed and prints it.
"""

from __future__ import annotations

import argparse
import secrets

import numpy as np
import numpy.typing as npt
from photon_frames import Detector, draw_frame, make_detector, scatter_spots, water_ring

from cxlsfind.finding.poisson.finder import PoissonFinder
from cxlsfind.finding.poisson.scores import typical_photons
from cxlsfind.finding.poisson.settings import PoissonSettings
from cxlsfind.records import PhotonFrame

FloatArray = npt.NDArray[np.float64]

KINDS = (
    "none",
    "hot",
    "streak",
    "ice",
    "sharing",
    "centre",
    "gradient",
    "shutter",
    "jet",
    "camera",
    "single",
)


def share_charge(
    frame: PhotonFrame, part: float, detector: Detector, generator: np.random.Generator
) -> PhotonFrame:
    """Let a part of the photons fire a neighbouring pixel too."""
    counts = np.zeros(frame.n_pixels, np.int64)
    counts[frame.index] = frame.count
    shared = generator.binomial(frame.count, part)
    step = np.array([1, -1, detector.shape[1], -detector.shape[1]])
    where = np.repeat(frame.index.astype(np.int64), shared)
    where = where + generator.choice(step, len(where))
    where = where[(where >= 0) & (where < frame.n_pixels)]
    np.add.at(counts, where[detector.usable[where]], 1)
    index = np.flatnonzero(counts).astype(np.int32)
    return PhotonFrame(
        frame.n_pixels, index, counts[index].astype(np.uint32), frame.bad, frame.censored
    )


def add_counts(
    frame: PhotonFrame, pixels: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
) -> PhotonFrame:
    """Add counts to pixels of a frame."""
    dense = np.zeros(frame.n_pixels, np.int64)
    dense[frame.index] = frame.count
    dense[pixels] += counts
    index = np.flatnonzero(dense).astype(np.int32)
    return PhotonFrame(
        frame.n_pixels, index, dense[index].astype(np.uint32), frame.bad, frame.censored
    )


def backgrounds(kind: str, level: float, detector: Detector, block: int) -> list[FloatArray]:
    """Return the background of every frame of a block."""
    ring = water_ring(detector.radius, level)
    ss, fs = np.mgrid[0 : detector.shape[0], 0 : detector.shape[1]]
    if kind == "streak":
        across = np.abs(ss - detector.shape[0] / 2 - 0.2 * (fs - 1000))
        ring = ring * (1 + 0.8 * np.exp(-0.5 * (across / 12) ** 2)).ravel()
    if kind == "gradient":
        ring = ring * (0.7 + 0.6 * fs / detector.shape[1]).ravel()
    if kind == "ice":
        for radius in (420, 610, 880):
            ring = ring + 2 * level * np.exp(-0.5 * ((detector.radius - radius) / 1.5) ** 2).ravel()
    frames = [ring] * block
    half = block // 2
    if kind == "shutter":
        frames = [np.full_like(ring, 1e-7)] * half + frames[half:]
    if kind == "jet":
        air = 0.2 * level * (1 + 3 * np.exp(-detector.radius / 200)).ravel()
        frames = frames[:half] + [air] * half
    if kind == "camera":
        frames = frames[:half] + [water_ring(detector.radius * 0.8, level)] * half
    return frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--background", type=float, nargs="+", default=[0.01, 0.1, 1.0])
    parser.add_argument("--kinds", nargs="+", default=list(KINDS))
    parser.add_argument("--block", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=1)
    parser.add_argument("--asked", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    options = parser.parse_args()
    generator = np.random.default_rng(options.seed)
    print(f"seed {options.seed}")
    print(
        "kind              b  frames  false/frame  attainable  hits  lying  found at S50, 1.5 S50"
    )
    for kind in options.kinds:
        detector = make_detector(offset_px=5.0 if kind == "centre" else 0.0)
        believed = make_detector()
        finder = PoissonFinder(
            PoissonSettings(false_peaks=options.asked),
            believed.geometry,
            believed.layout,
            believed.radius_bins,
            believed.usable,
        )
        usable = np.flatnonzero(detector.usable)
        for level in options.background:
            false, hits, n_frames, lying, attainable = 0, 0, 0, 0, 0.0
            block = 1 if kind == "single" else options.block
            n_blocks = options.blocks * options.block // block
            found = []
            for planted in (0.0, 1.0, 1.5):
                seen = []
                for _ in range(n_blocks):
                    hot = generator.choice(usable, 200, replace=False)
                    rate = generator.uniform(0.1, 1.0, 200)
                    frames, truths = [], []
                    for mean in backgrounds(kind, level, detector, block):
                        truth = scatter_spots(generator, 20, np.zeros(20), detector)
                        place = truth[:, 1].astype(int) * detector.shape[1] + truth[:, 0].astype(
                            int
                        )
                        truth[:, 2] = planted * typical_photons(mean[place])
                        frame = draw_frame(
                            generator, mean, detector, spots=truth if planted else None
                        )
                        if kind == "hot":
                            fires = generator.random(200) < rate
                            counts = generator.poisson(8.0, 200) * fires
                            frame = add_counts(frame, hot, counts)
                        if kind == "sharing":
                            frame = share_charge(frame, 0.02, detector, generator)
                        frames.append(frame)
                        truths.append(truth)
                    result = finder.find_block(frames)
                    if not planted:
                        false += sum(r.n_peaks for r in result.frames)
                        hits += sum(r.is_hit for r in result.frames)
                        attainable += sum(r.expected_false for r in result.frames)
                        n_frames += len(frames)
                        lying += int((detector.usable & ~result.usable).sum())
                        continue
                    for truth, r in zip(truths, result.frames, strict=True):
                        peaks = r.peaks[: r.n_peaks]
                        distance = np.hypot(
                            truth[:, 0, None] - peaks["fs"], truth[:, 1, None] - peaks["ss"]
                        )
                        seen.append((distance < 2.0).any(axis=1).mean())
                if planted:
                    found.append(f"{np.mean(seen):.3f}")
            print(
                f"{kind:10s} {level:8g} {n_frames:7d} {false / n_frames:12.2f} "
                f"{attainable / n_frames:11.2f} {hits:5d} {lying:6d}  {' '.join(found)}",
                flush=True,
            )


if __name__ == "__main__":
    main()
