"""Rows and columns of wide pixels are left out; streaks and spots are not."""

from __future__ import annotations

import numpy as np
import pytest

from cxlsfind.finding.poisson.finder import PoissonFinder
from cxlsfind.finding.poisson.settings import PoissonSettings

SIDE = 520


def left_out(one_panel, to_frame, mean: np.ndarray, seed: int) -> np.ndarray:
    """Return which pixels the finder left out of a block of 32 frames, [ss, fs]."""
    geometry, layout = one_panel(SIDE)
    finder = PoissonFinder(PoissonSettings(), geometry, layout, np.ones(SIDE * SIDE, np.bool_))
    rng = np.random.default_rng(seed)
    block = finder.find_block([to_frame(rng.poisson(mean)) for _ in range(32)])
    return ~block.usable.reshape(SIDE, SIDE)


def water() -> np.ndarray:
    ss, fs = np.mgrid[0:SIDE, 0:SIDE] + 0.5
    radius = np.hypot(ss - SIDE / 2, fs - SIDE / 2)
    return 1.0 + 3.0 * np.exp(-0.5 * ((radius - 180) / 40) ** 2)


@pytest.mark.parametrize("level", [0.02, 0.2, 1.0])
def test_wide_pixels_are_left_out(one_panel, to_frame, level: float) -> None:
    """Two columns and two rows of pixels twice as wide, as between the chips of an EIGER."""
    mean = level * water()
    lines = np.zeros((SIDE, SIDE), np.bool_)
    lines[[255, 256]] = lines[:, [127, 128]] = True
    mean[lines] *= 2.0
    found = left_out(one_panel, to_frame, mean, 1)
    assert found[lines].all()
    assert found[~lines].sum() <= 2


@pytest.mark.parametrize("level", [0.02, 0.2, 1.0])
def test_other_structure_is_none(one_panel, to_frame, level: float) -> None:
    """A streak along the rows, the edge of a shadow, a thin ring and bright spots leave no line."""
    mean = level * water()
    ss, fs = np.mgrid[0:SIDE, 0:SIDE] + 0.5
    mean *= 1.0 + np.exp(-0.5 * ((ss - 300) / 12) ** 2)
    mean[:, 400:] *= 0.5
    ring = np.hypot(ss - SIDE / 2, fs - SIDE / 2)
    mean += 2.0 * level * np.exp(-0.5 * ((ring - 95) / 1.5) ** 2)
    mean[150:153, 60:63] += 200.0
    assert left_out(one_panel, to_frame, mean, 2).sum() <= 12


@pytest.mark.parametrize("level", [1e-5, 3e-5, 1e-4, 1e-3])
def test_dim_lines_are_no_wide_ones(one_panel, to_frame, level: float) -> None:
    """Where lines hold a photon or none, those with one stay; near the beam there is more."""
    ss, fs = np.mgrid[0:SIDE, 0:SIDE] + 0.5
    radius = np.hypot(ss - SIDE / 2, fs - SIDE / 2)
    mean = level * (1.0 + 30.0 * np.exp(-radius / 60))
    assert left_out(one_panel, to_frame, mean, 3).sum() <= 2
