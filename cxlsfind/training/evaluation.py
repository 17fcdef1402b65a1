"""An evaluation from its options: models and their scores as one page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from cxlsfind.errors import UsageError
from cxlsfind.training.evaluate_centre import evaluate_centre
from cxlsfind.training.evaluate_hit import evaluate_hit
from cxlsfind.training.evaluate_paper import PaperModel, evaluate_paper
from cxlsfind.training.evaluate_parameters import evaluate_parameters
from cxlsfind.training.evaluate_peak import evaluate_peak
from cxlsfind.training.figures import draw_curves
from cxlsfind.training.loop import CHECKPOINT_NAME, Row, read_checkpoint
from cxlsfind.training.paper_tasks import PAPER_TASKS
from cxlsfind.training.registry import restore_model
from cxlsfind.training.reports import Section, write_page
from cxlsfind.training.scores import Curve

#: Columns of the metrics that are no curve.
_NO_CURVE: Final = ("epoch", "seconds", "learning_rate")


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """What a user may ask of an evaluation.

    Parameters
    ----------
    folders
        What trainings left.
    output
        Folder for the page, its figures and tables.
    tree, split
        Images for the paper's models, and which of them are for test; all without a split.
    candidates, frames, profiles
        Candidates and whole frames of each kind to score models on, backgrounds of each kind for
        photon energy and camera length; 0 leaves a part out.
    precision
        Multiplies the draws that rates and efficiencies are measured with.
    seed
        Of the backgrounds.
    threads
        Cores to use.
    """

    folders: tuple[Path, ...]
    output: Path
    tree: Path | None = None
    split: Path | None = None
    candidates: int = 20000
    frames: int = 256
    profiles: int = 0
    precision: float = 1.0
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        """Refuse what makes no evaluation."""
        if not self.folders and not self.profiles:
            raise UsageError("nothing to score: name the folder of a training, or --profiles N")
        if not 0.01 <= self.precision <= 100.0:
            raise UsageError(f"--precision={self.precision}: give a number from 0.01 to 100")
        for flag, value, least in (
            ("--candidates", self.candidates, 500),
            ("--frames", self.frames, 0),
            ("--profiles", self.profiles, 0),
            ("--seed", self.seed, 0),
            ("--threads", self.threads, 1),
        ):
            if value < least:
                raise UsageError(f"{flag}={value}: give {least} or more")


def run_evaluation(options: EvaluationOptions, say: Callable[[str], None]) -> Path:
    """Score models, and return the page that says how they did.

    Parameters
    ----------
    say
        Takes the tables as text, one by one.
    """
    torch.set_num_threads(options.threads)
    states = [read_checkpoint(folder / CHECKPOINT_NAME) for folder in options.folders]
    sections: list[Section] = []
    papers: list[PaperModel] = []
    for state in states:
        added = [_history(state)]
        task, model = restore_model(state)
        if task.name in PAPER_TASKS:
            papers.append(PaperModel(task, model, state))
        else:
            added += _score(model, state, options)
        _tell(added, say)
        sections += added
    if papers:
        if options.tree is None:
            raise UsageError(f"{papers[0].task.name} is scored on images: give --tree DIR")
        added = evaluate_paper(papers, options.tree, options.split)
        _tell(added, say)
        sections += added
    if options.profiles:
        for section in _score_parameters(options, say):
            _tell([section], say)
            sections.append(section)
    return write_page(options.output, "Models of cxlsfind, scored", sections)


def _score_parameters(options: EvaluationOptions, say: Callable[[str], None]) -> Iterator[Section]:
    yield from evaluate_parameters(options.profiles, options.seed, say)
    yield evaluate_centre(-(-options.profiles // 4), options.seed)


def _score(model: nn.Module, state: dict[str, Any], options: EvaluationOptions) -> list[Section]:
    """Score one of our own models."""
    if state["task"] == "hit":
        return evaluate_hit(model, state, frames=max(64, options.frames))
    return evaluate_peak(
        model,
        state,
        candidates=options.candidates,
        frames=options.frames,
        precision=options.precision,
    )


def _history(state: dict[str, Any]) -> Section:
    """Curves of loss, accuracy and the task's own figures by epoch."""
    rows: list[Row] = state["rows"]
    epochs = np.array([row["epoch"] for row in rows])
    names = [name for name in rows[0] if name not in _NO_CURVE]
    loss = [name for name in names if "loss" in name]
    figures = [
        (
            f"{state['task']}_{label}",
            draw_curves(
                [Curve(name, epochs, np.array([row[name] for row in rows])) for name in chosen],
                "epoch",
                label,
            ),
        )
        for label, chosen in (
            ("loss", loss),
            ("figures", [name for name in names if name not in loss]),
        )
    ]
    notes = (f"Seed {state['seed']}, {len(rows) - 1} epochs, data: {state['notes']}.",)
    return Section(f"Training of {state['task']}", notes, (), tuple(figures))


def _tell(sections: list[Section], say: Callable[[str], None]) -> None:
    for section in sections:
        for table in section.tables:
            say(f"{section.title}\n{table.as_text()}\n")
