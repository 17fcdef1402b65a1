"""Backgrounds recovered from drawn frames: levels, spots, structure, changes, lying pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from cxlsfind.finding.poisson.background import (
    Background,
    Sums,
    bin_sums,
    count_caps,
    cut_spots,
    estimate_background,
    frame_scales,
    rough_background,
    smooth_profile,
    sum_up,
    total_counts,
)
from cxlsfind.finding.poisson.canvas import PAD, Canvas, PlacedFrame, build_canvas
from cxlsfind.finding.poisson.changes import dark_frames, split_at_changes
from cxlsfind.finding.poisson.lying import find_lying
from cxlsfind.finding.poisson.sharing import measure_sharing
from cxlsfind.finding.poisson.surroundings import RINGS_PER_BIN, Surroundings, survey
from cxlsfind.finding.poisson.tiles import SIDE as TILE
from cxlsfind.geometry.layout import Layout, PanelWindow, Slab
from cxlsfind.records import PlaneFrame

SIDE = 400

ToFrame = Callable[..., PlaneFrame]
Draw = Callable[[np.ndarray, np.random.Generator], PlacedFrame]


def make_canvas(height: int, width: int) -> Canvas:
    """Return the canvas of one panel."""
    slab = Slab("/data", ("%", "ss", "fs"), (height, width), 0)
    return build_canvas(Layout((slab,), (PanelWindow(0, 0, 0, width, height, width),)))


def make_surroundings() -> tuple[Surroundings, np.ndarray]:
    """Return a square detector and the radius of its canvas pixels (0 in the padding)."""
    canvas = make_canvas(SIDE, SIDE)
    ss, fs = np.mgrid[0:SIDE, 0:SIDE]
    radius = np.hypot(ss - SIDE / 2, fs - SIDE / 2).ravel()
    around = survey(canvas, radius.astype(np.int32), np.ones(SIDE * SIDE, np.bool_))
    return around, canvas.spread(radius, 0.0)


@pytest.fixture(scope="module")
def place(to_frame: ToFrame) -> Callable[[np.ndarray], PlacedFrame]:
    """Return a function that makes a frame of counts on a canvas."""

    def place_counts(counts: np.ndarray) -> PlacedFrame:
        frame = to_frame(counts)
        return PlacedFrame(frame.planes, frame.index, frame.count, frame.censored)

    return place_counts


@pytest.fixture(scope="module")
def draw(place: Callable[[np.ndarray], PlacedFrame]) -> Draw:
    """Return a function that draws a frame from what canvas pixels expect."""
    return lambda mean, generator: place(generator.poisson(mean))


def sum_frames(frames: Sequence[PlacedFrame], around: Surroundings) -> Sums:
    """Return the photons of frames as far as their planes count them."""
    totals, _ = total_counts([frame.planes for frame in frames], around.canvas)
    return sum_up(totals, bin_sums(frames, around)[0], around)


def guess(frames: Sequence[PlacedFrame], around: Surroundings) -> Background:
    """Estimate roughly, as long as no spot is known."""
    _, lit = total_counts([frame.planes for frame in frames], around.canvas)
    return rough_background(sum_frames(frames, around), lit, bin_sums(frames, around)[1], around)


def estimate(
    frames: Sequence[PlacedFrame],
    around: Surroundings,
    cut_out: Sequence[np.ndarray] | None = None,
    *,
    with_tiles: bool,
) -> Background:
    """Estimate as the finder does: roughly first, and again with caps and without spots."""
    rough = guess(frames, around)
    cut_out = nothing(len(frames)) if cut_out is None else cut_out
    kept = cut_spots(frames, around, sum_frames(frames, around), count_caps(rough), cut_out)
    return estimate_background(kept, around, cut_out, with_tiles=with_tiles)


def shape_of(found: Background, around: Surroundings) -> np.ndarray:
    """Return the shape of a background at canvas pixels; factors are linear between tiles."""
    row, column = np.divmod(np.arange(around.canvas.size), around.canvas.stride)
    tiles = [(row + 0.5) / TILE - 0.5, (column + 0.5) / TILE - 0.5]
    factor = map_coordinates(found.factor.astype(float), tiles, order=1, mode="nearest")
    return np.where(around.ring >= 0, found.profile[around.ring] * factor, 0.0)


def nothing(number: int) -> list[np.ndarray]:
    return [np.empty(0, np.int32)] * number


def test_canvas_keeps_panels_apart() -> None:
    """Every pixel has its place, places are distinct, and padding separates panels."""
    slab = Slab("/data", ("%", "ss", "fs"), (6, 10), 0)
    windows = (PanelWindow(0, 0, 0, 10, 6, 5), PanelWindow(1, 0, 5, 10, 6, 5))
    canvas = build_canvas(Layout((slab,), windows))
    assert isinstance(canvas, Canvas)
    assert (canvas.place >= 0).all()
    assert len(np.unique(canvas.place)) == 60
    sheet = canvas.spread(np.arange(60), -1)
    assert np.array_equal(sheet[canvas.place], np.arange(60))
    assert canvas.first_row[1] - canvas.first_row[0] == 6 + PAD
    assert (sheet >= 0).sum() == 60


@pytest.mark.parametrize("level", [0.0, 0.05, 2.0, 40.0])
def test_frames_lie_on_the_canvas_as_arrays_do(to_frame: ToFrame, level: float) -> None:
    """Planes and list, of panels side by side and of two slabs, hold what spreading puts there."""
    generator = np.random.default_rng(9)
    slabs = (
        Slab("/a", ("%", "ss", "fs"), (30, 217), 0),
        Slab("/b", ("%", "ss", "fs"), (7, 112), 30 * 217),
    )
    windows = (
        PanelWindow(0, 0, 130, 217, 30, 87),  # the right one first
        PanelWindow(1, 0, 3, 217, 29, 127),  # with three columns and a row that belong to none
        PanelWindow(2, 1, 30 * 217, 112, 7, 112),
    )
    layout = Layout(slabs, windows)
    canvas = build_canvas(layout)
    counts = generator.poisson(level, layout.n_pixels)
    counts[generator.random(layout.n_pixels) < 0.003] += 1000
    placed = canvas.lay(to_frame(counts))
    spread = canvas.spread(counts, 0)
    bits = np.unpackbits(placed.planes.view(np.uint8), axis=1, bitorder="little")
    held = 2 ** np.arange(len(bits)) @ bits.astype(np.int64)
    assert np.array_equal(held, np.minimum(spread, placed.full))
    assert np.array_equal(placed.place, np.flatnonzero(spread >= placed.full))
    assert np.array_equal(placed.count, spread[placed.place])
    inside = np.flatnonzero(canvas.place >= 0)
    assert np.array_equal(canvas.source(canvas.place[inside]), inside)
    flags = generator.random(canvas.size) < 0.5
    assert np.array_equal(
        np.unpackbits(canvas.words(flags).view(np.uint8), bitorder="little"), flags
    )


@pytest.mark.parametrize("level", [1e-3, 0.03, 0.5, 10.0])
def test_level_is_recovered(draw: Draw, level: float) -> None:
    """The mean over frames is right within its counting error, whatever the pulse energy."""
    generator = np.random.default_rng(1)
    around, radius = make_surroundings()
    shape = (1 + np.exp(-0.5 * ((radius - 120) / 30) ** 2)) * around.usable
    scales = np.array([0.5, 1.0, 2.0, 1.5])
    frames = [draw(level * scale * shape, generator) for scale in scales]
    found = estimate(frames, around, with_tiles=True)
    shape_found = shape_of(found, around)
    rings = around.ring[around.usable]
    for number, scale in enumerate(scales):
        ours = shape_found[around.usable] * found.scales[number][rings]
        truth = level * scale * shape[around.usable]
        error = 1.0 / np.sqrt(truth.sum())
        assert ours.mean() == pytest.approx(truth.mean(), rel=4 * error)
        if level >= 0.5:
            assert np.sqrt(np.mean((ours / truth - 1) ** 2)) < 0.03


def test_bright_spots_are_capped(place: Callable[[np.ndarray], PlacedFrame]) -> None:
    """A hundred spots of ten thousand photons move the background by little before they are cut."""
    generator = np.random.default_rng(2)
    around, _ = make_surroundings()
    inside = np.flatnonzero(around.usable)
    counts = generator.poisson(0.05 * around.usable)
    counts[generator.choice(inside, 100, replace=False)] += 10_000
    frame = place(counts)
    rough = guess([frame], around)
    assert np.average(rough.profile * rough.scales[0]) == pytest.approx(0.05, rel=0.05)
    capped = estimate([frame], around, with_tiles=False)
    assert np.average(capped.profile * capped.scales[0]) == pytest.approx(0.05, rel=0.25)
    cut = np.flatnonzero(counts > 100).astype(np.int32)
    final = estimate([frame], around, [cut], with_tiles=False)
    level = (shape_of(final, around) * final.scales[0].mean())[around.usable].mean()
    assert level == pytest.approx(0.05, rel=0.05)


def test_streaks_and_shadows_are_followed(draw: Draw) -> None:
    """Structure without rings is found to 4 % at 1 photon per pixel from a block."""
    generator = np.random.default_rng(3)
    around, _ = make_surroundings()
    column = np.arange(around.canvas.size) % around.canvas.stride
    truth = around.usable * (1 + 0.8 * np.exp(-0.5 * ((column - 150) / 25) ** 2))
    frames = [draw(truth, generator) for _ in range(24)]
    found = estimate(frames, around, with_tiles=True)
    ours = shape_of(found, around) * found.scales.mean()
    off = ours[around.usable] / truth[around.usable] - 1
    assert np.sqrt(np.mean(off**2)) < 0.04
    flat = estimate(frames, around, with_tiles=False)
    off = shape_of(flat, around)[around.usable] * flat.scales.mean() / truth[around.usable] - 1
    assert np.sqrt(np.mean(off**2)) > 0.15


def test_no_photons_is_no_error(place: Callable[[np.ndarray], PlacedFrame]) -> None:
    """Frames without a photon give a small positive background."""
    around, _ = make_surroundings()
    empty = place(np.zeros(around.canvas.size, np.int64))
    found = estimate([empty, empty], around, with_tiles=True)
    level = shape_of(found, around)[around.usable]
    level = level * found.scales[0][around.ring[around.usable]]
    assert np.isfinite(level).all()
    assert (level > 0).all()
    assert level.mean() < 1e-4


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.02, 0.5, 6.0]))
@settings(max_examples=15)
def test_sums_without_spots(
    place: Callable[[np.ndarray], PlacedFrame], seed: int, level: float
) -> None:
    """Cut pixels count for nothing; others count up to their ring's cap."""
    generator = np.random.default_rng(seed)
    canvas = make_canvas(20, 150)
    ss, fs = np.mgrid[0:20, 0:150]
    usable = generator.random(ss.size) < 0.9
    around = survey(canvas, np.hypot(ss - 10, fs - 40).astype(np.int32).ravel(), usable)
    frames, cut_out, expected = [], [], []
    caps = generator.integers(2, 40, around.n_rings)
    for number in range(5):
        counts = generator.poisson(level * (1 + number), canvas.size)
        odd = generator.random(canvas.size) < 0.003
        counts[odd] = generator.integers(3, 100_000, odd.sum())
        counts[~around.usable] = 0
        frames.append(place(counts))
        cut = around.usable & (generator.random(canvas.size) < 0.02 * number)
        cut_out.append(np.flatnonzero(cut).astype(np.int32))
        kept = np.minimum(counts, caps[np.maximum(around.ring, 0)])
        expected.append(np.where(cut, 0, kept))
    sums = sum_frames(frames, around)
    totals, rings, bins = sums.totals.copy(), sums.rings.copy(), sums.bins.copy()
    kept = cut_spots(frames, around, sums, caps, cut_out)
    assert np.array_equal(kept.totals, np.sum(expected, axis=0))
    inside = around.ring >= 0
    by_ring = np.bincount(around.ring[inside], kept.totals[inside], minlength=around.n_rings)
    assert np.array_equal(kept.rings, by_ring)
    for number, counts in enumerate(expected):
        words = counts.reshape(-1, 64).sum(axis=1)
        known = around.word_bin >= 0
        by_bin = np.bincount(around.word_bin[known], words[known], minlength=around.n_bins)
        assert np.array_equal(kept.bins[number], by_bin)
    # What goes in is not changed.
    assert np.array_equal(sums.totals, totals)
    assert np.array_equal(sums.rings, rings)
    assert np.array_equal(sums.bins, bins)


