"""Headers are checked by the photons: alarms where they are wrong, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from cxlsfind.finding.poisson.ring_light import RINGS_PER_CELL, SECTORS
from cxlsfind.geometry.model import BeamKind, Geometry, Panel, Quantity
from cxlsfind.pipeline.beam_check import BeamFinding, check_beam
from cxlsfind.records import RingLight
from cxlsfind.sim.background.profile import Sample
from cxlsfind.training.ring_draws import PIXEL_M

WIDTH, HEIGHT = 2068, 2162
Change = Callable[[np.ndarray, np.ndarray], np.ndarray]


def geometry(coffset: float = 0.0) -> Geometry:
    """Return an EIGER of one panel."""
    panel = Panel(
        name="p0", min_fs=0, max_fs=WIDTH - 1, min_ss=0, max_ss=HEIGHT - 1, corner_x=-WIDTH / 2,
        corner_y=-HEIGHT / 2, fs=(1.0, 0.0, 0.0), ss=(0.0, 1.0, 0.0), res=1 / PIXEL_M,
        adu_per_photon=1.0, adu_per_ev=None, coffset=coffset,
    )  # fmt: skip
    beam = BeamKind.PHOTON_ENERGY, Quantity(7000.0), Quantity(0.15)
    return Geometry("t.geom", "", (panel,), *beam)


def draw_light(
    seed: int,
    *,
    clen_m: float = 0.15,
    photons: float = 1e7,
    header: tuple[float, float] = (7000.0, 0.15),
    materials: tuple[tuple[str, float], ...] = (("buffer", 2e-5),),
    centre: tuple[float, float] = (0.0, 0.0),
    change: Change | None = None,
) -> RingLight:
    """Return what a polarised beam of 7 keV makes of a sample, from every third pixel and row."""
    generator = np.random.default_rng(seed)
    x, y = np.meshgrid(
        np.arange(1.0, WIDTH, 3.0) + 0.5 - WIDTH / 2, np.arange(1.0, HEIGHT, 3.0) + 0.5 - HEIGHT / 2
    )
    sample = Sample(1.0, 7000.0, clen_m, 1e-4, materials, air_m=3e-3, flight_in_air=True)
    u, v = ((at - off) * PIXEL_M / clen_m for at, off in zip((x, y), centre, strict=True))
    grid = np.linspace(0.0, 1.2, 4000)
    mean = np.interp(np.hypot(u, v), grid, sample.density(grid))
    mean = mean * (1.0 - u**2 / (1.0 + u**2 + v**2))
    if change is not None:
        mean = mean * change(x, y)
    ring = (np.hypot(x, y) / RINGS_PER_CELL).astype(int)
    angle = np.arctan2(y, x)
    cell = ring * SECTORS + ((angle / (2 * np.pi) + 0.5) * SECTORS).astype(int) % SECTORS
    size = (ring.max() + 1) * SECTORS
    ones = np.ones_like(x)
    weights = ones, np.hypot(x, y), np.cos(2 * angle), np.sin(2 * angle)
    sums = [np.bincount(cell.ravel(), weight.ravel(), size) for weight in weights]
    expected = np.bincount(cell.ravel(), mean.ravel(), size)
    counts = generator.poisson(photons * expected / expected.sum())
    cells = np.array([counts, *sums], float).reshape(5, -1, SECTORS)
    return RingLight(*header, (0.0, 0.0), 64, cells)


def streak(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return a jet's streak."""
    return 1.0 + 2.0 * np.exp(-0.5 * (y / 15.0) ** 2)


