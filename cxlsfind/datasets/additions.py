"""Images that follow from others of a tree: overlays, labels, and frames without a crystal."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cxlsfind.datasets.catalog import LABEL_SOURCE, complete_attributes
from cxlsfind.datasets.images import (
    Attribute,
    Image,
    ImageFileError,
    read_attributes,
    read_image,
    read_mask,
    read_truth,
    write_image,
)
from cxlsfind.datasets.labels import (
    FROM_IMAGE,
    FROM_TRUTH,
    NO_CRYSTAL,
    label_expected,
    label_thresholded,
)
from cxlsfind.datasets.naming import EMPTY_PREFIX, LABELS, OVERLAY, PEAKS, WATER
from cxlsfind.datasets.recipe import count_empties
from cxlsfind.datasets.tree import MASK_NAME, Frame, Tree
from cxlsfind.datasets.workers import run_jobs
from cxlsfind.errors import InputError, InputProblemsError

_NO_COUNTERPART = "has no counterpart in {}, which is needed for"


@dataclass(frozen=True, slots=True)
class Addition:
    """A frame to add images to.

    Parameters
    ----------
    frame
        The frame.
    root
        The tree.
    source
        Image that it is made from: peaks for labels, else water.
    threshold
        Label by pixels that reach so many photons; ``None``: by expected photons.
    """

    frame: Frame
    root: Path
    source: Path
    threshold: float | None = None

    def mask_link(self, target: Path) -> str | None:
        """Return the name of the tree's mask as seen from an image; ``None`` without one."""
        mask = self.root / MASK_NAME
        return os.path.relpath(mask, target.parent) if mask.is_file() else None

    def target(self, branch: str, key: str | None = None) -> Path:
        """Return where an image of the frame goes, in a folder that exists."""
        path = self.root / branch / self.frame.dataset / (key or self.frame.key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{path.parent}: cannot be made: {error.strerror}") from error
        return self.frame.paths.get(branch, path) if key is None else path


def plan_overlays(tree: Tree, *, overwrite: bool) -> list[Addition]:
    """Return the frames that lack an overlay, or all.

    Raises
    ------
    InputProblemsError
        Frames have no image of peaks or of water to make it from.
    """
    frames = [frame for frame in tree.frames if overwrite or OVERLAY not in frame.paths]
    jobs: list[Addition] = []
    problems: list[str] = []
    for frame in frames:
        water = tree.water_of(frame)
        if water is not None and PEAKS in frame.paths:
            jobs.append(Addition(frame, tree.root, water))
        else:
            missing = WATER if water is None else PEAKS
            problems.append(f"{frame.any_path}: {_NO_COUNTERPART.format(missing)} an overlay")
    if problems:
        raise InputProblemsError(problems)
    return jobs


def plan_labels(tree: Tree, threshold: float | None, *, overwrite: bool) -> list[Addition]:
    """Return the frames that lack a label, or all.

    Raises
    ------
    InputProblemsError
        Frames have no image of peaks.
    """
    frames = [frame for frame in tree.frames if overwrite or LABELS not in frame.paths]
    problems = [
        f"{frame.any_path}: {_NO_COUNTERPART.format(PEAKS)} a label"
        for frame in frames
        if PEAKS not in frame.paths
    ]
    if problems:
        raise InputProblemsError(problems)
    return [Addition(frame, tree.root, frame.paths[PEAKS], threshold) for frame in frames]


def plan_copied_empties(tree: Tree, percent: float) -> list[Addition]:
    """Return patterns whose water becomes a frame without a crystal, in a tree made by others.

    Raises
    ------
    InputError
        More than 100 % are asked for, a data set has more already, or a frame has no water.
    """
    if percent > 100:
        raise InputError("a tree that was not simulated here has one water image at most per frame")
    jobs: list[Addition] = []
    for dataset in tree.datasets:
        frames = [frame for frame in tree.frames if frame.dataset == dataset]
        patterns = [frame for frame in frames if not frame.has_empty_name]
        wanted = count_empties(len(patterns), percent)
        present = {frame.key for frame in frames if frame.has_empty_name}
        if len(present) > wanted:
            raise InputError(
                f"{tree.root}: data set {dataset} has {len(present)} frames without a crystal, "
                f"{percent:g} % of {len(patterns)} are {wanted}: remove some, or ask for more"
            )
        free = [frame for frame in patterns if EMPTY_PREFIX + frame.key not in present]
        for frame in free[: wanted - len(present)]:
            water = tree.water_of(frame)
            if water is None:
                text = f"{_NO_COUNTERPART.format(WATER)} a frame without a crystal"
                raise InputError(f"{frame.any_path}: {text}")
            jobs.append(Addition(frame, tree.root, water))
    return jobs


def do_additions(
    work: Callable[[Addition], str | None],
    jobs: Sequence[Addition],
    *,
    processes: int,
    tell: Callable[[int], None],
) -> None:
    """Do one of the works below for many frames.

    Raises
    ------
    InputProblemsError
        Frames could not be done; the others were.
    """
    problems: list[str] = []
    for number, problem in enumerate(run_jobs(work, jobs, processes), start=1):
        problems += [] if problem is None else [problem]
        tell(number)
    if problems:
        raise InputProblemsError(problems)


def add_overlay(job: Addition) -> str | None:
    """Write peaks plus water as the overlay of a frame; return what is wrong, if anything is."""
    try:
        peaks, water = read_image(job.frame.paths[PEAKS]), read_image(job.source)
        if peaks.shape != water.shape:
            raise ImageFileError(
                f"{job.frame.paths[PEAKS]}: {peaks.shape} pixels, but {job.source} has "
                f"{water.shape}: they are not of one detector"
            )
        target = job.target(OVERLAY)
        attributes = _attributes(job.frame)
        write_image(target, _sum(peaks, water), attributes, mask=job.mask_link(target))
    except ValueError as error:
        return str(error)
    return None


def add_label(job: Addition) -> str | None:
    """Write the label of a frame; return what is wrong, if anything is."""
    path = job.source
    try:
        attributes = _attributes(job.frame)
        image, truth = read_image(path), read_truth(path)
        mask_path = job.root / MASK_NAME
        mask = read_mask(mask_path) if mask_path.is_file() else None
        ignore: Image | None = mask
        if job.threshold is not None and attributes["peak"]:
            label: Image = label_thresholded(image, job.threshold)
            attributes[LABEL_SOURCE] = FROM_IMAGE.format(f"{job.threshold:g}")
        elif truth is not None and mask is not None:
            expected = label_expected(truth, mask == 0)
            label, ignore = expected.spots, expected.ignore
            attributes[LABEL_SOURCE] = FROM_TRUTH
        elif not attributes["peak"]:
            label = np.zeros(image.shape, np.uint8)
            attributes[LABEL_SOURCE] = NO_CRYSTAL
        else:
            raise ImageFileError(
                f"{path}: says nothing of expected photons; --threshold 1 labels the photons that "
                "arrived, as Everett & Kurth (2024) did"
            )
        target = job.target(LABELS)
        write_image(target, label, attributes, mask=job.mask_link(target), ignore=ignore)
    except ValueError as error:
        return str(error)
    return None


def add_copied_empty(job: Addition) -> str | None:
    """Write a frame without a crystal whose overlay is a water image of others.

    Its noise is that of the frames that the image belongs to: fit for training only where all of
    them are used for training.
    """
    key = EMPTY_PREFIX + job.frame.key
    try:
        known = complete_attributes(job.frame, read_attributes(job.frame.any_path))
        attributes = {**known, "peak": False}
        water = read_image(job.source)
        nothing = np.zeros_like(water)
        write_image(job.target(PEAKS, key), nothing, attributes)
        label = nothing.astype(np.uint8)
        write_image(job.target(LABELS, key), label, {**attributes, LABEL_SOURCE: NO_CRYSTAL})
        write_image(job.target(OVERLAY, key), water, attributes)
        if WATER in job.frame.paths:
            write_image(job.target(WATER, key), water, attributes)
    except ValueError as error:
        return str(error)
    return None


def _attributes(frame: Frame) -> dict[str, Attribute]:
    known = read_attributes(frame.paths[PEAKS])
    return {**complete_attributes(frame, known), **known.others}


def _sum(peaks: Image, water: Image) -> Image:
    """Add two images without overflow, in the narrowest type of their kind that holds the sum."""
    if "f" in peaks.dtype.kind + water.dtype.kind:
        return np.add(peaks, water, dtype=np.float32)
    total = np.add(peaks, water, dtype=np.int64)
    narrow = np.result_type(peaks.dtype, water.dtype)
    if total.max(initial=0) <= np.iinfo(narrow).max:
        return total.astype(narrow)
    return total.astype(np.uint32)
