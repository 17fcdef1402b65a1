"""Scoring a peak model against the physical limit, on candidates it was never trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import nn

from cxlsfind.finding.poisson.scores import typical_photons
from cxlsfind.models.peak_runner import Verdicts
from cxlsfind.records import PEAK_CLASSES
from cxlsfind.training.calibrate import (
    HALF,
    SPOTS_PER_PATCH,
    log_rate_per_pixel,
    measure_rates,
    spot_limit,
)
from cxlsfind.training.conditions import FRAME_KINDS
from cxlsfind.training.efficiency import Efficiency, measure_efficiency
from cxlsfind.training.efficiency_frames import measure_frame_efficiency
from cxlsfind.training.evaluate_frames import evaluate_blanks, evaluate_frames
from cxlsfind.training.figures import draw_confusion, draw_curves, draw_model
from cxlsfind.training.judging import judge_set
from cxlsfind.training.patches import FRAME_PIXELS, PatchSet, PatchSimulator
from cxlsfind.training.peak_task import simulate_candidates
from cxlsfind.training.rates import RateTable
from cxlsfind.training.reports import Section, Table
from cxlsfind.training.scenes import NUISANCES, SHARES, PatchClass
from cxlsfind.training.scores import (
    Curve,
    calibration_error,
    confusion_matrix,
    rate,
    reliability,
)
from cxlsfind.training.seeds import Part, seed_of
from cxlsfind.training.tables import spot_tables

FloatArray = npt.NDArray[np.float64]

#: Backgrounds of the tables, photons per pixel.
BACKGROUNDS: Final = (1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0)

_FLUX_EDGES: Final = (0.3, 0.7, 1.5, 3.0, 10.0, 400.0)

#: Shares of the spots that may be taken for artefacts, to show what each buys.
_GIVEN: Final = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05)


class _Judged(NamedTuple):
    """Candidates after the model.

    Parameters
    ----------
    verdicts
        The model's, of each as the only one of its block.
    log_rate
        Natural logarithm of how often per pixel background alone has its likelihood ratio.
    """

    verdicts: Verdicts
    log_rate: FloatArray

    def found(self, log_rate: float) -> npt.NDArray[np.bool_]:
        """Tell which the finder reports."""
        return np.asarray(self.log_rate <= log_rate)

    def kept(self, log_rate: float) -> npt.NDArray[np.bool_]:
        """Tell which of them are left by the model."""
        return self.found(log_rate) & ~self.verdicts.is_artefact


def evaluate_peak(
    model: nn.Module, state: dict[str, Any], *, candidates: int, frames: int, precision: float
) -> list[Section]:
    """Return all there is to say of a peak model.

    Parameters
    ----------
    state
        Its checkpoint.
    candidates, frames
        Candidates, and whole frames of each kind, to score on.
    precision
        Multiplies the numbers of draws of calibration and efficiency: 1 for a few percent.
    """
    seed = seed_of(state["seed"], Part.SCORE)
    tables = spot_tables()
    simulator = PatchSimulator(tables, seed, n_null=max(300, round(4000 * precision)))
    n_patches = max(300, round(16000 * precision))
    part = seed_of(state["seed"], Part.CALIBRATE)
    rates = measure_rates(tables, part, n_patches)
    calibration = spot_limit(model, rates, simulator.spots(SPOTS_PER_PATCH * n_patches, part))
    limit = float(calibration["artefact_odds"])
    patches = simulate_candidates(simulator, candidates, seed)
    judged = _judge(model, limit, rates, patches)
    nuisances = {
        kind: _judge(model, limit, rates, simulator.nuisances(kind, candidates // 10, seed + 1))
        for kind in NUISANCES
    }
    left_out = state["notes"]["left_out"]
    limits = _measure_efficiencies(model, limit, seed, precision)
    sections = [
        Section("Model", figures=(("peak_model", draw_model(model, title="peak model")),)),
        _efficiency(limits),
        _candidates(patches, judged),
        _free_response(patches, judged),
        _nuisances(nuisances, left_out),
        _trade(judged, patches.label == PatchClass.SPOT, nuisances, left_out),
        _measurements(patches, judged),
    ]
    if frames:
        sections.append(evaluate_frames(model, limit, frames, state["seed"]))
        sections.append(evaluate_blanks(model, limit, frames, state["seed"]))
        sections.append(_among_nuisances(model, limit, limits, frames, state["seed"]))
    return sections


def _judge(model: nn.Module, artefact_odds: float, rates: RateTable, patches: PatchSet) -> _Judged:
    verdicts = judge_set(model, artefact_odds, patches)
    level = patches.background[:, HALF, HALF].astype(np.float64)
    return _Judged(verdicts, rates.at(verdicts.score, level))


def _measure_efficiencies(
    model: nn.Module, artefact_odds: float, seed: int, precision: float
) -> list[Efficiency]:
    return [
        measure_efficiency(
            model,
            artefact_odds,
            background,
            seed,
            n_spots=max(40, round(2000 * precision)),
            n_patches=max(300, round(16000 * precision)),
        )
        for background in BACKGROUNDS
    ]


def _efficiency(found: list[Efficiency]) -> Section:
    rows = tuple(
        (
            f"{one.background:g}",
            f"{one.limit:.2f}",
            f"{one.ratio:.2f}",
            f"{one.model:.2f}",
            f"{one.eta_ratio:.3f}",
            f"{one.eta:.3f} +- {one.sigma:.3f}",
        )
        for one in found
    )
    header = ("photons/px", "limit", "likelihood ratio", "model", "eta without", "eta of the model")
    figures = tuple(
        (
            f"found_{one.background:g}",
            draw_curves(
                one.curves,
                "photons per spot",
                "share found at 1 false peak per frame",
                title=f"{one.background:g} photons/px",
                log_x=True,
            ),
        )
        for one in (found[2], found[4])
    )
    return Section(
        "Photon efficiency on clean data",
        ("Photons per spot that half of the spots of 0.6 px need to be found, one false peak per "
         "frame; eta is the limit's over the model's.",),
        (Table("Photons for half detection", header, rows),),
        figures,
    )  # fmt: skip


def _among_nuisances(
    model: nn.Module, artefact_odds: float, limits: list[Efficiency], frames: int, seed: int
) -> Section:
    rows = []
    for kind in (*FRAME_KINDS, "all"):
        experiments = max(1, frames // 64)
        one = measure_frame_efficiency(model, artefact_odds, limits, kind, experiments, seed)
        alone, both = (f"{eta:.3f} +- {one.sigma:.3f}" for eta in (one.alone, one.model))
        rows.append((kind, alone, both, str(one.spots)))
    header = ("frames", "eta, ratio alone", "eta, model", "spots")
    return Section(
        "Photon efficiency among nuisances",
        ("Spots of 0.6 px planted in whole frames without crystals, behind the finder; the limit "
         "is that of clean patches with the same background.",),
        (Table("Photon efficiency in whole frames", header, tuple(rows)),),
    )  # fmt: skip


def _candidates(patches: PatchSet, judged: _Judged) -> Section:
    truth, verdicts = patches.label, judged.verdicts
    matrix = confusion_matrix(truth, verdicts.kind, len(PEAK_CLASSES))
    real = truth != PatchClass.NOISE
    curve = reliability(
        "spot or nuisance", verdicts.spot_probability[real], truth[real] == PatchClass.SPOT
    )
    return Section(
        "Candidates by class",
        (f"Mean distance of the reliability curve from the diagonal: "
         f"{calibration_error(curve):.3f}.",),
        (),
        (
            ("confusion", draw_confusion(matrix, PEAK_CLASSES, title="likeliest class")),
            (
                "reliability",
                draw_curves([curve], "said probability of a spot", "was one", diagonal=True),
            ),
        ),
    )  # fmt: skip


def _free_response(patches: PatchSet, judged: _Judged) -> Section:
    """Recall against false peaks per frame, by background and by brightness."""
    spots = patches.label == PatchClass.SPOT
    level = patches.level.astype(np.float64)
    strength = patches.photons / typical_photons(level)
    false = np.geomspace(0.1, 10.0, 9)
    cuts = np.log(false / FRAME_PIXELS)
    edges = [1e-5, 1e-3, 1e-2, 0.1, 1.0, 20.0]
    curves, rows = [], []
    for low, high in pairwise(edges):
        here = spots & (level >= low) & (level < high) & (strength < 3.0)
        name = f"{low:g} to {high:g} photons/px"
        share = [judged.kept(cut)[here].mean() if here.any() else math.nan for cut in cuts]
        curves.append(Curve(name, false, np.array(share)))
    one = math.log(1.0 / FRAME_PIXELS)
    for low, high in (*pairwise(_FLUX_EDGES), (0.0, math.inf)):
        here = spots & (strength >= low) & (strength < high)
        alone, both = rate(judged.found(one)[here]), rate(judged.kept(one)[here])
        rows.append(
            (
                f"{low:g} to {high:g}" if math.isfinite(high) else "all",
                str(alone),
                str(both),
                f"{both.value / alone.value - 1.0:+.3f}" if alone.count else "-",
            )
        )
    header = ("photons over S50", "likelihood ratio", "model", "more")
    return Section(
        "Recall of candidates that are spots",
        ("Spots of many widths and lengths, near gaps, beside others, with shared charge, of those "
         "that are candidates at all.",),
        (Table("Found at 1 false peak per frame", header, tuple(rows)),),
        (
            (
                "free_response",
                draw_curves(
                    curves, "false peaks per frame", "share of faint spots found", log_x=True
                ),
            ),
        ),
    )  # fmt: skip


def _nuisances(nuisances: dict[str, _Judged], left_out: Sequence[str]) -> Section:
    one = log_rate_per_pixel(1.0)
    rows = []
    for kind, judged in nuisances.items():
        alone, both = rate(judged.found(one)), rate(judged.kept(one))
        fewer = alone.count / both.count if both.count else math.inf
        remark = " (never trained on)" if kind in left_out else ""
        rows.append((kind + remark, str(alone), str(both), f"{fewer:.1f}"))
    known = {kind: judged for kind, judged in nuisances.items() if kind not in left_out}
    rows.append(("all, as trained on", "", "", f"{_times_fewer(known):.1f}"))
    header = ("nuisance", "likelihood ratio", "model", "times fewer")
    return Section(
        "Candidates that are nuisances",
        (),
        (Table("Taken for spots at 1 false peak per frame", header, tuple(rows)),),
    )


def _times_fewer(nuisances: dict[str, _Judged], limit: float | None = None) -> float:
    """Return how many times fewer nuisances are taken for spots, of kinds as common as in training.

    Parameters
    ----------
    limit
        Log odds from which they are cut, instead of the model's own.
    """
    one = log_rate_per_pixel(1.0)
    total = np.zeros(2)
    for kind, judged in nuisances.items():
        found, kept = judged.found(one), judged.kept(one)
        if limit is not None:
            kept = found & (judged.verdicts.artefact <= limit)
        total += SHARES[kind] * np.array([found.mean(), kept.mean()])
    return float(total[0] / total[1]) if total[1] else math.inf


def _trade(
    judged: _Judged,
    is_spot: npt.NDArray[np.bool_],
    nuisances: dict[str, _Judged],
    left_out: Sequence[str],
) -> Section:
    """What other limits on artefacts would cost and bring."""
    trained = {kind: nuisances[kind] for kind in nuisances if kind not in left_out}
    odds = judged.verdicts.artefact[judged.found(log_rate_per_pixel(1.0)) & is_spot]
    rows = []
    for share in _GIVEN:
        limit = float(np.quantile(odds, 1.0 - share))
        fewer = [_times_fewer({kind: judged}, limit) for kind, judged in nuisances.items()]
        fewer.append(_times_fewer(trained, limit))
        rows.append((f"{share:g}", f"{limit:.2f}", *(f"{value:.1f}" for value in fewer)))
    header = ("spots given away", "limit on log odds", *nuisances, "all, as trained on")
    return Section(
        "Spots given away for artefacts",
        ("Of spots that are found at 1 false peak per frame; how many times fewer of each nuisance "
         "are then taken for spots.",),
        (Table("Times fewer, by limit", header, tuple(rows)),),
    )  # fmt: skip


def _measurements(patches: PatchSet, judged: _Judged) -> Section:
    spots = (patches.label == PatchClass.SPOT) & judged.kept(log_rate_per_pixel(1.0))
    said = judged.verdicts
    strength = patches.photons / typical_photons(patches.level.astype(np.float64))
    rows = []
    for low, high in pairwise(_FLUX_EDGES):
        here = spots & (strength >= low) & (strength < high)
        if not here.any():
            continue
        miss = np.column_stack([said.fs, said.ss])[here] - patches.offset[here]
        pull = miss / np.column_stack([said.sigma_fs, said.sigma_ss])[here]
        bias = said.photons[here].sum() / patches.photons[here].sum()
        rows.append(
            (
                f"{low:g} to {high:g}",
                str(int(here.sum())),
                f"{math.sqrt(float((miss**2).mean())):.3f}",
                f"{math.sqrt(float((pull**2).mean())):.2f}",
                f"{bias:.3f}",
            )
        )
    header = ("photons over S50", "spots", "error (px)", "error over said", "photons over true")
    return Section(
        "Position and photons of found spots",
        (),
        (Table("Per axis, all widths and lengths", header, tuple(rows)),),
    )
