"""The paper's models on data without leaks, beside the paper's own numbers and beside ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import binary_dilation
from torch import nn

from cxlsfind.datasets.catalog import Entry
from cxlsfind.datasets.naming import LABELS, OVERLAY
from cxlsfind.datasets.streaming import FrameDataset
from cxlsfind.training.batches import TreeBatches
from cxlsfind.training.figures import draw_confusion, draw_curves, draw_model
from cxlsfind.training.paper_frames import (
    ScoredFrames,
    read_scored_frames,
    tell_shared,
    training_frames,
)
from cxlsfind.training.paper_tasks import (
    BinnedFrames,
    HeatmapTask,
    ParameterTask,
    branches_of,
)
from cxlsfind.training.reports import Section, Table
from cxlsfind.training.scores import area_under, confusion_matrix, rate, roc_curve
from cxlsfind.training.tasks import Judgement, Task
from cxlsfind.training.tree_search import choices, weigh_choices

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Share of each class that the paper's models put where it belongs, in the paper.
_PAPER: Final = {
    "paper-binary": {"blank": "1", "hit": "0.975"},
    "paper-base": {"blank": "1", "hit": "0.74"},
    "paper-dual": {"blank": "0.25", "hit": "1"},
    "paper-energy": {"6 keV": "1", "7 keV": "1", "8 keV": "1"},
    "paper-clen": {"15 cm": "1", "25 cm": "1", "35 cm": "1"},
}

_PIPELINE: Final = ("paper-binary", "paper-energy", "paper-clen")


class PaperModel(NamedTuple):
    """One of the paper's models, trained: its task, the model, and its checkpoint."""

    task: Task
    model: nn.Module
    state: dict[str, Any]


class _Right(NamedTuple):
    """Which frames the paper's model and cxlsfind put where they belong; bool, one per frame.

    Parameters
    ----------
    ours
        ``None`` where cxlsfind says nothing of the tree.
    """

    theirs: BoolArray
    ours: BoolArray | None


def evaluate_paper(models: Sequence[PaperModel], tree: Path, split: Path | None) -> list[Section]:
    """Return what the paper's models, and ours, make of the test frames of a tree.

    Parameters
    ----------
    split
        Which frames are for test; ``None``: all.
    """
    asked = any(isinstance(one.task, ParameterTask) for one in models)
    frames = read_scored_frames(tree, split, with_parameters=asked)
    sections, right = [], {}
    for one in models:
        if isinstance(one.task, HeatmapTask):
            sections.append(_score_heat_map(one, frames, tree))
            continue
        judged = _judge(one, frames, tree)
        if isinstance(one.task, ParameterTask):
            section, right[one.task.name] = _score_parameter(one.task, one, judged, frames)
        else:
            section, right[one.task.name] = _score_hits(one, judged, frames)
        sections.append(section)
    if all(name in right for name in _PIPELINE):
        sections.append(_score_pipeline([right[name] for name in _PIPELINE], frames))
    return sections


