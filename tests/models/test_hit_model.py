"""The hit model starts at the finder's word and sees candidates as a set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cxlsfind.models.card import Card, DataDescription, ModelRefusedError
from cxlsfind.models.hit import (
    CANDIDATE_COLUMNS,
    FRAME_COLUMNS,
    MOST_CANDIDATES,
    RANKS,
    SHELLS,
    HitModel,
)
from cxlsfind.models.hit_inputs import Evidence, HitInputs, hit_inputs, without_artefacts
from cxlsfind.models.hit_runner import HitRunner
from cxlsfind.models.loading import make_golden
from cxlsfind.models.torchscript import save_model, script_model
from cxlsfind.records import FRAME_FLAGS, PEAK_DTYPE, PeakArray

LIMIT = -8.0
#: Lines of two salts; the first has fewer.
SALTS = torch.tensor([[5.0, 4.1, 0.0], [7.6, 4.28, 3.06]])
EIGER = DataDescription("uint16", 75e-6, 7000.0, 1000.0)


def make_frames(seed: int, number: int = 12) -> HitInputs:
    """Draw frames with up to 30 candidates."""
    generator = np.random.default_rng(seed)
    candidates = np.zeros((number, MOST_CANDIDATES, len(CANDIDATE_COLUMNS)), np.float32)
    for row in candidates:
        n = generator.integers(0, 31)
        row[:n, 0] = generator.normal(-4.0, 4.0, n)
        row[:n, 1] = generator.exponential(30.0, n)
        row[:n, 2] = 0.05
        row[:n, 3:5] = generator.normal(0.0, 400.0, (n, 2))
        row[:n, 5] = np.hypot(row[:n, 3], row[:n, 4]) / 3000.0
        row[:n, 6] = generator.integers(2, 9, n)
        row[:n, 8] = 1.0
    frames = np.column_stack(
        [
            generator.normal(0.0, 10.0, number),
            -generator.exponential(5.0, number),
            np.full(number, 0.05),
            generator.integers(0, 30, number),
        ]
    ).astype(np.float32)
    return HitInputs(candidates, frames)


def tensors(inputs: HitInputs) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(inputs.candidates), torch.from_numpy(inputs.frame)


@pytest.fixture
def taught() -> HitModel:
    """Return a hit model whose last layer says something."""
    torch.manual_seed(6)
    model = HitModel(SALTS).eval().requires_grad_(False)
    torch.nn.init.normal_(model.answer.weight, std=1.0)
    # Half of the frames of the tests are artefacts to it.
    model.answer.bias[0] += LIMIT - model(*tensors(make_frames(6))).artefact.median()
    return model


def test_before_training_it_is_the_finder() -> None:
    """Log odds are the finder's log Bayes factor, but for artefacts one in three thousand."""
    inputs = make_frames(1)
    verdict = HitModel(SALTS).eval()(*tensors(inputs))
    expected = -np.logaddexp(-inputs.frame[:, 0].astype(np.float64), -8.0)
    np.testing.assert_allclose(verdict.log_odds.detach(), expected, rtol=1e-5, atol=1e-5)
    assert verdict.flags.shape == (12, len(FRAME_FLAGS))
    assert (verdict.artefact == -8.0).all()


def test_known_spacings_are_told_at_any_place_on_their_rings() -> None:
    """Candidates on the lines of ice count as such, others not, and none without a spacing."""
    model = HitModel(SALTS)
    candidates = torch.zeros(1, 5, len(CANDIDATE_COLUMNS))
    candidates[0, :, 5] = torch.tensor([1 / 3.661, 1 / 3.661 * 1.006, 1 / 3.1, 0.0, 1 / 4.63])
    ice = model.on_lines(candidates, model.ice)[0]
    np.testing.assert_allclose(ice, [1.0, np.exp(-0.5), 0.0, 0.0, 0.0], atol=0.01)
    precipitant = model.on_lines(candidates, model.precipitant)[0]
    np.testing.assert_allclose(precipitant, [0.0, 0.0, 0.0, 0.0, 1.0], atol=0.01)


