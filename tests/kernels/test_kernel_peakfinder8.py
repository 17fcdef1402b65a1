"""The peak search of the kernels is that of the pixel-by-pixel version."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from cxlsfind.kernels.bright_pixels import (
    Detector,
    Image,
    keep_bright,
    list_bright,
    list_counts,
    value_at,
)
from cxlsfind.kernels.peakfinder8 import Cuts, PeakTable, bound_peaks, new_peak_table, search
from cxlsfind.kernels.planes import planes_from_photons, words_of
from cxlsfind.kernels.ring_map import ring_map
from cxlsfind.kernels.rings import RingLimits, clip_dense
from cxlsfind.kernels.windows import locate

#: One to three panels in an array of 24 x 26 pixels, out of order, some as thin as they get.
WINDOWS = {
    "one": [[0, 26, 24, 26]],
    "side by side": [[12, 26, 24, 14], [0, 26, 24, 12]],
    "thin": [[0, 26, 24, 1], [1, 26, 24, 2], [3, 26, 24, 3], [6, 26, 2, 20], [60, 26, 20, 15]],
}


@st.composite
def frames(draw: st.DrawFn) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Draw a frame, photons or readings, with spots; and its usable pixels."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    background = draw(st.sampled_from([0.0, 0.05, 0.5, 4.0, 1000.0]))
    values = rng.poisson(background, (24, 26)).astype(np.float64)
    ss, fs = np.mgrid[:24, :26]
    for _ in range(draw(st.integers(0, 12))):
        at, height = rng.uniform(-1, 26, 2), 10 ** rng.uniform(0, 4)
        shape = np.exp(-((ss - at[0]) ** 2 + (fs - at[1]) ** 2) / rng.uniform(0.3, 4))
        values += rng.poisson(height * shape)
    if draw(st.booleans()):
        values = (values + rng.normal(-1.0, 1.0, values.shape)) * draw(
            st.sampled_from([1.0, 0.1, 1e5])
        )
    usable = rng.random(values.size) < draw(st.sampled_from([1.0, 0.95, 0.4]))
    return values.astype(np.float32).ravel(), usable


@st.composite
def search_settings(draw: st.DrawFn) -> dict[str, float]:
    """Draw settings, sensible and mad."""
    return {
        "threshold": draw(st.sampled_from([-3.0, 0.0, 1.0, 2.5, 5.0])),
        "min_snr": draw(st.sampled_from([0.0, 0.5, 1.0, 3.0, 5.0])),
        "min_pix_count": draw(st.integers(1, 3)),
        "max_pix_count": draw(st.sampled_from([3, 10, 200])),
        "local_bg_radius": draw(st.integers(1, 6)),
    }


NOWHERE, NOTHING = np.zeros(0, np.int32), np.zeros(0, np.uint32)


def _words(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint64]:
    words = np.zeros(-(-mask.size // 64), np.uint64)
    words_of(mask, words)
    return words


def _image(
    values: npt.NDArray[np.float32],
    usable: npt.NDArray[np.bool_],
    rings: npt.NDArray[np.int32],
    n_planes: int = 0,
) -> Image:
    """Return a frame of values, or, with planes, of counts."""
    good, free = _words(usable), _words(usable & (rings > 0))
    bright = np.zeros_like(free)
    if not n_planes:
        no_planes = np.zeros((0, 0), np.uint64)
        return Image(values, no_planes, NOWHERE, NOTHING, good, free, bright, NOWHERE)
    counts = np.where(usable, values, 0).astype(np.uint32)
    index = np.flatnonzero(counts).astype(np.int32)
    planes = np.zeros((n_planes, good.size), np.uint64)
    listed, listed_count = np.zeros_like(index), np.zeros(index.size, np.uint32)
    n = planes_from_photons(index, counts[index], planes, listed, listed_count)
    return Image(values[:0], planes, listed[:n], listed_count[:n], good, free, bright, NOWHERE)


@settings(max_examples=150, deadline=None)
@given(frame=frames(), options=search_settings(), panels=st.sampled_from(sorted(WINDOWS)))
def test_peaks_are_those_of_the_naive_search(
    naive_peakfinder8: ModuleType,
    frame: tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]],
    options: dict[str, float],
    panels: str,
) -> None:
    values, usable = frame
    windows = np.array(WINDOWS[panels])
    ss, fs = np.mgrid[:24, :26]
    rings = np.rint(np.hypot(ss - 3, fs - 9)).astype(np.int32).ravel()
    inside = np.zeros(values.size, np.int32)
    locate(np.arange(values.size, dtype=np.int32), windows, inside)
    rings[inside < 0] = -1
    detector = Detector(ring_map(rings), windows, np.full(len(windows), np.inf, np.float32))
    settings = naive_peakfinder8.Settings(**options)
    expected = [
        (p.panel, p.fs, p.ss, p.intensity, p.background, p.snr, p.n_pixels)
        for p in naive_peakfinder8.find_peaks(values, usable, rings, windows, settings)
    ]
    limits = _limits_of(values, usable, detector, options, rings)
    bright = np.zeros(values.size, np.int32)
    image = _image(values, usable, rings)
    bright = bright[: list_bright(image, detector, limits, bright)]
    assert _find(image, detector, limits, bright, options) == expected
    if options["threshold"] < 0 or (values != np.floor(values)).any() or values.min() < 0:
        return
    for n_planes in (2, 4):
        image = _image(values, usable, rings, n_planes)
        pixels = np.zeros(values.size, np.int32)
        least = int(np.floor(options["threshold"])) + 1
        pixels = pixels[: list_counts(image, least, pixels)]
        assert pixels.tolist() == [
            p for p in range(values.size)
            if usable[p] and rings[p] > 0 and values[p] > options["threshold"]
        ]  # fmt: skip
        pixels = pixels[: keep_bright(pixels, image, detector.rings, limits)]
        order = np.argsort(inside[pixels], kind="stable")
        assert pixels[order].tolist() == bright.tolist()
        assert _find(image, detector, limits, pixels[order], options) == expected


def _limits_of(
    values: npt.NDArray[np.float32],
    usable: npt.NDArray[np.bool_],
    detector: Detector,
    options: dict[str, float],
    rings: npt.NDArray[np.int32],
) -> RingLimits:
    limits = RingLimits(*(np.zeros(detector.rings.n_rings, np.float32) for _ in range(3)))
    narrow = (np.float32(options["min_snr"]), np.float32(options["threshold"]))
    free = _words(usable & (rings > 0))
    clip_dense(values, free, detector.rings, detector.windows, narrow, limits)
    return limits


def _find(
    image: Image,
    detector: Detector,
    limits: RingLimits,
    bright: npt.NDArray[np.int32],
    options: dict[str, float],
) -> list[tuple[float, ...]]:
    panels = np.zeros(bright.size, np.int32)
    locate(bright, detector.windows, panels)
    cuts = Cuts(
        np.float32(options["threshold"]),
        np.float32(options["min_snr"]),
        int(options["min_pix_count"]),
        int(options["max_pix_count"]),
        int(options["local_bg_radius"]),
    )
    rest, claimed = image.free.copy(), np.zeros(int(image.free.size) * 64, np.int32)
    inside = bright[panels >= 0]
    most, n_claimed = bound_peaks(
        image._replace(free=rest), detector, inside, panels[panels >= 0],
        cuts.min_pix_count, claimed,
    )  # fmt: skip
    assert set(inside.tolist()) <= set(claimed[:n_claimed].tolist())
    before = image.free.copy()
    table, claimed = new_peak_table(2048), np.zeros(bright.size, np.int32)
    n_peaks, n_claimed = search(image, detector, limits, bright, panels, cuts, claimed, table)
    assert n_peaks <= most
    assert not image.bright.any()
    taken = np.zeros(before.size * 64, np.bool_)
    taken[claimed[:n_claimed]] = True
    np.testing.assert_array_equal(before & ~_words(taken), image.free)
    found = PeakTable._make(column[:n_peaks] for column in table)
    names = ("panel", "fs", "ss", "intensity", "background", "snr", "n_pixels")
    return list(zip(*(getattr(found, name).tolist() for name in names), strict=True))


def test_the_search_ends_when_the_table_is_full() -> None:
    values = np.zeros((30, 30), np.float32)
    values[2::4, 2::4] = 100.0
    values[::2, 1::4] = 1.0
    rings = np.ones(900, np.int32)
    image = _image(values.ravel(), np.ones(900, np.bool_), rings)
    windows = np.array([[0, 30, 30, 30]])
    detector = Detector(ring_map(rings), windows, np.array([np.inf], np.float32))
    limits = RingLimits(*(np.full(2, 5.0, np.float32) for _ in range(3)))
    bright = np.flatnonzero(values > 5).astype(np.int32)
    panels, claimed = np.zeros(bright.size, np.int32), np.zeros(bright.size, np.int32)
    table = new_peak_table(10)
    cuts = Cuts(np.float32(5), np.float32(1), 1, 9, 3)
    n_peaks, n_claimed = search(image, detector, limits, bright, panels, cuts, claimed, table)
    assert (n_peaks, n_claimed) == (10, 10)
    assert table.ss.tolist() == [2] * 7 + [6] * 3


def test_values_and_lists_of_counts() -> None:
    rng = np.random.default_rng(0)
    values = rng.poisson(1.0, 600).astype(np.float32)
    values[rng.integers(0, 600, 9)] = 17.0
    usable, rings = rng.random(600) < 0.8, rng.integers(-1, 5, 600).astype(np.int32)
    for n_planes in (2, 4):
        image = _image(values, usable, rings, n_planes)
        assert [value_at(*image[:4], k) for k in range(600)] == np.where(usable, values, 0).tolist()
        for least in range(1, 20):
            expected = np.flatnonzero(usable & (rings > 0) & (values >= least)).tolist()
            pixels = np.full(600, -1, np.int32)
            assert list_counts(image, least, pixels) == len(expected)
            assert pixels[: len(expected)].tolist() == expected


def test_panels_of_pixels() -> None:
    windows = np.array(WINDOWS["thin"])
    panels = np.zeros(24 * 26, np.int32)
    locate(np.arange(24 * 26, dtype=np.int32), windows, panels)
    expected = np.full((24, 26), -1)
    for panel, (start, stride, height, width) in enumerate(windows):
        ss, fs = divmod(start, stride)
        expected[ss : ss + height, fs : fs + width] = panel
    assert panels.reshape(24, 26).tolist() == expected.tolist()
