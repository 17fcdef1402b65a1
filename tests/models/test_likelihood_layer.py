"""The layer gives the likelihood ratio that the default finder's tables give."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from cxlsfind.finding.poisson.scores import build_tables
from cxlsfind.finding.poisson.shapes import round_shapes
from cxlsfind.models.likelihood import LikelihoodRatio, SpotTables

SIDE = 13


def images(
    generator: np.random.Generator, level: float, bright: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return counts with something bright in the middle, a flat background and a broken mask."""
    mean = np.full((6, SIDE, SIDE), level)
    mean[:, 5:8, 5:8] += bright
    mask = generator.random(mean.shape) < 0.9
    counts = generator.poisson(mean) * mask
    return tuple(
        torch.from_numpy(array.astype(np.float32)[:, None])
        for array in (counts, np.full(mean.shape, level), mask)
    )


@pytest.mark.parametrize("node", [24, 55, 80, 83, 86, 101, 122])
@pytest.mark.parametrize("bright", [0.3, 60.0])
def test_layer_equals_tables(tables: SpotTables, node: int, bright: float) -> None:
    """At the backgrounds of the finder's tables, 1e-5 to 13, with holes in the mask."""
    level = math.exp(tables.log_background[node])
    counts, background, mask = images(np.random.default_rng(5), level, bright)
    scores = torch.logsumexp(LikelihoodRatio(tables)(counts, background, mask), dim=1)
    finder = build_tables(round_shapes().banks[0], math.inf)
    windows = [
        np.lib.stride_tricks.sliding_window_view(image[:, 0].numpy(), (7, 7), axis=(1, 2))
        for image in (counts, mask)
    ]
    seen, usable = (window.reshape(*window.shape[:3], 49).astype(np.float64) for window in windows)
    components = finder.log_weight - finder.total[node]
    components = components + seen @ finder.log_ratio[node].astype(np.float64)
    components = components + (1.0 - usable) @ finder.forgiven[node].astype(np.float64)
    expected = np.logaddexp.reduce(components, axis=-1)
    np.testing.assert_allclose(scores.numpy(), expected, rtol=1e-3, atol=0.02)


def test_no_photons_no_trouble(tables: SpotTables) -> None:
    """An empty window at the lowest background has a finite, negative ratio."""
    empty = torch.zeros(1, 1, 7, 7)
    layer = LikelihoodRatio(tables)
    for level in (1e-12, 1e-4, 1e5):
        score = torch.logsumexp(layer(empty, torch.full_like(empty, level), empty + 1), dim=1)
        assert score.shape == (1, 1, 1)
        assert torch.isfinite(score).all()
        assert float(score) < 0.0