def test_ranks_are_those_of_a_sorted_list() -> None:
    """The significance of the best candidate, the second, ...; zero beyond the last."""
    generator = np.random.default_rng(8)
    significance = generator.exponential(5.0, (3, 12)).astype(np.float32)
    model = HitModel(SALTS)
    found = model.ranked(torch.from_numpy(significance), model.ranks)
    expected = [
        [np.log1p(sorted(row, reverse=True)[rank - 1]) / 2 if rank <= 12 else 0.0 for rank in RANKS]
        for row in significance
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def frame_of(spacings: list[float], places: list[tuple[float, float]]) -> torch.Tensor:
    """Return the candidates of a frame: as many photons each, at places in px from the beam."""
    candidates = torch.zeros(1, MOST_CANDIDATES, len(CANDIDATE_COLUMNS))
    for number, (spacing, place) in enumerate(zip(spacings, places, strict=True)):
        candidates[0, number] = torch.tensor(
            [-20.0, 100.0, 0.1, *place, 1.0 / spacing, 5.0, 0.0, 1.0]
        )
    return candidates


def level(significance: float) -> float:
    return float(np.log1p(significance) / 2.0)


def test_candidates_are_told_by_their_shells() -> None:
    """The best of each shell; near the beam they stand out more, as the area that is nearer."""
    model = HitModel(SALTS)
    candidates = frame_of([12.0, 6.0, 5.8, 2.0], [(70.0, 0.0)] + [(900.0, 0.0)] * 3)
    share = candidates[:, :, 8]
    found = model.by_shell(candidates, 20.0 * share, share).reshape(len(SHELLS) + 1, 2)
    expected = np.zeros((len(SHELLS) + 1, 2))
    expected[1, 0] = level(20.0 + 2.0 * np.log(10.0))
    expected[4] = level(20.0)
    expected[6, 0] = level(20.0)
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_salts_explain_what_lies_on_their_lines() -> None:
    """Each salt those on its own lines; all of them what is too fine to tell."""
    model = HitModel(SALTS)
    candidates = frame_of([7.6, 4.28 * 1.002, 5.0, 2.1], [(500.0, 0.0)] * 4)
    explained = model.explained(candidates, candidates[:, :, 8])[0, :4, 2:4]
    np.testing.assert_allclose(
        explained, [[0.0, 1.0], [0.03, 0.98], [1.0, 0.0], [1.0, 1.0]], atol=0.03
    )


@pytest.mark.parametrize("angle", [0.2, 1.4, 2.9])
def test_streaks_explain_what_lies_on_their_axis(angle: float) -> None:
    """To both sides of the beam, in any direction; two candidates alone make no streak."""
    model = HitModel(SALTS)
    along = np.array([np.cos(angle), np.sin(angle)])
    off = np.array([np.cos(angle + 0.7), np.sin(angle + 0.7)])
    places = [tuple(r * along) for r in (100.0, -200.0, 350.0, -30.0)] + [tuple(200.0 * off)]
    candidates = frame_of([20.0] * 5, places)
    counted = 15.0 * candidates[:, :, 8]
    near = model.on_axis(candidates, counted)[0]
    np.testing.assert_allclose(near[:4], 1.0, atol=0.25)
    assert near[4] < 0.01
    candidates[:, 2:] = 0.0
    assert (model.on_axis(candidates, 15.0 * candidates[:, :, 8])[0, :2] < 0.2).all()


def test_order_and_filling_do_not_matter(taught: HitModel) -> None:
    """Candidates in another order, and other numbers in the filling, give the same."""
    candidates, frames = tensors(make_frames(2))
    expected = taught(candidates, frames)
    order = torch.from_numpy(np.random.default_rng(3).permutation(MOST_CANDIDATES))
    shuffled = candidates[:, order].clone()
    filling = shuffled[:, :, 8] == 0
    shuffled[filling, :8] = 3.0
    for part, one in zip(expected, taught(shuffled, frames), strict=True):
        torch.testing.assert_close(part, one, rtol=1e-4, atol=1e-4)
    # But what is there does matter.
    candidates[:, 0, 1] *= 50.0
    assert not torch.allclose(taught(candidates, frames).artefact, expected.artefact)


def test_turned_frames_are_the_same(taught: HitModel) -> None:
    """No direction around the beam is special."""
    candidates, frames = tensors(make_frames(4))
    turned = candidates.clone()
    turned[:, :, 3], turned[:, :, 4] = -candidates[:, :, 4], candidates[:, :, 3]
    torch.testing.assert_close(
        taught(turned, frames).artefact, taught(candidates, frames).artefact, rtol=1e-4, atol=1e-4
    )


def test_empty_and_extreme_frames(taught: HitModel) -> None:
    """No candidates, and evidence beyond measure, give numbers."""
    candidates = torch.zeros(2, MOST_CANDIDATES, len(CANDIDATE_COLUMNS))
    frames = torch.tensor([[0.0, 0.0, 0.0, 0.0], [1e7, -1e9, 1e4, 1e6]])
    assert all(bool(torch.isfinite(part).all()) for part in taught(candidates, frames))


def test_inputs_of_a_frame() -> None:
    """Peaks become rows; numbers that are not known become zero; nothing is infinite."""
    peaks = np.zeros(70, PEAK_DTYPE)
    peaks["photons"] = np.arange(70)
    peaks["p_value"] = np.concatenate([[0.0, 1.0], np.full(68, 0.5)])
    peaks["inverse_d"] = 2.0
    peaks["inverse_d"][3] = np.nan
    inputs = hit_inputs(
        peaks,
        np.column_stack([np.arange(70.0), -np.arange(70.0)]),
        log_bayes_factor=3.0,
        p_value=0.0,
        mean_background=0.1,
        n_peaks=5,
    )
    assert inputs.candidates.shape == (MOST_CANDIDATES, len(CANDIDATE_COLUMNS))
    assert inputs.frame.shape == (len(FRAME_COLUMNS),)
    assert np.isfinite(inputs.candidates).all()
    assert np.isfinite(inputs.frame).all()
    np.testing.assert_allclose(
        inputs.candidates[2, :6], [np.log(np.log(2)), 2, 0, 2, -2, 0.2], 1e-5
    )
    assert inputs.candidates[3, 5] == 0.0
    few = hit_inputs(
        peaks[:3], np.zeros((3, 2)), log_bayes_factor=0, p_value=1, mean_background=0, n_peaks=0
    )
    assert few.candidates[:, 8].tolist() == [1.0] * 3 + [0.0] * (MOST_CANDIDATES - 3)


def make_peaks(scores: Sequence[float], expected: Sequence[float] = ()) -> PeakArray:
    """Return peaks with these log likelihood ratios, of which so many false ones are expected."""
    peaks = np.zeros(len(scores), PEAK_DTYPE)
    peaks["log_likelihood_ratio"] = scores
    peaks["p_value"] = -np.expm1(-np.array(expected)) if len(expected) else 1.0
    return peaks


def test_evidence_without_artefacts() -> None:
    """Artefacts take away what they gave, and no more than there was."""
    evidence, none = Evidence(25.0, 1e-12), make_peaks([])
    same = without_artefacts(evidence, make_peaks([-5.0, 0.0]), none, 4e6)
    assert same.log_bayes_factor == pytest.approx(25.0, abs=1e-3)
    less = without_artefacts(evidence, make_peaks([30.0]), none, 4e6)
    assert less.log_bayes_factor == pytest.approx(25.0 - (30.0 + np.log(50 / 4e6)), abs=1e-6)
    assert less.p_value == pytest.approx(1e-12 * 50 / 4e6 * np.exp(30.0), rel=1e-3)
    assert without_artefacts(evidence, make_peaks([900.0]), none, 4e6).p_value == 1.0


def test_peaks_that_are_left_are_evidence() -> None:
    """Many artefacts do not undo what other peaks say; without any nothing is left."""
    evidence, artefacts = Evidence(1e6, 1e-16), make_peaks([200.0] * 300)
    spots = make_peaks([100.0] * 90, np.linspace(1e-9, 1.0, 90))
    crystal = without_artefacts(evidence, artefacts, spots, 4e6)
    assert crystal.p_value == pytest.approx(1e-16)
    assert crystal.log_bayes_factor == pytest.approx(90 * (100 + np.log(50 / 4e6)) - 50)
    one = without_artefacts(evidence, artefacts, make_peaks([20.0], [1e-6]), 4e6)
    assert one.p_value == pytest.approx(8e-6, rel=1e-3)
    # What is around the artefacts says much, and nothing of a crystal.
    for left in (make_peaks([9.0], [0.5]), make_peaks([])):
        blank = without_artefacts(evidence, artefacts, left, 4e6)
        assert blank.p_value == 1.0
        assert blank.log_bayes_factor < -40.0


def test_peaks_that_chance_leaves_are_no_hits() -> None:
    """False peaks, one per frame, are called as often as the p-value says, or less."""
    generator = np.random.default_rng(8)
    evidence, artefacts = Evidence(1e5, 1e-16), make_peaks([200.0] * 300)
    p_values = []
    for _ in range(4000):
        expected = generator.uniform(0.0, 1.0, generator.poisson(1.0)).tolist()
        chance = make_peaks([8.0] * len(expected), expected)
        p_values.append(without_artefacts(evidence, artefacts, chance, 4e6).p_value)
    for level in (0.01, 0.1, 0.3):
        assert np.count_nonzero(np.array(p_values) <= level) <= 4000 * level
    assert np.count_nonzero(np.array(p_values) <= 0.3) > 40


@pytest.fixture
def hit_file(tmp_path: Path, taught: HitModel, make_card: Callable[..., Card]) -> Path:
    """Return a file as it is exported."""
    example = make_frames(5, 3)
    golden = make_golden(
        {"candidates": example.candidates, "frames": example.frame},
        taught(*tensors(example)),
    )
    card = make_card(task="hit", golden=golden, calibration={"artefact_odds": LIMIT})
    save_model(tmp_path / "hit.pt", script_model(taught), card)
    no_limit = replace(card, calibration={})
    save_model(tmp_path / "no_limit.pt", script_model(taught), no_limit)
    return tmp_path / "hit.pt"


def test_runner_says_what_the_model_says(hit_file: Path, taught: HitModel) -> None:
    """Verdicts, probabilities and p-values of a block."""
    inputs = make_frames(6)
    found = HitRunner(hit_file, EIGER, torch.device("cpu")).judge(inputs)
    expected = taught(*tensors(inputs))
    np.testing.assert_allclose(found.log_odds, expected.log_odds, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(found.is_artefact, expected.artefact.numpy() > LIMIT)
    assert 0 < found.is_artefact.sum() < len(found.is_artefact)
    np.testing.assert_allclose(found.flags, torch.sigmoid(expected.flags), rtol=1e-4)
    nothing = HitInputs(inputs.candidates[:0], inputs.frame[:0])
    assert len(HitRunner(hit_file, EIGER, torch.device("cpu")).judge(nothing).log_odds) == 0


def test_long_lists_are_judged_apart(hit_file: Path, taught: HitModel) -> None:
    """Frames with many candidates and with few, in any order, get what the model says."""
    inputs = make_frames(7, 40)
    inputs.candidates[3::5, :60, 8] = 1.0
    found = HitRunner(hit_file, EIGER, torch.device("cpu")).judge(inputs)
    expected = taught(*tensors(inputs))
    np.testing.assert_allclose(found.log_odds, expected.log_odds, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.artefact, expected.artefact, rtol=1e-4, atol=1e-4)


def test_unknown_backgrounds_get_no_verdict(hit_file: Path) -> None:
    """Far outside the card's range, which goes to 20 photons per pixel."""
    inputs = make_frames(8, 3)
    inputs.frame[1, 2] = 100.0
    found = HitRunner(hit_file, EIGER, torch.device("cpu")).judge(inputs)
    assert np.isnan(found.log_odds).tolist() == [False, True, False]
    assert np.isnan(found.flags[1]).all()
    assert not found.is_artefact[1]


def test_a_card_without_a_limit_is_refused(hit_file: Path) -> None:
    """Nothing says then when a frame holds artefacts alone."""
    with pytest.raises(ModelRefusedError, match="from which odds on"):
        HitRunner(hit_file.with_name("no_limit.pt"), EIGER, torch.device("cpu"))
