"""Simulate the frames of a tree, each from its recipe and name alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from cxlsfind.datasets.catalog import BACKGROUND, CRYSTAL, FRAME_CLASS, LABEL_SOURCE
from cxlsfind.datasets.images import (
    CLEN,
    PEAK,
    PHOTON_ENERGY,
    Attribute,
    write_image,
    write_mask,
)
from cxlsfind.datasets.labels import FROM_TRUTH, frame_class, label_expected
from cxlsfind.datasets.naming import BRANCHES, LABELS, OVERLAY, PEAKS, WATER
from cxlsfind.datasets.recipe import FrameJob, Recipe, read_recipe, write_recipe
from cxlsfind.datasets.tree import GEOMETRY_NAME, MASK_NAME, RECIPE_NAME
from cxlsfind.datasets.truth import FrameTruth
from cxlsfind.errors import InputError

Counts = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True, eq=False)
class FrameImages:
    """A simulated frame.

    Parameters
    ----------
    peaks, water
        Photons of the crystal and of all else, [ss, fs]; unusable pixels hold 0.
    truth
        What was expected.
    has_crystal
        Whether there was one in the beam.
    attributes
        What else is worth knowing of the frame, by name.
    """

    peaks: Counts
    water: Counts
    truth: FrameTruth
    has_crystal: bool
    attributes: Mapping[str, Attribute]


class Simulation(Protocol):
    """What makes the frames of a tree; sent to other processes as it is."""

    @property
    def recipe(self) -> Recipe:
        """Return how the tree is made."""

    def usable(self) -> npt.NDArray[np.bool_]:
        """Return the good pixels of all frames, [ss, fs]."""

    def geometry(self) -> str:
        """Return the CrystFEL geometry of the images."""

    def frame(self, job: FrameJob) -> FrameImages:
        """Return one frame; the same on every call, in every process."""


@dataclass(frozen=True, slots=True)
class FrameTask:
    """A frame to make in a tree."""

    root: Path
    simulation: Simulation
    job: FrameJob


@dataclass(frozen=True, slots=True)
class TreePlan:
    """What is left to do for a tree.

    Parameters
    ----------
    jobs
        Frames that are not there yet.
    """

    root: Path
    simulation: Simulation
    jobs: tuple[FrameJob, ...]

    def tasks(self) -> list[FrameTask]:
        """Return the frames to make."""
        return [FrameTask(self.root, self.simulation, job) for job in self.jobs]


def begin_tree(root: Path, simulation: Simulation) -> TreePlan:
    """Make the folders of a tree, or find what an earlier attempt has left of it.

    Raises
    ------
    InputError
        The folder holds something else, a tree of another recipe, or cannot be written.
    """
    place = root / RECIPE_NAME
    if place.is_file():
        if read_recipe(place) != simulation.recipe:
            raise InputError(
                f"{root}: a tree was made here with other options (see {RECIPE_NAME}): give the "
                "same to complete it, or choose another -o"
            )
    elif root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise InputError(f"{root}: exists, and is no tree that was made here: choose another -o")
    return _lay_out(root, simulation)


def extend_tree(root: Path, simulation: Simulation) -> TreePlan:
    """Prepare for a tree to get more frames without a crystal than it was made with.

    Raises
    ------
    InputError
        It has more than that, or cannot be written.
    """
    before = read_recipe(root / RECIPE_NAME).empties
    wanted = simulation.recipe.empties
    if wanted < before:
        raise InputError(
            f"{root}: data sets have {before} frames without a crystal, more than {wanted}: ask "
            "for more"
        )
    return _lay_out(root, simulation)


def _lay_out(root: Path, simulation: Simulation) -> TreePlan:
    recipe = simulation.recipe
    usable = simulation.usable()
    try:
        folders = {job.folder for job in recipe.jobs()}
        for branch in BRANCHES:
            for folder in folders:
                (root / branch / folder).mkdir(parents=True, exist_ok=True)
        (root / GEOMETRY_NAME).write_text(simulation.geometry(), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{root}: cannot be made: {error.strerror}; choose another -o") from error
    write_mask(root / MASK_NAME, ~usable)
    write_recipe(root / RECIPE_NAME, recipe)
    missing = (
        job
        for job in recipe.jobs()
        if not all(path.is_file() for path in frame_paths(root, job).values())
    )
    return TreePlan(root, simulation, tuple(missing))


def frame_paths(root: Path, job: FrameJob) -> dict[str, Path]:
    """Return the file of every branch of a frame."""
    return {branch: root / branch / job.folder / str(job.name) for branch in BRANCHES}


def make_frame(task: FrameTask) -> None:
    """Simulate a frame and write its four files.

    Raises
    ------
    ImageFileError
        A file cannot be written.
    """
    job, simulation = task.job, task.simulation
    images = simulation.frame(job)
    paths = frame_paths(task.root, job)
    attributes: dict[str, Attribute] = {
        CLEN: job.clen_m,
        PHOTON_ENERGY: job.photon_energy_ev,
        PEAK: images.has_crystal,
        FRAME_CLASS: frame_class(images.truth, has_crystal=images.has_crystal),
        # Of no use to frames without a crystal, but they belong to the same experiment.
        CRYSTAL: job.condition.crystal,
        BACKGROUND: f"{simulation.recipe.seed}/{job.folder}/{job.name}",
        **images.attributes,
    }
    link = os.path.relpath(task.root / MASK_NAME, paths[PEAKS].parent)
    label = label_expected(images.truth, simulation.usable())
    write_image(paths[PEAKS], images.peaks, attributes, mask=link, truth=images.truth)
    write_image(paths[WATER], images.water, {**attributes, PEAK: False}, mask=link)
    write_image(paths[OVERLAY], images.peaks + images.water, attributes, mask=link)
    write_image(
        paths[LABELS],
        label.spots,
        {**attributes, LABEL_SOURCE: FROM_TRUTH},
        mask=link,
        ignore=label.ignore,
    )
