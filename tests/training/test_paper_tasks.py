"""The paper's models train on a tree of images, with the paper's losses and weights."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from cxlsfind.datasets.naming import LABELS, OVERLAY
from cxlsfind.datasets.streaming import FrameDataset
from cxlsfind.errors import UsageError
from cxlsfind.training.batches import TreeBatches
from cxlsfind.training.loop import test as score
from cxlsfind.training.paper_tasks import (
    PAPER_TASKS,
    BinnedFrames,
    HeatmapTask,
    branches_of,
    make_paper_task,
)
from cxlsfind.training.registry import restore_task
from cxlsfind.training.tasks import class_weight

Tree = tuple[Path, Path]


@pytest.mark.parametrize("name", PAPER_TASKS)
def test_every_task_builds_learns_and_judges(small_tree: Tree, name: str) -> None:
    """A loss with gradients, finite scores, and the same task again from its settings."""
    frames = FrameDataset(small_tree[0], branches=branches_of(name))
    task = make_paper_task(name, frames, 4)
    batch = next(TreeBatches(BinnedFrames(frames, 4), 6).epoch(1))
    torch.manual_seed(1)
    model = task.build()
    loss = task.loss(model, batch)
    loss.backward()
    assert math.isfinite(float(loss.detach()))
    assert any(weight.grad is not None and bool(weight.grad.any()) for weight in model.parameters())
    rows = score(task, model, TreeBatches(BinnedFrames(frames, 4), 6), torch.device("cpu"))
    assert 0.0 <= rows["test_accuracy"] <= 1.0
    again = restore_task(task.name, task.settings)
    assert again.classes == task.classes
    assert [p.shape for p in again.build().parameters()] == [p.shape for p in model.parameters()]


def test_optimisers_are_the_papers(small_tree: Tree) -> None:
    """Adam with a plateau for peaks, plain gradient descent for parameters."""
    frames = FrameDataset(small_tree[0], branches=(OVERLAY, LABELS))
    binary = make_paper_task("paper-binary", frames, 4)
    assert (binary.optimiser.kind, binary.optimiser.learning_rate) == ("adam", 1e-4)
    assert binary.optimiser.plateau is not None
    assert binary.epochs == 30
    energy = make_paper_task("paper-energy", frames, 4)
    assert (energy.optimiser.kind, energy.optimiser.learning_rate) == ("sgd", 1e-6)
    assert energy.optimiser.steepest is None
    assert energy.epochs == 5
    assert energy.classes == ("6 keV", "7 keV")
    assert make_paper_task("paper-clen", frames, 4).classes == ("15 cm", "25 cm")


def test_the_positive_class_is_weighted(small_tree: Tree) -> None:
    """Six empty frames over twelve with crystals: each hit counts half."""
    frames = FrameDataset(small_tree[0], branches=(OVERLAY,))
    assert make_paper_task("paper-base", frames, 4).settings["n_without"] == 6
    assert class_weight(6, 12) == 0.5
    with pytest.raises(UsageError, match="needs both"):
        class_weight(0, 12)


def test_unseen_values_have_the_nearest_class(small_tree: Tree) -> None:
    """A photon energy that was never trained on counts for the nearest keV that was."""
    frames = FrameDataset(small_tree[0], branches=(OVERLAY,))
    task = make_paper_task("paper-energy", frames, 4)
    images = torch.zeros(3, 1, *task.settings["shape"])
    batch = {OVERLAY: images, "photon_energy": torch.tensor([6200.0, 7400.0, 12000.0])}
    assert task.judge(task.build(), batch).truth.tolist() == [0, 1, 1]


def test_binned_frames_keep_photons_and_peaks(small_tree: Tree) -> None:
    """Photons are summed, labels joined; the second reading comes from memory."""
    frames = FrameDataset(small_tree[0], branches=(OVERLAY, LABELS))
    binned = BinnedFrames(frames, 4)
    whole, small = frames[1], binned[1]
    assert small[OVERLAY].shape == (1, 32, 30)
    assert float(small[OVERLAY].sum()) == float(whole[OVERLAY][:, :128, :120].sum())
    assert set(small[LABELS].unique().tolist()) == {0.0, 1.0}
    assert binned[1] is small
    assert BinnedFrames(frames, 1)[1][OVERLAY].shape == (1, 130, 121)
    assert len(binned) == len(frames) == 18


def test_heat_maps_are_scored_by_pixels() -> None:
    """Peaks found and others marked are counted, and doubt is left out."""
    task = HeatmapTask()
    batch = {
        OVERLAY: torch.zeros(1, 1, 8, 8),
        LABELS: torch.zeros(1, 1, 8, 8),
        "ignore": torch.zeros(1, 1, 8, 8),
    }
    batch[LABELS][0, 0, 2, 2] = 1.0
    batch["ignore"][0, 0, :, 7] = 1.0
    judged = task.judge(task.build().eval(), batch)
    assert len(judged.truth) == 56
    assert int(judged.truth.sum()) == 1
    marked = judged._replace(predicted=torch.ones(56, dtype=torch.long))
    assert task.figures(marked) == {"peak_pixels_found": 1.0, "other_pixels_marked": 55.0}
