"""What a peak model in training says of candidates, as the main job would hear it."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from cxlsfind.models.calibration import Calibration
from cxlsfind.models.peak_runner import N_COLUMNS, Verdicts, columns_of, verdicts_of
from cxlsfind.training.patches import LEVELS, PatchSet


def judge_set(model: nn.Module, calibration: Calibration, patches: PatchSet) -> Verdicts:
    """Let a model judge candidates."""
    inputs = patches.counts, patches.background, patches.mask
    parts = [np.empty((0, N_COLUMNS))]
    with torch.inference_mode():
        for start in range(0, len(patches.label), 1024):
            batch = (torch.from_numpy(array[start : start + 1024]) for array in inputs)
            parts.append(columns_of(model(*batch)).double().numpy())
    level = patches.background[:, 5, 5].astype(np.float64)
    return verdicts_of(np.concatenate(parts), level, calibration, LEVELS)
