"""Light by ring and sector: photons of background, and of how many pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cxlsfind.finding.poisson.finder import PoissonFinder
from cxlsfind.finding.poisson.ring_light import RINGS_PER_CELL, SECTORS, is_flat
from cxlsfind.finding.poisson.settings import PoissonSettings
from cxlsfind.geometry.layout import build_layout, slab_key
from cxlsfind.geometry.model import BeamKind, Geometry, Panel, Quantity

SIDE = 240
PANEL = Panel(
    name="p0", min_fs=0, max_fs=SIDE - 1, min_ss=0, max_ss=SIDE - 1, corner_x=-90.0,
    corner_y=-SIDE / 2, fs=(1.0, 0.0, 0.0), ss=(0.0, 1.0, 0.0), res=1e4, adu_per_photon=1.0,
    adu_per_ev=None,
)  # fmt: skip
GEOMETRY = Geometry("t.geom", "", (PANEL,), BeamKind.PHOTON_ENERGY, Quantity(7e3), Quantity(0.1))
USABLE = np.ones((SIDE, SIDE), np.bool_)
USABLE[100:110] = False


def find(frames: list, geometry: Geometry = GEOMETRY):
    """Search frames of a detector with a dead stripe."""
    layout = build_layout(geometry, {slab_key(PANEL): (SIDE, SIDE)})
    return PoissonFinder(PoissonSettings(), geometry, layout, USABLE.ravel()).find_block(frames)


def cell_of_pixels() -> np.ndarray:
    """Return ring and sector of every pixel, plainly."""
    x, y = np.meshgrid(np.arange(SIDE) + 0.5 - 90.0, np.arange(SIDE) + 0.5 - SIDE / 2)
    ring = np.hypot(x, y).astype(int) // RINGS_PER_CELL
    turn = np.arctan2(y, x) / (2 * np.pi) + 0.5
    return ring * SECTORS + np.minimum(turn * SECTORS, SECTORS - 1).astype(int)


def test_blank_frames_are_summed_whole(to_frame) -> None:
    """Nearly all photons are there, cell by cell, and exposure is brightness times pixels."""
    generator = np.random.default_rng(1)
    levels = np.linspace(0.05, 0.2, 24)
    counts = [generator.poisson(level, (SIDE, SIDE)) * USABLE for level in levels]
    light = find([to_frame(each) for each in counts]).light
    total = np.sum(counts, axis=0)
    expected = np.bincount(cell_of_pixels().ravel(), total.ravel(), light[0].size)
    # What looks like spots by chance is left out.
    assert (light[0].ravel() <= expected).all()
    assert light[0].sum() > 0.99 * expected.sum()
    pixels = np.bincount(cell_of_pixels().ravel(), USABLE.ravel(), light[0].size)
    level = sum(each[USABLE].mean() for each in counts)
    np.testing.assert_allclose(light[1].ravel(), pixels * level, rtol=0.25, atol=15.0)
    assert light[1].sum() == pytest.approx(light[0].sum(), rel=0.01)
    # Distance, and cosine and sine of twice the angle, are means over the pixels.
    full = light[1] > 20.0
    distance = (light[2] / np.maximum(light[1], 1e-9))[full]
    ring = np.broadcast_to(np.arange(light.shape[1])[:, None], full.shape)[full]
    assert (distance >= ring * RINGS_PER_CELL).all()
    assert (distance < (ring + 1) * RINGS_PER_CELL).all()
    turn = (np.arange(SECTORS) + 0.5) / SECTORS - 0.5
    twice = np.broadcast_to(4 * np.pi * turn, full.shape)[full]
    for moment, wave in ((light[3], np.cos), (light[4], np.sin)):
        found = (moment / np.maximum(light[1], 1e-9))[full]
        assert np.abs(found - wave(twice)).max() < 0.4


def test_spots_and_pixels_that_lie_leave_the_light_as_it_is(to_frame) -> None:
    """Photons over exposure stay the same where spots and hot pixels come."""
    generator = np.random.default_rng(2)
    clean = [generator.poisson(0.1, (SIDE, SIDE)) * USABLE for _ in range(32)]
    dirty = [each.copy() for each in clean]
    for frame, (ss, fs) in zip(dirty, generator.integers(20, 90, (32, 2)), strict=True):
        frame[ss : ss + 3, fs : fs + 3] += 8
        frame[180, 60:64] += 5
    ratios = []
    for frames in (clean, dirty):
        light = find([to_frame(each) for each in frames]).light
        by_ring = light[:2].sum(axis=2)
        ratios.append(by_ring[0] / np.maximum(by_ring[1], 1e-9))
    seen = ratios[0] > 0.5
    assert seen.sum() > 8
    # 72 photons of a spot would add some percent.
    np.testing.assert_allclose(ratios[1][seen], ratios[0][seen], rtol=0.012)


def test_panels_in_several_planes_have_no_light(to_frame) -> None:
    """One distance is all that can be told."""
    assert is_flat(GEOMETRY)
    tilted = replace(GEOMETRY, panels=(replace(PANEL, ss=(0.0, 1.0, 0.02)),))
    nearer = replace(GEOMETRY, panels=(PANEL, replace(PANEL, name="p1", coffset=0.01)))
    assert not is_flat(tilted)
    assert not is_flat(nearer)
    blank = np.random.default_rng(3).poisson(0.1, (SIDE, SIDE))
    assert find([to_frame(blank)], tilted).light is None
