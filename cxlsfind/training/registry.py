"""Tasks by name, and models from checkpoints."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from torch import nn

from cxlsfind.errors import InputError
from cxlsfind.training.hit_task import HitTask
from cxlsfind.training.paper_tasks import PAPER_TASKS, BinaryTask, HeatmapTask, ParameterTask
from cxlsfind.training.patches import Thresholds
from cxlsfind.training.peak_task import PeakTask
from cxlsfind.training.tasks import Task

#: Names on the command line.
TASKS: Final = ("peak", "hit", *PAPER_TASKS)


def restore_task(name: str, settings: dict[str, Any]) -> Task:
    """Return a task as a checkpoint describes it.

    Raises
    ------
    InputError
        There is no such task.
    """
    if name == "peak":
        return PeakTask(Thresholds(*(np.array(settings[key]) for key in Thresholds._fields)))
    if name == "hit":
        return HitTask(tuple(settings["salts"]))
    if name == "paper-heatmap":
        return HeatmapTask()
    if name in ("paper-energy", "paper-clen"):
        return ParameterTask(**{**settings, "shape": tuple(settings["shape"])})
    if name in PAPER_TASKS:
        return BinaryTask(**{**settings, "shape": tuple(settings["shape"])})
    raise InputError(f"there is no task {name!r}: expected one of {', '.join(TASKS)}")


def restore_model(state: dict[str, Any]) -> tuple[Task, nn.Module]:
    """Return task and model of a checkpoint, at its lowest test loss, ready for use."""
    task = restore_task(state["task"], state["settings"])
    model = task.build()
    model.load_state_dict(state["best"])
    return task, model.eval()
