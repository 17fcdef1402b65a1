"""A tree of images as a PyTorch data set that reads from disk; the only module here with torch."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from cxlsfind.datasets.catalog import Entry, read_catalog
from cxlsfind.datasets.images import image_shape, read_ignore, read_image
from cxlsfind.datasets.naming import BRANCHES, LABELS, OVERLAY, WATER
from cxlsfind.datasets.tree import Frame, Tree, scan_tree
from cxlsfind.errors import InputError, InputProblemsError


class FrameDataset(Dataset[dict[str, Any]]):
    """Frames of a tree, by data set and name; nothing but names and attributes is kept in memory.

    An item is a dictionary that PyTorch's default collation makes batches of:

    - every branch by its name: float32, shape (1, ss, fs);
    - ``ignore``, with ``labels``: float32, shape (1, ss, fs), 1 where the label says nothing;
    - ``peak``: 1.0 with a crystal, else 0.0; ``photon_energy`` (eV) and ``clen`` (m): float32;
    - ``frame_class``: ``hit``, ``blank``, or ``neither`` for a crystal hardly worth a photon;
    - ``name``: data set and file name.

    Parameters
    ----------
    root
        The tree.
    names
        Frames to take, as a split names them; all without.
    branches
        Which images an item holds.

    Raises
    ------
    InputError
        The tree cannot be read, a frame is not in it or lacks a branch, or sizes differ.
    """

    def __init__(
        self,
        root: Path | str,
        *,
        names: Collection[str] | None = None,
        branches: Sequence[str] = (OVERLAY, LABELS),
    ) -> None:
        unknown = [branch for branch in branches if branch not in BRANCHES]
        if unknown:
            raise InputError(f"no branch {unknown[0]!r}: there are {', '.join(BRANCHES)}")
        tree = scan_tree(Path(root))
        self.branches = tuple(branches)
        self.entries = _chosen(read_catalog(tree), names, tree.root)
        self._paths = [_paths(tree, entry.frame, self.branches) for entry in self.entries]
        _check_branches(self.entries, self._paths, self.branches)
        _check_shapes(self._paths)

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.entries)

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Read one frame.

        Raises
        ------
        ImageFileError
            A file cannot be read.
        """
        entry, paths = self.entries[number], self._paths[number]
        item: dict[str, Any] = {b: _tensor(read_image(path)) for b, path in paths.items()}
        if LABELS in paths:
            ignore = read_ignore(paths[LABELS])
            label = item[LABELS]
            item["ignore"] = torch.zeros_like(label) if ignore is None else _tensor(ignore)
        item["peak"] = torch.tensor(float(not entry.is_empty))
        item["photon_energy"] = torch.tensor(entry.photon_energy_ev, dtype=torch.float32)
        item["clen"] = torch.tensor(entry.clen_m, dtype=torch.float32)
        item["frame_class"] = entry.frame_class
        item["name"] = entry.frame.name
        return item


def _tensor(image: np.ndarray[Any, Any]) -> torch.Tensor:
    return torch.from_numpy(image.astype(np.float32)).unsqueeze(0)


def _chosen(
    entries: Sequence[Entry], names: Collection[str] | None, root: Path
) -> tuple[Entry, ...]:
    if names is None:
        return tuple(entries)
    wanted = set(names)
    missing = sorted(wanted - {entry.frame.name for entry in entries})
    if missing:
        raise InputError(
            f"{root}: {len(missing)} of {len(wanted)} frames are not there, the first is "
            f"{missing[0]}: is this the tree that the split was made of?"
        )
    return tuple(entry for entry in entries if entry.frame.name in wanted)


def _paths(tree: Tree, frame: Frame, branches: Sequence[str]) -> dict[str, Path]:
    found = {**frame.paths}
    water = tree.water_of(frame)
    if water is not None:
        found[WATER] = water
    return {branch: found[branch] for branch in branches if branch in found}


def _check_branches(
    entries: Sequence[Entry], paths: Sequence[dict[str, Path]], branches: Sequence[str]
) -> None:
    problems = [
        f"{entry.frame.any_path}: has no counterpart in {branch}; make it with "
        "'cxlsfind-dataset overlay', 'cxlsfind-dataset labels', or copy it"
        for entry, files in zip(entries, paths, strict=True)
        for branch in branches
        if branch not in files
    ]
    if problems:
        raise InputProblemsError(problems)


def _check_shapes(paths: Sequence[dict[str, Path]]) -> None:
    """Make sure before a training that it will not end at the first odd frame."""
    shapes: dict[tuple[int, int], Path] = {}
    for files in paths:
        for path in files.values():
            shapes.setdefault(image_shape(path), path)
    if len(shapes) > 1:
        sizes = ", ".join(f"{path} {shape}" for shape, path in shapes.items())
        raise InputError(f"images of different sizes cannot be in one data set: {sizes}")
