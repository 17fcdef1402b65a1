"""A training from its options: data made or found, the task, the loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from cxlsfind.config import DeviceChoice
from cxlsfind.datasets.splits import read_split
from cxlsfind.datasets.streaming import FrameDataset
from cxlsfind.errors import UsageError
from cxlsfind.models.runtime import choose_device
from cxlsfind.sim.crystals.salts import SALT_NAMES
from cxlsfind.training.batches import Batches, PatchBatches, TreeBatches
from cxlsfind.training.conditions import FRAME_KINDS
from cxlsfind.training.hit_batches import FrameBatches
from cxlsfind.training.hit_data import (
    load_for_training,
    simulate_frames,
    trained_on,
)
from cxlsfind.training.hit_task import HitTask
from cxlsfind.training.loop import CHECKPOINT_NAME, Settings, read_checkpoint, train
from cxlsfind.training.mining import keep_hard, mine_frames
from cxlsfind.training.paper_tasks import BinnedFrames, branches_of, make_paper_task
from cxlsfind.training.patches import PatchSimulator, find_thresholds, join_patches
from cxlsfind.training.peak_task import PeakTask, simulate_candidates
from cxlsfind.training.registry import restore_model
from cxlsfind.training.scenes import HELD_OUT, NUISANCES
from cxlsfind.training.seeds import Part, seed_of
from cxlsfind.training.tables import spot_tables
from cxlsfind.training.tasks import Schedule, Task


@dataclass(frozen=True, slots=True)
class Options:
    """What a user may ask of a training.

    Parameters
    ----------
    task
        Name of the task.
    folder
        Where checkpoint and metrics go.
    candidates
        Simulated candidates to train on; a fifth as many to test with.
    frames
        Whole simulated frames to train on, as many again for a quarter to test with. Of the peak
        model they are a part of the training, of the hit model all of it.
    left_out
        Nuisances that are not trained on; of a hit model kinds of frames and salts.
    start
        Folder of a training whose weights this one starts from.
    peak
        File of a peak model that judges candidates before a hit model sees them.
    mine
        Whole frames to look for nuisances in that fool the model started from.
    tree, split
        Images, and which of them are for what.
    binning
        Edge of the squares of pixels that images are summed over.
    epochs, batch_size, optimiser, learning_rate, schedule
        Instead of the task's own.
    seed, resume, device, threads
        As they say.
    """

    task: str
    folder: Path
    candidates: int = 400_000
    frames: int = 1024
    left_out: tuple[str, ...] = (HELD_OUT,)
    start: Path | None = None
    mine: int = 0
    peak: Path | None = None
    tree: Path | None = None
    split: Path | None = None
    binning: int = 4
    epochs: int | None = None
    batch_size: int | None = None
    optimiser: Literal["adam", "sgd"] | None = None
    learning_rate: float | None = None
    schedule: Schedule | None = None
    seed: int = 0
    resume: bool = False
    device: DeviceChoice = "auto"
    threads: int = 1

    def __post_init__(self) -> None:
        """Refuse numbers without a meaning."""
        for flag, value, least in (
            ("--candidates", self.candidates, 100),
            ("--frames", self.frames, 0),
            ("--mine", self.mine, 0),
            ("--binning", self.binning, 1),
            ("--epochs", self.epochs, 1),
            ("--batch-size", self.batch_size, 1),
            ("--seed", self.seed, 0),
            ("--threads", self.threads, 1),
        ):
            if value is not None and value < least:
                raise UsageError(f"{flag}={value}: give {least} or more")
        if self.learning_rate is not None and not self.learning_rate > 0.0:
            raise UsageError(f"--learning-rate={self.learning_rate}: give a number above zero")
        known = (*NUISANCES, *FRAME_KINDS, *SALT_NAMES)
        unknown = [kind for kind in self.left_out if kind not in known]
        if self.mine and self.start is None:
            raise UsageError("--mine needs a model that can be fooled: give --start DIR")
        if unknown:
            raise UsageError(f"--leave-out {unknown[0]}: there are {', '.join(known)}")


def run_training(options: Options, say: Callable[[str], None]) -> nn.Module:
    """Train as the options say and return the model.

    Parameters
    ----------
    say
        Takes lines that say how it goes.
    """
    torch.set_num_threads(options.threads)
    start = None
    if options.start is not None:
        start = read_checkpoint(options.start / CHECKPOINT_NAME, options.task)
    if options.task == "hit":
        task, train_data, test_data = _frame_data(options)
    elif options.task == "peak":
        task, train_data, test_data = _candidate_data(options, start)
    else:
        task, train_data, test_data = _tree_data(options)
    _apply(options, task)
    if options.batch_size is not None:
        train_data.batch_size = options.batch_size
    settings = Settings(
        folder=options.folder,
        seed=options.seed,
        device=choose_device(options.device, 0),
        resume=options.resume,
        notes=_notes(options),
        start=None if start is None else start["best"],
    )
    return train(task, train_data, test_data, settings, say)


def _candidate_data(
    options: Options, start: dict[str, Any] | None
) -> tuple[Task, Batches, Batches]:
    seed = options.seed
    tables = spot_tables()
    # Thresholds need no more care than the candidates that they are for.
    n_null = min(4000, max(300, options.candidates // 20))
    simulator = PatchSimulator(tables, seed_of(seed, Part.THRESHOLDS), n_null)
    reference = find_thresholds(
        tables, simulator.ratio, 1.0, seed_of(seed, Part.THRESHOLDS), simulator.n_null
    )
    task = PeakTask(reference)
    sets = []
    for share, part in ((1.0, Part.TRAIN), (0.2, Part.TEST)):
        patches = simulate_candidates(
            simulator, round(share * options.candidates), seed_of(seed, part), options.left_out
        )
        if options.frames:
            framed = mine_frames(round(share * options.frames), seed, part)
            patches = join_patches([patches, framed])
        sets.append(patches)
    if start is not None and options.mine:
        fooled = restore_model(start)[1]
        hard = keep_hard(mine_frames(options.mine, seed, Part.MINE), fooled)
        # No more than three in ten, lest the model learn that all is nuisance.
        sets[0] = join_patches([sets[0], hard.take(slice(round(0.43 * len(sets[0].label))))])
    return task, PatchBatches(sets[0], task.batch_size), PatchBatches(sets[1], 2048)


def _frame_data(options: Options) -> tuple[Task, Batches, Batches]:
    kinds, salts = trained_on(options.left_out)
    task = HitTask(salts)
    peak = None if options.peak is None else load_for_training(options.peak)
    train_set, test_set = (
        simulate_frames(number, options.seed, part, kinds=kinds, salts=salts, peak=peak)
        for number, part in ((options.frames, Part.TRAIN), (options.frames // 4, Part.TEST))
    )
    return task, FrameBatches(train_set, task.batch_size), FrameBatches(test_set, 512)


def _tree_data(options: Options) -> tuple[Task, Batches, Batches]:
    if options.tree is None or options.split is None:
        raise UsageError(
            f"{options.task} learns from images: give --tree DIR and --split FILE, made with "
            "'cxlsfind-dataset'"
        )
    split = read_split(options.split)
    branches = branches_of(options.task)
    frames = [
        FrameDataset(options.tree, names=names, branches=branches)
        for names in (split.train, split.test)
    ]
    task = make_paper_task(options.task, frames[0], options.binning)
    binned = [BinnedFrames(part, options.binning) for part in frames]
    return task, TreeBatches(binned[0], task.batch_size), TreeBatches(binned[1], task.batch_size)


def _apply(options: Options, task: Task) -> None:
    """Let the options overrule the task."""
    own = task.optimiser
    task.optimiser = replace(
        own,
        kind=options.optimiser or own.kind,
        learning_rate=options.learning_rate or own.learning_rate,
    )
    if options.schedule is not None:
        task.optimiser = task.optimiser.scheduled(options.schedule)
    task.epochs = options.epochs or task.epochs
    task.batch_size = options.batch_size or task.batch_size


def _notes(options: Options) -> dict[str, Any]:
    """Return what decides the data of a training."""
    if options.task.startswith("paper-"):
        return {
            "tree": str(options.tree),
            "split": str(options.split),
            "binning": options.binning,
        }
    notes: dict[str, Any] = {
        "frames": options.frames,
        "start": str(options.start or ""),
        "left_out": list(options.left_out),
    }
    if options.task == "peak":
        notes |= {"candidates": options.candidates, "mine": options.mine}
    else:
        notes["peak"] = str(options.peak or "")
    return notes
