"""Tracks among lit pixels, against connected components of a library."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from cxlsfind.kernels.tracks import TrackRules, measure_tracks

STRIDE, ROWS = 64, 48
RULES = TrackRules(half=6, most_pixels=12, longest_px2=1.5, shortest_px2=0.4, most_photons=1.3)


def planes_of(counts: np.ndarray) -> np.ndarray:
    bits = (counts.ravel()[None, :] >> np.arange(4)[:, None]) & 1
    return np.packbits(bits.astype(np.uint8), axis=1, bitorder="little").view(np.uint64)


def naive(counts: np.ndarray, ss: int, fs: int) -> tuple[bool, float]:
    """Return whether the lit pixels connected to the brightest near a pixel are a track."""
    half = RULES.half
    window = counts[ss - half : ss + half + 1, fs - half : fs + half + 1]
    near = window[half - 1 : half + 2, half - 1 : half + 2]
    if not near.any():
        return False, 0.0
    top, left = np.unravel_index(int(near.argmax()), near.shape)
    labels, _ = ndimage.label(window > 0, structure=np.ones((3, 3)))
    mine = labels == labels[half - 1 + top, half - 1 + left]
    if mine.sum() > RULES.most_pixels or window[mine].mean() > RULES.most_photons:
        return False, 0.0
    places = np.argwhere(mine)[:, ::-1].astype(float)
    values, vectors = np.linalg.eigh(np.cov(places.T, bias=True) if len(places) > 1 else np.eye(2))
    is_track = bool(values[1] >= RULES.longest_px2 and values[0] <= RULES.shortest_px2)
    return is_track, float(np.arctan2(vectors[1, 1], vectors[0, 1]))


@pytest.mark.parametrize("level", [0.0, 0.02, 0.1, 0.4])
@pytest.mark.parametrize("seed", range(3))
def test_against_components(level: float, seed: int) -> None:
    """Random photons, with a few straight rows of lit pixels among them."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(level, (ROWS, STRIDE))
    for _ in range(6):
        ss, fs = rng.integers(8, 40, 2)
        steps = np.arange(rng.integers(3, 8))
        slope = rng.choice([0.0, 0.5, 1.0, -1.0])
        counts[(ss + np.rint(slope * steps)).astype(int).clip(0, ROWS - 1), fs + steps] += 1
    counts = np.minimum(counts, 14)
    inner = [(ss, fs) for ss in range(7, 41, 2) for fs in range(7, 57, 2)]
    positions = np.array([ss * STRIDE + fs for ss, fs in inner], np.int32)
    found, angle = np.ones(len(inner), np.bool_), np.empty(len(inner))
    none = np.empty(0, np.int32), np.empty(0, np.uint32)
    measure_tracks(planes_of(counts), *none, STRIDE, positions, RULES, found, angle)
    expected = [naive(counts, ss, fs) for ss, fs in inner]
    assert found.tolist() == [is_track for is_track, _ in expected]
    turns = [a - b for a, (is_track, b) in zip(angle, expected, strict=True) if is_track]
    assert np.abs(np.sin(turns)).max(initial=0.0) < 1e-6
    if level < 0.1:
        assert found.any()
