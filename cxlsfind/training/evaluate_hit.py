"""Scoring a hit model against the finder alone and against what nobody can beat."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from cxlsfind.training.calibrate import artefact_odds
from cxlsfind.training.conditions import FRAME_KINDS
from cxlsfind.training.figures import draw_confusion, draw_curves, draw_model
from cxlsfind.training.hit_data import (
    ARTEFACT,
    BLANK,
    CALLED_AT,
    FRAME_CLASSES,
    HIT,
    NEITHER,
    FrameSet,
    peak_of,
    simulate_frames,
)
from cxlsfind.training.reports import Section, Table
from cxlsfind.training.scores import (
    Curve,
    area_under,
    calibration_error,
    confusion_matrix,
    rate,
    reliability,
    roc_curve,
    true_at_false,
)
from cxlsfind.training.seeds import Part

FloatArray = npt.NDArray[np.float64]

#: Orientations that a search for a known cell tries: what limit B pays for not knowing its own.
_ORIENTATIONS: Final = 1e8

_ORACLE_EDGES: Final = (3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 1e9)
_BACKGROUND_EDGES: Final = (1e-4, 1e-3, 1e-2, 0.1, 1.0)


def evaluate_hit(model: nn.Module, state: dict[str, Any], *, frames: int) -> list[Section]:
    """Return all there is to say of a hit model.

    Parameters
    ----------
    state
        Its checkpoint.
    frames
        Frames to score on, and half as many to set the limit of artefacts with.
    """
    seed = state["seed"]
    peak = peak_of(state)
    calibrating = simulate_frames(frames // 2, seed, Part.CALIBRATE, peak=peak)
    limits = artefact_odds(model, calibrating)
    tested = simulate_frames(frames, seed, Part.SCORE, peak=peak)
    with torch.inference_mode():
        verdict = model(torch.from_numpy(tested.candidates), torch.from_numpy(tested.frames))
    artefact = verdict.artefact.double().numpy()
    found = tested.p_value <= CALLED_AT
    kept = found & (artefact <= limits["artefact_odds"])
    probability = torch.sigmoid(verdict.log_odds).double().numpy()
    return [
        Section("Model", figures=(("hit_model", draw_model(model, title="hit model")),)),
        _by_kind(tested, found, kept, limits),
        _limits(tested, found, kept),
        _curves(tested, artefact, probability, kept),
    ]


def _by_kind(
    tested: FrameSet,
    found: npt.NDArray[np.bool_],
    kept: npt.NDArray[np.bool_],
    limits: dict[str, Any],
) -> Section:
    rows = []
    for number, kind in enumerate(FRAME_KINDS):
        here = tested.kind == number
        for label in (HIT, BLANK, ARTEFACT):
            part = here & (tested.label == label)
            if part.any():
                rows.append(
                    (f"{kind}: {FRAME_CLASSES[label]}", str(rate(found[part])),
                     str(rate(kept[part])))
                )  # fmt: skip
    blanks = tested.label == BLANK
    note = (
        f"The limit was set with {limits['artefact_frames']} frames of artefacts alone, of other "
        f"seeds; there it cost {limits['hits_lost']} of {limits['hits']} hits. Blanks of all kinds "
        f"called hits: {rate(found[blanks])} by the finder, {rate(kept[blanks])} with the model."
    )
    header = ("frames", "called hits by the finder", "with the model")
    return Section(
        "Frames called hits", (note,), (Table("By kind and truth", header, tuple(rows)),)
    )


def _limits(tested: FrameSet, found: npt.NDArray[np.bool_], kept: npt.NDArray[np.bool_]) -> Section:
    """Share of hits found, beside the limits, by what could be known of the frame."""
    clean = tested.kind == FRAME_KINDS.index("clean")
    crystals = np.isin(tested.label, (HIT, NEITHER))
    # A false positive rate of at most the finder's: P0(L >= t) <= e^-t for a likelihood ratio.
    needed = -math.log(CALLED_AT)
    genie = tested.oracle >= needed
    searched = tested.oracle >= needed + math.log(_ORIENTATIONS)
    rows = []
    for low, high in pairwise(_ORACLE_EDGES):
        here = crystals & (tested.oracle >= low) & (tested.oracle < high)
        if here.any():
            rows.append(
                (
                    f"{low:g} to {high:g}",
                    str(rate(found[here & clean])),
                    str(rate(found[here])),
                    str(rate(kept[here])),
                    str(rate(searched[here])),
                    str(rate(genie[here])),
                )
            )
    header = ("nats of frame", "finder, clean frames (limit A)", "finder", "with the model",
              "cell and F known (limit B)", "all known (limit C)")  # fmt: skip
    return Section(
        "Hits found, by the log likelihood ratio of the frame with everything known",
        ("Limit C knows every spot of the frame and cannot be beaten; limit B knows cell and "
         "structure factors and searches the orientation.",),
        (Table(f"Share found at a p-value of {CALLED_AT:g}", header, tuple(rows)),),
    )  # fmt: skip


def _curves(
    tested: FrameSet, artefact: FloatArray, probability: FloatArray, kept: npt.NDArray[np.bool_]
) -> Section:
    trained = tested.label != NEITHER
    is_hit = tested.label == HIT
    significance = -np.log(np.maximum(tested.p_value, 1e-300))
    curves, rows = [], []
    for low, high in pairwise(_BACKGROUND_EDGES):
        here = trained & (tested.frames[:, 2] >= low) & (tested.frames[:, 2] < high)
        positive, negative = significance[here & is_hit], significance[here & ~is_hit]
        if len(positive) < 5 or len(negative) < 5:
            continue
        odds = probability[here & is_hit], probability[here & ~is_hit]
        name = f"{low:g} to {high:g} photons/px"
        curves.append(roc_curve(name, *odds))
        rows.append(
            (
                name,
                f"{area_under(roc_curve('', positive, negative)):.4f}",
                f"{area_under(curves[-1]):.4f}",
                f"{true_at_false(positive, negative, 0.01):.3f}",
                f"{true_at_false(*odds, 0.01):.3f}",
                f"{len(positive)} + {len(negative)}",
            )
        )
    said = reliability("P(hit)", probability[trained], is_hit[trained])
    predicted = np.where(kept, HIT, np.where(artefact > 0.0, ARTEFACT, BLANK))
    matrix = confusion_matrix(tested.label[trained], predicted[trained], 3)
    header = ("background", "area, finder", "area, model", "true at 1 % false, finder",
              "model", "hits + others")  # fmt: skip
    empty = [Curve("none", np.array([0.0, 1.0]), np.array([0.0, 1.0]))]
    return Section(
        "Hits against everything else, artefacts included",
        (f"Mean distance of the reliability curve from the diagonal: "
         f"{calibration_error(said):.3f}.",),
        (Table("By background", header, tuple(rows)),),
        (
            ("hit_roc", draw_curves(curves or empty, "false positives", "true positives")),
            (
                "hit_reliability",
                draw_curves([said], "said probability", "was a hit", diagonal=True),
            ),
            ("hit_confusion", draw_confusion(matrix, FRAME_CLASSES[:3])),
        ),
    )  # fmt: skip
