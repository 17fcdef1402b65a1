"""Scoring a hit model against the finder alone and against what nobody can beat."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from cxlsfind.records import FRAME_FLAGS
from cxlsfind.sim.crystals.salts import SALT_NAMES
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
    TRAINED_KINDS,
    FrameSet,
    peak_of,
    simulate_frames,
    trained_on,
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

#: Shares of the crystals that limits may cost.
_GIVEN_AWAY: Final = (0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2)

_ORACLE_EDGES: Final = (3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 1e9)
_BACKGROUND_EDGES: Final = (1e-4, 1e-3, 1e-2, 0.1, 1.0)


def evaluate_hit(model: nn.Module, state: dict[str, Any], *, frames: int) -> list[Section]:
    """Return all there is to say of a hit model.

    Parameters
    ----------
    state
        Its checkpoint.
    frames
        Frames to score on, and half as many to set the limit of artefacts with; and as many as
        these of kinds and salts that it was never trained on.
    """
    seed = state["seed"]
    peak = peak_of(state)
    kinds, salts = trained_on(state["notes"].get("left_out", ()))
    calibrating = simulate_frames(
        frames // 2, seed, Part.CALIBRATE, kinds=kinds, salts=salts, peak=peak
    )
    limits = artefact_odds(model, calibrating)
    tested = simulate_frames(frames, seed, Part.SCORE, kinds=TRAINED_KINDS, peak=peak)
    with torch.inference_mode():
        verdict = model(torch.from_numpy(tested.candidates), torch.from_numpy(tested.frames))
    artefact = verdict.artefact.double().numpy()
    found = tested.p_value <= CALLED_AT
    kept = found & (artefact <= limits["artefact_odds"])
    probability = torch.sigmoid(verdict.log_odds).double().numpy()
    return [
        Section("Model", figures=(("hit_model", draw_model(model, title="hit model")),)),
        _by_kind(tested, found, kept, limits),
        _trade(tested, found, artefact),
        *_never_trained_on(model, state, limits, frames // 2),
        _flags(tested, verdict.flags.double().numpy()),
        _limits(tested, found, kept),
        _curves(tested, artefact, probability, kept),
    ]


def _by_kind(
    tested: FrameSet,
    found: npt.NDArray[np.bool_],
    kept: npt.NDArray[np.bool_],
    limits: dict[str, Any],
) -> Section:
    blanks = tested.label == BLANK
    note = (
        f"The limit was set with {limits['artefact_frames']} frames of artefacts alone, of other "
        f"seeds; there it cost {limits['hits_lost']} of {limits['hits']} hits. Blanks of all kinds "
        f"called hits: {rate(found[blanks])} by the finder, {rate(kept[blanks])} with the model."
    )
    return Section("Frames called hits", (note,), (_kinds_table("", tested, found, kept),))


def _trade(tested: FrameSet, found: npt.NDArray[np.bool_], artefact: FloatArray) -> Section:
    """Return what other limits would let pass, by how many hits they give away."""
    is_hit, is_artefact = found & (tested.label == HIT), found & (tested.label == ARTEFACT)
    is_alone = ~tested.flags.any(axis=1)
    rows = []
    for share in _GIVEN_AWAY:
        limit = float(np.quantile(artefact[is_hit & is_alone], 1.0 - share))
        lost, passed = artefact > limit, artefact <= limit
        by_flag = [
            str(rate(passed[is_artefact & (tested.flags[:, number] > 0.0)]))
            for number in range(len(FRAME_FLAGS))
        ]
        rows.append(
            (
                f"{share:g}",
                f"{limit:.2f}",
                str(rate(lost[is_hit & ~is_alone])),
                str(rate(passed[is_artefact])),
                *by_flag,
            )
        )
    header = ("crystals alone given away", "limit", "crystals beside others lost",
              "artefacts that pass", *FRAME_FLAGS)  # fmt: skip
    note = "Of frames that the finder calls hits."
    return Section("Other limits", (note,), (Table("What they cost", header, tuple(rows)),))


def _kinds_table(
    what: str, tested: FrameSet, found: npt.NDArray[np.bool_], kept: npt.NDArray[np.bool_]
) -> Table:
    """Return which frames are called hits, by what is in them, and all kinds together."""
    rows = []
    for label in (HIT, ARTEFACT, BLANK, NEITHER):
        of_class = tested.label == label
        parts = [("all", of_class)]
        parts += [
            (kind, of_class & (tested.kind == number)) for number, kind in enumerate(FRAME_KINDS)
        ]
        rows += [
            (
                f"{FRAME_CLASSES[label]}, {kind}",
                str(rate(found[part])),
                str(rate(kept[part])),
                str(rate(kept[part & found])),
            )
            for kind, part in parts
            if part.any()
        ]
    header = ("frames", "called hits by the finder", "with the model", "of those of the finder")
    return Table(f"By truth and kind{what}", header, tuple(rows))


def _never_trained_on(
    model: nn.Module, state: dict[str, Any], limits: dict[str, Any], frames: int
) -> list[Section]:
    """Return how kinds and salts fare that were left out of the training."""
    left_out = state["notes"].get("left_out", ())
    salts = tuple(name for name in SALT_NAMES if name in left_out)
    kinds = [kind for kind in FRAME_KINDS if kind in left_out]
    tables = []
    for kind, of_salts in [
        *((kind, SALT_NAMES) for kind in kinds),
        *([("salt", salts)] * bool(salts)),
    ]:
        tested = simulate_frames(
            frames, state["seed"], Part.SCORE, kinds=(kind,), salts=of_salts, peak=peak_of(state)
        )
        with torch.inference_mode():
            verdict = model(torch.from_numpy(tested.candidates), torch.from_numpy(tested.frames))
        found = tested.p_value <= CALLED_AT
        kept = found & (verdict.artefact.double().numpy() <= limits["artefact_odds"])
        what = ", ".join(salts) if kind == "salt" else kind
        tables.append(_kinds_table(f", {what}", tested, found, kept))
    return [Section("Never trained on", tables=tuple(tables))] if tables else []


def _flags(tested: FrameSet, flags: FloatArray) -> Section:
    """Return how often flags are raised beside crystals and without, rightly and wrongly."""
    rows = []
    for number, name in enumerate(FRAME_FLAGS):
        is_there, raised = tested.flags[:, number] > 0.0, flags[:, number] > 0.0
        cells = [str(rate(raised[is_there & (tested.label == label)])) for label in (HIT, ARTEFACT)]
        rows.append((name, *cells, str(rate(raised[~is_there]))))
    header = ("flag", "hits with it", "artefacts alone", "frames without it")
    return Section("Flags", tables=(Table("Raised above one half", header, tuple(rows)),))


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
