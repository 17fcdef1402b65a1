"""Shares of artefacts are learnt from the candidates of a frame, and from nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cxlsfind.models.company import odds_in_company


def naive(artefact: list[float]) -> list[float]:
    """Settle the shares of one frame, number by number."""
    prior = 0.0
    for _ in range(200):
        bad = good = 1.0
        for value in artefact:
            share = 1.0 / (1.0 + math.exp(-value - prior))
            bad += share
            good += 1.0 - share
        prior = math.log(bad / good)
    return [value + prior for value in artefact]


def test_frames_settle_their_own_shares() -> None:
    """As number by number, whatever other frames hold."""
    generator = np.random.default_rng(3)
    frame = generator.permutation(np.repeat(np.arange(6), [1, 2, 0, 9, 40, 5]))
    artefact = generator.normal(-2.0, 4.0, len(frame))
    found = odds_in_company(artefact, frame)
    for number in range(6):
        here = frame == number
        expected = naive(artefact[here].tolist())
        np.testing.assert_allclose(found[here], expected, atol=1e-3)
    assert odds_in_company(artefact[:0], frame[:0]).size == 0


@pytest.mark.parametrize(("others", "shift"), [(-9.0, math.log(1 / 60)), (9.0, math.log(60))])
def test_company_decides_what_looks_like_both(others: float, shift: float) -> None:
    """Among spots a doubtful candidate is a spot, among artefacts it is none."""
    artefact = np.array([0.0, *[others] * 60])
    odds = odds_in_company(artefact, np.zeros(61, np.intp))
    assert odds[0] == pytest.approx(shift, abs=0.1)
    # Alone it is what it looks like, to the factor of two that it says of itself.
    alone = odds_in_company(artefact, np.arange(61))
    assert alone[0] == 0.0
    assert np.abs(alone - artefact).max() < math.log(2.0)
