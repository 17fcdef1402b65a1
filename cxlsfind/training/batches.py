"""Batches for training: of simulated candidates, and of a tree of images."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cxlsfind.training.patches import PatchSet, turn_patches

#: Tensors of equal length, by what they hold.
Batch = dict[str, Tensor]


class Batches(Protocol):
    """Data that are gone through epoch after epoch."""

    batch_size: int

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""

    def epoch(self, seed: int | None) -> Iterator[Batch]:
        """Go through the data: shuffled by the seed, or as they are without one."""


class PatchBatches:
    """Candidates, turned and mirrored at random when shuffled.

    Parameters
    ----------
    patches
        All of them; they stay in memory.
    """

    def __init__(self, patches: PatchSet, batch_size: int) -> None:
        self.patches = patches
        self.batch_size = batch_size

    def __len__(self) -> int:
        """Return the number of batches."""
        return math.ceil(len(self.patches.label) / self.batch_size)

    def epoch(self, seed: int | None) -> Iterator[Batch]:
        """Go through the candidates once."""
        order = np.arange(len(self.patches.label))
        generator = np.random.default_rng(seed)
        if seed is not None:
            generator.shuffle(order)
        for start in range(0, len(order), self.batch_size):
            part = self.patches.take(order[start : start + self.batch_size])
            if seed is not None:
                part = turn_patches(part, generator)
            yield {name: torch.from_numpy(array) for name, array in part._asdict().items()}


class TreeBatches:
    """Frames of a tree, read from disk as they are needed.

    Parameters
    ----------
    frames
        Data set of dictionaries.
    workers
        Processes that read ahead; 0 reads in this one.
    """

    def __init__(self, frames: Dataset[dict[str, Any]], batch_size: int, workers: int = 0) -> None:
        self.frames = frames
        self.batch_size = batch_size
        self.workers = workers

    def __len__(self) -> int:
        """Return the number of batches."""
        return math.ceil(len(self.frames) / self.batch_size)  # type: ignore[arg-type]

    def epoch(self, seed: int | None) -> Iterator[Batch]:
        """Go through the frames once."""
        generator = torch.Generator()
        if seed is not None:
            generator.manual_seed(seed)
        loader: DataLoader[dict[str, Any]] = DataLoader(
            self.frames,
            self.batch_size,
            shuffle=seed is not None,
            generator=generator,
            num_workers=self.workers,
        )
        for item in loader:
            yield {name: value for name, value in item.items() if isinstance(value, Tensor)}
