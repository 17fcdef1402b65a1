"""What a peak model in training says of candidates, as the main job would hear it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from cxlsfind.models.company import Company, alone, block_company
from cxlsfind.models.cutting import join_patches
from cxlsfind.models.peak_runner import N_COLUMNS, Verdicts, columns_of, verdicts_of
from cxlsfind.training.frames import FoundFrame, FrameSource
from cxlsfind.training.patches import LEVELS, PatchSet


def judge_set(model: nn.Module, artefact_odds: float, patches: PatchSet) -> Verdicts:
    """Let a model judge candidates, each as if it were the only one of its block.

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
    company: Company | None = None,
) -> Verdicts:
    """Let a model judge what is around candidates.

    Parameters
    ----------
    counts, background, mask
        As in :class:`~cxlsfind.models.cutting.Patches`.
    company
        Frame and block of each; each its own without.
    """
    parts = [np.empty((0, N_COLUMNS))]
    with torch.inference_mode():
        for start in range(0, len(counts), 1024):
            rows = slice(start, start + 1024)
            batch = (torch.from_numpy(array[rows]) for array in (counts, background, mask))
            parts.append(columns_of(model(*batch)).double().numpy())
    middle = counts.shape[1] // 2
    level = background[:, middle, middle].astype(np.float64)
    if company is None:
        company = alone(len(level))
    return verdicts_of(np.concatenate(parts), level, company, artefact_odds, LEVELS)


def kept_peaks(
    model: nn.Module, artefact_odds: float, source: FrameSource, found: Sequence[FoundFrame]
) -> list[npt.NDArray[np.bool_]]:
    """Tell which peaks of the frames of a block are listed when the model has had its say."""
    frames = [source.searched(one) for one in found]
    number = np.array([frame.n_peaks for frame in frames], np.intp)
    patches = join_patches([frame.patches for frame in frames])
    verdicts = judge_arrays(model, artefact_odds, *patches, block_company(number))
    is_artefact = verdicts.is_artefact
    kept = []
    for frame, listed in zip(frames, np.split(~is_artefact, np.cumsum(number)[:-1]), strict=True):
        is_kept = np.zeros(len(frame.peaks), np.bool_)
        is_kept[: frame.n_peaks] = listed
        kept.append(is_kept)
    return kept
