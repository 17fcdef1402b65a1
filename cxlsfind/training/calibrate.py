"""Limits of models, and how often background alone reaches a score, to 1e-8 per frame."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from cxlsfind.models.likelihood import LikelihoodRatio, SpotTables
from cxlsfind.training.hit_data import ARTEFACT, CALLED_AT, HIT, FrameSet
from cxlsfind.training.judging import judge_arrays, judge_set
from cxlsfind.training.null import PATCH_SIDE, draw_null, score_at_rate
from cxlsfind.training.patches import FRAME_PIXELS, LEVELS, PatchSet
from cxlsfind.training.rates import FloatArray, RateTable

#: Rates that are tabulated, in false peaks per frame of an EIGER2 4M.
_RATES: Final = np.geomspace(100.0, 1e-3, 21)

_NODES: Final = 20

#: The middle of a patch.
HALF: Final = PATCH_SIDE // 2

#: Share of the spots that may go as artefacts, of those that are found at one false peak per
#: frame and are the only candidate of their block; among others fewer do. What is wanted is 0.03
#: at most: the rest is for the error of the limit.
GIVEN_AWAY: Final = 0.029

#: Spots that a limit is set with, for every weighted patch: with 64000 the share is good to 0.0007.
SPOTS_PER_PATCH: Final = 4


def spot_limit(model: nn.Module, rates: RateTable, spots: PatchSet) -> dict[str, Any]:
    """Return the log odds from which candidates are artefacts, for a card.

    Parameters
    ----------
    model
        A peak model, or its compiled form.
    spots
        Candidates that are spots; each is taken to be the only one of its block.
    """
    judged = judge_set(model, math.inf, spots)
    level = spots.background[:, HALF, HALF].astype(np.float64)
    odds = judged.artefact[rates.at(judged.score, level) <= log_rate_per_pixel(1.0)]
    limit = float(np.quantile(odds, 1.0 - GIVEN_AWAY))
    return {"artefact_odds": round(limit, 4), "spots": len(odds), "given_away": GIVEN_AWAY}


def measure_rates(
    tables: SpotTables, seed: int, n_patches: int = 16000, n_nodes: int = _NODES
) -> RateTable:
    """Return how often background alone reaches a likelihood ratio.

    Parameters
    ----------
    n_patches
        Weighted patches per background; their number settles the error of the rates: a tenth
        with 16000.
    """
    ratio = LikelihoodRatio(tables)
    levels = np.geomspace(LEVELS[0], LEVELS[1], n_nodes)
    log_rate = np.log(_RATES / FRAME_PIXELS)
    scores = np.empty((n_nodes, len(log_rate)))
    for number, level in enumerate(levels):
        generator = np.random.default_rng((seed, number))
        draw = draw_null(tables, ratio, float(level), generator, n_patches)
        for column, rate in enumerate(log_rate):
            scores[number, column] = score_at_rate(draw.score, draw.log_weight, float(rate))
    return RateTable(np.log(levels), log_rate, np.maximum.accumulate(scores, axis=1))


def artefact_odds(model: nn.Module, frames: FrameSet) -> dict[str, Any]:
    """Return the log odds of "artefacts alone" above which a frame is no hit, for a card.

    The limit lets one in a hundred frames of artefacts pass, of those that the finder takes for
    hits. What it costs in hits stands beside it.

    Parameters
    ----------
    model
        A hit model.
    frames
        Frames of all kinds.
    """
    with torch.inference_mode():
        verdict = model(torch.from_numpy(frames.candidates), torch.from_numpy(frames.frames))
    odds = verdict.artefact.double().numpy()
    called = frames.p_value <= CALLED_AT
    artefacts = np.sort(odds[called & (frames.label == ARTEFACT)])
    hits = odds[called & (frames.label == HIT)]
    # With fewer than a hundred the least of them is the limit.
    limit = float(artefacts[len(artefacts) // 100]) - 1e-6 if len(artefacts) else 0.0
    return {
        "artefact_odds": limit,
        "artefact_frames": len(artefacts),
        "hits": len(hits),
        "hits_lost": int((hits > limit).sum()),
    }


def odds_on_flat(
    model: nn.Module,
    counts: npt.NDArray[np.uint16],
    level: float,
    usable: npt.NDArray[np.bool_] | None = None,
) -> FloatArray:
    """Return a model's log odds of an artefact for patches, each alone in its block.

    Parameters
    ----------
    counts
        Patches, (n, 11, 11).
    level
        Flat background that they lie on, photons per pixel.
    usable
        Usable pixels of each; all unless given.
    """
    mask = np.ones(counts.shape, np.uint8) if usable is None else usable.astype(np.uint8)
    background = np.full(counts.shape, level, np.float32)
    return judge_arrays(model, math.inf, counts, background, mask).artefact


def log_rate_per_pixel(false_peaks: float) -> float:
    """Return the log rate per pixel that makes so many false peaks on an EIGER2 4M."""
    return math.log(false_peaks / FRAME_PIXELS)
