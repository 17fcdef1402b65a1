"""Trainings stop and go on exactly, keep their best weights, and refuse what is not theirs."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cxlsfind.errors import InputError
from cxlsfind.training.batches import Batch
from cxlsfind.training.loop import (
    CHECKPOINT_NAME,
    METRICS_NAME,
    Settings,
    metric_line,
    read_checkpoint,
    train,
)
from cxlsfind.training.tasks import Judgement, Optimiser, Plateau, Schedule, Task


class LineTask(Task):
    """Which side of a line points lie on; with dropout, which draws random numbers."""

    def __init__(self, epochs: int = 5, optimiser: Optimiser | None = None) -> None:
        self.name = "line"
        self.classes = ("below", "above")
        self.optimiser = optimiser or Optimiser("adam", 0.05)
        self.epochs = epochs
        self.batch_size = 16
        self.settings = {"epochs": epochs}

    def build(self) -> nn.Module:
        return nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 1))

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        logits = model(batch["x"])[:, 0]
        return nn.functional.binary_cross_entropy_with_logits(logits, batch["y"])

    def judge(self, model: nn.Module, batch: Batch) -> Judgement:
        logits = model(batch["x"])[:, 0]
        return Judgement(batch["y"].long(), (logits > 0).long(), logits)

    def figures(self, judgement: Judgement) -> dict[str, float]:
        return {"spread": float(judgement.score.std())}


class Points:
    """Points of a plane in batches."""

    def __init__(self, seed: int, batch_size: int = 16) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.x = torch.randn(128, 2, generator=generator)
        self.y = (self.x[:, 0] + 0.5 * self.x[:, 1] > 0.2).float()
        self.batch_size = batch_size

    def __len__(self) -> int:
        return 128 // self.batch_size

    def epoch(self, seed: int | None) -> Iterator[Batch]:
        order = torch.arange(128)
        if seed is not None:
            order = torch.randperm(128, generator=torch.Generator().manual_seed(seed))
        for rows in order.split(self.batch_size):
            yield {"x": self.x[rows], "y": self.y[rows]}


def run(folder: Path, epochs: int, **changes: object) -> tuple[nn.Module, list[str]]:
    lines: list[str] = []
    settings = Settings(folder, seed=3, **changes)  # type: ignore[arg-type]
    model = train(LineTask(epochs), Points(1), Points(2, 64), settings, lines.append)
    return model, lines


def test_training_learns_and_says_so(tmp_path: Path) -> None:
    """One line per epoch, the first of them before training; a table of them; a checkpoint."""
    model, lines = run(tmp_path, 6)
    assert [line.split()[0] for line in lines] == [f"epoch={n}" for n in range(7)]
    assert "train_loss=nan" in lines[0]
    with (tmp_path / METRICS_NAME).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 7
    assert float(rows[-1]["test_loss"]) < 0.7 * float(rows[0]["test_loss"])
    assert float(rows[-1]["test_accuracy"]) > 0.85
    assert "spread" in rows[0]
    assert not model.training
    assert {path.name for path in tmp_path.iterdir()} == {METRICS_NAME, CHECKPOINT_NAME}


def test_a_stopped_training_goes_on_exactly(tmp_path: Path) -> None:
    """Two epochs and then three more end with the weights of five, to the last bit."""
    whole, lines = run(tmp_path / "whole", 5)
    run(tmp_path / "parts", 2)
    parts, more = run(tmp_path / "parts", 5, resume=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, parts.state_dict()[name])
    assert [line.split(" seconds")[0] for line in more] == [
        line.split(" seconds")[0] for line in lines[3:]
    ]


class StopError(Exception):
    """Raised in the middle of a training."""


def test_a_rate_that_fades_does_so_after_a_stop_too(tmp_path: Path) -> None:
    """Rates follow the cosine; a training that dies and goes on ends as one that lived."""
    task = LineTask(5, Optimiser("adam", 0.05, fades=True))

    def stop_after_two(line: str) -> None:
        if line.startswith("epoch=2"):
            raise StopError

    data = Points(1), Points(2, 64)
    whole = train(task, *data, Settings(tmp_path / "whole", seed=3), lambda line: None)
    with pytest.raises(StopError):
        train(task, *data, Settings(tmp_path / "parts", seed=3), stop_after_two)
    settings = Settings(tmp_path / "parts", seed=3, resume=True)
    parts = train(task, *data, settings, lambda line: None)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, parts.state_dict()[name])
    rows = read_checkpoint(tmp_path / "parts" / CHECKPOINT_NAME)["rows"]
    left = [0.5 * (1.0 + math.cos(math.pi * part)) for part in (0.0, 0.0, 0.2, 0.4, 0.6, 0.8)]
    assert [row["learning_rate"] for row in rows] == pytest.approx([0.05 * part for part in left])


def test_the_best_weights_are_kept(tmp_path: Path) -> None:
    """A training that runs away gives back what was best, and the rate falls on a plateau."""
    task = LineTask(6, Optimiser("sgd", 80.0, Plateau(0.1, 0, 0.001)))
    model = train(task, Points(1), Points(2, 64), Settings(tmp_path), lambda line: None)
    state = read_checkpoint(tmp_path / CHECKPOINT_NAME, "line")
    losses = [row["test_loss"] for row in state["rows"]]
    batch = next(Points(2, 128).epoch(None))
    with torch.inference_mode():
        found = float(task.loss(model, batch))
    assert found == pytest.approx(min(losses), rel=1e-4)
    rates = [row["learning_rate"] for row in state["rows"]]
    assert rates[-1] < rates[0]


@pytest.mark.parametrize(
    ("schedule", "shares"),
    [
        ("constant", [1.0, 1.0, 1.0, 1.0]),
        ("cosine", [1.0, 1.0, 0.75, 0.25]),
        ("plateau", [1.0, 1.0, 1.0, 0.1]),
    ],
)
def test_schedules_can_be_chosen(tmp_path: Path, schedule: Schedule, shares: list[float]) -> None:
    """A rate that falls where the loss does not stays, fades, or falls, as is asked."""
    hasty = Optimiser("sgd", 1e-6, Plateau(0.1, 0, 0.1))
    train(
        LineTask(3, hasty.scheduled(schedule)), Points(1), Points(2, 64), Settings(tmp_path), print
    )
    rows = read_checkpoint(tmp_path / CHECKPOINT_NAME)["rows"]
    assert [row["learning_rate"] for row in rows] == pytest.approx(
        [1e-6 * share for share in shares]
    )


@pytest.mark.parametrize("steepest", [None, 1e-3])
def test_gradients_are_cut_only_where_asked(tmp_path: Path, steepest: float | None) -> None:
    """One step of plain descent is as long as the rate times the gradient, or its longest."""
    task = LineTask(1, Optimiser("sgd", 0.1, steepest=steepest))
    points = Points(1, 128)
    torch.manual_seed(0)
    before = nn.utils.parameters_to_vector(task.build().parameters()).detach()
    train(task, points, points, Settings(tmp_path), lambda line: None)
    after = read_checkpoint(tmp_path / CHECKPOINT_NAME)["model"]
    moved = torch.cat([value.ravel() for value in after.values()]) - before
    if steepest is None:
        assert float(moved.norm()) > 2.0 * 0.1 * 1e-3
    else:
        assert float(moved.norm()) == pytest.approx(0.1 * steepest, rel=1e-3)


def test_trainings_start_from_given_weights(tmp_path: Path) -> None:
    """Before the first epoch the model is the given one."""
    first, _ = run(tmp_path / "first", 4)
    state = read_checkpoint(tmp_path / "first" / CHECKPOINT_NAME)
    _, lines = run(tmp_path / "second", 1, start=state["best"])
    best = min(row["test_loss"] for row in state["rows"])
    assert f"test_loss={best:.4g}" in lines[0]
    assert not first.training


def test_checkpoints_of_others_are_refused(tmp_path: Path) -> None:
    """None, another task's, another seed's, and no checkpoint at all."""
    with pytest.raises(InputError, match="no such checkpoint"):
        run(tmp_path, 2, resume=True)
    run(tmp_path, 1)
    with pytest.raises(InputError, match="task 'line', not of 'peak'"):
        read_checkpoint(tmp_path / CHECKPOINT_NAME, "peak")
    with pytest.raises(InputError, match="--seed=3"):
        train(
            LineTask(), Points(1), Points(2), Settings(tmp_path, seed=4, resume=True),
            lambda line: None,
        )  # fmt: skip
    with pytest.raises(InputError, match="--seed=3"):
        run(tmp_path, 3, resume=True, notes={"candidates": 7})
    (tmp_path / "text.pt").write_text("no")
    with pytest.raises(InputError, match="no checkpoint"):
        read_checkpoint(tmp_path / "text.pt")
    torch.save({"schema": "other"}, tmp_path / "other.pt")
    with pytest.raises(InputError, match="does not say"):
        read_checkpoint(tmp_path / "other.pt")


def test_metric_lines() -> None:
    """Pairs of name and value, epochs whole."""
    assert metric_line({"epoch": 3.0, "loss": 0.123456}) == "epoch=3 loss=0.1235"
