"""What is common in a block is learnt from its candidates, and from nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cxlsfind.models.company import MOST_PER_FRAME, Company, alone, odds_in_company
from cxlsfind.records import PEAK_CLASSES

#: A limit on log odds, as cards have it.
LIMIT = 3.0
SPOT, NOISE, HOT, TRACK, EXTENDED, EDGE = range(len(PEAK_CLASSES))


def naive(classes: np.ndarray, frame: list[int], n_frames: int) -> list[float]:
    """Settle the numbers of one block, candidate by candidate."""
    steady = [PEAK_CLASSES.index(name) for name in MOST_PER_FRAME]
    most = list(MOST_PER_FRAME.values())
    rate = [min(1.0, limit) for limit in most]
    usual, usual_wide, share = 1.0, 1.0, 0.01
    is_spot, is_wide = [0.0] * len(frame), [0.0] * len(frame)
    odds = []
    for _ in range(20):
        odds, weights = [], []
        for number, (row, here) in enumerate(zip(classes, frame, strict=True)):
            like = [math.exp(min(max(value, -50.0), 50.0)) for value in row]
            others = [k for k in range(len(frame)) if frame[k] == here and k != number]
            expected = usual + sum(is_spot[k] for k in others)
            blunt, sharp = expected * (1.0 - share), expected * share * like[HOT]
            detector = [r * like[k] for r, k in zip(rate, steady, strict=True)]
            wide = (usual_wide + sum(is_wide[k] for k in others)) * like[EXTENDED]
            odds.append(math.log((sum(detector) + wide) / (blunt + sharp)))
            total = blunt + sharp + sum(detector) + wide + 60.0 * like[NOISE]
            weights.append([part / total for part in (blunt + sharp, sharp, wide, *detector)])
        is_spot = [row[0] for row in weights]
        is_wide = [row[2] for row in weights]
        rate = [
            min((sum(row[3 + k] for row in weights) + 1.0) / (n_frames + 1.0), limit)
            for k, limit in enumerate(most)
        ]
        in_frames = [
            [sum(value for value, at in zip(values, frame, strict=True) if at == f) for f in
             range(n_frames)] for values in (is_spot, is_wide)
        ]  # fmt: skip
        usual, usual_wide = (
            (sum(min(value, 1.0) for value in values) + 1.0) / (n_frames + 1.0)
            for values in in_frames
        )
        share = (sum(row[1] for row in weights) + 0.1) / (sum(is_spot) + 10.0)
    return odds


def block_of(n_frames: int) -> np.ndarray:
    return np.zeros(n_frames, np.intp)


def likeness(kind: int, value: float, number: int = 1) -> np.ndarray:
    """Return candidates that look like a class by so many nats, and like nothing else."""
    rows = np.full((number, len(PEAK_CLASSES)), -9.0)
    rows[:, [SPOT, NOISE]] = 0.0, -30.0
    rows[:, kind] = value
    return rows


def test_blocks_settle_their_own_numbers() -> None:
    """As number by number, whatever other blocks hold, and in whatever order they come."""
    generator = np.random.default_rng(3)
    number = np.array([1, 2, 0, 9, 40, 5, 0])
    frame = generator.permutation(np.repeat(np.arange(7), number))
    block = np.array([0, 1, 1, 1, 2, 2, 2])
    classes = generator.normal(-2.0, 4.0, (len(frame), len(PEAK_CLASSES)))
    classes[:, SPOT] = 0.0
    found = odds_in_company(classes, Company(frame, block))
    for one in range(3):
        here = block[frame] == one
        names = np.cumsum(block == one) - 1
        expected = naive(classes[here], names[frame[here]].tolist(), int((block == one).sum()))
        np.testing.assert_allclose(found[here], expected, rtol=1e-9)
    nothing = Company(frame[:0], block)
    assert odds_in_company(classes[:0], nothing).size == 0
    assert odds_in_company(classes[:0], alone(0)).size == 0


@pytest.mark.parametrize("kind", [TRACK, EXTENDED])
def test_alone_a_candidate_is_what_it_looks_like(kind: int) -> None:
    """To a factor of two; hot pixels are never surer than sharp spots are rare."""
    values = np.linspace(-5.0, 10.0, 7)
    rows = np.concatenate([likeness(kind, value) for value in values])
    found = odds_in_company(rows, alone(7))
    assert np.abs(found - values).max() < math.log(2.0) + 0.05
    sharp = odds_in_company(likeness(HOT, 30.0), alone(1))
    assert LIMIT < sharp[0] < math.log(1.0 / 0.01) + math.log(2.0)


@pytest.mark.parametrize("n_hits", [1, 13, 64])
@pytest.mark.parametrize("value", [5.0, 12.0, 40.0])
def test_sharp_spots_come_in_bursts(n_hits: int, value: float) -> None:
    """Sixty in a frame are spots, however sharp, in every block of 64 frames with some hits."""
    generator = np.random.default_rng(5)
    number = np.zeros(64, np.intp)
    number[generator.choice(64, n_hits, replace=False)] = generator.poisson(60, n_hits)
    rows = likeness(HOT, value, number.sum())
    frame = np.repeat(np.arange(64), number)
    assert (odds_in_company(rows, Company(frame, block_of(64))) < LIMIT - 1.0).all()


@pytest.mark.parametrize("value", [5.0, 12.0, 40.0])
def test_few_sharp_spots_in_every_frame_stay(value: float) -> None:
    """No detector makes three hot pixels in every frame that are hot in no other."""
    number = np.random.default_rng(6).poisson(3, 64)
    rows = likeness(HOT, value, number.sum())
    odds = odds_in_company(rows, Company(np.repeat(np.arange(64), number), block_of(64)))
    assert (odds < LIMIT).all()


@pytest.mark.parametrize("kind", [HOT, TRACK, EDGE])
def test_what_comes_at_a_steady_rate_is_no_spot(kind: int) -> None:
    """What looks doubtful is sure where blanks have it all the time; hits keep their spots."""
    generator = np.random.default_rng(7)
    number = generator.poisson(0.3, 64)
    frame = np.repeat(np.arange(64), number)
    rows = likeness(kind, 3.0, len(frame))
    odds = odds_in_company(rows, Company(frame, block_of(64)))
    assert (odds > LIMIT).all()
    # Spots in other frames make none of these a spot, but that of a hit may be one.
    spots = likeness(HOT, -5.0, 120)
    hits = np.repeat([64, 65], 60)
    among = Company(np.concatenate([frame, hits]), block_of(66))
    odds = odds_in_company(np.concatenate([rows, spots]), among)
    assert (odds[: len(frame)] > 1.0).all()
    assert (odds[len(frame) :] < -5.0).all()
    (in_hit,) = odds_in_company(
        np.concatenate([rows, spots, likeness(kind, 3.0)]),
        Company(np.concatenate([among.frame, [65]]), block_of(66)),
    )[-1:]
    assert in_hit < LIMIT - 2.0


def test_company_decides_what_looks_like_both() -> None:
    """Among spots a doubtful candidate is a spot, among pieces of a ring it is one."""
    doubtful = likeness(EXTENDED, 0.0)
    for others, shift in ((likeness(HOT, -9.0, 60), -math.log(61.0)), (
        likeness(EXTENDED, 9.0, 60), math.log(61.0)
    )):  # fmt: skip
        odds = odds_in_company(
            np.concatenate([doubtful, others]), Company(np.zeros(61, np.intp), block_of(1))
        )
        assert odds[0] == pytest.approx(shift, abs=1.0)


def test_chance_is_no_spot() -> None:
    """Candidates that background makes do not make spots likely in their frames."""
    doubtful, chance = likeness(TRACK, 2.0), likeness(HOT, -9.0, 10)
    chance[:, NOISE] = 3.0
    rows = np.concatenate([doubtful, chance])
    odds = odds_in_company(rows, Company(np.zeros(11, np.intp), block_of(1)))
    assert odds[0] == pytest.approx(2.0, abs=0.7)
