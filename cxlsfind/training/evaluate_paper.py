"""The paper's models on data without leaks, beside the paper's own numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from cxlsfind.datasets.splits import read_split
from cxlsfind.datasets.streaming import FrameDataset
from cxlsfind.training.batches import TreeBatches
from cxlsfind.training.figures import draw_confusion, draw_curves, draw_model
from cxlsfind.training.paper_tasks import BinnedFrames, branches_of
from cxlsfind.training.reports import Section, Table
from cxlsfind.training.scores import Curve, area_under, confusion_matrix, rate, roc_curve
from cxlsfind.training.tasks import Judgement, Task

#: Share of each class that the paper's models put where it belongs, in the paper.
_PAPER: Final = {
    "paper-binary": {"blank": "1", "hit": "0.975"},
    "paper-base": {"blank": "1", "hit": "0.74"},
    "paper-dual": {"blank": "0.25", "hit": "1"},
    "paper-energy": {"6 keV": "1", "7 keV": "1", "8 keV": "1"},
    "paper-clen": {"15 cm": "1", "25 cm": "1", "35 cm": "1"},
    "paper-heatmap": {"no peak": "1", "peak": "0"},
}


def evaluate_paper(
    task: Task, model: nn.Module, state: dict[str, Any], tree: Path, split: Path
) -> list[Section]:
    """Return what one of the paper's models makes of the test frames of a tree.

    Parameters
    ----------
    state
        Its checkpoint.
    """
    name = task.name
    branches = branches_of(name)
    frames = FrameDataset(tree, names=read_split(split).test, branches=branches)
    binned = BinnedFrames(frames, int(state["notes"]["binning"]))
    batches = TreeBatches(binned, task.batch_size)
    with torch.inference_mode():
        parts = [task.judge(model, batch) for batch in batches.epoch(None)]
    judged = Judgement(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))
    truth, predicted = judged.truth.numpy(), judged.predicted.numpy()
    matrix = confusion_matrix(truth, predicted, len(task.classes))
    rows = tuple(
        (
            label,
            _PAPER[name].get(label, "-"),
            str(rate(predicted[truth == number] == number)),
        )
        for number, label in enumerate(task.classes)
    )
    figures = [
        (f"{name}_model", draw_model(model, title=name)),
        (f"{name}_confusion", draw_confusion(matrix, task.classes, title=name)),
    ]
    notes: tuple[str, ...] = ()
    if len(task.classes) == 2:
        score = judged.score.double().numpy()
        curve = roc_curve(name, score[truth == 1], score[truth == 0])
        notes = (f"Area under the ROC curve: {area_under(curve):.4f}.",)
        figures.append(
            (f"{name}_roc", draw_curves([_thinned(curve)], "false positives", "true positives"))
        )
    header = ("class", "the paper", "here, on frames that share nothing with the training")
    table = Table("Share of each class put where it belongs", header, rows)
    return [Section(f"{name} on {len(frames)} test frames", notes, (table,), tuple(figures))]


def _thinned(curve: Curve) -> Curve:
    """Return a curve with at most a thousand points: a heat map has millions."""
    rows = np.unique(np.linspace(0, len(curve.x) - 1, 1000).astype(np.int64))
    return Curve(curve.name, curve.x[rows], curve.y[rows])
