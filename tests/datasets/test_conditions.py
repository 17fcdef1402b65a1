"""Conditions: the paper's table, grids, ranges."""

from __future__ import annotations

import numpy as np
import pytest

from cxlsfind.datasets.conditions import (
    TABLE_CLENS_M,
    TABLE_ENERGIES_EV,
    Range,
    condition_grid,
    table_condition,
)
from cxlsfind.errors import UsageError


def test_the_default_grid_is_the_table_of_the_paper():
    grid = condition_grid(TABLE_ENERGIES_EV, TABLE_CLENS_M, ["a"], [3e8])
    found = {c.dataset: (c.clen_m, c.photon_energy_ev, c.clen_number) for c in grid}
    assert found == {
        1: (0.15, 6000, 1),
        2: (0.15, 7000, 1),
        3: (0.15, 8000, 1),
        4: (0.25, 6000, 2),
        5: (0.25, 7000, 2),
        6: (0.25, 8000, 2),
        7: (0.35, 6000, 3),
        8: (0.35, 7000, 3),
        9: (0.35, 8000, 3),
    }
    for condition in grid:
        expected = (condition.photon_energy_ev, condition.clen_m)
        assert table_condition(condition.dataset) == expected
    assert table_condition(10) is None


def test_a_range_is_one_data_set_of_a_grid():
    grid = condition_grid([Range(5000, 9000)], [0.2, 0.1], ["a", "b"], [3e8])
    assert [(c.clen_m, c.clen_number, c.crystal) for c in grid] == [
        (0.2, 2, "a"),
        (0.1, 1, "a"),
        (0.2, 2, "b"),
        (0.1, 1, "b"),
    ]
    assert not any(c.is_fixed for c in grid)


@pytest.mark.parametrize("is_logarithmic", [False, True])
def test_ranges_are_drawn_evenly_within_their_ends(is_logarithmic):
    drawn = np.array(
        [Range(1, 100, is_logarithmic).draw(np.random.default_rng(n)) for n in range(400)]
    )
    assert drawn.min() >= 1
    assert drawn.max() <= 100
    middle = 10 if is_logarithmic else 50.5
    assert abs((drawn < middle).mean() - 0.5) < 0.1


def test_the_same_value_twice_is_refused():
    with pytest.raises(UsageError, match=r"photon energy 6000\.0 is given twice"):
        condition_grid([6000.0, 6000.0], [0.1], ["a"], [3e8])
