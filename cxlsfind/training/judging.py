"""What a peak model in training says of candidates, as the main job would hear it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from cxlsfind.models.peak_runner import N_COLUMNS, Verdicts, columns_of, verdicts_of
from cxlsfind.models.searched import weigh_frame
from cxlsfind.training.frames import FoundFrame, FrameSource
from cxlsfind.training.patches import LEVELS, PatchSet


def judge_set(model: nn.Module, artefact_odds: float, patches: PatchSet) -> Verdicts:
    """Let a model judge candidates, each as if it were the only one of its frame.

    Parameters
    ----------
    artefact_odds
        Log odds from which a candidate is an artefact.
    """
    return judge_arrays(model, artefact_odds, *patches[:3])


def judge_arrays(
    model: nn.Module,
    artefact_odds: float,
    counts: npt.NDArray[np.uint16],
    background: npt.NDArray[np.float32],
    mask: npt.NDArray[np.uint8],
    frame: npt.NDArray[np.intp] | None = None,
) -> Verdicts:
    """Let a model judge what is around candidates.

    Parameters
    ----------
    counts, background, mask
        As in :class:`~cxlsfind.models.cutting.Patches`.
    frame
        Number of the frame of each; each its own without.
    """
    parts = [np.empty((0, N_COLUMNS))]
    with torch.inference_mode():
        for start in range(0, len(counts), 1024):
            rows = slice(start, start + 1024)
            batch = (torch.from_numpy(array[rows]) for array in (counts, background, mask))
            parts.append(columns_of(model(*batch)).double().numpy())
    middle = counts.shape[1] // 2
    level = background[:, middle, middle].astype(np.float64)
    if frame is None:
        frame = np.arange(len(level))
    return verdicts_of(np.concatenate(parts), level, frame, artefact_odds, LEVELS)


def kept_peaks(
    model: nn.Module, artefact_odds: float, source: FrameSource, found: FoundFrame
) -> npt.NDArray[np.bool_]:
    """Tell which peaks of a frame are listed when the model has had its say."""
    frame = source.searched(found)
    alone = np.zeros(frame.n_peaks, np.intp)
    verdicts = judge_arrays(model, artefact_odds, *frame.patches, alone)
    weighed = weigh_frame(frame, verdicts, float(source.usable.sum()))
    return (np.arange(len(frame.peaks)) < frame.n_peaks) & ~weighed.is_artefact
