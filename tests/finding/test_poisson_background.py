"""Backgrounds recovered from drawn frames: levels, spots, structure, changes, lying pixels."""

from __future__ import annotations

import numpy as np
import pytest

from cxlsfind.finding.poisson.background import (
    PlacedFrame,
    Surroundings,
    count_caps,
    estimate_background,
    frame_scales,
    smooth_profile,
)
from cxlsfind.finding.poisson.canvas import PAD, Canvas, build_canvas
from cxlsfind.finding.poisson.changes import dark_frames, split_at_changes
from cxlsfind.finding.poisson.lying import find_lying
from cxlsfind.finding.poisson.sharing import SharingMeter
from cxlsfind.geometry.layout import Layout, PanelWindow, Slab
from cxlsfind.kernels.photon_scan import clear_photons, scatter_photons

SIDE = 400


def make_surroundings() -> tuple[Surroundings, np.ndarray]:
    """Return a square detector and the radius of its canvas pixels (0 in the padding)."""
    slab = Slab("/data", ("%", "ss", "fs"), (SIDE, SIDE), 0)
    window = PanelWindow(0, 0, 0, SIDE, SIDE, SIDE)
    canvas = build_canvas(Layout((slab,), (window,)))
    ss, fs = np.mgrid[0:SIDE, 0:SIDE]
    radius = np.hypot(ss - SIDE / 2, fs - SIDE / 2).ravel()
    ring = canvas.spread(radius.astype(np.int32), -1)
    return Surroundings(canvas, ring, ring >= 0, int(ring.max()) + 1), canvas.spread(radius, 0.0)


def draw(mean: np.ndarray, generator: np.random.Generator) -> PlacedFrame:
    counts = generator.poisson(mean)
    place = np.flatnonzero(counts).astype(np.int32)
    return PlacedFrame(place, counts[place].astype(np.uint32))


def nothing(number: int) -> list[np.ndarray]:
    return [np.empty(0, np.int32)] * number


def test_canvas_keeps_panels_apart() -> None:
    """Every pixel has its place, places are distinct, and padding separates panels."""
    slab = Slab("/data", ("%", "ss", "fs"), (6, 10), 0)
    windows = (PanelWindow(0, 0, 0, 10, 6, 5), PanelWindow(1, 0, 5, 10, 6, 5))
    canvas = build_canvas(Layout((slab,), windows))
    assert isinstance(canvas, Canvas)
    assert (canvas.place >= 0).all()
    assert np.array_equal(canvas.pixel[canvas.place], np.arange(60))
    assert canvas.first_row[1] - canvas.first_row[0] == 6 + PAD
    assert (canvas.pixel >= 0).sum() == 60


@pytest.mark.parametrize("level", [1e-3, 0.03, 0.5, 10.0])
def test_level_is_recovered(level: float) -> None:
    """The mean over frames is right within its counting error, whatever the pulse energy."""
    generator = np.random.default_rng(1)
    around, radius = make_surroundings()
    shape = (1 + np.exp(-0.5 * ((radius - 120) / 30) ** 2)) * around.usable
    scales = np.array([0.5, 1.0, 2.0, 1.5])
    frames = [draw(level * scale * shape, generator) for scale in scales]
    caps = count_caps(frames, around)
    found = estimate_background(frames, around, caps, nothing(4), with_tiles=True)
    rings = around.ring[around.usable]
    for number, scale in enumerate(scales):
        ours = found.shape[around.usable] * found.scales[number][rings]
        truth = level * scale * shape[around.usable]
        error = 1.0 / np.sqrt(truth.sum())
        assert ours.mean() == pytest.approx(truth.mean(), rel=4 * error)
        if level >= 0.5:
            assert np.sqrt(np.mean((ours / truth - 1) ** 2)) < 0.03


def test_bright_spots_are_capped() -> None:
    """A hundred spots of ten thousand photons move the background by little before they are cut."""
    generator = np.random.default_rng(2)
    around, _ = make_surroundings()
    inside = np.flatnonzero(around.usable)
    frame = draw(0.05 * around.usable, generator)
    counts = np.zeros(around.canvas.size, np.int64)
    counts[frame.place] = frame.count
    counts[generator.choice(inside, 100, replace=False)] += 10_000
    place = np.flatnonzero(counts).astype(np.int32)
    frame = PlacedFrame(place, counts[place].astype(np.uint32))
    caps = count_caps([frame], around)
    rough = estimate_background([frame], around, caps, nothing(1), with_tiles=False)
    assert np.average(rough.profile * rough.scales[0]) == pytest.approx(0.05, rel=0.25)
    cut = np.flatnonzero(counts > 100).astype(np.int32)
    final = estimate_background([frame], around, caps, [cut], with_tiles=False)
    level = (final.shape * final.scales[0].mean())[around.usable].mean()
    assert level == pytest.approx(0.05, rel=0.05)


