"""Weighted draws count what plain simulation counts, where that can count at all."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cxlsfind.models.likelihood import LikelihoodRatio, SpotTables
from cxlsfind.training.null import (
    draw_null,
    is_maximum,
    log_rate_curve,
    score_at_rate,
    score_maps,
)


@pytest.mark.parametrize(("level", "believed"), [(0.03, None), (0.3, None), (0.3, 0.27)])
def test_rates_agree_with_plain_simulation(
    tables: SpotTables, ratio: LikelihoodRatio, level: float, believed: float | None
) -> None:
    """Local maxima of blank images, a couple of hundred of them, against the weights' sum."""
    generator = np.random.default_rng(3)
    draw = draw_null(tables, ratio, level, generator, 3000, believed)
    log_rate = math.log(6e-4)
    threshold = score_at_rate(draw.score, draw.log_weight, log_rate)
    counts = generator.poisson(level, (16, 150, 150)).astype(np.uint16)
    found, places = 0, 0
    for image in counts:
        scores = score_maps(ratio, image[None], level if believed is None else believed)[0]
        windows = np.lib.stride_tricks.sliding_window_view(scores, (5, 5)).reshape(-1, 5, 5)
        high = windows[:, 2, 2] >= threshold - 1e-3
        found += int(is_maximum(windows[high]).sum())
        places += len(windows)
    expected = math.exp(log_rate) * places
    # Poisson errors of the count, a tenth for the draws, and scores that come in steps.
    assert abs(found - expected) < 4 * math.sqrt(expected) + 0.2 * expected


def test_shared_charge_makes_more(tables: SpotTables, ratio: LikelihoodRatio) -> None:
    """Two photons side by side are far more common then."""
    plain, shared = (
        draw_null(tables, ratio, 1e-3, np.random.default_rng(4), 3000, sharing=share)
        for share in (0.0, 0.03)
    )
    threshold = score_at_rate(plain.score, plain.log_weight, math.log(1e-5))
    rate = np.exp(shared.log_weight[shared.score >= threshold]).sum()
    assert rate > 2e-5


def test_masked_pixels_hold_nothing(tables: SpotTables, ratio: LikelihoodRatio) -> None:
    """Counts are taken away under the mask, and maxima found without them."""
    usable = np.ones((1000, 11, 11), np.bool_)
    usable[:, :, 7:] = False
    draw = draw_null(tables, ratio, 0.5, np.random.default_rng(5), 1000, usable=usable)
    assert not draw.counts[:, :, 7:].any()
    assert not draw.usable[:, :, 7:].any()
    assert len(draw.score) > 50


def test_resampling_keeps_to_the_threshold(tables: SpotTables, ratio: LikelihoodRatio) -> None:
    """Rows are high enough, no more than asked or than are independent; none if none is."""
    generator = np.random.default_rng(6)
    draw = draw_null(tables, ratio, 0.1, generator, 2000)
    rows = draw.resample(8.0, 50, generator)
    assert 0 < len(rows) <= 50
    assert (draw.score[rows] >= 8.0).all()
    assert len(draw.resample(1e9, 50, generator)) == 0


def test_equal_scores_count_together() -> None:
    """Each of several equal scores is as common as all of them."""
    scores = np.array([5.0, 7.0, 5.0, 3.0])
    ordered, rates = log_rate_curve(scores, np.log([0.1, 0.2, 0.3, 0.4]))
    np.testing.assert_allclose(ordered, [7.0, 5.0, 5.0, 3.0])
    np.testing.assert_allclose(np.exp(rates), [0.2, 0.6, 0.6, 1.0])
    assert score_at_rate(scores, np.log([0.1, 0.2, 0.3, 0.4]), math.log(0.5)) == 7.0
    # Rarer than anything drawn: e^-x for x more.
    beyond = score_at_rate(scores, np.log([0.1, 0.2, 0.3, 0.4]), math.log(0.02))
    assert beyond == pytest.approx(7.0 + math.log(10.0))


def test_of_equal_maxima_the_first_counts() -> None:
    """A tie goes to the pixel that comes first."""
    maps = np.zeros((3, 5, 5), np.float32)
    maps[0, 2, 2] = 1.0
    maps[1, 2, 2] = maps[1, 3, 3] = 1.0
    maps[2, 2, 2] = maps[2, 1, 1] = 1.0
    assert is_maximum(maps).tolist() == [True, True, False]
