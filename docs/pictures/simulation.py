"""Make the pictures of docs/simulation.md; needs matplotlib.

python docs/pictures/simulation.py
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from cxlsfind.sim.background.settings import BackgroundSettings
from cxlsfind.sim.crystals.catalogue import load_crystal
from cxlsfind.sim.detector import DETECTORS
from cxlsfind.sim.negatives import NegativeSettings
from cxlsfind.sim.patterns import PatternSettings, PatternSimulator
from cxlsfind.sim.readout import ReadoutSettings

FOLDER = Path(__file__).parent
DETECTOR = DETECTORS["Eiger4M"]
BIN = 8
#: The paper's data sets: camera length in m, photon energy in eV.
CONDITIONS = [(clen, energy) for clen in (0.15, 0.25, 0.35) for energy in (6000, 7000, 8000)]
#: Spots that show, expected photons.
SHOWN = 5.0
GREY = "#444444"


def settings(clen: float, energy: float, **changes: object) -> PatternSettings:
    """Return one of the paper's conditions: 3e8 photons, 10 um crystals, 0.1 mm of water."""
    base = PatternSettings(
        DETECTOR, load_crystal(d_min_m=2.2e-10), photon_energy_ev=energy, clen_m=clen, seed=1
    )
    return replace(base, **changes)


