"""Shares of artefacts are learnt from the candidates of a frame, and from nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cxlsfind.models.company import odds_in_company


def naive(artefact: list[float], counts: list[bool]) -> list[float]:
    """Settle the shares of one frame, number by number."""
    prior = 0.0
    for _ in range(200):
        bad = good = 1.0
        for value, is_counted in zip(artefact, counts, strict=True):
            share = 1.0 / (1.0 + math.exp(-value - prior))
            bad += is_counted * share
            good += is_counted * (1.0 - share)
        prior = math.log(bad / good)
    return [value + prior for value in artefact]


def test_frames_settle_their_own_shares() -> None:
    """As number by number, whatever other frames hold."""
    generator = np.random.default_rng(3)
    frame = generator.permutation(np.repeat(np.arange(6), [1, 2, 0, 9, 40, 5]))
    artefact = generator.normal(-2.0, 4.0, len(frame))
    counts = generator.random(len(frame)) < 0.7
    found = odds_in_company(artefact, frame, counts)
    for number in range(6):
        here = frame == number
        expected = naive(artefact[here].tolist(), counts[here].tolist())
        np.testing.assert_allclose(found[here], expected, atol=1e-3)
    assert odds_in_company(artefact[:0], frame[:0], counts[:0]).size == 0


@pytest.mark.parametrize(("others", "shift"), [(-9.0, math.log(1 / 60)), (9.0, math.log(60))])
def test_company_decides_what_looks_like_both(others: float, shift: float) -> None:
    """Among spots a doubtful candidate is a spot, among artefacts it is none."""
    artefact = np.array([0.0, *[others] * 60])
    odds = odds_in_company(artefact, np.zeros(61, np.intp), np.arange(61) > 0)
    assert odds[0] == pytest.approx(shift, abs=0.1)
    # Those behind the list hear of it and do not vote.
    alone = odds_in_company(artefact, np.zeros(61, np.intp), np.zeros(61, np.bool_))
    np.testing.assert_array_equal(alone, artefact)
