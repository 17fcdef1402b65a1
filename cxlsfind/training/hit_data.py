"""Frames as the hit model sees them: candidates and figures of simulated, searched frames."""

from __future__ import annotations

import math
from collections.abc import Collection
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from cxlsfind.models.card import DataDescription
from cxlsfind.models.hit import MOST_CANDIDATES
from cxlsfind.models.peak_runner import PeakRunner
from cxlsfind.models.searched import (
    SearchedFrame,
    WeighedFrame,
    describe_frame,
    judge_peaks,
    weigh_frame,
)
from cxlsfind.records import PeakArray
from cxlsfind.sim.crystals.reflections import Crystal
from cxlsfind.sim.crystals.salts import SALT_NAMES
from cxlsfind.sim.detector import Detector
from cxlsfind.sim.negatives import Negative
from cxlsfind.sim.patterns import PatternSimulator
from cxlsfind.training.conditions import FRAME_KINDS, SMALL_DETECTOR, draw_settings
from cxlsfind.training.frames import FoundFrame, FrameSource
from cxlsfind.training.seeds import Part, seed_of

#: Classes of frames, in the order of their numbers; frames of the last are not trained on.
FRAME_CLASSES: Final = ("hit", "blank", "artefact", "neither")
HIT, BLANK, ARTEFACT, NEITHER = range(4)

#: What is wrong with frames to train on: mostly what is to be told from crystals.
TRAINED_KINDS: Final = (*FRAME_KINDS, "streak", "ice", "salt", "peg")

#: Frames of an experiment: few, so that there are many experiments.
_FRAMES: Final = 16

#: Kinds of frames in which pixels count what is no photon of theirs.
_SICK: Final = ("hot", "cosmic", "sharing")

#: The finder calls a frame a hit at this p-value.
CALLED_AT: Final = 1e-3

#: Nobody can tell a frame with a crystal from one without below this log likelihood ratio, all
#: known.
_UNDETECTABLE: Final = 3.0

#: Expected photons of what is no crystal of interest from which it is there.
_VISIBLE: Final = 8.0

#: Most frames of an experiment that are looked through for some that show it: grains of salt are
#: seldom turned so that they diffract.
_LOOKED_AT: Final = 96

#: Expected photons of a crystal in a peak that is its own.
_HARDLY: Final = 0.5

#: Half the side of the square around a peak that says whose photons it has, px.
_AROUND: Final = 2


class FrameSet(NamedTuple):
    """Frames and the truth about them; arrays of equal length.

    Parameters
    ----------
    candidates, frames
        What the model takes, (n, 64, 9) and (n, 4); float32.
    label
        Number of the class in :data:`FRAME_CLASSES`; int64.
    flags
        What else is there, (n, 4); float32, 1 or 0.
    p_value
        The finder's; float64.
    own_p_value
        That of the best peak that is the crystal's; float64.
    oracle
        Log likelihood ratio of the crystal, all known; float32.
    kind
        Number of the frame's kind in :data:`~cxlsfind.training.conditions.FRAME_KINDS`; int64.
    """

    candidates: npt.NDArray[np.float32]
    frames: npt.NDArray[np.float32]
    label: npt.NDArray[np.int64]
    flags: npt.NDArray[np.float32]
    p_value: npt.NDArray[np.float64]
    own_p_value: npt.NDArray[np.float64]
    oracle: npt.NDArray[np.float32]
    kind: npt.NDArray[np.int64]

    def take(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_] | slice) -> FrameSet:
        """Return some of the frames."""
        return FrameSet(
            self.candidates[rows],
            self.frames[rows],
            self.label[rows],
            self.flags[rows],
            self.p_value[rows],
            self.own_p_value[rows],
            self.oracle[rows],
            self.kind[rows],
        )


