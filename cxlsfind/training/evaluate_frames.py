"""Scoring a peak model on whole frames, behind the finder."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import nn

from cxlsfind.sim.score import match_peaks
from cxlsfind.training.conditions import FRAME_KINDS, draw_settings
from cxlsfind.training.frames import FoundFrame, FrameSource
from cxlsfind.training.judging import kept_peaks
from cxlsfind.training.reports import Section, Table
from cxlsfind.training.seeds import Part, seed_of


def evaluate_frames(model: nn.Module, artefact_odds: float, frames: int, seed: int) -> Section:
    """Return what becomes of whole frames in the finder, with and without a peak model.

    Parameters
    ----------
    frames
        Of each kind, in experiments of 32, half of them with crystals.
    seed
        The training's.
    """
    rows = []
    for number, kind in enumerate((*FRAME_KINDS, "all")):
        counts = np.zeros(5, np.int64)
        for part in range(max(1, frames // 32)):
            experiment = 100_000 * seed_of(seed, Part.SCORE) + 100 * number + part
            source = FrameSource(draw_settings(experiment, kind))
            flags = [k % 2 == 0 for k in range(32)]
            for found in source.block(0, flags):
                counts += _count(model, artefact_odds, source, found)
        hits, blanks = counts[4], 32 * max(1, frames // 32) - counts[4]
        rows.append(
            (
                kind,
                f"{counts[0] / max(blanks, 1):.2f}",
                f"{counts[1] / max(blanks, 1):.2f}",
                f"{counts[2]}",
                f"{counts[3]} ({counts[3] / max(counts[2], 1):.3f})",
                f"{blanks} + {hits}",
            )
        )
    header = ("frames", "false, ratio alone", "false, model", "spots found, ratio alone",
              "spots found, model", "blanks + hits")  # fmt: skip
    return Section(
        "Whole frames of random experiments",
        ("Peaks per frame without a crystal, and spots found with one, at 1 false peak asked; "
         "crystals, conditions and detector faults of their own seeds.",),
        (Table("Through the finder", header, tuple(rows)),),
    )  # fmt: skip


def _count(
    model: nn.Module, artefact_odds: float, source: FrameSource, found: FoundFrame
) -> npt.NDArray[np.int64]:
    """Return false peaks without and with the model, spots found by both, and hits, of a frame."""
    peaks = found.result.peaks
    alone = np.arange(len(peaks)) < found.result.n_peaks
    kept = kept_peaks(model, artefact_odds, source, found)
    if not found.pattern.is_hit:
        return np.array([alone.sum(), kept.sum(), 0, 0, 0], np.int64)
    spots = np.column_stack([found.pattern.spots["fs"], found.pattern.spots["ss"]])
    places = np.column_stack([peaks["fs"], peaks["ss"]])
    matched = [int((match_peaks(spots, places[rows]) >= 0).sum()) for rows in (alone, kept)]
    return np.array([0, 0, *matched, 1], np.int64)
