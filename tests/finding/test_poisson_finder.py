"""The finder as a whole: planted spots come back, blanks stay blank, nothing upsets it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from cxlsfind.errors import UsageError
from cxlsfind.finding.poisson.canvas import build_canvas
from cxlsfind.finding.poisson.finder import BlockResult, PoissonFinder
from cxlsfind.finding.poisson.settings import FrameClass, PoissonSettings
from cxlsfind.finding.poisson.shapes import gaussian_taps
from cxlsfind.geometry.layout import Layout, PanelWindow, Slab, build_layout, slab_key
from cxlsfind.geometry.model import BeamKind, Geometry, Panel, Quantity
from cxlsfind.records import PeakFlag, PlaneFrame

HEIGHT, WIDTH = 300, 360
WINDOW = PanelWindow(0, 0, 0, WIDTH, HEIGHT, WIDTH)
ToFrame = Callable[..., PlaneFrame]


def make_finder(settings: PoissonSettings, *, dead: int = 0) -> PoissonFinder:
    panel = Panel(
        name="p0",
        min_fs=0,
        max_fs=WIDTH - 1,
        min_ss=0,
        max_ss=HEIGHT - 1,
        corner_x=-WIDTH / 2,
        corner_y=-HEIGHT / 2,
        fs=(1.0, 0.0, 0.0),
        ss=(0.0, 1.0, 0.0),
        res=1e4,
        adu_per_photon=1.0,
        adu_per_ev=None,
    )
    geometry = Geometry(
        "t.geom", "", (panel,), BeamKind.PHOTON_ENERGY, Quantity(7000.0), Quantity(0.1)
    )
    usable = np.ones((HEIGHT, WIDTH), np.bool_)
    usable[:, :dead] = False
    layout = build_layout(geometry, {slab_key(panel): (HEIGHT, WIDTH)})
    return PoissonFinder(settings, geometry, layout, usable.ravel())


def add_spot(mean: np.ndarray, fs: float, ss: float, photons: float, sigma: float = 0.6) -> None:
    """Add a spot centred at (fs, ss), measured from the corner of pixel 0."""
    row, column = int(ss), int(fs)
    taps = gaussian_taps(sigma, 6, fs=fs - column - 0.5, ss=ss - row - 0.5).reshape(13, 13)
    mean[row - 6 : row + 7, column - 6 : column + 7] += photons * taps


def draw_blanks(to_frame: ToFrame, number: int, level: float, seed: int) -> list[PlaneFrame]:
    generator = np.random.default_rng(seed)
    return [to_frame(generator.poisson(level, (HEIGHT, WIDTH))) for _ in range(number)]


def same(one: BlockResult, two: BlockResult) -> bool:
    return all(
        a.peaks.tobytes() == b.peaks.tobytes() and a.hit_p_value == b.hit_p_value
        for a, b in zip(one.frames, two.frames, strict=True)
    ) and np.array_equal(one.usable, two.usable)


def test_planted_spots_are_found_and_measured(to_frame: ToFrame) -> None:
    """Spots come back where they are, with their photons, most significant first."""
    generator = np.random.default_rng(1)
    places = [(30.2, 40.7), (200.5, 150.1), (320.9, 280.4), (100.0, 250.5)]
    mean = np.full((HEIGHT, WIDTH), 0.1)
    for number, (fs, ss) in enumerate(places):
        add_spot(mean, fs, ss, 60.0 * (number + 1))
    frames = [to_frame(generator.poisson(mean)) for _ in range(4)]
    for result in make_finder(PoissonSettings(false_peaks=0.05)).find_block(frames).frames:
        peaks = result.peaks[: result.n_peaks]
        assert result.is_hit
        assert result.frame_class is FrameClass.HIT
        assert result.hit_log_bayes_factor > 50
        assert (np.diff(peaks["p_value"]) >= 0).all()
        for number, (fs, ss) in enumerate(places):
            distance = np.hypot(peaks["fs"] - fs, peaks["ss"] - ss)
            best = int(np.argmin(distance))
            assert distance[best] < 5 * peaks["sigma_fs"][best] + 0.02
            photons = 60.0 * (number + 1)
            assert abs(peaks["photons"][best] - photons) < 5 * peaks["sigma_photons"][best]
        assert len(peaks) <= len(places) + 2


@pytest.mark.parametrize("level", [1e-3, 0.05, 1.0])
def test_blanks_are_blank(to_frame: ToFrame, level: float) -> None:
    """False peaks keep to the number asked, and no blank is a hit (at one in a million)."""
    settings = PoissonSettings(false_peaks=1.0, hit_fpr=1e-6)
    frames = draw_blanks(to_frame, 40, level, seed=int(1e4 * level))
    results = make_finder(settings).find_block(frames).frames
    found = sum(result.n_peaks for result in results)
    expected = sum(result.expected_false for result in results)
    assert expected <= 1.25 * len(frames)
    assert abs(found - expected) < 4.5 * math.sqrt(expected)
    assert not any(result.is_hit for result in results)
    assert {result.frame_class for result in results} == {FrameClass.BLANK}
    deep = sum(len(result.peaks) for result in results)
    assert found <= deep <= 12.5 * len(frames) * 1.5


def test_results_are_reproducible(to_frame: ToFrame) -> None:
    """The same block gives the same bytes, with the same finder or another one."""
    frames = draw_blanks(to_frame, 5, 0.2, seed=3)
    settings = PoissonSettings(false_peaks=3.0)
    finder = make_finder(settings)
    first = finder.find_block(frames)
    assert same(first, finder.find_block(frames))
    assert same(first, make_finder(settings).find_block(frames))


def test_the_number_of_planes_makes_no_difference(to_frame: ToFrame) -> None:
    """Counts that two planes hold give the same bytes with more of them, even mixed in a block."""
    generator = np.random.default_rng(17)
    mean = np.full((HEIGHT, WIDTH), 0.02)
    for fs in (61.3, 140.5, 300.1):
        add_spot(mean, fs, 100.2, 9.0, sigma=1.1)
    counts = [np.minimum(generator.poisson(mean), 2) for _ in range(4)]
    finder = make_finder(PoissonSettings(false_peaks=3.0))
    first = finder.find_block([to_frame(each, n_planes=2) for each in counts])
    assert sum(result.n_peaks for result in first.frames) >= 8
    for numbers in ((4, 4, 4, 4), (8, 2, 6, 4)):
        frames = [to_frame(each, n_planes=n) for each, n in zip(counts, numbers, strict=True)]
        assert same(first, finder.find_block(frames))


def test_counts_beyond_the_planes_are_seen(to_frame: ToFrame) -> None:
    """Spots that overflow their planes are found and measured as with more planes."""
    generator = np.random.default_rng(18)
    mean = np.full((HEIGHT, WIDTH), 0.02)
    places = [(61.3, 100.2, 40.0), (140.5, 180.1, 300.0), (300.1, 60.6, 5000.0)]
    for fs, ss, photons in places:
        add_spot(mean, fs, ss, photons)
    counts = generator.poisson(mean)
    finder = make_finder(PoissonSettings(false_peaks=0.01))
    for n_planes in (2, 4, 8):
        result = finder.find_block([to_frame(counts, n_planes=n_planes)]).frames[0]
        peaks = result.peaks[: result.n_peaks]
        assert len(peaks) == 3
        for peak, (fs, ss, photons) in zip(np.sort(peaks, order="fs"), places, strict=True):
            assert math.hypot(peak["fs"] - fs, peak["ss"] - ss) < 0.3
            # Counts that are painted stop at 4095, far above all of these.
            assert peak["photons"] == pytest.approx(photons, rel=5 / math.sqrt(photons))


def test_degenerate_frames(to_frame: ToFrame) -> None:
    """No photon, one photon, one frame, one absurd count: no error, no warning, sane numbers."""
    finder = make_finder(PoissonSettings())
    empty = np.zeros((HEIGHT, WIDTH), np.int64)
    one = empty.copy()
    one[100, 100] = 1
    bright = empty.copy()
    bright[50, 50] = 4_000_000_000
    for block in ([empty], [one], [empty, one], [one] * 20, [bright], [empty, bright, one]):
        for result in finder.find_block([to_frame(counts) for counts in block]).frames:
            assert 0.0 < result.hit_p_value <= 1.0
            assert np.isfinite(result.background).all()
            assert np.isfinite(result.peaks["photons"]).all()
            assert (result.peaks["intensity"] > 0).all()


def test_hot_pixel_is_masked_and_a_single_flash_is_refused(to_frame: ToFrame) -> None:
    """A pixel that fires in every frame leaves the mask; one that fires once makes no peak."""
    generator = np.random.default_rng(9)
    frames = []
    for number in range(30):
        counts = generator.poisson(0.01, (HEIGHT, WIDTH))
        counts[70, 80] += 5
        if number == 7:
            counts[200, 220] += 12
        frames.append(to_frame(counts))
    block = make_finder(PoissonSettings(hit_fpr=1e-5)).find_block(frames)
    bad = np.flatnonzero(~block.usable)
    assert bad.tolist() == [70 * WIDTH + 80]
    peaks = block.frames[7].peaks
    assert not (np.hypot(peaks["fs"] - 220.5, peaks["ss"] - 200.5) < 3).any()
    assert not any(result.is_hit for result in block.frames)


def test_a_spot_that_stays_is_no_lying_pixel(to_frame: ToFrame) -> None:
    """A crystal that stays for some frames keeps its spots."""
    generator = np.random.default_rng(16)
    mean = np.full((HEIGHT, WIDTH), 0.02)
    with_spot = mean.copy()
    add_spot(with_spot, 100.4, 90.6, 80.0)
    frames = [to_frame(generator.poisson(with_spot if t < 9 else mean)) for t in range(32)]
    block = make_finder(PoissonSettings(false_peaks=0.01, hit_fpr=1e-5)).find_block(frames)
    assert block.usable.all()
    assert [result.is_hit for result in block.frames] == [True] * 9 + [False] * 23


def test_shutter_and_jet(to_frame: ToFrame) -> None:
    """Frames without beam and without jet are named, and do not spoil the others."""
    generator = np.random.default_rng(10)
    ss, fs = np.mgrid[0:HEIGHT, 0:WIDTH]
    radius = np.hypot(ss - HEIGHT / 2, fs - WIDTH / 2)
    water = 0.2 * (0.5 + np.exp(-0.5 * ((radius - 100) / 20) ** 2))
    air = 0.05 * np.exp(-radius / 50)
    frames = [to_frame(generator.poisson(1e-6, radius.shape)) for _ in range(8)]
    frames += [to_frame(generator.poisson(water)) for _ in range(12)]
    frames += [to_frame(generator.poisson(air)) for _ in range(8)]
    results = make_finder(PoissonSettings(hit_fpr=1e-6)).find_block(frames).frames
    classes = [result.frame_class for result in results]
    assert classes[:8] == [FrameClass.BEAM_OFF] * 8
    assert classes[8:20] == [FrameClass.BLANK] * 12
    assert classes[20:] == [FrameClass.NO_JET] * 8
    assert sum(result.n_peaks for result in results[8:]) < 20 + 5 * math.sqrt(20)


@pytest.mark.parametrize("apart", [5.0, 6.0, 8.0])
def test_touching_spots_are_told_apart(to_frame: ToFrame, apart: float) -> None:
    """Two spots of 200 photons, five pixels apart, are two peaks at their places."""
    generator = np.random.default_rng(11)
    mean = np.full((HEIGHT, WIDTH), 0.1)
    add_spot(mean, 150.3, 120.6, 200.0)
    add_spot(mean, 150.3 + apart, 120.6, 200.0)
    finder = make_finder(PoissonSettings(false_peaks=0.01))
    resolved = 0
    for _ in range(20):
        result = finder.find_block([to_frame(generator.poisson(mean))]).frames[0]
        peaks = result.peaks[: result.n_peaks]
        near = peaks[np.hypot(peaks["fs"] - 150 - apart / 2, peaks["ss"] - 120.6) < 12]
        places = np.sort(near["fs"])
        resolved += len(places) == 2 and bool(np.all(np.abs(places - [150.3, 150.3 + apart]) < 0.4))
    assert resolved >= 18


@pytest.mark.parametrize("level", [0.01, 0.2])
def test_a_crystal_that_stands_still(to_frame: ToFrame, level: float) -> None:
    """Twenty spots at the same places in every frame are spots; three are what lies."""
    generator = np.random.default_rng(21)
    places = [
        (fs, ss) for fs in (40.3, 100.7, 160.5, 220.2, 300.4) for ss in (50.6, 120.1, 190.8, 250)
    ]
    finder = make_finder(PoissonSettings(false_peaks=0.1))
    for shown, is_crystal in ((places, True), (places[:3], False)):
        mean = np.full((HEIGHT, WIDTH), level)
        for fs, ss in shown:
            add_spot(mean, fs, ss, 100.0, sigma=0.8)
        found = finder.find_block([to_frame(generator.poisson(mean)) for _ in range(40)])
        # The middles of spots are left out where they are taken for faults.
        middles = [int(ss) * WIDTH + int(fs) for fs, ss in shown]
        assert found.usable[middles].all() == is_crystal
        if is_crystal:
            assert np.mean([result.n_peaks for result in found.frames]) > 0.97 * len(shown)


@pytest.mark.parametrize("n_planes", [2, 8])
def test_glare_makes_no_liars(to_frame: ToFrame, n_planes: int) -> None:
    """Spots of thirty thousand photons, elsewhere in every frame, make no pixel look faulty."""
    generator = np.random.default_rng(23)
    frames = []
    for number in range(20):
        mean = np.full((HEIGHT, WIDTH), 0.1)
        for fs, ss in generator.uniform(10, HEIGHT - 10, (5 * (number % 2), 2)):
            add_spot(mean, fs, ss, 3e4, sigma=0.8)
        frames.append(to_frame(generator.poisson(mean), n_planes=n_planes))
    found = make_finder(PoissonSettings(false_peaks=0.01)).find_block(frames)
    assert found.usable.all()
    assert [result.is_hit for result in found.frames] == [False, True] * 10


def test_frames_that_come_more_than_once(to_frame: ToFrame) -> None:
    """A frame has the same peaks however often it is listed, and copies teach nothing."""
    generator = np.random.default_rng(22)
    mean = np.full((HEIGHT, WIDTH), 0.05)
    for fs, ss in ((100.5, 100.5), (200.5, 200.5)):
        add_spot(mean, fs, ss, 80.0)
    settings = PoissonSettings(false_peaks=1.0)
    one, two = (generator.poisson(mean) for _ in range(2))
    order = [0, 1] * 10 + [1, 0, 0] * 10
    both = make_finder(settings).find_block([to_frame(one), to_frame(two)])
    many = make_finder(settings).find_block([to_frame((one, two)[k]) for k in order])
    assert same(many, BlockResult(tuple(both.frames[k] for k in order), both.usable, both.light))
    np.testing.assert_array_equal(many.light, both.light)
    # What is written into one result later is not to show in another.
    many.frames[0].peaks["inverse_d"] = 7.0
    assert not (many.frames[2].peaks["inverse_d"] == 7.0).any()
    # Empty frames are observations all the same.
    empty = [to_frame(np.zeros((HEIGHT, WIDTH), np.int64))] * 20
    assert all(
        result.frame_class is FrameClass.BEAM_OFF
        for result in make_finder(settings).find_block([to_frame(one), *empty]).frames[1:]
    )


def test_pixels_that_lie_are_cleared_in_copies_too(to_frame: ToFrame) -> None:
    """What comes after the finder sees no photon of theirs in any frame."""
    generator = np.random.default_rng(24)
    counts = generator.poisson(0.05, (20, HEIGHT, WIDTH))
    counts[:, 100, 100] += 5
    canvas = build_canvas(
        Layout((Slab("/data", ("%", "ss", "fs"), (HEIGHT, WIDTH), 0),), (WINDOW,))
    )
    placed = [canvas.lay(to_frame(counts[k])) for k in (*range(20), 3, 0)]
    found = make_finder(PoissonSettings()).find_placed(placed)
    assert np.flatnonzero(~found.usable).tolist() == [100 * WIDTH + 100]
    word, bit = divmod(int(canvas.place[100 * WIDTH + 100]), 64)
    assert not any(
        (frame.planes[:, word] >> np.uint64(bit) & np.uint64(1)).any() for frame in placed
    )
    assert np.array_equal(placed[20].planes, placed[3].planes)


def test_a_bright_spot_is_one_peak(to_frame: ToFrame) -> None:
    """Wide and bright spots do not break up."""
    generator = np.random.default_rng(12)
    mean = np.full((HEIGHT, WIDTH), 0.05)
    add_spot(mean, 100.5, 100.5, 3000.0, sigma=0.6)
    add_spot(mean, 200.5, 200.5, 800.0, sigma=1.2)
    frames = [to_frame(generator.poisson(mean)) for _ in range(10)]
    for result in make_finder(PoissonSettings(false_peaks=0.01)).find_block(frames).frames:
        assert result.n_peaks == 2


def test_flags_and_limits(to_frame: ToFrame) -> None:
    """Edge and saturation are flagged, and the list is cut by rank."""
    generator = np.random.default_rng(13)
    mean = np.full((HEIGHT, WIDTH), 0.05)
    add_spot(mean, 61.0, 100.5, 300.0)
    add_spot(mean, 200.5, 200.5, 500.0)
    counts = generator.poisson(mean)
    counts[:, :60] = 0
    frame = to_frame(counts, censored=np.array([200 * WIDTH + 200], np.int32))
    settings = PoissonSettings(false_peaks=0.01)
    peaks = make_finder(settings, dead=60).find_block([frame]).frames[0].peaks
    assert len(peaks) == 2
    assert peaks["flags"].tolist() == [PeakFlag.SATURATED, PeakFlag.EDGE]
    assert peaks["photons"][0] == pytest.approx(500.0, rel=0.2)
    assert peaks["intensity"] == pytest.approx(peaks["photons"])
    best = PoissonSettings(false_peaks=0.01, max_peaks=1)
    only = make_finder(best, dead=60).find_block([frame]).frames[0].peaks
    assert only["fs"].tolist() == [peaks["fs"][0]]


def test_classical_rule(to_frame: ToFrame) -> None:
    """With a fewest number of peaks, that number alone decides."""
    generator = np.random.default_rng(14)
    mean = np.full((HEIGHT, WIDTH), 0.05)
    add_spot(mean, 100.5, 100.5, 100.0)
    frame = to_frame(generator.poisson(mean))
    for fewest, expected in ((1, True), (4, False)):
        settings = PoissonSettings(false_peaks=0.01, min_peaks=fewest)
        assert make_finder(settings).find_block([frame]).frames[0].is_hit is expected


@pytest.mark.parametrize("pulses", [1.0, 10.0])
def test_few_pulses(to_frame: ToFrame, pulses: float) -> None:
    """Binomial counts keep to the false peaks asked for, and spots are found."""
    generator = np.random.default_rng(15)
    mean = np.full((HEIGHT, WIDTH), 0.1)
    frames = [
        to_frame(generator.binomial(int(pulses), -np.expm1(-mean / pulses))) for _ in range(30)
    ]
    add_spot(mean, 100.5, 100.5, 100.0, sigma=0.8)
    frames += [
        to_frame(generator.binomial(int(pulses), -np.expm1(-mean / pulses))) for _ in range(10)
    ]
    settings = PoissonSettings(false_peaks=1.0, pulses_per_frame=pulses)
    results = make_finder(settings).find_block(frames).frames
    expected = sum(result.expected_false for result in results[:30])
    assert abs(sum(r.n_peaks for r in results[:30]) - expected) < 4.5 * math.sqrt(expected)
    assert all(result.is_hit for result in results[30:])


@pytest.mark.parametrize(
    "wrong",
    [
        {"false_peaks": 0.0},
        {"max_peaks": 0},
        {"hit_fpr": 1.0},
        {"pulses_per_frame": 0.5},
    ],
)
def test_settings_refuse_nonsense(wrong: dict[str, float]) -> None:
    """Numbers out of range are usage errors that name the option."""
    option = next(iter(wrong)).replace("_", "-")
    with pytest.raises(UsageError, match=f"--{option}"):
        PoissonSettings(**wrong)


def test_tracks_of_particles_are_no_peaks(to_frame):
    """Rows of pixels that fire once each neither are peaks nor make hits; spots beside them are."""
    generator = np.random.default_rng(8)
    frames, n_spots = [], 0
    for number in range(32):
        mean = np.full((HEIGHT, WIDTH), 1e-3)
        if number % 2:
            add_spot(mean, 100.3, 60.8, 30.0)
            n_spots += 1
        counts = generator.poisson(mean)
        for _ in range(10):
            angle, length = generator.uniform(0.0, np.pi), generator.uniform(6.0, 14.0)
            steps = np.arange(0.0, length, 0.5)
            ss = generator.integers(20, HEIGHT - 20) + np.sin(angle) * steps
            fs = generator.integers(130, WIDTH - 20) + np.cos(angle) * steps
            places = np.unique(np.column_stack([ss, fs]).astype(int), axis=0)
            counts[places[:, 0], places[:, 1]] += 1
        frames.append(to_frame(counts))
    results = make_finder(PoissonSettings(false_peaks=0.01)).find_block(frames).frames
    peaks = [result.peaks[: result.n_peaks] for result in results]
    on_spot = [np.hypot(p["fs"] - 100.3, p["ss"] - 60.8) < 2.0 for p in peaks]
    assert sum(each.sum() for each in on_spot) >= n_spots - 1
    # Of 320 tracks some cross or touch and are no straight rows.
    assert sum((~each).sum() for each in on_spot) <= 16
    assert sum(result.is_hit for result in results[::2]) <= 6


def test_spots_four_pixels_apart(to_frame: ToFrame) -> None:
    """Both of two touching spots are found, once each, and a wide spot is one."""
    generator = np.random.default_rng(17)
    n_found = np.zeros(3, np.int64)
    for _ in range(24):
        mean = np.full((HEIGHT, WIDTH), 0.1)
        ends = [(100.2, 60.4), (102.8, 63.4)]
        for fs, ss in ends:
            add_spot(mean, fs, ss, 25.0)
        add_spot(mean, 200.5, 200.5, 50.0, sigma=1.2)
        frame = to_frame(generator.poisson(mean))
        (result,) = make_finder(PoissonSettings(false_peaks=0.01)).find_block([frame]).frames
        peaks = result.peaks[: result.n_peaks]
        for number, (fs, ss) in enumerate([*ends, (200.5, 200.5)]):
            reach = 1.5 if number < 2 else 4.0
            near = np.hypot(peaks["fs"] - fs, peaks["ss"] - ss) < reach
            n_found[number] += np.count_nonzero(near)
    assert (n_found[:2] >= 21).all()
    assert (n_found[:2] <= 24).all()
    assert 24 <= n_found[2] <= 25
