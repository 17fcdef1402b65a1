"""Raw frames become photon lists or full arrays, with their bad and censored pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cxlsfind.errors import FrameError
from cxlsfind.finding.photons import FrameMaker, normalise, photons_from_adu
from cxlsfind.finding.planes import photon_list
from cxlsfind.records import DenseFrame, PlaneFrame

ENERGY = 9000.0


def _normalise(
    detector: Any, raw: np.ndarray, usable: np.ndarray | None = None
) -> PlaneFrame | DenseFrame:
    mask = detector.usable if usable is None else usable
    return normalise(raw, mask, detector.geometry, detector.layout, ENERGY)


def _raw(dtype: str, values: dict[int, float]) -> np.ndarray:
    raw = np.zeros(40 * 64, dtype)
    for pixel, value in values.items():
        raw[pixel] = value
    return raw


@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i1", "i2", "i4"])
def test_integers_become_bit_planes(two_panels: Any, dtype: str, byte_order: str) -> None:
    largest = np.iinfo(dtype).max
    usable = two_panels.usable.copy()
    usable[[5, 6]] = False
    raw = _raw(byte_order + dtype, {3: 2, 5: 9, 6: largest, 90: largest, 100: 1})
    frame = _normalise(two_panels, raw, usable)
    assert isinstance(frame, PlaneFrame)
    assert frame.n_pixels == raw.size
    assert frame.planes.shape == (2, raw.size // 64)
    assert frame.index.tolist() == [90]
    assert frame.count.tolist() == [largest]
    assert photon_list(frame).index.tolist() == [3, 90, 100]
    assert photon_list(frame).count.tolist() == [2, largest, 1]
    assert frame.censored.tolist() == [90]
    assert frame.bad.tolist() == []
    for array, kind in ((frame.index, "i4"), (frame.count, "u4"), (frame.bad, "i4")):
        assert array.dtype == kind
    assert frame.censored.dtype == np.int32


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4"])
def test_negative_counts_are_marks_of_bad_pixels(two_panels: Any, dtype: str) -> None:
    usable = two_panels.usable.copy()
    usable[9] = False
    raw = _raw(dtype, {3: -1, 4: 7, 8: -2, 9: -1, 60: np.iinfo(dtype).min})
    frame = _normalise(two_panels, raw, usable)
    assert isinstance(frame, PlaneFrame)
    assert frame.bad.tolist() == [3, 8, 60]
    assert photon_list(frame).index.tolist() == [4]


def test_integers_with_another_gain_are_readings(two_panels: Any) -> None:
    detector = two_panels.with_lines("left/adu_per_photon = 25\n")
    frame = _normalise(detector, _raw("i2", {3: -4, 7: 50, 8: 32767}))
    assert isinstance(frame, DenseFrame)
    assert frame.values.dtype == np.float32
    assert frame.values[[3, 7, 8]].tolist() == [-4.0, 50.0, 32767.0]
    assert frame.bad.tolist() == []
    assert frame.censored.tolist() == [8]


def test_gain_per_ev_of_a_counting_detector(two_panels: Any) -> None:
    lines = "left/adu_per_eV = 0.00011\nright/adu_per_eV = 0.00011\n"  # 1 / 9091 eV
    detector = two_panels.with_lines(lines)
    raw = _raw("u4", {3: 4})
    assert isinstance(_normalise(detector, raw), PlaneFrame)
    far = normalise(raw, detector.usable, detector.geometry, detector.layout, 18000.0)
    assert isinstance(far, DenseFrame)


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8"])
def test_floats_stay_arrays(two_panels: Any, dtype: str) -> None:
    usable = two_panels.usable.copy()
    usable[2] = False
    raw = _raw(dtype, {1: np.nan, 2: np.nan, 3: np.inf, 4: -np.inf, 5: -2.5, 6: 1e9})
    if dtype.endswith("8"):
        raw[70] = 1e300
    frame = _normalise(two_panels, raw, usable)
    assert isinstance(frame, DenseFrame)
    assert frame.values.dtype == np.dtype(np.float32)
    assert frame.bad.tolist() == [1, 3, 4] + ([70] if dtype.endswith("8") else [])
    assert frame.bad.dtype == np.int32
    assert frame.values[[5, 6]].tolist() == [-2.5, 1e9]
    assert frame.censored.tolist() == []


@pytest.mark.parametrize("dtype", ["u2", "i4", "f4"])
def test_flagged_values_are_bad_on_their_panel(two_panels: Any, dtype: str) -> None:
    lines = "left/flag_morethan = 200\nleft/flag_equal = 7\nright/flag_lessthan = 1\n"
    detector = two_panels.with_lines(lines)
    usable = detector.usable.copy()
    usable[2] = False
    raw = np.full(40 * 64, 3, dtype)
    raw[[0, 1, 2, 3]] = 200, 201, 201, 7  # on the left panel
    raw[[30, 31, 32]] = 201, 7, 0  # on the right panel
    frame = _normalise(detector, raw, usable)
    assert frame.bad.tolist() == [1, 3, 32]
    if isinstance(frame, PlaneFrame):
        assert not np.isin([1, 3, 32], photon_list(frame).index).any()


def test_flags_of_floats_compare_the_rounded_value(two_panels: Any) -> None:
    detector = two_panels.with_lines("left/flag_equal = 7\nleft/flag_lessthan = 0\n")
    frame = _normalise(detector, _raw("f4", {0: 7.4, 1: 7.6, 2: -0.1, 3: np.nan}))
    assert frame.bad.tolist() == [0, 2, 3]


def test_flags_hold_for_large_unsigned_values(two_panels: Any) -> None:
    detector = two_panels.with_lines("left/flag_morethan = 4294967293\n")
    frame = _normalise(detector, _raw("u4", {0: 2**32 - 1, 1: 2**32 - 2, 2: 2**32 - 3}))
    assert frame.bad.tolist() == [0, 1]
    assert frame.censored.tolist() == []


def test_flags_that_the_type_cannot_hold(two_panels: Any) -> None:
    lines = "left/flag_lessthan = -5\nleft/flag_equal = 70000\nleft/flag_morethan = 65535\n"
    detector = two_panels.with_lines(lines)
    frame = _normalise(detector, _raw("u2", {0: 65535, 1: 4464}))
    assert frame.bad.tolist() == []
    assert frame.censored.tolist() == [0]


def test_flags_and_negative_counts_together(two_panels: Any) -> None:
    detector = two_panels.with_lines("left/flag_equal = -2\n")
    frame = _normalise(detector, _raw("i4", {5: -2, 3: -1, 60: -2}))
    assert frame.bad.tolist() == [3, 5, 60]


@pytest.mark.parametrize("dtype", ["u8", "i8", "f2", "c8", "?"])
def test_other_types_are_refused(two_panels: Any, dtype: str) -> None:
    with pytest.raises(FrameError, match="expected integers of 8, 16 or 32 bits"):
        _normalise(two_panels, np.zeros(40 * 64, dtype))


def test_unknown_gain_is_refused(two_panels: Any) -> None:
    detector = two_panels.with_lines("left/adu_per_eV = 0.0001\n")
    raw = _raw("u2", {})
    with pytest.raises(FrameError, match=r"two\.geom: one photon reads nan on panel left"):
        normalise(raw, detector.usable, detector.geometry, detector.layout, float("nan"))


def test_photons_from_readings(two_panels: Any) -> None:
    detector = two_panels.with_lines("left/adu_per_photon = 10\nright/adu_per_photon = 4\n")
    usable = detector.usable.copy()
    usable[20] = False
    raw = _raw("f4", {0: 4.9, 1: 5, 2: 14.9, 3: -50, 20: 100, 30: 6, 31: 1.9, 40: 8, 64: np.nan})
    frame = _normalise(detector, raw, usable)
    assert isinstance(frame, DenseFrame)
    photons = photons_from_adu(frame, usable, detector.geometry, detector.layout, ENERGY)
    assert photons.index.tolist() == [1, 2, 30, 40]
    assert photons.count.tolist() == [1, 1, 2, 2]
    assert photons.bad.tolist() == [64]
    assert photons.n_pixels == raw.size


def _mean(detector: Any, raw: np.ndarray, usable: np.ndarray) -> float:
    maker = FrameMaker(detector.geometry, detector.layout, usable)
    return maker.mean_photons(maker.from_array(raw, ENERGY), ENERGY)


def test_mean_of_counts(two_panels: Any) -> None:
    usable = two_panels.usable.copy()
    usable[:100] = False
    raw = _raw("i4", {5: 1000, 200: 30, 300: 12, 400: 2**31 - 1, 500: -1})
    assert _mean(two_panels, raw, usable) == pytest.approx(42 / (40 * 64 - 102))


def test_mean_of_readings(two_panels: Any) -> None:
    detector = two_panels.with_lines("left/adu_per_photon = 10\nright/adu_per_photon = 4\n")
    usable = detector.usable.copy()
    usable[:20] = False
    raw = _raw("i2", {0: 999, 20: 50, 30: -8, 40: 32767})
    assert _mean(detector, raw, usable) == pytest.approx((5 - 2) / (40 * 64 - 21))


def test_mean_without_usable_pixels_is_nan(two_panels: Any) -> None:
    assert np.isnan(_mean(two_panels, _raw("u2", {5: 1}), np.zeros_like(two_panels.usable)))
