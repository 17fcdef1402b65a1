"""Frames of the hit model in batches: each epoch turned, thinned and scattered anew."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from cxlsfind.training.batches import Batch
from cxlsfind.training.hit_data import ARTEFACT, HIT, NEITHER, FrameSet

#: How far spacings are off in an experiment (one sigma, relative), as camera lengths are.
_SPACING_ERROR: Final = 0.003

#: Share of the frames of crystals alone whose candidates are scattered in training.
_SCATTERED: Final = 0.25

#: Share of the frames that lose candidates in training, and significance of one that stays.
_THINNED: Final = 0.5
_SURE: Final = 7.0


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

        When shuffled, each is turned at random around the beam, its camera length is a little off,
        some have lost some of their candidates, as of weaker crystals and fewer grains, and those
        of some crystals are scattered over the detector: not all crystals are best near the beam.
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
                is_left = torch.from_numpy(_thinned(generator, part))
                batch["candidates"] = batch["candidates"] * is_left.unsqueeze(2)
                _scatter(generator, batch)
            yield batch


def turn_candidates(candidates: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """Return candidates of frames turned around the beam, each by an angle, rad."""
    cosine, sine = torch.cos(angle)[:, None], torch.sin(angle)[:, None]
    x, y = candidates[:, :, 3], candidates[:, :, 4]
    turned = candidates.clone()
    turned[:, :, 3] = cosine * x - sine * y
    turned[:, :, 4] = sine * x + cosine * y
    return turned


def _thinned(generator: np.random.Generator, frames: FrameSet) -> npt.NDArray[np.float32]:
    """Return which candidates are left of frames, (n, 64), 1 or 0; of each one that is sure."""
    shape = frames.candidates.shape[:2]
    is_sure = frames.candidates[:, :, 0] < -_SURE
    # Crystals beside other things stay: else what is left may be the others alone.
    may_lose = (frames.label == ARTEFACT) | ((frames.label == HIT) & ~frames.flags.any(axis=1))
    may_lose &= is_sure.any(axis=1) & (generator.random(shape[0]) < _THINNED)
    loss = generator.uniform(0.0, 1.0, shape[0]) * may_lose
    is_left = generator.random(shape) >= loss[:, None]
    kept = np.argmax(generator.random(shape) * is_sure, axis=1)
    is_left[np.arange(shape[0]), kept] = True
    return np.asarray(is_left, np.float32)


def _scatter(generator: np.random.Generator, batch: Batch) -> None:
    """Move the candidates of some frames of crystals alone to anywhere on the detector."""
    candidates = batch["candidates"]
    is_moved = (batch["label"] == HIT) & ~batch["flags"].any(dim=1)
    is_moved &= torch.from_numpy(generator.random(len(candidates)) < _SCATTERED)
    radius = torch.hypot(candidates[:, :, 3], candidates[:, :, 4])
    reach = radius.amax(dim=1, keepdim=True)
    area = torch.from_numpy(generator.random(radius.shape, np.float32))
    # Spacings go with one over the distance from the beam, nearly.
    factor = reach * torch.sqrt(area) / radius.clamp(min=1.0)
    factor = torch.where(is_moved[:, None] & (radius > 0.0), factor, torch.ones_like(factor))
    candidates[:, :, 3:6] *= factor.unsqueeze(2)
