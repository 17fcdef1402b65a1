"""Sums along rows and columns against a loop."""

from __future__ import annotations

import numpy as np
import pytest

from cxlsfind.kernels.lines import sum_lines


@pytest.mark.parametrize("seed", range(3))
def test_against_a_loop(seed: int) -> None:
    """A panel in the middle of a sheet, with unusable pixels and pixels that are cut."""
    rng = np.random.default_rng(seed)
    stride, n_rows, side = 128, 40, 12
    ring = rng.integers(0, 9, n_rows * stride).astype(np.int32)
    usable = rng.random(ring.size) < 0.9
    votes = rng.poisson(2.0, ring.size).astype(np.uint32)
    votes[rng.integers(0, votes.size, 30)] = 1000
    hoped = rng.uniform(0.5, 3.0, 9)
    factor = rng.uniform(0.5, 2.0, (4, 11)).astype(np.float32)
    top, left, height, width = 5, 8, 30, 100
    rows, columns = np.full((2, height), 7.0), np.full((2, width), 7.0)
    window = np.array([top, left, height, width])
    sum_lines(votes, hoped, factor, side, ring, usable, stride, window, rows, columns)
    expected_rows, expected_columns = np.zeros((2, height)), np.zeros((2, width))
    for row in range(height):
        for column in range(width):
            pixel = (top + row) * stride + left + column
            if usable[pixel]:
                mean = hoped[ring[pixel]] * factor[(top + row) // side, (left + column) // side]
                both = [min(votes[pixel], 3.0 * mean + 4.0), mean]
                expected_rows[:, row] += both
                expected_columns[:, column] += both
    np.testing.assert_allclose(rows, expected_rows)
    np.testing.assert_allclose(columns, expected_columns)