def trained_on(left_out: Collection[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the kinds of frames and the salts to train on when some are left out."""
    kinds = tuple(kind for kind in TRAINED_KINDS if kind not in left_out)
    return kinds, tuple(name for name in SALT_NAMES if name not in left_out)


def load_for_training(path: Path) -> PeakRunner:
    """Load a peak model for simulated frames of any energy.

    Raises
    ------
    ModelRefusedError
        It cannot be used.
    """
    data = DataDescription("uint16", SMALL_DETECTOR.pixel_size_m, None, math.inf)
    return PeakRunner(path, data, torch.device("cpu"))


def peak_of(state: dict[str, Any]) -> PeakRunner | None:
    """Return the peak model that a hit model was trained behind; ``None`` without."""
    name = state["notes"].get("peak", "")
    return load_for_training(Path(name)) if name else None


def simulate_frames(
    n_frames: int,
    seed: int,
    part: Part,
    *,
    kinds: tuple[str, ...] = FRAME_KINDS,
    hits: float = 0.5,
    background: tuple[float, float] = (1e-4, 1.0),
    crystal: Crystal | None = None,
    detector: Detector = SMALL_DETECTOR,
    peak: PeakRunner | None = None,
    salts: tuple[str, ...] = SALT_NAMES,
) -> FrameSet:
    """Return frames of random experiments, 16 of each.

    Parameters
    ----------
    kinds
        What is wrong with the frames, in turn.
    hits
        Share of the frames with crystals.
    background
        Range of its mean, photons per pixel.
    crystal
        Instead of one with a random cell in each experiment.
    peak
        A peak model that judges the candidates first, as in the main job.
    salts
        Which salts there are.
    """
    sets = []
    for number in range(max(1, round(n_frames / _FRAMES))):
        kind = kinds[number % len(kinds)]
        experiment = 100_000 * seed_of(seed, part) + 50_000 + number
        settings = draw_settings(
            experiment, kind, background=background, crystal=crystal, detector=detector, salts=salts
        )
        source = FrameSource(settings)
        flags = np.random.default_rng((experiment, 3)).random(_FRAMES) < hits
        numbers = _chosen_numbers(source.simulator)
        found = source.search(
            [
                source.simulator.frame(frame, with_crystal=is_hit)
                for frame, is_hit in zip(numbers, flags.tolist(), strict=True)
            ]
        )
        sets.append(describe_frames(source, found, kind, peak))
    return FrameSet(*(np.concatenate(arrays) for arrays in zip(*sets, strict=True)))


def _chosen_numbers(simulator: PatternSimulator) -> list[int]:
    """Return the first frames of a run that show what is no crystal, and others if too few do."""
    negatives = simulator.settings.negatives
    if not max(negatives.ice_spots, negatives.salt, negatives.peg):
        return list(range(_FRAMES))
    shown: list[int] = []
    for number in range(_LOOKED_AT):
        if simulator.impostor_photons(number) > _VISIBLE:
            shown.append(number)
        if len(shown) == _FRAMES:
            break
    others = (number for number in range(_LOOKED_AT) if number not in shown)
    return [*shown, *islice(others, _FRAMES - len(shown))]


def describe_frames(
    source: FrameSource, found: list[FoundFrame], kind: str, peak: PeakRunner | None = None
) -> FrameSet:
    """Return frames of one experiment as the model sees them, with their truth."""
    n_pixels = float(source.usable.sum())
    frames = [source.searched(frame) for frame in found]
    weighed = [
        weigh_frame(frame, verdicts, n_pixels)
        for frame, verdicts in zip(frames, judge_peaks(peak, frames), strict=True)
    ]
    rows = [describe_frame(*both) for both in zip(frames, weighed, strict=True)]
    patterns = [frame.pattern for frame in found]
    flags = np.array([_flags(frame, kind) for frame in found], np.float32)
    own = [_own_p_value(*parts) for parts in zip(found, frames, weighed, strict=True)]
    labels = [
        _label(frame, kind, there, one.evidence.p_value, left)
        for frame, there, one, left in zip(found, flags, weighed, own, strict=True)
    ]
    return FrameSet(
        candidates=np.stack([row.candidates for row in rows]),
        frames=np.stack([row.frame for row in rows]),
        label=np.array(labels, np.int64),
        flags=flags,
        p_value=np.array([one.evidence.p_value for one in weighed]),
        own_p_value=np.array(own),
        oracle=np.array([pattern.oracle_llr for pattern in patterns], np.float32),
        kind=np.full(len(found), FRAME_KINDS.index(kind), np.int64),
    )


def _flags(found: FoundFrame, kind: str) -> list[float]:
    """Return which of :data:`~cxlsfind.records.FRAME_FLAGS` a frame really has."""
    negatives = found.pattern.negatives
    seen = float(found.pattern.impostors.value.sum()) > _VISIBLE
    return [
        float(seen and Negative.ICE_SPOTS in negatives),
        float(seen and Negative.SALT in negatives),
        float(seen and Negative.PEG in negatives),
        float(kind in ("streak", "all")),
    ]


def _own_p_value(found: FoundFrame, frame: SearchedFrame, weighed: WeighedFrame) -> float:
    """Return the p-value of the best peak that has more photons of the crystal than others'."""
    pattern = found.pattern
    shape = -1, found.pattern_width
    impostors, crystals = (
        box_sums(image.dense().reshape(shape), frame.peaks)
        for image in (pattern.impostors, pattern.bragg_expected)
    )
    is_own = (crystals > _HARDLY) & (crystals > impostors) & ~weighed.is_artefact
    # Those behind the first few a model does not hear of.
    own = frame.peaks["p_value"][:MOST_CANDIDATES][is_own[:MOST_CANDIDATES]]
    return float(own.min(initial=1.0))


def box_sums(image: npt.NDArray[np.float32], peaks: PeakArray) -> npt.NDArray[np.float64]:
    """Return the sum of an image over 5 x 5 pixels around each peak, less at the edges."""
    steps = np.arange(-_AROUND, _AROUND + 1)
    padded = np.pad(image, _AROUND)
    row = peaks["ss"].astype(np.intp)[:, None, None] + _AROUND + steps[:, None]
    column = peaks["fs"].astype(np.intp)[:, None, None] + _AROUND + steps
    return np.asarray(padded[row, column].sum(axis=(1, 2)), np.float64)


def _label(
    found: FoundFrame,
    kind: str,
    flags: npt.NDArray[np.float32],
    p_value: float,
    own_p_value: float,
) -> int:
    has_impostors = bool(flags.any())
    if found.pattern.is_hit:
        # Nobody can tell it, or not beside what else is there.
        is_hidden = has_impostors and own_p_value > CALLED_AT
        is_faint = found.pattern.oracle_llr < _UNDETECTABLE
        return NEITHER if is_faint or is_hidden else HIT
    if flags[:3].any() or (flags[3] and p_value <= CALLED_AT):
        return ARTEFACT
    # Sick pixels that are taken for something are the peak model's business: lists of candidates
    # tell them from faint spots no better than chance.
    return NEITHER if kind in _SICK and p_value <= CALLED_AT else BLANK
