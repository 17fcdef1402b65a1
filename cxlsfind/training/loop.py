"""The training loop: epochs, learning rate, checkpoints, metrics; stops and goes on exactly."""

from __future__ import annotations

import contextlib
import csv
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from cxlsfind.errors import InputError
from cxlsfind.training.batches import Batch, Batches
from cxlsfind.training.tasks import Judgement, Task

CHECKPOINT_NAME: Final = "checkpoint.pt"
METRICS_NAME: Final = "metrics.csv"
SCHEMA: Final = "cxlsfind-checkpoint/1"

#: One row of the metrics, by column.
Row = dict[str, float]


@dataclass(frozen=True, slots=True)
class Settings:
    """How a training runs.

    Parameters
    ----------
    folder
        Where checkpoint and metrics are written.
    seed
        Settles weights and order.
    device
        Where it is computed.
    resume
        Whether to go on from the checkpoint in the folder.
    notes
        What else the checkpoint shall say: how the data were made.
    start
        Weights to start from instead of fresh ones.
    """

    folder: Path
    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    resume: bool = False
    notes: dict[str, Any] = field(default_factory=dict)
    start: dict[str, torch.Tensor] | None = None


def train(
    task: Task,
    train_data: Batches,
    test_data: Batches,
    settings: Settings,
    say: Callable[[str], None],
) -> nn.Module:
    """Train a model and return it as it was at its lowest test loss.

    Before the first epoch the model is tested as it is: ours start at the likelihood ratio. A
    training that was stopped and goes on ends with the same weights as one that was not, on one
    kind of device.

    Parameters
    ----------
    say
        Takes a line of metrics per epoch.

    Raises
    ------
    InputError
        There is no checkpoint to go on from, or it is of another task or seed.
    """
    torch.manual_seed(settings.seed)
    model = task.build().to(settings.device)
    if settings.start is not None:
        model.load_state_dict(settings.start)
    optimiser = task.optimiser.build(model)
    plateau = task.optimiser.plateau
    scheduler = None
    if plateau is not None:
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimiser,
            factor=plateau.factor,
            patience=plateau.patience,
            threshold=plateau.threshold,
        )
    state: dict[str, Any] = {
        "schema": SCHEMA,
        "task": task.name,
        "classes": list(task.classes),
        "settings": task.settings,
        "seed": settings.seed,
        "notes": settings.notes,
        "rows": [],
    }
    path = settings.folder / CHECKPOINT_NAME
    if settings.resume:
        state = read_checkpoint(path, task.name)
        if state["seed"] != settings.seed or state["notes"] != settings.notes:
            raise InputError(
                f"{path}: made with --seed={state['seed']} and {state['notes']}, not with "
                f"--seed={settings.seed} and {settings.notes}: give the same, or leave out --resume"
            )
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        if scheduler is not None:
            scheduler.load_state_dict(state["scheduler"])
    settings.folder.mkdir(parents=True, exist_ok=True)
    for epoch in range(len(state["rows"]), task.epochs + 1):
        started = time.perf_counter()
        # Dropout draws from the global generator: an epoch must not depend on those before it.
        torch.manual_seed(_mix(settings.seed, epoch))
        loss = math.nan
        if task.optimiser.fades:
            left = 0.5 + 0.5 * math.cos(math.pi * max(epoch - 1, 0) / task.epochs)
            for group in optimiser.param_groups:
                group["lr"] = task.optimiser.learning_rate * left
        if epoch > 0:
            loss = _train_epoch(task, model, optimiser, train_data, settings, epoch)
        row = {
            "epoch": float(epoch),
            "learning_rate": float(optimiser.param_groups[0]["lr"]),
            "train_loss": loss,
            **test(task, model, test_data, settings.device),
        }
        if scheduler is not None and epoch > 0:
            scheduler.step(row["test_loss"])
        row["seconds"] = time.perf_counter() - started
        best = min((r["test_loss"] for r in state["rows"]), default=math.inf)
        state["rows"].append(row)
        state["model"] = model.state_dict()
        state["optimiser"] = optimiser.state_dict()
        state["scheduler"] = None if scheduler is None else scheduler.state_dict()
        if row["test_loss"] < best:
            state["best"] = {name: value.clone() for name, value in model.state_dict().items()}
        _write_checkpoint(path, state)
        _write_rows(settings.folder / METRICS_NAME, state["rows"])
        say(metric_line(row))
    model.load_state_dict(state["best"])
    return model.eval()


def test(task: Task, model: nn.Module, data: Batches, device: torch.device) -> Row:
    """Return loss, accuracy and the task's own figures on test data."""
    model.eval()
    total, number = 0.0, 0
    parts: list[Judgement] = []
    with torch.inference_mode():
        for batch in data.epoch(None):
            moved = _move(batch, device)
            size = len(next(iter(moved.values())))
            total += float(task.loss(model, moved)) * size
            number += size
            parts.append(task.judge(model, moved))
    judgement = Judgement(*(torch.cat(tensors).cpu() for tensors in zip(*parts, strict=True)))
    accuracy = float((judgement.truth == judgement.predicted).float().mean())
    return {"test_loss": total / number, "test_accuracy": accuracy, **task.figures(judgement)}


def read_checkpoint(path: Path, task: str | None = None) -> dict[str, Any]:
    """Read a checkpoint; nothing in it is executed.

    Parameters
    ----------
    task
        Task that it must be of; any without.

    Raises
    ------
    InputError
        There is none, or it is not one of this task.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such checkpoint: train first") from error
    except Exception as error:
        raise InputError(f"{path}: no checkpoint of cxlsfind-train: {error}") from error
    if not isinstance(state, dict) or state.get("schema") != SCHEMA:
        raise InputError(f"{path}: no checkpoint of cxlsfind-train: it does not say {SCHEMA!r}")
    if task is not None and state["task"] != task:
        raise InputError(f"{path}: a checkpoint of the task {state['task']!r}, not of {task!r}")
    return state


def metric_line(row: Row) -> str:
    """Return one line that says how an epoch went: ``name=value`` pairs."""
    words = []
    for name, value in row.items():
        words.append(f"{name}={int(value)}" if name == "epoch" else f"{name}={value:.4g}")
    return " ".join(words)


def _train_epoch(
    task: Task,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    data: Batches,
    settings: Settings,
    epoch: int,
) -> float:
    model.train()
    total, number = 0.0, 0
    device = settings.device
    is_mixed = task.mixed_precision and device.type == "cuda"
    for batch in data.epoch(_mix(settings.seed, epoch)):
        moved = _move(batch, device)
        optimiser.zero_grad(set_to_none=True)
        half = torch.autocast("cuda", torch.bfloat16) if is_mixed else contextlib.nullcontext()
        with half:
            loss = task.loss(model, moved)
        loss.backward()  # type: ignore[no-untyped-call]
        if task.optimiser.steepest is not None:
            nn.utils.clip_grad_norm_(model.parameters(), task.optimiser.steepest)
        optimiser.step()
        size = len(next(iter(moved.values())))
        total += float(loss.detach()) * size
        number += size
    return total / number


def _move(batch: Batch, device: torch.device) -> Batch:
    return {name: tensor.to(device) for name, tensor in batch.items()}


def _mix(seed: int, epoch: int) -> int:
    """Return a seed for every epoch of every seed."""
    return (seed * 1_000_003 + epoch) % (1 << 62)


def _write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    temporary = path.with_name(path.name + ".new")
    torch.save(state, temporary)
    temporary.replace(path)


def _write_rows(path: Path, rows: list[Row]) -> None:
    temporary = path.with_name(path.name + ".new")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    temporary.replace(path)
