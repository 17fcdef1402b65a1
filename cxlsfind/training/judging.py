"""What a peak model in training says of candidates, as the main job would hear it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from cxlsfind.models.calibration import Calibration
from cxlsfind.models.peak_runner import N_COLUMNS, Verdicts, columns_of, verdicts_of
from cxlsfind.models.searched import weigh_frame
from cxlsfind.training.frames import FoundFrame, FrameSource
from cxlsfind.training.patches import LEVELS, PatchSet


def judge_set(
    model: nn.Module,
    calibration: Calibration,
    patches: PatchSet,
    is_listed: npt.NDArray[np.bool_] | None = None,
) -> Verdicts:
    """Let a model judge candidates.

    Parameters
    ----------
    is_listed
        Which of them the finder reports, where all are of one frame; each is alone without.
    """
    inputs = patches.counts, patches.background, patches.mask
    parts = [np.empty((0, N_COLUMNS))]
    with torch.inference_mode():
        for start in range(0, len(patches.label), 1024):
            batch = (torch.from_numpy(array[start : start + 1024]) for array in inputs)
            parts.append(columns_of(model(*batch)).double().numpy())
    level = patches.background[:, 5, 5].astype(np.float64)
    frame = np.arange(len(level))
    if is_listed is not None:
        frame = np.zeros_like(frame)
    listed = np.ones(len(level), np.bool_) if is_listed is None else is_listed
    return verdicts_of(np.concatenate(parts), level, frame, listed, calibration, LEVELS)


def kept_peaks(
    model: nn.Module, calibration: Calibration, source: FrameSource, found: FoundFrame
) -> npt.NDArray[np.bool_]:
    """Tell which peaks of a frame are listed when the model has had its say."""
    frame = source.searched(found)
    n = len(frame.patches.counts)
    nothing = np.full(n, np.nan, np.float32)
    patches = PatchSet(
        *frame.patches,
        np.zeros(n, np.int64),
        np.full((n, 2), np.nan, np.float32),
        nothing,
        nothing,
    )
    verdicts = judge_set(model, calibration, patches, np.arange(n) < frame.n_peaks)
    n_pixels = float(source.usable.sum())
    return weigh_frame(frame, verdicts, n_pixels, source.false_peaks).listing.is_taken