def binned(counts: np.ndarray) -> np.ndarray:
    """Return sums over squares of pixels."""
    height, width = (size // BIN * BIN for size in DETECTOR.shape)
    image = counts.reshape(DETECTOR.shape)[:height, :width].astype(float)
    return image.reshape(height // BIN, BIN, width // BIN, BIN).sum(axis=(1, 3))


def save(figure: plt.Figure, name: str, *, colours: int = 32, dpi: int = 100) -> None:
    """Write a figure as a small PNG."""
    path = FOLDER / name
    figure.savefig(path, dpi=dpi, facecolor="white")
    plt.close(figure)
    with Image.open(path) as image:
        image.convert("RGB").quantize(colours, dither=Image.Dither.NONE).save(path, optimize=True)


def show(axes: plt.Axes, image: np.ndarray, most: float) -> None:
    """Draw an image in grey, square root of the counts."""
    axes.imshow(np.sqrt(image), cmap="gray_r", interpolation="nearest", vmin=0, vmax=np.sqrt(most))
    axes.set_xticks([])
    axes.set_yticks([])


def draw_conditions() -> None:
    """A frame of each condition with its spots marked, in three pictures."""
    for first in (0, 3, 6):
        figure, places = plt.subplots(1, 3, figsize=(9.6, 3.6), layout="constrained")
        for number, axes in enumerate(places, start=first):
            clen, energy = CONDITIONS[number]
            pattern = PatternSimulator(settings(clen, energy)).frame(number, with_crystal=True)
            show(axes, binned(pattern.counts), 40.0)
            spots = pattern.spots[pattern.spots["photons"] >= SHOWN]
            axes.scatter(
                spots["fs"] / BIN - 0.5, spots["ss"] / BIN - 0.5,
                s=26, facecolors="none", edgecolors="#d62728", linewidths=0.7,
            )  # fmt: skip
            axes.set_xlim(-0.5, 257.5)
            axes.set_ylim(269.5, -0.5)
            title = f"{number + 1:02d}: {clen} m, {energy / 1000:g} keV; {len(spots)} spots"
            axes.set_title(title, fontsize=9)
        save(figure, f"conditions_{first // 3 + 1}.png", colours=24)


def draw_close_up() -> None:
    """Pixels of one frame, as counted and as expected."""
    pattern = PatternSimulator(settings(0.15, 7000)).frame(1, with_crystal=True)
    left, top, size = 500, 1780, 200
    window = slice(top, top + size), slice(left, left + size)
    expected = pattern.background + pattern.bragg_expected.dense()
    figure, places = plt.subplots(1, 2, figsize=(9.6, 5.0), layout="constrained")
    for axes, values, title in (
        (places[0], pattern.counts.astype(float), "counted"),
        (places[1], expected.astype(float), "expected"),
    ):
        image = values.reshape(DETECTOR.shape)[window]
        extent = (left, left + size, top + size, top)
        axes.imshow(
            np.sqrt(image), cmap="gray_r", interpolation="nearest", extent=extent, vmin=0, vmax=4
        )
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("fs, px", fontsize=8)
        axes.tick_params(labelsize=7)
    for spot in pattern.spots[pattern.spots["photons"] >= 2]:
        if left < spot["fs"] < left + size - 20 and top + 14 < spot["ss"] < top + size:
            places[0].add_patch(
                plt.Circle((spot["fs"], spot["ss"]), 7, fill=False, color="#d62728", lw=0.7)
            )
            places[0].text(
                spot["fs"] + 8,
                spot["ss"] - 6,
                f"{spot['photons']:.0f}",
                color="#d62728",
                fontsize=7,
            )
    save(figure, "close_up.png", colours=24)


def theory(radius_m: np.ndarray, clen: float, energy: float) -> np.ndarray:
    """Return coherent and Compton scattering of 0.1 mm of water by the formula, per pixel."""
    wavelength = 12398.42 / energy
    cosine = clen / np.hypot(clen, radius_m)
    q = 4 * math.pi / wavelength * np.sqrt((1 - cosine) / 2)
    bells = ((46.4791, 2.0116, 0.3505), (1.4456, 1.19, 0.3158), (26.9279, 2.8349, 0.3814))
    coherent = 6.5285 - 1.2454 * q + 0.6768 * q**2
    coherent += sum(h * np.exp(-((q - m) ** 2) / 2 / s**2) for h, m, s in bells)
    compton = np.interp(
        q, (0, 0.25, 0.5, 1, 1.5, 2, 2.5, 3), (0, 0.08, 0.31, 1.13, 2.2, 3.31, 4.31, 5.16)
    )
    attenuation = {6000: 24.64, 7000: 15.5, 8000: 10.37}[energy] * 100
    loss = np.exp(-attenuation * 1e-4 * (1 + 1 / cosine) / 2)
    # Means over the azimuth: those of an unpolarised beam.
    polarisation = (1 + cosine**2) / 2
    return 7.95e3 * loss * polarisation * (75e-6 / clen) ** 2 * cosine**3 * (coherent + compton)


def draw_profiles() -> None:
    """Radial means of blanks beside the formula."""
    ss, fs = np.indices(DETECTOR.shape) + 0.5
    radius = np.hypot(fs - 1034, ss - 1081).ravel()
    still = BackgroundSettings(spread=0.0)
    figure, places = plt.subplots(1, 3, figsize=(9.6, 3.2), layout="constrained")
    for axes, clen in zip(places, (0.15, 0.25, 0.35), strict=True):
        for energy, colour in ((6000, "#1f77b4"), (7000, "#2ca02c"), (8000, "#d62728")):
            simulator = PatternSimulator(
                settings(clen, energy, background=still, beam_spread=0.0, polarisation=0.5)
            )
            frames = [simulator.frame(number, with_crystal=False) for number in range(12)]
            usable = frames[0].usable
            bins = (radius[usable] / 20).astype(int)
            total = sum(frame.counts[usable].astype(float) for frame in frames) / len(frames)
            mean = np.bincount(bins, total) / np.maximum(np.bincount(bins), 1)
            middle = (np.arange(len(mean)) + 0.5) * 20
            full = np.bincount(bins) > 1500
            axes.plot(
                middle[full], mean[full], ".", ms=3, color=colour, label=f"{energy / 1000:g} keV"
            )
            fine = np.linspace(10, 1480, 200)
            axes.plot(fine, theory(fine * 75e-6, clen, energy), "-", lw=0.8, color=colour)
        axes.set_title(f"{clen} m", fontsize=9)
        axes.set_xlabel("radius, px", fontsize=8)
        axes.set_ylim(bottom=0)
        axes.tick_params(labelsize=7)
    places[0].set_ylabel("photons per pixel", fontsize=8)
    places[0].legend(fontsize=7, frameon=False)
    save(figure, "profiles.png", dpi=110)


def draw_others() -> None:
    """Frames without a crystal that are not empty, and other detectors' faults."""
    cases = [
        ("rings of ice", 3, {"negatives": NegativeSettings(ice_rings=1.0)}, False),
        ("spots of ice", 19, {"negatives": NegativeSettings(ice_spots=1.0)}, False),
        ("salt and precipitant", 19, {"negatives": NegativeSettings(salt=1.0, peg=1.0)}, False),
        ("jet's streak, beam stop", 4, {
            "background": BackgroundSettings(streak=0.15, streak_angle=0.3),
            "readout": ReadoutSettings(beam_stop_px=45.0, holder_px=16.0)}, False),
        ("air, kapton, lipid", 4, {"background": BackgroundSettings(
            air_m=0.02, materials=(("kapton", 5e-5), ("lcp", 5e-5)))}, False),
        ("3 % bandwidth", 19, {"lattices": 6.0, "bandwidth": 0.03}, True),
    ]  # fmt: skip
    figure, places = plt.subplots(2, 3, figsize=(9.6, 6.9), layout="constrained")
    for axes, (title, number, changes, is_hit) in zip(places.ravel(), cases, strict=True):
        simulator = PatternSimulator(settings(0.12, 7500, **changes))
        pattern = simulator.frame(number, with_crystal=is_hit)
        show(axes, binned(pattern.counts), 60.0)
        crystals = f"{len(pattern.orientations)} crystals, " if is_hit else ""
        axes.set_title(crystals + title, fontsize=9)
    save(figure, "other_frames.png", colours=16, dpi=90)


if __name__ == "__main__":
    draw_conditions()
    draw_close_up()
    draw_profiles()
    draw_others()
