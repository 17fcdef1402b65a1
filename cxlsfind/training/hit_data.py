"""Frames as the hit model sees them: candidates and figures of simulated, searched frames."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from cxlsfind.models.card import DataDescription
from cxlsfind.models.hit_inputs import Evidence
from cxlsfind.models.peak_runner import PeakRunner
from cxlsfind.models.searched import describe_frame, judge_peaks, weigh_frame
from cxlsfind.sim.crystals.reflections import Crystal
from cxlsfind.sim.detector import Detector
from cxlsfind.sim.negatives import Negative
from cxlsfind.training.batches import Batch
from cxlsfind.training.conditions import FRAME_KINDS, SMALL_DETECTOR, draw_settings
from cxlsfind.training.frames import FoundFrame, FrameSource
from cxlsfind.training.seeds import Part, seed_of

#: Classes of frames, in the order of their numbers; frames of the last are not trained on.
FRAME_CLASSES: Final = ("hit", "blank", "artefact", "neither")
HIT, BLANK, ARTEFACT, NEITHER = range(4)

#: What is wrong with frames to train on: mostly what is to be told from crystals.
TRAINED_KINDS: Final = (*FRAME_KINDS, "streak", "ice", "salt", "peg")

#: How far spacings are off in an experiment (one sigma, relative), as camera lengths are.
_SPACING_ERROR: Final = 0.003

#: Frames of an experiment: few, so that there are many experiments.
_FRAMES: Final = 16

#: Nobody can tell a frame with a crystal from one without below this log likelihood ratio, all
#: known.
_UNDETECTABLE: Final = 3.0

#: Expected photons of what is no crystal of interest from which it is there.
_VISIBLE: Final = 8.0


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
            self.oracle[rows],
            self.kind[rows],
        )


class FrameBatches:
    """Frames for training, in memory.

    Parameters
    ----------
    frames
        Those that are neither hit nor blank nor artefact are left out.
    """

    def __init__(self, frames: FrameSet, batch_size: int) -> None:
        self.frames = frames.take(frames.label != NEITHER)
        self.batch_size = batch_size

    def __len__(self) -> int:
        """Return the number of batches."""
        return math.ceil(len(self.frames.label) / self.batch_size)

    def epoch(self, seed: int | None) -> Iterator[Batch]:
        """Go through the frames once.

        When shuffled, each is turned at random around the beam, and its camera length is a little
        off.
        """
        order = np.arange(len(self.frames.label))
        generator = np.random.default_rng(seed)
        if seed is not None:
            generator.shuffle(order)
        for start in range(0, len(order), self.batch_size):
            part = self.frames.take(order[start : start + self.batch_size])
            batch = {name: torch.from_numpy(array) for name, array in part._asdict().items()}
            if seed is not None:
                turn = torch.from_numpy(generator.uniform(0.0, 2.0 * np.pi, len(part.label)))
                batch["candidates"] = turn_candidates(batch["candidates"], turn.float())
                off = generator.normal(1.0, _SPACING_ERROR, (len(part.label), 1))
                batch["candidates"][:, :, 5] *= torch.from_numpy(off.astype(np.float32))
            yield batch


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


def turn_candidates(candidates: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """Return candidates of frames turned around the beam, each by an angle, rad."""
    cosine, sine = torch.cos(angle)[:, None], torch.sin(angle)[:, None]
    x, y = candidates[:, :, 3], candidates[:, :, 4]
    turned = candidates.clone()
    turned[:, :, 3] = cosine * x - sine * y
    turned[:, :, 4] = sine * x + cosine * y
    return turned


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
    """
    sets = []
    for number in range(max(1, round(n_frames / _FRAMES))):
        kind = kinds[number % len(kinds)]
        experiment = 100_000 * seed_of(seed, part) + 50_000 + number
        settings = draw_settings(
            experiment, kind, background=background, crystal=crystal, detector=detector
        )
        source = FrameSource(settings)
        flags = np.random.default_rng((experiment, 3)).random(_FRAMES) < hits
        found = source.block(0, flags.tolist())
        sets.append(describe_frames(source, found, kind, peak))
    return FrameSet(*(np.concatenate(arrays) for arrays in zip(*sets, strict=True)))


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
    labels = [
        _label(frame, there, one.evidence)
        for frame, there, one in zip(found, flags, weighed, strict=True)
    ]
    return FrameSet(
        candidates=np.stack([row.candidates for row in rows]),
        frames=np.stack([row.frame for row in rows]),
        label=np.array(labels, np.int64),
        flags=flags,
        p_value=np.array([one.evidence.p_value for one in weighed]),
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


def _label(found: FoundFrame, flags: npt.NDArray[np.float32], evidence: Evidence) -> int:
    pattern = found.pattern
    if pattern.is_hit:
        return HIT if pattern.oracle_llr >= _UNDETECTABLE else NEITHER
    # Something is there that is no crystal, or sick pixels that are taken for something.
    is_something = flags[:3].any() or evidence.log_bayes_factor > 2.0
    return ARTEFACT if is_something else BLANK