def test_ring_sums_respect_caps_and_masks(to_frame: ToFrame) -> None:
    """Counts are cut at the ring's cap; unusable pixels and those off the canvas are left out."""
    slab = Slab("/data", ("%", "ss", "fs"), (1, 5), 0)
    canvas = build_canvas(Layout((slab,), (PanelWindow(0, 0, 0, 5, 1, 4),)))
    usable = np.array([True, True, False, True, True])
    around = survey(canvas, np.array([0, 1, 0, 1, -1], np.int32), usable)
    placed = canvas.lay(to_frame(np.array([7, 2, 9, 9, 9]), n_planes=2))
    kept = cut_spots([placed], around, sum_frames([placed], around), np.array([3, 5]), nothing(1))
    assert kept.rings.tolist() == [3, 7]


def test_profile_of_few_photons_is_wide() -> None:
    """Rings with few photons borrow from their neighbours and follow a slope."""
    generator = np.random.default_rng(4)
    truth = np.linspace(0.5, 1.5, 300)
    weight = np.full(300, 10.0)
    counts = generator.poisson(weight * truth).astype(float)
    profile, support = smooth_profile(counts, weight, 1e-4)
    assert (support > 100).all()
    assert (support < 0.5 * counts.sum()).all()
    assert np.sqrt(np.mean((profile / truth - 1) ** 2)) < 0.12


