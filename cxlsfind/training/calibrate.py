"""Measuring how often background alone reaches a model's scores, to 1e-8 per frame if need be."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from cxlsfind.models.calibration import Calibration, FloatArray, RateTable
from cxlsfind.models.company import odds_in_company
from cxlsfind.models.likelihood import LikelihoodRatio, SpotTables
from cxlsfind.training.hit_data import ARTEFACT, HIT, FrameSet
from cxlsfind.training.judging import judge_set
from cxlsfind.training.null import draw_null, score_at_rate
from cxlsfind.training.patches import FRAME_PIXELS, LEVELS, PatchSimulator
from cxlsfind.training.peak_task import judge_patches

#: Rates that are tabulated, in false peaks per frame of an EIGER2 4M.
_RATES: Final = np.geomspace(100.0, 1e-3, 21)

_NODES: Final = 20

#: Share of the spots that may go as artefacts, of those that are found at one false peak per
#: frame and are the only candidate of theirs; among others fewer do.
GIVEN_AWAY: Final = 0.03

#: The finder calls a frame a hit at this p-value.
CALLED_AT: Final = 1e-3


def calibrate(
    model: nn.Module, simulator: PatchSimulator, seed: int, n_patches: int, n_spots: int
) -> Calibration:
    """Return what turns a model's numbers into decisions.

    Parameters
    ----------
    model
        A peak model, or its compiled form.
    n_patches
        Weighted patches per background that rates are measured with.
    n_spots
        Spots that the limit for artefacts is set with.
    """
    rates = measure_rates(model, simulator.tables, seed, n_patches)
    no_limit = Calibration(rates, math.inf)
    judged = judge_set(model, no_limit, simulator.spots(n_spots, seed))
    found = judged.log_rate <= log_rate_per_pixel(1.0)
    limit = float(np.quantile(judged.artefact[found], 1.0 - GIVEN_AWAY))
    return Calibration(rates, limit)


def measure_rates(
    model: nn.Module,
    tables: SpotTables,
    seed: int,
    n_patches: int = 16000,
    n_nodes: int = _NODES,
) -> RateTable:
    """Return how often background alone reaches the model's log odds and the likelihood ratio.

    Parameters
    ----------
    model
        A peak model, or its compiled form.
    n_patches
        Weighted patches per background; their number settles the error of the rates: a tenth
        with 16000.
    """
    ratio = LikelihoodRatio(tables)
    levels = np.geomspace(LEVELS[0], LEVELS[1], n_nodes)
    log_rate = np.log(_RATES / FRAME_PIXELS)
    logits = np.empty((n_nodes, len(log_rate)))
    ratios = np.empty_like(logits)
    for number, level in enumerate(levels):
        generator = np.random.default_rng((seed, number))
        draw = draw_null(tables, ratio, float(level), generator, n_patches)
        odds, _ = log_odds_of(model, draw.counts, float(level), draw.usable)
        for column, rate in enumerate(log_rate):
            logits[number, column] = score_at_rate(odds, draw.log_weight, float(rate))
            ratios[number, column] = score_at_rate(draw.score, draw.log_weight, float(rate))
    return RateTable(
        np.log(levels),
        log_rate,
        np.maximum.accumulate(logits, axis=1),
        np.maximum.accumulate(ratios, axis=1),
    )


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


def log_odds_of(
    model: nn.Module,
    counts: npt.NDArray[np.uint16],
    level: float,
    usable: npt.NDArray[np.bool_] | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Return a model's log odds of a spot against noise, and of an artefact against a spot.

    Every patch is taken to be the only candidate of its frame.

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
    found = [np.empty((2, 0))]
    with torch.inference_mode():
        for start in range(0, len(counts), 1024):
            part = torch.from_numpy(counts[start : start + 1024])
            batch = {
                "counts": part,
                "background": torch.full(part.shape, level),
                "mask": torch.from_numpy(mask[start : start + 1024]),
            }
            verdict = judge_patches(model, batch)
            found.append(torch.stack([verdict.logit, verdict.artefact]).double().numpy())
    logit, artefact = np.concatenate(found, axis=1)
    alone = np.arange(len(artefact))
    return logit, odds_in_company(artefact, alone, np.ones(len(alone), np.bool_))


def log_rate_per_pixel(false_peaks: float) -> float:
    """Return the log rate per pixel that makes so many false peaks on an EIGER2 4M."""
    return math.log(false_peaks / FRAME_PIXELS)
