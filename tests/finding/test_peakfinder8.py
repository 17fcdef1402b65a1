"""The finder's settings, records, flags and workspace; equal results by both ways."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cxlsfind.errors import FrameError, UsageError
from cxlsfind.finding.peakfinder8 import Peakfinder8, Peakfinder8Settings
from cxlsfind.finding.photons import normalise
from cxlsfind.finding.ring_limits import RingStatistics
from cxlsfind.geometry.crystfel import parse_geometry
from cxlsfind.geometry.layout import build_layout, slab_key
from cxlsfind.geometry.maps import radius_bins
from cxlsfind.kernels.planes import planes_from_photons
from cxlsfind.kernels.ring_map import ring_map
from cxlsfind.records import PEAK_DTYPE, DenseFrame, PeakFlag, PlaneFrame

ENERGY = 9000.0
SHAPE = (40, 64)
NOWHERE = np.zeros(0, np.int32)


def _finder(detector: Any, usable: np.ndarray | None = None, **options: Any) -> Peakfinder8:
    settings = Peakfinder8Settings(**{"threshold": 3.0, **options})
    mask = detector.usable if usable is None else usable
    return Peakfinder8(settings, detector.geometry, detector.layout, ring_map(detector.bins), mask)


def _frame(
    detector: Any, raw: np.ndarray, usable: np.ndarray | None = None
) -> PlaneFrame | DenseFrame:
    mask = detector.usable if usable is None else usable
    return normalise(raw.ravel(), mask, detector.geometry, detector.layout, ENERGY)


def _planes(raw: np.ndarray, usable: np.ndarray, bad: np.ndarray, n_planes: int = 2) -> PlaneFrame:
    """Return counts with a number of planes that need not be the right one."""
    counts = np.where(usable, raw.ravel(), 0).astype(np.uint32)
    counts[bad] = 0
    index = np.flatnonzero(counts).astype(np.int32)
    planes = np.zeros((n_planes, -(-counts.size // 64)), np.uint64)
    listed, listed_count = np.zeros_like(index), np.zeros(index.size, np.uint32)
    n = planes_from_photons(index, counts[index], planes, listed, listed_count)
    return PlaneFrame(counts.size, planes, listed[:n], listed_count[:n], bad, NOWHERE)


def _raw(seed: int = 0, background: float = 0.3) -> np.ndarray:
    """Return photons with spots of 3 x 3 pixels at (ss, fs) = (10, 12), (20, 50), (30, 20)."""
    raw = np.random.default_rng(seed).poisson(background, SHAPE).astype(np.uint32)
    for ss, fs in ((10, 12), (20, 50), (30, 20)):
        raw[ss - 1 : ss + 2, fs - 1 : fs + 2] += np.array(
            [[5, 20, 5], [20, 90, 20], [5, 20, 5]], "u4"
        )
    return raw


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("threshold", float("nan")),
        ("threshold", float("inf")),
        ("min_snr", -1.0),
        ("min_snr", float("nan")),
        ("min_pix_count", 0),
        ("max_pix_count", 1),
        ("local_bg_radius", 0),
        ("min_res", -1),
        ("max_res", -5),
        ("max_res", float("nan")),
    ],
)
def test_nonsense_is_refused_with_the_option(option: str, value: float) -> None:
    name = "--" + option.replace("_", "-")
    with pytest.raises(UsageError, match=name):
        Peakfinder8Settings(**{"threshold": 3.0, option: value})  # type: ignore[arg-type]


def test_limits_of_the_radius_must_leave_something() -> None:
    with pytest.raises(UsageError, match=r"--max-res=20: expected .* more than --min-res=20"):
        Peakfinder8Settings(3.0, min_res=20, max_res=20)
    assert Peakfinder8Settings(3.0, min_res=20).max_res == 0


def test_peaks_and_their_quantities(two_panels: Any) -> None:
    peaks = _finder(two_panels).find(_frame(two_panels, _raw()), ENERGY)
    assert peaks.dtype == PEAK_DTYPE
    # Panel after panel as in the geometry, which has the right one first.
    assert peaks["panel"].tolist() == [0, 1, 1]
    np.testing.assert_allclose(peaks["fs"], [50.5, 12.5, 20.5], atol=0.1)
    np.testing.assert_allclose(peaks["ss"], [20.5, 10.5, 30.5], atol=0.1)
    np.testing.assert_allclose(peaks["intensity"], 190, atol=10)
    np.testing.assert_array_equal(peaks["photons"], peaks["intensity"])
    np.testing.assert_allclose(peaks["sigma_photons"], np.sqrt(195), rtol=0.1)
    np.testing.assert_allclose(peaks["background"], 0.3, atol=0.2)
    assert (peaks["snr"] > 100).all()
    assert (np.abs(peaks["n_pixels"] - 9) <= 1).all()
    assert peaks["flags"].tolist() == [0, 0, 0]
    for unknown in ("sigma_fs", "sigma_ss", "log_likelihood_ratio", "p_value", "inverse_d"):
        assert np.isnan(peaks[unknown]).all()


def test_blank_frames_have_no_peaks(two_panels: Any) -> None:
    finder = _finder(two_panels)
    assert finder.find(_frame(two_panels, np.zeros(SHAPE, np.uint16)), ENERGY).size == 0
    assert finder.find(_frame(two_panels, np.zeros(SHAPE, np.float32)), ENERGY).size == 0


def test_photons_are_readings_over_the_gain(two_panels: Any) -> None:
    lines = "left/adu_per_photon = 10\nright/adu_per_eV = 0.002\n"
    detector = two_panels.with_lines(lines)
    finder = _finder(detector)
    peaks = finder.find(_frame(detector, _raw().astype(np.float32)), ENERGY)
    gain = np.where(peaks["panel"] == 0, 18.0, 10.0)
    np.testing.assert_allclose(peaks["photons"], peaks["intensity"] / gain)
    counted = _finder(two_panels).find(_frame(two_panels, _raw()), ENERGY)
    np.testing.assert_allclose(peaks["background"], counted["background"] / gain, rtol=1e-6)
    with pytest.raises(FrameError, match="panel right"):
        finder.find(_frame(detector, _raw().astype(np.float32)), float("nan"))


@pytest.mark.parametrize("threshold", [-1.0, 0.0, 2.5, 70.0, 5e6, 1e30])
@pytest.mark.parametrize("min_snr", [1.0, 3.0])
@pytest.mark.parametrize("background", [0.0, 0.02, 0.5, 20.0])
def test_planes_and_arrays_give_the_same_bytes(
    two_panels: Any, threshold: float, min_snr: float, background: float
) -> None:
    rng = np.random.default_rng(1)
    usable = two_panels.usable.copy()
    usable[rng.random(usable.size) < 0.03] = False
    options = {"threshold": threshold, "min_snr": min_snr, "min_pix_count": 1, "min_res": 4}
    finder = _finder(two_panels, usable, **options)
    n_peaks = 0
    for seed in range(4):
        raw = _raw(seed, background)
        raw.flat[rng.integers(0, raw.size, 3)] = 5_000_000  # sums beyond single precision
        raw.flat[rng.integers(0, raw.size, 5)] = 20
        bad = np.flatnonzero(rng.random(raw.size) < 0.02).astype(np.int32)
        peaks = finder.find(DenseFrame(raw.ravel().astype(np.float32), bad, NOWHERE), ENERGY)
        for n_planes in (2, 3, 4, 6):
            planes = _planes(raw, usable, bad, n_planes)
            assert finder.find(planes, ENERGY).tobytes() == peaks.tobytes()
        n_peaks += peaks.size
    assert n_peaks > 0 or background == 0.0 or threshold > 1e6


@pytest.mark.parametrize("min_pix_count", [1, 3])
def test_frames_with_too_few_peaks_have_none(min_pix_count: int) -> None:
    """What is seen at once, from pixels above the threshold, is what the search finds."""
    finder = _finder_of_halves(200, 4.0, min_snr=5.0, min_pix_count=min_pix_count)
    rng = np.random.default_rng(3)
    n_seen = set()
    for n_spots in (0, 1, 2, 3, 5, 30):
        raw = rng.poisson(0.05, (200, 200)).astype(np.uint16)
        for ss, fs in rng.integers(2, 197, (n_spots, 2)):
            raw[ss : ss + 2, fs : fs + 2] += rng.poisson(rng.choice([4, 30]), (2, 2)).astype("u2")
        frame = _planes(raw, np.ones(raw.size, np.bool_), NOWHERE)
        dense = DenseFrame(raw.ravel().astype(np.float32), NOWHERE, NOWHERE)
        peaks = finder.find(frame, ENERGY)
        assert peaks.tobytes() == finder.find(dense, ENERGY).tobytes()
        n_seen.add(len(peaks))
        for at_least in range(len(peaks) + 4):
            found = finder.find(frame, ENERGY, at_least)
            assert found.tobytes() == (peaks if len(peaks) >= at_least else peaks[:0]).tobytes()
            assert len(finder.find(dense, ENERGY, at_least)) == len(found)
    assert len(n_seen) > 3


def test_frames_that_cannot_have_peaks_are_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Single bright pixels make no peaks of two: the rings are not even looked at."""
    finder = _finder_of_halves(200, 4.0, min_pix_count=2)
    raw = np.zeros((200, 200), np.uint16)
    raw[5:190:20, 7:190:40] = 50
    frame = _planes(raw, np.ones(raw.size, np.bool_), NOWHERE)

    def fail(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(RingStatistics, "of_counts", fail)
    assert finder.find(frame, ENERGY).size == 0
    raw[6, 8] = 50
    frame = _planes(raw, np.ones(raw.size, np.bool_), NOWHERE)
    assert finder.find(frame, ENERGY, 2).size == 0
    with pytest.raises(AssertionError):
        finder.find(frame, ENERGY)


def test_finding_leaves_no_trace(two_panels: Any) -> None:
    finder, fresh = _finder(two_panels), _finder(two_panels)
    raw = _raw()
    raw[5:9, 5:9] = 2**32 - 1
    finder.find(_frame(two_panels, raw), ENERGY)
    finder.find(_frame(two_panels, -raw.astype(np.float32)), ENERGY)
    frame = _frame(two_panels, _raw(1))
    assert finder.find(frame, ENERGY).tobytes() == fresh.find(frame, ENERGY).tobytes()


def test_pixels_bad_in_one_frame_are_not_used(two_panels: Any) -> None:
    finder = _finder(two_panels)
    bad = np.arange(18 * 64, 23 * 64, dtype=np.int32)
    peaks = finder.find(_planes(_raw(), two_panels.usable, bad), ENERGY)
    np.testing.assert_allclose(peaks["ss"], [10.5, 30.5], atol=0.1)


def test_saturated_peaks_are_flagged(two_panels: Any) -> None:
    raw = _raw().astype(np.uint16)
    raw[10, 12] = 65535
    peaks = _finder(two_panels).find(_frame(two_panels, raw), ENERGY)
    assert peaks["flags"].tolist() == [0, PeakFlag.SATURATED, 0]
    detector = two_panels.with_lines("left/max_adu = 85\n")
    peaks = _finder(detector).find(_frame(detector, _raw()), ENERGY)
    assert peaks["flags"].tolist() == [0, PeakFlag.SATURATED, PeakFlag.SATURATED]


@pytest.mark.parametrize("where", ["mask", "frame", "panel"])
def test_peaks_at_edges_are_flagged(two_panels: Any, where: str) -> None:
    usable = two_panels.usable.copy()
    raw = _raw()
    if where == "mask":
        usable[10 * 64 + 14] = False
    elif where == "panel":
        raw[30, 28:30] = 50
    frame = _frame(two_panels, raw, usable)
    if where == "frame":
        bad = np.array([10 * 64 + 14], np.int32)
        frame = _planes(raw, usable, bad)
    peaks = _finder(two_panels, usable).find(frame, ENERGY)
    edge = peaks[(peaks["flags"] & PeakFlag.EDGE) != 0]
    assert edge["ss"].round(1).tolist() == ([30.5] if where == "panel" else [10.5])
    assert len(peaks) == (4 if where == "panel" else 3)


def test_limits_of_the_radius(two_panels: Any) -> None:
    frame = _frame(two_panels, _raw())
    # The pixels of the spots are 20.2 to 22.9, 16.0 to 18.2 and 14.8 to 17.8 pixels from the beam.
    places = {
        (0, 0): [20.5, 10.5, 30.5],
        (0, 10): [],
        (0, 20): [20.5, 30.5],
        (20, 0): [10.5],
        (20, 30): [10.5],
        (30, 0): [],
    }
    for (min_res, max_res), expected in places.items():
        peaks = _finder(two_panels, min_res=min_res, max_res=max_res).find(frame, ENERGY)
        np.testing.assert_allclose(peaks["ss"], expected, atol=0.1)


def test_shift_of_the_detector_moves_the_limits(two_panels: Any) -> None:
    frame = _frame(two_panels, _raw())
    shift = (0.01, 0.0)  # 100 pixels
    rings = ring_map(radius_bins(two_panels.geometry, two_panels.layout, shift))
    parts = (two_panels.geometry, two_panels.layout, rings, two_panels.usable)
    settings = Peakfinder8Settings(3.0, min_res=60)
    assert Peakfinder8(settings, *parts, shift).find(frame, ENERGY).size == 3
    assert Peakfinder8(settings, *parts).find(frame, ENERGY).size == 0


def test_the_pixel_under_the_beam_is_left_out(two_panels: Any) -> None:
    raw = np.zeros(SHAPE, np.float32)
    raw[::2] = 0.5
    under_beam = np.flatnonzero(two_panels.bins == 0)
    raw.flat[under_beam] = 1000.0
    assert under_beam.size == 4
    finder = _finder(two_panels, threshold=100.0, min_pix_count=1, min_snr=1.0)
    assert finder.find(_frame(two_panels, raw), ENERGY).size == 0
    raw.flat[under_beam + 5] = 1000.0
    assert finder.find(_frame(two_panels, raw), ENERGY).size > 0


def test_peaks_stop_at_2048_in_the_order_of_panels() -> None:
    size = 200
    raw = np.random.default_rng(2).poisson(1.0, (size, size)).astype(np.uint16)
    raw[1::4, 1::4] = 80
    finder = _finder_of_halves(size, 10.0, min_snr=3.0, min_pix_count=1)
    frame = _planes(raw, np.ones(raw.size, np.bool_), NOWHERE)
    peaks = finder.find(frame, ENERGY)
    dense = DenseFrame(raw.ravel().astype(np.float32), NOWHERE, NOWHERE)
    assert peaks.tobytes() == finder.find(dense, ENERGY).tobytes()
    upper = np.count_nonzero(peaks["panel"] == 0)  # a few of 1250 lie on rings of too few pixels
    assert 1200 < upper <= 1250
    assert peaks["panel"].tolist() == [0] * upper + [1] * (2048 - upper)
    assert (peaks["ss"][:upper] > size // 2).all()


def _finder_of_halves(size: int, threshold: float, **options: Any) -> Peakfinder8:
    """Return a finder for a square detector of two panels, the upper one first."""
    text = TEXT_OF_HALVES.format(half=size // 2 - 1, first=size // 2, last=size - 1)
    geometry = parse_geometry(text, file="halves.geom")
    layout = build_layout(geometry, {slab_key(panel): (size, size) for panel in geometry.panels})
    settings = Peakfinder8Settings(threshold, **options)
    rings = ring_map(radius_bins(geometry, layout))
    return Peakfinder8(settings, geometry, layout, rings, np.ones(size * size, np.bool_))


TEXT_OF_HALVES = """\
photon_energy = 9000 eV
adu_per_photon = 1
clen = 0.1
res = 10000
data = /data
dim0 = %
dim1 = ss
dim2 = fs
min_fs = 0
max_fs = {last}
corner_x = -100
fs = x
ss = y

upper/min_ss = {first}
upper/max_ss = {last}
upper/corner_y = 0

lower/min_ss = 0
lower/max_ss = {half}
lower/corner_y = -100
"""