def make_stripes() -> Surroundings:
    """Return a detector whose 200 rings are stripes of 1000 pixels."""
    ring = np.repeat(np.arange(200, dtype=np.int32), 1000)
    return survey(make_canvas(400, 500), ring, np.ones(ring.size, np.bool_))


def test_scales_follow_zones_only_when_they_differ() -> None:
    """A frame with its own radial shape gets its own zones; others keep one scale."""
    generator = np.random.default_rng(5)
    around = make_stripes()
    profile = np.ones(200)
    bend = np.ones((40, 200))  # zones are compared with the mean over frames
    bend[2] = np.linspace(0.8, 1.2, 200)
    rings = generator.poisson(1000.0 * bend)
    sums = np.add.reduceat(rings, np.arange(0, 200, RINGS_PER_BIN), axis=1)
    whole = np.zeros((40, around.n_rings), np.int64), np.zeros((40, around.n_bins), np.int64)
    scales = frame_scales(sums, around, profile, *whole)
    assert np.ptp(scales[0]) < 0.01
    assert scales[2, 180] / scales[2, 20] == pytest.approx(bend[2, 180] / bend[2, 20], rel=0.05)
    others = np.delete(scales, 2, axis=0)
    assert (np.ptp(others, axis=1) < 0.01).sum() >= 37


