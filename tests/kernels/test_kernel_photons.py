"""Photon lists from kernels are those of the pixel-by-pixel version."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cxlsfind.kernels.photons import LARGEST_COUNT, list_rounded, sum_photons

#: Two panels side by side, the right one first, in an array of 4 x 7 pixels.
WINDOWS = np.array([[3, 7, 4, 3], [0, 7, 4, 2]])


@settings(max_examples=60, deadline=None)
@given(
    values=hnp.arrays(
        np.float32, 28, elements=st.one_of(st.floats(-50, 50, width=32), st.just(np.float32(1e30)))
    ),
    usable=hnp.arrays(np.bool_, 28),
    gains=hnp.arrays(np.float64, 2, elements=st.sampled_from([1.0, 0.3, 9.5])),
)
def test_rounding_to_photons(
    naive_photons: ModuleType, values: np.ndarray, usable: np.ndarray, gains: np.ndarray
) -> None:
    index, count = np.zeros(28, np.int32), np.zeros(28, np.uint32)
    n = list_rounded(values, usable, WINDOWS, gains, index, count)
    photons = naive_photons.rounded(values, usable, WINDOWS, gains)
    assert list(zip(index[:n].tolist(), count[:n].tolist(), strict=True)) == photons
    total = naive_photons.total(values, usable, WINDOWS, gains)
    assert sum_photons(values, usable, WINDOWS, gains) == pytest.approx(total, rel=1e-9, abs=1e-3)


def test_half_a_photon_is_one_and_the_largest_count_is_kept() -> None:
    values = np.zeros(28, np.float32)
    values[3:7] = 0.49, 0.5, 1.5, 1e12
    index, count = np.zeros(28, np.int32), np.zeros(28, np.uint32)
    n = list_rounded(values, np.ones(28, np.bool_), WINDOWS, np.ones(2), index, count)
    assert index[:n].tolist() == [4, 5]
    values[5] = 1e12
    n = list_rounded(values, np.ones(28, np.bool_), WINDOWS, np.ones(2), index, count)
    assert count[:n].tolist() == [1, LARGEST_COUNT]