def shadow(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return a beam stop on an arm."""
    return np.where((np.hypot(x, y) < 60) | ((np.abs(x) < 20) & (y > 0)), 0.05, 1.0)


def post(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the shadow of something that hides a corner."""
    return np.where(x + y > 900.0, 0.6, 1.0)


def alarms(found: BeamFinding) -> tuple[bool, bool]:
    """Return whether the header's and the centre's alarm are raised; as the user is told."""
    summary = found.summary()
    json.dumps(summary, allow_nan=False)
    raised = bool(summary["alarm"]), bool(summary["beam_centre_alarm"])
    assert len(list(found.warnings())) == sum(raised)
    return raised


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("clen", [0.12, 0.15, 0.25])
def test_right_headers_raise_no_alarm(seed: int, clen: float) -> None:
    """And at short distance the photons alone tell the camera length."""
    found = check_beam(draw_light(seed, clen_m=clen, header=(7000.0, clen)), geometry())
    assert alarms(found) == (False, False)
    assert found.alone is not None
    assert abs(found.alone.clen_m - clen) < 4 * found.alone.sigma_clen_m
    assert found.summary()["camera_length"] == ("identified" if clen < 0.2 else "not identifiable")


@pytest.mark.parametrize("header", [(7000.0, 0.156), (7000.0, 0.1437), (7300.0, 0.15)])
def test_wrong_headers_raise_an_alarm(header: tuple[float, float]) -> None:
    """Four percent are plain at 0.15 m; the user is told what the rings ask for."""
    found = check_beam(draw_light(1, header=header), geometry())
    assert alarms(found) == (True, False)
    (words,) = found.warnings()
    asked = float(words.split("camera length of ")[1].split()[0])
    assert asked == pytest.approx(150.0 * header[0] / 7000.0, rel=0.015)
    assert found.summary()["conflict_sigma"] * (0.15 * header[0] / 7000.0 - header[1]) > 0


def test_an_offset_of_the_panels_counts() -> None:
    """The camera length is told as headers have it, without what the geometry adds."""
    found = check_beam(draw_light(2, header=(7000.0, 0.14)), geometry(coffset=0.01))
    assert alarms(found) == (False, False)
    assert found.summary()["with_header"]["camera_length_m"] == pytest.approx(0.14, abs=1e-3)


@pytest.mark.parametrize("change", [streak, shadow, post])
@pytest.mark.parametrize("seed", range(2))
def test_what_some_sectors_hold_is_left_out(change: Change, seed: int) -> None:
    """Neither alarm is raised, and the header is not pulled."""
    found = check_beam(draw_light(seed, change=change), geometry())
    assert alarms(found) == (False, False)
    assert abs(found.both.conflict) < 3.0


@pytest.mark.parametrize(
    "materials", [(("lcp", 5e-5),), (("kapton", 2.5e-5),), (("oil", 6e-5),), (("peg", 1e-4),)]
)
@pytest.mark.parametrize("header", [(7000.0, 0.15), (7000.0, 0.16)])
def test_what_is_not_water_raises_no_alarm(materials, header: tuple[float, float]) -> None:
    """Nothing is known of it."""
    found = check_beam(draw_light(3, materials=materials, header=header), geometry())
    assert alarms(found) == (False, False)
    assert found.summary()["misfit"] > 2.0
    assert found.summary()["camera_length"] == "not identifiable"


@pytest.mark.parametrize("off", [(3.0, 0.0), (-1.5, 2.5)])
def test_a_beam_elsewhere_is_told(off: tuple[float, float]) -> None:
    """By some pixels, with many photons; the camera length is not mistaken for that."""
    found = check_beam(draw_light(4, photons=3e7, centre=off), geometry())
    assert alarms(found) == (False, True)
    summary = found.summary()["beam_centre_px"]
    for axis, true in zip("xy", off, strict=True):
        assert abs(summary[axis] - true) < 4 * summary[f"sigma_{axis}"] < 1.5


def test_few_photons_raise_no_alarm() -> None:
    """Anything looks like water then; numbers are there all the same."""
    found = check_beam(draw_light(5, photons=1e5, header=(7000.0, 0.2)), geometry())
    assert alarms(found) == (False, False)
    assert found.summary()["conflict_sigma"] < -3.0


def test_next_to_no_photons_say_nothing() -> None:
    """And nothing breaks."""
    found = check_beam(draw_light(6, photons=50.0), geometry())
    assert alarms(found) == (False, False)
    assert found.summary()["photons_alone"] is None
    dark = draw_light(6, photons=0.0)
    assert alarms(check_beam(dark, geometry())) == (False, False)