def test_pixels_left_out_do_not_lower_the_scale() -> None:
    """A frame that has lost a tenth of a zone to spots keeps its scale there."""
    generator = np.random.default_rng(17)
    around = make_stripes()
    inside = np.flatnonzero(around.ring // 40 == 2).astype(np.int32)
    cut = np.sort(generator.choice(inside, inside.size // 10, replace=False))
    of_rings, of_bins = np.zeros((2, 200), np.int64), np.zeros((2, around.n_bins), np.int64)
    of_rings[1] = np.bincount(around.ring[cut], minlength=200)
    of_bins[1] = np.bincount(around.word_bin[cut >> 6], minlength=around.n_bins)
    rings = generator.poisson(2.0 * (around.ring_sizes - of_rings))
    sums = np.add.reduceat(rings, np.arange(0, 200, RINGS_PER_BIN), axis=1)
    scales = frame_scales(sums, around, np.ones(200), of_rings, of_bins)
    assert scales == pytest.approx(np.full((2, 200), 2.0), rel=0.01)


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


def test_liars_are_found(draw: Draw) -> None:
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
    rough = guess(frames, around)
    totals = total_counts([frame.planes for frame in frames], around.canvas)
    assert set(find_lying(frames, around, rough, *totals)) == {*hot, *flashing, *dead}
    few = total_counts([frame.planes for frame in frames[:3]], around.canvas)
    assert find_lying(frames[:3], around, rough, *few).size == 0


@pytest.mark.parametrize(("share", "most"), [(0.0, 0.00125), (0.02, 0.03)])
def test_charge_sharing_is_measured(
    place: Callable[[np.ndarray], PlacedFrame], share: float, most: float
) -> None:
    """Shared photons are told from chance neighbours; one step more is taken for caution."""
    generator = np.random.default_rng(8)
    around, _ = make_surroundings()
    frames = []
    for _ in range(40):
        counts = generator.poisson(0.02 * around.usable)
        shared = generator.binomial(counts, share)
        counts = (counts + np.roll(shared, 1)) * around.usable
        frames.append(place(counts))
    assert share <= measure_sharing(frames, around, nothing(40)) <= most


def test_a_few_photons_leave_charge_sharing_open(
    place: Callable[[np.ndarray], PlacedFrame],
) -> None:
    """A frame of a few hundred photons without neighbours is taken to share some."""
    generator = np.random.default_rng(8)
    around, _ = make_surroundings()
    frame = place(generator.poisson(0.0005 * around.usable))
    assert 0.0 < measure_sharing([frame], around, nothing(1)) <= 0.01
