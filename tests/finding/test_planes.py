"""Plane frames of arrays and of packed bytes: equal ones, with a number of planes that fits."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from cxlsfind.errors import FrameError
from cxlsfind.finding.photons import FrameMaker
from cxlsfind.finding.planes import (
    PlaneMaker,
    bad_values,
    counts_at,
    mask_words,
    photon_list,
    plane_frame,
    sum_counts,
)
from cxlsfind.io.packed import PackedFrame
from cxlsfind.records import PhotonFrame, PlaneFrame

NOWHERE = np.zeros(0, np.int32)


def _is_equal(a: PlaneFrame, b: PlaneFrame) -> bool:
    names = ("planes", "index", "count", "bad", "censored")
    return a.n_pixels == b.n_pixels and all(
        getattr(a, name).dtype == getattr(b, name).dtype
        and np.array_equal(getattr(a, name), getattr(b, name))
        for name in names
    )


def _raw(rng: np.random.Generator, dtype: str, level: float, size: int) -> npt.NDArray[Any]:
    limits = np.iinfo(dtype)
    raw = np.minimum(rng.poisson(level, size), limits.max)
    odd = [limits.min, -1, 3, 14, 15, 63, 254, 255, 256, 65534, limits.max - 1, limits.max]
    odd = [value for value in odd if limits.min <= value <= limits.max]
    raw[rng.random(size) < 0.003] = rng.choice(odd)
    spread = rng.random(size) < 0.001
    raw[spread] = rng.choice(odd, int(spread.sum()))
    return raw.astype(dtype)


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i1", "i2", "i4"])
@pytest.mark.parametrize("block", [0, 64, 40, 1000])
def test_packed_bytes_give_the_frame_of_their_pixels(pack: Any, dtype: str, block: int) -> None:
    rng = np.random.default_rng(block)
    size = 40013
    usable = rng.random(size) < 0.95
    words = mask_words(usable)
    first, second = PlaneMaker(size), PlaneMaker(size)
    for level in (0.01, 1.0, 20.0, 0.1, 200.0, 0.0):
        raw = _raw(rng, dtype, level, size)
        frame = first.from_packed(pack(raw, nelems=block), words)
        assert _is_equal(frame, second.from_array(raw, words))
        photons = photon_list(frame)
        good = usable & (raw > 0)
        assert photons.index.tolist() == np.flatnonzero(good).tolist()
        assert photons.count.tolist() == raw[good].tolist()
        assert frame.bad.tolist() == np.flatnonzero(usable & (raw < 0)).tolist()
        at_largest = usable & (raw == np.iinfo(dtype).max)
        assert frame.censored.tolist() == np.flatnonzero(at_largest).tolist()


def test_the_counts_alone_settle_the_number_of_planes() -> None:
    size = 25600
    words = mask_words(np.ones(size, np.bool_))
    maker = PlaneMaker(size)
    seen = []
    for count, n in [(3, 16), (3, 17), (15, 17), (14, 17), (63, 17), (2, 17), (255, 999), (7, 17)]:
        raw = np.zeros(size, np.uint16)
        raw[7 : 7 + n] = count
        frame = maker.from_array(raw, words)
        assert _is_equal(frame, PlaneMaker(size).from_array(raw, words))
        assert frame.index.size == (n if count >= 2 ** len(frame.planes) - 1 else 0)
        index = np.flatnonzero(raw).astype(np.int32)
        listed = PhotonFrame(size, index, raw[index].astype(np.uint32), NOWHERE, NOWHERE)
        assert _is_equal(frame, plane_frame(listed))
        seen.append(len(frame.planes))
    assert seen == [2, 3, 5, 4, 8, 2, 8, 4]


def test_signed_bytes_have_no_planes_that_they_cannot_fill() -> None:
    maker = PlaneMaker(640)
    frame = maker.from_array(np.full(640, 127, np.int8), mask_words(np.ones(640, np.bool_)))
    assert len(frame.planes) == 6
    assert frame.count.tolist() == [127] * 640
    assert frame.censored.size == 640


def test_counts_of_pixels_and_their_sum() -> None:
    rng = np.random.default_rng(4)
    maker, words = PlaneMaker(3000), mask_words(np.ones(3000, np.bool_))
    for level, most in ((0.2, 3), (5.0, 60000)):
        raw = rng.poisson(level, 3000).astype(np.uint16)
        raw[rng.integers(0, 3000, 5)] = most
        frame = maker.from_array(raw, words)
        pixels = rng.integers(0, 3000, 500)
        assert counts_at(frame, pixels).tolist() == raw[pixels].tolist()
        assert sum_counts(frame) == raw.sum(dtype=np.int64)


@pytest.mark.parametrize(
    ("lines", "is_easy"),
    [
        ("left/flag_morethan = 65534\n", True),
        ("left/flag_morethan = 254\n", True),
        ("left/flag_morethan = 253\n", False),
        ("left/flag_equal = 255\nright/flag_equal = 65535\nleft/flag_equal = 300\n", True),
        ("left/flag_equal = 254\n", False),
        ("left/flag_equal = -1\nright/flag_lessthan = 0\nleft/flag_lessthan = -2\n", True),
        ("left/flag_lessthan = 1\n", False),
        ("left/flag_morethan = 1e30\nleft/flag_equal = 1e30\n", True),
        ("left/flag_morethan = 300\nleft/flag_morethan = 400\nleft/flag_equal = 260\n", True),
    ],
)
@pytest.mark.parametrize("dtype", ["u1", "u2", "i4"])
def test_flags_by_both_ways(two_panels: Any, pack: Any, lines: str, is_easy: bool, dtype: str):
    """Small flags are told from the pixels, others from packed bytes too; NumPy agrees."""
    detector = two_panels.with_lines(lines)
    assert (bad_values(detector.geometry, detector.layout) is not None) == is_easy
    limits = np.iinfo(dtype)
    choices = [0, 1, 2, 253, 254, 255, 256, 260, 300, 301, 400, 401, 65534, 65535, -1, -2, -3]
    choices = [value for value in choices if limits.min <= value <= limits.max]
    rng = np.random.default_rng(1)
    raw = rng.choice(choices, 40 * 64).astype(dtype)
    usable = rng.random(raw.size) < 0.9
    maker = FrameMaker(detector.geometry, detector.layout, usable)
    frame = maker.from_array(raw, 9000.0)
    assert isinstance(frame, PlaneFrame)
    assert maker.takes_packed(9000.0) == is_easy
    if is_easy:
        assert _is_equal(frame, maker.from_packed(pack(raw)))
    is_bad = raw < 0
    for window in detector.layout.windows:
        inside = np.zeros((40, 64), np.bool_)
        inside[:, window.start : window.start + window.width] = True
        for flag in detector.geometry.panels[window.panel].flags:
            matches = {"equal": raw == flag.value, "morethan": raw > flag.value}
            matches["lessthan"] = raw < flag.value
            is_bad |= matches[flag.kind] & inside.ravel()
    assert frame.bad.tolist() == np.flatnonzero(is_bad & usable).tolist()
    photons = photon_list(frame)
    good = usable & ~is_bad & (raw > 0)
    assert photons.index.tolist() == np.flatnonzero(good).tolist()
    assert frame.censored.tolist() == np.flatnonzero(good & (raw == limits.max)).tolist()


def test_readings_need_their_pixels(two_panels: Any) -> None:
    detector = two_panels.with_lines("left/adu_per_photon = 25\n")
    maker = FrameMaker(detector.geometry, detector.layout, detector.usable)
    assert not maker.takes_packed(9000.0)
    detector = two_panels.with_lines("left/adu_per_eV = 0.0001\n")
    maker = FrameMaker(detector.geometry, detector.layout, detector.usable)
    with pytest.raises(FrameError, match="one photon reads nan"):
        maker.takes_packed(float("nan"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ((0, 99), "the chunk claims to hold 713"),
        ((12, 1), "the sizes of the compressed blocks do not add up"),
        ((16, 1), "a compressed block is damaged"),
    ],
)
def test_damage_is_named(pack: Any, change: tuple[int, int], reason: str) -> None:
    packed = pack(np.zeros(5000, np.uint16))
    chunk = packed.chunk.copy()
    chunk[change[0]] = change[1]
    damaged = PackedFrame(chunk, packed.n_bytes, packed.dtype, packed.place)
    words = mask_words(np.ones(5000, np.bool_))
    maker = PlaneMaker(5000)
    place = r"^a\.h5 //0: d in a\.h5, frame 0: the pixels cannot be decoded: "
    with pytest.raises(FrameError, match=place + reason):
        maker.from_packed(damaged, words)
    assert maker.from_packed(packed, words).index.size == 0