def test_streaks_and_shadows_are_followed() -> None:
    """Structure without rings is found to 4 % at 1 photon per pixel from a block."""
    generator = np.random.default_rng(3)
    around, _ = make_surroundings()
    column = np.arange(around.canvas.size) % around.canvas.stride
    truth = around.usable * (1 + 0.8 * np.exp(-0.5 * ((column - 150) / 25) ** 2))
    frames = [draw(truth, generator) for _ in range(24)]
    caps = count_caps(frames, around)
    found = estimate_background(frames, around, caps, nothing(24), with_tiles=True)
    ours = found.shape * found.scales.mean()
    off = ours[around.usable] / truth[around.usable] - 1
    assert np.sqrt(np.mean(off**2)) < 0.04
    flat = estimate_background(frames, around, caps, nothing(24), with_tiles=False)
    off = flat.shape[around.usable] * flat.scales.mean() / truth[around.usable] - 1
    assert np.sqrt(np.mean(off**2)) > 0.15


def test_no_photons_is_no_error() -> None:
    """Frames without a photon give a small positive background."""
    around, _ = make_surroundings()
    empty = PlacedFrame(np.empty(0, np.int32), np.empty(0, np.uint32))
    caps = count_caps([empty, empty], around)
    found = estimate_background([empty, empty], around, caps, nothing(2), with_tiles=True)
    level = found.shape[around.usable] * found.scales[0][around.ring[around.usable]]
    assert np.isfinite(level).all()
    assert (level > 0).all()
    assert level.mean() < 1e-4


def test_profile_of_few_photons_is_wide() -> None:
    """Rings with few photons borrow from their neighbours and follow a slope."""
    generator = np.random.default_rng(4)
    truth = np.linspace(0.5, 1.5, 300)
    weight = np.full(300, 10.0)
    profile = smooth_profile(generator.poisson(weight * truth).astype(float), weight, 1e-4)
    assert np.sqrt(np.mean((profile / truth - 1) ** 2)) < 0.12


def test_scales_follow_zones_only_when_they_differ() -> None:
    """A frame with its own radial shape gets its own zones; others keep one scale."""
    generator = np.random.default_rng(5)
    exposed = np.full((3, 200), 1000.0)
    profile = np.ones(200)
    bend = np.ones((3, 200))
    bend[2] = np.linspace(0.8, 1.2, 200)
    sums = generator.poisson(exposed * bend).astype(float)
    scales = frame_scales(sums, exposed, profile)
    assert np.ptp(scales[0]) < 0.01
    assert scales[2, 180] / scales[2, 20] == pytest.approx(bend[2, 180] / bend[2, 20], rel=0.05)


def test_changes_of_shape_are_found_and_changes_of_scale_are_not() -> None:
    """A block is split where the jet is lost, not where the pulses are weaker."""
    generator = np.random.default_rng(6)
    water = np.array([1.0, 2.0, 4.0, 2.0]) * 1000
    air = np.array([1.5, 1.0, 0.5, 0.3]) * 300
    scales = generator.uniform(0.3, 3.0, 40)
    zones = generator.poisson(scales[:, None] * water).astype(float)
    assert split_at_changes(zones) == []
    zones[25:] = generator.poisson(air, (15, 4))
    assert split_at_changes(zones) == [25]
    assert split_at_changes(zones[:1]) == []


def test_dark_frames() -> None:
    """Frames with next to no photons, or a hundredth of the others', are dark."""
    assert dark_frames(np.array([1000.0, 900.0, 2.0, 0.0])).tolist() == [False, False, True, True]
    assert dark_frames(np.array([1e6, 1e6, 5e3])).tolist() == [False, False, True]
    assert not dark_frames(np.array([450.0, 130.0, 1300.0])).any()


def test_liars_are_found() -> None:
    """Hot, flashing and dead pixels are named, good ones are not."""
    generator = np.random.default_rng(7)
    around, _ = make_surroundings()
    inside = np.flatnonzero(around.usable)
    hot, flashing, dead = np.sort(generator.choice(inside, 60, replace=False)).reshape(3, 20)
    frames = []
    for number in range(64):
        mean = 1.0 * around.usable
        mean[hot] = 4.0
        mean[dead] = 0.0
        if number % 8 == 0:
            mean[flashing] = 60.0
        frames.append(draw(mean, generator))
    caps = count_caps(frames, around)
    rough = estimate_background(frames, around, caps, nothing(64), with_tiles=False)
    assert set(find_lying(frames, around, rough)) == {*hot, *flashing, *dead}
    assert find_lying(frames[:3], around, rough).size == 0


@pytest.mark.parametrize("share", [0.0, 0.02])
def test_charge_sharing_is_measured(share: float) -> None:
    """Shared photons are told from chance neighbours."""
    generator = np.random.default_rng(8)
    around, _ = make_surroundings()
    meter = SharingMeter(around)
    sheet = np.zeros(around.canvas.size, np.uint16)
    for _ in range(40):
        counts = generator.poisson(0.02 * around.usable)
        shared = generator.binomial(counts, share)
        counts = counts + np.roll(shared, 1)
        place = np.flatnonzero(counts).astype(np.int32)
        frame = PlacedFrame(place, counts[place].astype(np.uint32))
        scatter_photons(frame.place, frame.count, around.usable, sheet)
        meter.add(frame, sheet, np.empty(0, np.int32), 100)
        clear_photons(frame.place, sheet)
    assert meter.share() == share
