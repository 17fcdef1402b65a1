"""The peak task starts at the likelihood ratio, learns, and is calibrated and exported."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from cxlsfind.errors import InputError
from cxlsfind.models.card import DataDescription
from cxlsfind.models.likelihood import SpotTables
from cxlsfind.models.peak import PeakModel
from cxlsfind.models.peak_runner import PeakRunner
from cxlsfind.training.batches import PatchBatches
from cxlsfind.training.calibrate import (
    GIVEN_AWAY,
    artefact_odds,
    log_rate_per_pixel,
    measure_rates,
    spot_limit,
)
from cxlsfind.training.efficiency import measure_efficiency
from cxlsfind.training.export import export_checkpoint
from cxlsfind.training.hit_data import ARTEFACT, HIT, FrameSet
from cxlsfind.training.hit_task import HitTask
from cxlsfind.training.judging import judge_set
from cxlsfind.training.loop import CHECKPOINT_NAME, Settings, read_checkpoint, train
from cxlsfind.training.patches import PatchSet, PatchSimulator, find_thresholds
from cxlsfind.training.peak_task import PeakTask, simulate_candidates
from cxlsfind.training.registry import restore_model


@pytest.fixture(scope="module")
def task(simulator: PatchSimulator) -> PeakTask:
    """Return the task with rough thresholds."""
    return PeakTask(find_thresholds(simulator.tables, simulator.ratio, 1.0, 3, 300))


@pytest.fixture(scope="module")
def candidates(simulator: PatchSimulator) -> PatchSet:
    """Return a few hundred candidates."""
    return simulate_candidates(simulator, 600, 11)


@pytest.fixture(scope="module")
def trained(
    task: PeakTask, candidates: PatchSet, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str]]:
    """Return the folder of a short training, and what it said."""
    folder = tmp_path_factory.mktemp("peak")
    lines: list[str] = []
    task.epochs = 4
    batches = PatchBatches(candidates, 40)
    notes = {"left_out": ["glitch"]}
    train(task, batches, batches, Settings(folder, notes=notes), lines.append)
    return folder, lines


def figures(line: str) -> dict[str, float]:
    return {name: float(value) for name, value in (word.split("=") for word in line.split())}


def test_epoch_zero_is_the_likelihood_ratio(
    task: PeakTask, candidates: PatchSet, simulator: PatchSimulator
) -> None:
    """Before training, kept is what lies above the reference by the ratio alone."""
    torch.manual_seed(1)
    model = task.build().eval()
    judged = model(*(torch.from_numpy(array) for array in candidates[:3]))
    reference = find_thresholds(simulator.tables, simulator.ratio, 1.0, 3, 300)
    needed = reference.at(candidates.background[:, 5, 5])
    margin = judged.score.flatten().detach().numpy() - needed
    clear = np.abs(margin) > 0.1
    kept = judged.logit.flatten().detach().numpy() > 0.0
    np.testing.assert_array_equal(kept[clear], margin[clear] > 0.0)


def test_training_lets_nuisances_go(trained: tuple[Path, list[str]]) -> None:
    """In four short epochs the loss falls and fewer nuisances stay."""
    first, *_, last = (figures(line) for line in trained[1])
    assert last["test_loss"] < 0.8 * first["test_loss"]
    assert first["kept_nuisances"] > 0.8
    assert last["kept_nuisances"] <= first["kept_nuisances"]


def test_rates_of_the_likelihood_ratio(task: PeakTask, tables: SpotTables) -> None:
    """The reference of the untrained model is reached once per frame, at every background."""
    rates = measure_rates(tables, 5, n_patches=500, n_nodes=3)
    assert rates.score.shape == (3, len(rates.log_rate))
    assert (np.diff(rates.score, axis=1) >= 0).all()
    one = np.argmin(np.abs(rates.log_rate - log_rate_per_pixel(1.0)))
    model = task.build()
    assert isinstance(model, PeakModel)
    reference = model.reference_at(torch.from_numpy(np.exp(rates.log_background)).float())
    np.testing.assert_allclose(rates.score[1:, one], reference[1:], atol=1.0)


def test_no_more_spots_are_given_away_than_may_be(
    trained: tuple[Path, list[str]], simulator: PatchSimulator
) -> None:
    """Of those that are found, the limit cuts a share as artefacts, as of others."""
    _, model = restore_model(read_checkpoint(trained[0] / CHECKPOINT_NAME))
    rates = measure_rates(simulator.tables, 5, n_patches=200)
    limit = spot_limit(model, rates, simulator.spots(1000, 5))["artefact_odds"]
    spots = simulator.spots(1000, 6)
    judged = judge_set(model, limit, spots)
    found = rates.at(judged.score, spots.background[:, 5, 5]) <= log_rate_per_pixel(1.0)
    lost = judged.is_artefact[found].mean()
    assert 0.3 * GIVEN_AWAY < lost < 3.0 * GIVEN_AWAY


def test_efficiency_of_the_untrained_model(task: PeakTask) -> None:
    """The likelihood ratio alone is at the limit, within the errors."""
    found = measure_efficiency(task.build().eval(), 0.0, 0.1, 7, n_spots=150, n_patches=1500)
    assert found.eta == pytest.approx(found.eta_ratio, abs=0.02)
    assert found.eta < 1.02 + 3 * found.sigma + 0.05
    assert found.eta > 0.85
    assert found.limit == pytest.approx(7.9, rel=0.15)


def test_export_and_use(
    trained: tuple[Path, list[str]], candidates: PatchSet, tmp_path: Path
) -> None:
    """What is exported is small, calibrated, and says what the checkpoint says."""
    card, worst = export_checkpoint(trained[0], tmp_path / "peak.pt", "a command", n_patches=200)
    assert worst < 1e-4
    assert (tmp_path / "peak.pt").stat().st_size < 5e6
    assert card.training["command"] == "a command"
    assert card.training["left_out"] == ["glitch"]
    assert len(card.training["simulator"]) == 16
    assert card.metrics["test_loss"] > 0
    runner = PeakRunner(
        tmp_path / "peak.pt", DataDescription("uint32", 75e-6, None, math.inf), torch.device("cpu")
    )
    single = np.ones(len(candidates.label), np.intp)
    found = runner.judge(candidates.counts, candidates.background, candidates.mask, single)
    known = ~np.isnan(found.logit)
    assert known.mean() > 0.9
    assert np.isfinite(found.artefact[known]).all()
    assert [path.name for path in tmp_path.iterdir()] == ["peak.pt"]


def test_judging_in_training_is_judging_in_use(
    trained: tuple[Path, list[str]], task: PeakTask, candidates: PatchSet
) -> None:
    """The evaluation hears what the main job would hear."""
    del trained
    model = task.build().eval()
    judged = judge_set(model, 0.0, candidates.take(slice(0, 50)))
    verdict = model(*(torch.from_numpy(array[:50]) for array in candidates[:3]))
    np.testing.assert_allclose(judged.logit, verdict.logit.flatten().detach(), rtol=1e-5)
    assert len(judge_set(model, 0.0, candidates.take(slice(0, 0))).logit) == 0


def test_only_our_models_are_exported(tmp_path: Path) -> None:
    """There must be a training, and of a task that the main job knows."""
    with pytest.raises(InputError, match="no such checkpoint"):
        export_checkpoint(tmp_path, tmp_path / "x.pt", "")
    torch.save(
        {"schema": "cxlsfind-checkpoint/1", "task": "paper-base"}, tmp_path / "checkpoint.pt"
    )
    with pytest.raises(InputError, match="a baseline"):
        export_checkpoint(tmp_path, tmp_path / "x.pt", "")


def test_artefact_limit_lets_one_in_a_hundred_pass() -> None:
    """The limit lies below all but one in a hundred frames of artefacts that look like hits."""
    model = HitTask().build().eval().requires_grad_(False)
    torch.nn.init.normal_(model.answer.weight, std=0.5)
    generator = np.random.default_rng(2)
    n = 300
    frames = FrameSet(
        candidates=np.zeros((n, 64, 9), np.float32),
        frames=generator.normal(0.0, 20.0, (n, 4)).astype(np.float32),
        label=np.where(np.arange(n) < 200, ARTEFACT, HIT).astype(np.int64),
        flags=np.zeros((n, 4), np.float32),
        p_value=np.where(np.arange(n) % 2, 1e-6, 0.5),
        own_p_value=np.ones(n),
        oracle=np.zeros(n, np.float32),
        kind=np.zeros(n, np.int64),
    )
    found = artefact_odds(model, frames)
    verdict = model(torch.from_numpy(frames.candidates), torch.from_numpy(frames.frames))
    called = frames.p_value < 1e-3
    odds = verdict.artefact.numpy()
    passed = (odds <= found["artefact_odds"]) & called & (frames.label == ARTEFACT)
    assert passed.sum() == 1
    assert found["artefact_frames"] == 100
    assert found["hits"] == 50
