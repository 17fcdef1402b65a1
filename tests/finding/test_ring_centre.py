"""Where sharp rings are centred, and what that does for false peaks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cxlsfind.finding.poisson.canvas import build_canvas
from cxlsfind.finding.poisson.finder import PoissonFinder
from cxlsfind.finding.poisson.ring_centre import RingCentre
from cxlsfind.finding.poisson.settings import PoissonSettings
from cxlsfind.finding.poisson.surroundings import survey
from cxlsfind.geometry.layout import Layout, build_layout, slab_key
from cxlsfind.geometry.maps import rings
from cxlsfind.geometry.model import BeamKind, Geometry, Panel, Quantity

SIDE = 600
N_FRAMES = 16


def make_detector() -> tuple[Geometry, Layout, np.ndarray]:
    panel = Panel(
        name="p0",
        min_fs=0,
        max_fs=SIDE - 1,
        min_ss=0,
        max_ss=SIDE - 1,
        corner_x=-SIDE / 2,
        corner_y=SIDE / 2,
        fs=(1.0, 0.0, 0.0),
        ss=(0.0, -1.0, 0.0),
        res=1e4,
        adu_per_photon=1.0,
        adu_per_ev=None,
    )
    geometry = Geometry(
        "t.geom", "", (panel,), BeamKind.PHOTON_ENERGY, Quantity(7000.0), Quantity(0.1)
    )
    usable = np.ones((SIDE, SIDE), np.bool_)
    usable[200:220] = usable[:, 450:460] = False
    return geometry, build_layout(geometry, {slab_key(panel): (SIDE, SIDE)}), usable.ravel()


def draw_mean(offset: tuple[float, float], level: float, contrast: float) -> np.ndarray:
    """Two rings as sharp as those of ice around a beam that is off by ``offset`` (x, y), px."""
    ss, fs = np.mgrid[0:SIDE, 0:SIDE] + 0.5
    radius = np.hypot(fs - SIDE / 2 - offset[0], SIDE / 2 - ss - offset[1])
    ice = sum(np.exp(-0.5 * ((radius - at) / 1.5) ** 2) for at in (120, 230))
    return level * (1.0 + np.exp(-radius / 150) + contrast * ice)


def find_offset(mean: np.ndarray, seed: int) -> tuple[float, float]:
    geometry, layout, usable = make_detector()
    around = survey(build_canvas(layout), rings(geometry, layout), usable)
    totals = np.random.default_rng(seed).poisson(N_FRAMES * mean).ravel() * usable
    sheet = around.canvas.spread(totals.astype(np.uint32), np.uint32(0))
    return RingCentre(geometry, layout, around).find(sheet, np.empty(0, np.int32))


@pytest.mark.parametrize(
    "offset", [(5.0, 0.0), (0.0, -5.0), (-3.4, 2.7), (12.3, -20.1)], ids=["x", "y", "near", "far"]
)
def test_sharp_rings_are_centred(offset: tuple[float, float]) -> None:
    """Sub-pixel, in both signs of both axes, on a detector whose ss runs against y."""
    found = find_offset(draw_mean(offset, 1.0, 2.0), 1)
    assert found == pytest.approx(offset, abs=0.4)


@pytest.mark.parametrize("seed", range(4))
def test_no_offset_without_need(seed: int) -> None:
    """Rings in the right place, no rings, streaks and half-shadows leave the geometry alone."""
    here = (0.0, 0.0)
    assert find_offset(draw_mean(here, 1.0, 2.0), seed) == here
    smooth = draw_mean((5.0, 0.0), 1.0, 0.0)
    assert find_offset(smooth, seed) == here
    smooth[:, :200] *= 0.5
    smooth *= 1.0 + np.exp(-0.5 * ((np.arange(SIDE) - 333) / 12) ** 2)[:, None]
    assert find_offset(smooth, seed) == here


def test_a_shifted_detector() -> None:
    """The offset is found from where the shift puts the beam; pixels of two sizes have none."""
    geometry, layout, usable = make_detector()
    shift_px = 150.0, 40.0
    shift_m = tuple(step / geometry.panels[0].res for step in shift_px)
    around = survey(build_canvas(layout), rings(geometry, layout, shift_m), usable)
    # Off the middle by the shift, and five pixels more.
    mean = draw_mean((5.0 - shift_px[0], -shift_px[1]), 1.0, 2.0)
    totals = np.random.default_rng(6).poisson(N_FRAMES * mean).ravel() * usable
    sheet = around.canvas.spread(totals.astype(np.uint32), np.uint32(0))
    found = RingCentre(geometry, layout, around, shift_m).find(sheet, np.empty(0, np.int32))
    assert found == pytest.approx((5.0, 0.0), abs=0.4)


@pytest.mark.parametrize(("ratio", "offset"), [(1.0, (5.0, 0.0)), (2.0, (0.0, 0.0))])
def test_pixels_of_two_sizes_have_no_offset(ratio: float, offset: tuple[float, float]) -> None:
    """Two panels see the same rings; where their pixels differ an offset would be none in both."""
    geometry, _, usable = make_detector()
    panel = geometry.panels[0]
    other = replace(panel, name="p1", min_ss=SIDE, max_ss=2 * SIDE - 1, res=ratio * panel.res)
    geometry = replace(geometry, panels=(panel, other))
    layout = build_layout(geometry, {slab_key(each): (2 * SIDE, SIDE) for each in geometry.panels})
    both = np.tile(usable, 2)
    around = survey(build_canvas(layout), rings(geometry, layout), both)
    mean = np.tile(draw_mean((5.0, 0.0), 1.0, 2.0).ravel(), 2)
    totals = np.random.default_rng(7).poisson(N_FRAMES * mean) * both
    sheet = around.canvas.spread(totals.astype(np.uint32), np.uint32(0))
    assert RingCentre(geometry, layout, around).find(sheet, np.empty(0, np.int32)) == offset


def test_bright_spots_are_no_rings() -> None:
    """A few spots with very many photons pull nothing."""
    rng = np.random.default_rng(3)
    mean = draw_mean((0.0, 0.0), 0.02, 0.0)
    for ss, fs in rng.integers(0, SIDE, (400, 2)):
        mean[ss, fs] += 1000.0
    assert find_offset(mean, 3) == (0.0, 0.0)


def test_false_peaks_on_rings_off_the_beam(to_frame) -> None:
    """An ice ring five pixels off its place makes no peaks, and the result tells where it is."""
    geometry, layout, usable = make_detector()
    rng = np.random.default_rng(4)
    mean = draw_mean((5.0, 0.0), 1.0, 2.0) * usable.reshape(SIDE, SIDE)
    finder = PoissonFinder(PoissonSettings(false_peaks=0.1), geometry, layout, usable)
    frames = [to_frame(rng.poisson(mean)) for _ in range(24)]
    results = finder.find_block(frames).frames
    assert {result.ring_centre_px for result in results} == {(5.0, 0.0)}
    # 2.4 are expected; without the right centre there are hundreds.
    assert sum(result.n_peaks for result in results) <= 9