def _judge(one: PaperModel, frames: ScoredFrames, tree: Path) -> Judgement:
    task = one.task
    images = FrameDataset(tree, names=frames.names, branches=branches_of(task.name))
    binned = BinnedFrames(images, int(one.state["notes"]["binning"]))
    with torch.inference_mode():
        batches = TreeBatches(binned, task.batch_size).epoch(None)
        parts = [task.judge(one.model, batch) for batch in batches]
    return Judgement(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def _score_hits(one: PaperModel, judged: Judgement, frames: ScoredFrames) -> tuple[Section, _Right]:
    """Hits found, and blanks taken for hits, by photons."""
    name = one.task.name
    called = judged.predicted.numpy() == 1
    found = np.array([finding.is_hit for finding in frames.findings]) if frames.findings else None
    hits, blanks = frames.has_crystal, frames.is_blank
    rows = []
    for group, here in frames.groups():
        rows += [
            (
                f"hits, {group}",
                _PAPER[name]["hit"] if group == "all" else "-",
                str(rate(called[here & hits])),
                _rate_of(found, here & hits),
                str(rate(frames.is_knowable[here & hits])) if frames.findings else "-",
            ),
            (
                f"blanks taken for hits, {group}",
                f"{1.0 - float(_PAPER[name]['blank']):g}" if group == "all" else "-",
                str(rate(called[here & blanks])),
                _rate_of(found, here & blanks),
                "-",
            ),
        ]
    header = ("frames", "the paper", "the paper's model", "cxlsfind", "everything known")
    score = judged.score.double().numpy()
    curve = roc_curve(name, score[hits], score[blanks])
    notes = (
        tell_shared(training_frames(one.state), frames),
        f"{int((~hits & ~blanks).sum())} frames with a crystal of which fewer than 2 photons are "
        "expected are left out.",
        f"Area under the ROC curve of the paper's model: {area_under(curve):.4f}.",
    )
    counted = hits | blanks
    matrix = confusion_matrix(hits[counted].astype(int), called[counted].astype(int), 2)
    figures = (
        *_figures(one, matrix),
        (f"{name}_roc", draw_curves([curve], "false positives", "true positives")),
    )
    table = Table("Hits and blanks", header, tuple(rows))
    section = Section(f"{name} on {len(called)} test frames", notes, (table,), figures)
    return section, _Right(called != blanks, None if found is None else found != blanks)


def _score_parameter(
    task: ParameterTask, one: PaperModel, judged: Judgement, frames: ScoredFrames
) -> tuple[Section, _Right]:
    """Frames whose nearest class is told, by photons and condition."""
    training = training_frames(one.state)
    truth, predicted = judged.truth.numpy(), judged.predicted.numpy()
    theirs, told, alone = predicted == truth, None, None
    if frames.findings:
        told = _told_choices(task, training, frames) == truth
        alone = _told_nothing(task, frames) == truth
    learnt = task.nearest_class(_values(task, training))
    commonest = truth == np.bincount(learnt).argmax()
    papers = _PAPER[task.name]
    whole = {"all": "1"} if set(task.classes) <= set(papers) else {}
    rows = tuple(
        (
            group,
            (papers | whole).get(group, "-"),
            str(rate(theirs[here])),
            _rate_of(told, here),
            _rate_of(alone, here),
            str(rate(commonest[here])),
        )
        for group, here in (*frames.groups(), *frames.conditions())
    )
    header = ("frames", "the paper", "the paper's model", "cxlsfind, told the choices",
              "cxlsfind, told nothing", "always the commonest")  # fmt: skip
    section = Section(
        f"{task.name} on {len(truth)} test frames",
        (tell_shared(training, frames),),
        (Table(f"Nearest of {', '.join(task.classes)}", header, rows),),
        _figures(one, confusion_matrix(truth, predicted, len(task.classes))),
    )
    return section, _Right(theirs, told)


def _values(task: ParameterTask, entries: Sequence[Entry]) -> FloatArray:
    """Return a parameter of frames, eV or metres."""
    is_energy = task.parameter == "photon_energy"
    return np.array([e.photon_energy_ev if is_energy else e.clen_m for e in entries])


def _told_choices(task: ParameterTask, training: Sequence[Entry], frames: ScoredFrames) -> IntArray:
    """Return the likeliest class, where nothing else can be than what the training had."""
    energies = choices(np.array([entry.photon_energy_ev for entry in training]))
    clens = choices(np.array([entry.clen_m for entry in training]))
    which = 0 if task.parameter == "photon_energy" else 1
    classes = task.nearest_class((energies, clens)[which])
    weights = [weigh_choices(one.profile, energies, clens)[which] for one in frames.findings]
    return np.array([np.bincount(classes, weight).argmax() for weight in weights])


def _told_nothing(task: ParameterTask, frames: ScoredFrames) -> IntArray:
    """Return the class nearest to what the photons alone say; -1 where they are too few."""
    found = np.full(len(frames.posteriors), -1, np.int64)
    for number, one in enumerate(frames.posteriors):
        if one is not None:
            is_energy = task.parameter == "photon_energy"
            value = one.photon_energy_ev if is_energy else one.clen_m
            found[number] = task.nearest_class(np.array([value]))[0]
    return found


def _score_pipeline(right: Sequence[_Right], frames: ScoredFrames) -> Section:
    """Frames of which everything is told: no crystal, or a crystal, energy and camera length."""
    theirs = _all_right([one.theirs for one in right], frames.is_blank)
    known = [one.ours for one in right if one.ours is not None]
    ours = _all_right(known, frames.is_blank) if len(known) == len(right) else None
    rows = []
    for group, here in frames.groups():
        for label, kind in (("hits", frames.has_crystal), ("blanks", frames.is_blank)):
            rows.append(
                (f"{label}, {group}", str(rate(theirs[here & kind])), _rate_of(ours, here & kind))
            )
    header = ("frames", "the paper's pipeline", "cxlsfind, told the choices")
    return Section(
        f"The paper's pipeline on {len(frames.entries)} test frames",
        ("Right is a blank called so, and a hit with its photon energy and camera length.",),
        (Table("Frames of which everything is right", header, tuple(rows)),),
    )


def _all_right(parts: Sequence[BoolArray], is_blank: BoolArray) -> BoolArray:
    hit, energy, clen = parts
    return hit & (is_blank | (energy & clen))


def _score_heat_map(one: PaperModel, frames: ScoredFrames, tree: Path) -> Section:
    """Squares with a peak that are marked, there or next to it, and others marked, by photons."""
    size = int(one.state["notes"]["binning"])
    images = FrameDataset(tree, names=frames.names, branches=(OVERLAY, LABELS))
    binned = BinnedFrames(images, size)
    counts = np.zeros((len(binned), 2, 3), np.int64)
    with torch.inference_mode():
        for number in range(len(binned)):
            item = binned[number]
            peak, doubt = (item[key][0].numpy() > 0 for key in (LABELS, "ignore"))
            marked = [one.model(item[OVERLAY][None])[0, 0].numpy() > 0]
            if frames.findings:
                marked.append(_squares(frames.findings[number].peaks, size, peak.shape))
            for column, marks in enumerate(marked):
                counts[number, column] = _count_marks(marks, peak, doubt)
    rows = []
    for group, here in frames.groups():
        n_peaks, n_found, _ = counts[here].sum(axis=0).T
        n_false = counts[here & frames.is_blank, :, 2]
        said = [
            (f"{n_found[k]}/{n_peaks[k]}", f"{n_false[:, k].mean():.4g}" if len(n_false) else "-")
            for k in range(2 if frames.findings else 1)
        ] + [("-", "-")]
        rows += [
            (f"peaks marked, {group}", "0" if group == "all" else "-", said[0][0], said[1][0]),
            (f"squares marked per blank, {group}", "-", said[0][1], said[1][1]),
        ]
    header = ("what", "the paper", "the paper's model", "cxlsfind")
    note = (
        f"Squares of {size} x {size} pixels, {peak.size} in a frame. A peak is found by a mark "
        "there or in a square beside it."
    )
    name = one.task.name
    return Section(
        f"{name} on {len(binned)} test frames",
        (tell_shared(training_frames(one.state), frames), note),
        (Table("Peaks", header, tuple(rows)),),
        ((f"{name}_model", draw_model(one.model, title=name)),),
    )


def _squares(peaks: FloatArray, size: int, shape: tuple[int, ...]) -> BoolArray:
    """Return the squares that peaks (fs, ss) lie in; lines left over belong to none."""
    marks = np.zeros(shape, np.bool_)
    place = np.floor(peaks / size).astype(np.int64)
    inside = (place[:, 1] < shape[0]) & (place[:, 0] < shape[1])
    marks[place[inside, 1], place[inside, 0]] = True
    return marks


def _count_marks(marks: BoolArray, peak: BoolArray, doubt: BoolArray) -> tuple[int, int, int]:
    """Return the squares with a peak, those of them that are marked, and marks far from any."""
    around = np.ones((3, 3), np.bool_)
    found = peak & binary_dilation(marks, around)
    near = binary_dilation(peak | doubt, around)
    return int(peak.sum()), int(found.sum()), int((marks & ~near).sum())


def _rate_of(is_right: BoolArray | None, here: BoolArray) -> str:
    return "-" if is_right is None else str(rate(is_right[here]))


def _figures(one: PaperModel, matrix: IntArray) -> tuple[tuple[str, bytes], ...]:
    name = one.task.name
    return (
        (f"{name}_model", draw_model(one.model, title=name)),
        (f"{name}_confusion", draw_confusion(matrix, one.task.classes, title=name)),
    )
