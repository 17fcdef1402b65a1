"""The peak search of the kernels is that of the pixel-by-pixel version."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from cxlsfind.kernels.bright_pixels import (
    CLAIMED,
    Image,
    list_near,
    locate,
    select_bright_photons,
    select_bright_pixels,
)
from cxlsfind.kernels.peakfinder8 import Cuts, PeakTable, new_peak_table, search
from cxlsfind.kernels.rings import RingLimits, clip_dense

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
    image = Image(
        values,
        np.zeros(values.size, np.uint8),
        usable,
        rings,
        windows,
        np.full(len(windows), np.inf, np.float32),
    )
    found = _find(image, options)
    settings = naive_peakfinder8.Settings(**options)
    expected = naive_peakfinder8.find_peaks(values, usable, rings, windows, settings)
    rows = list(
        zip(
            found.panel.tolist(),
            found.fs.tolist(),
            found.ss.tolist(),
            found.intensity.tolist(),
            found.background.tolist(),
            found.snr.tolist(),
            found.n_pixels.tolist(),
            strict=True,
        )
    )
    assert rows == [
        (p.panel, p.fs, p.ss, p.intensity, p.background, p.snr, p.n_pixels) for p in expected
    ]


def _find(image: Image, options: dict[str, float]) -> PeakTable:
    limits = RingLimits(*(np.zeros(image.rings.max() + 1, np.float32) for _ in range(3)))
    min_snr = np.float32(options["min_snr"])
    narrow = (min_snr, np.float32(options["threshold"]))
    clip_dense(image.values, image.usable, image.state, image.rings, image.windows, narrow, limits)
    bright = np.zeros(image.values.size, np.int32)
    bright = bright[: select_bright_pixels(image, limits, bright)]
    panels = np.zeros(bright.size, np.int32)
    locate(bright, image.windows, panels)
    cuts = Cuts(
        min_snr,
        int(options["min_pix_count"]),
        int(options["max_pix_count"]),
        int(options["local_bg_radius"]),
    )
    table, claimed = new_peak_table(2048), np.zeros(bright.size, np.int32)
    n_peaks, n_claimed = search(image, limits, bright, panels, cuts, claimed, table)
    assert set(np.flatnonzero(image.state & CLAIMED)) == set(claimed[:n_claimed].tolist())
    return PeakTable._make(column[:n_peaks] for column in table)


def test_the_search_ends_when_the_table_is_full() -> None:
    values = np.zeros((30, 30), np.float32)
    values[2::4, 2::4] = 100.0
    values[::2, 1::4] = 1.0
    image = Image(
        values.ravel(),
        np.zeros(900, np.uint8),
        np.ones(900, np.bool_),
        np.ones(900, np.int32),
        np.array([[0, 30, 30, 30]]),
        np.array([np.inf], np.float32),
    )
    limits = RingLimits(*(np.full(2, 5.0, np.float32) for _ in range(3)))
    bright = np.flatnonzero(values > 5).astype(np.int32)
    panels, claimed = np.zeros(bright.size, np.int32), np.zeros(bright.size, np.int32)
    table = new_peak_table(10)
    cuts = Cuts(np.float32(1), 1, 9, 3)
    n_peaks, n_claimed = search(image, limits, bright, panels, cuts, claimed, table)
    assert (n_peaks, n_claimed) == (10, 10)
    assert table.ss.tolist() == [2] * 7 + [6] * 3


def test_bright_photons_are_the_bright_pixels() -> None:
    rng = np.random.default_rng(0)
    values = rng.poisson(1.0, 600).astype(np.float32)
    image = Image(
        values,
        rng.choice([0, 2, 4], 600).astype(np.uint8),
        rng.random(600) < 0.8,
        rng.integers(-1, 5, 600).astype(np.int32),
        np.array([[0, 30, 20, 30]]),
        np.array([np.inf], np.float32),
    )
    limits = RingLimits(*(np.arange(5, dtype=np.float32) for _ in range(3)))
    index = np.flatnonzero(values).astype(np.int32)
    full, sparse = np.zeros(600, np.int32), np.zeros(600, np.int32)
    n_full = select_bright_pixels(image, limits, full)
    count = values[index].astype(np.uint32)
    n_sparse = select_bright_photons(index, count, image, limits, np.float32(0), sparse)
    assert n_full > 20
    assert sparse[:n_sparse].tolist() == full[:n_full].tolist()


@given(
    pixels=st.sets(st.integers(0, 60)),
    bright=st.sets(st.integers(0, 60)),
    reach=st.integers(0, 9),
)
@settings(deadline=None)
def test_photons_near_bright_pixels(pixels: set[int], bright: set[int], reach: int) -> None:
    index = np.array(sorted(pixels), np.int32)
    near = np.zeros(index.size, np.int32)
    n_near = list_near(index, np.array(sorted(bright), np.int32), reach, near)
    expected = [pixel for pixel in sorted(pixels) if any(abs(pixel - b) <= reach for b in bright)]
    assert index[near[:n_near]].tolist() == expected


def test_panels_of_pixels() -> None:
    windows = np.array(WINDOWS["thin"])
    panels = np.zeros(24 * 26, np.int32)
    locate(np.arange(24 * 26, dtype=np.int32), windows, panels)
    expected = np.full((24, 26), -1)
    for panel, (start, stride, height, width) in enumerate(windows):
        ss, fs = divmod(start, stride)
        expected[ss : ss + height, fs : fs + width] = panel
    assert panels.reshape(24, 26).tolist() == expected.tolist()
