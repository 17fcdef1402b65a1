"""What files a tree of images holds, and which of them belong to one frame."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from cxlsfind.datasets.naming import (
    BRANCHES,
    LABELS,
    OVERLAY,
    PEAKS,
    WATER,
    frame_key,
    has_empty_name,
)
from cxlsfind.errors import InputError

RECIPE_NAME: Final = "tree.json"  #: how a tree was simulated
MASK_NAME: Final = "mask.h5"  #: bad pixels of a simulated tree
GEOMETRY_NAME: Final = "tree.geom"  #: CrystFEL geometry of a simulated tree
MANIFEST_NAME: Final = "manifest.sha256"  #: hashes of all files

_OWN_NAMES: Final = (RECIPE_NAME, MASK_NAME, GEOMETRY_NAME, MANIFEST_NAME)


@dataclass(frozen=True, slots=True)
class Frame:
    """The files of one frame.

    Parameters
    ----------
    dataset
        Name of the data set's folder: ``01``.
    key
        What the file names have in common.
    paths
        File of every branch that has one.
    """

    dataset: str
    key: str
    paths: Mapping[str, Path]

    @property
    def name(self) -> str:
        """Data set and key: the name of the frame inside its tree."""
        return f"{self.dataset}/{self.key}"

    @property
    def has_empty_name(self) -> bool:
        """Whether the name says that there is no crystal."""
        return has_empty_name(self.key)

    @property
    def any_path(self) -> Path:
        """Return the file that speaks for the frame: overlay before peaks before others."""
        return next(self.paths[b] for b in (OVERLAY, PEAKS, LABELS, WATER) if b in self.paths)


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree of images.

    Parameters
    ----------
    root
        Folder with the branches.
    frames
        All frames, by data set and key.
    shared_water
        The one water image of a data set, where it has one for all its frames.
    missing_branches
        Branches without a folder.
    extras
        Files and folders that belong to no frame.
    twins
        Files of one branch that claim to be the same frame as another, with that other.
    """

    root: Path
    frames: tuple[Frame, ...]
    shared_water: Mapping[str, Path]
    missing_branches: tuple[str, ...]
    extras: tuple[Path, ...]
    twins: tuple[tuple[Path, Path], ...]

    @property
    def is_simulated(self) -> bool:
        """Whether the tree says how it was simulated."""
        return (self.root / RECIPE_NAME).is_file()

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of the data sets, in order."""
        return tuple(dict.fromkeys(frame.dataset for frame in self.frames))

    def only(self, datasets: Collection[int] | None) -> Tree:
        """Return the tree with the frames of some data sets; with ``None``, of all.

        Raises
        ------
        InputError
            There is no such data set.
        """
        if datasets is None:
            return self
        missing = sorted(set(datasets) - {int(name) for name in self.datasets})
        if missing:
            raise InputError(
                f"{self.root}: no data set {missing[0]:02d}; there are {', '.join(self.datasets)}"
            )
        frames = tuple(frame for frame in self.frames if int(frame.dataset) in datasets)
        return replace(self, frames=frames)

    def water_of(self, frame: Frame) -> Path | None:
        """Return the water image of a frame: its own, or the one of its data set."""
        return frame.paths.get(WATER, self.shared_water.get(frame.dataset))


def scan_tree(root: Path) -> Tree:
    """List the files of a tree; none is opened.

    Parameters
    ----------
    root
        Folder with the branches, or the folder above it when the former is named ``images``.

    Raises
    ------
    InputError
        There is no such folder, or it holds no branch with images.
    """
    root = _find_root(root)
    found: dict[tuple[str, str], dict[str, Path]] = defaultdict(dict)
    extras = [path for path in _listing(root) if path.name not in (*BRANCHES, *_OWN_NAMES)]
    twins: list[tuple[Path, Path]] = []
    for branch in BRANCHES:
        for path in _branch_files(root / branch, extras):
            files = found[path.parent.name, frame_key(branch, path.name)]
            if branch in files:
                twins.append((path, files[branch]))
            else:
                files[branch] = path
    shared = _take_shared_water(found)
    strays = [place for place, files in found.items() if set(files) == {WATER}]
    extras += [found.pop(place)[WATER] for place in strays]
    if not found:
        raise InputError(
            f"{root}: no frame in {', '.join(BRANCHES)}; expected images in folders such as "
            f"{PEAKS}/01/*.h5"
        )
    return Tree(
        root=root,
        frames=tuple(Frame(*place, files) for place, files in sorted(found.items())),
        shared_water=shared,
        missing_branches=tuple(b for b in BRANCHES if not (root / b).is_dir()),
        extras=tuple(sorted(extras)),
        twins=tuple(twins),
    )


def _find_root(root: Path) -> Path:
    for candidate in (root, root / "images"):
        if any((candidate / branch).is_dir() for branch in BRANCHES):
            return candidate
    what = "has none of the folders" if root.is_dir() else "no such folder; expected one with"
    raise InputError(f"{root}: {what} {', '.join(BRANCHES)}: name the folder that holds them")


def _listing(folder: Path) -> list[Path]:
    """Return what a folder holds, in order, without hidden files."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise InputError(f"{folder}: cannot be listed: {error.strerror}") from error


def _branch_files(branch: Path, extras: list[Path]) -> list[Path]:
    """Return the images of a branch; what else is there goes to ``extras``."""
    images: list[Path] = []
    for folder in _listing(branch) if branch.is_dir() else ():
        if not (folder.is_dir() and folder.name.isdigit()):
            extras.append(folder)
            continue
        for path in _listing(folder):
            (images if path.suffix == ".h5" and path.is_file() else extras).append(path)
    return images


def _take_shared_water(found: dict[tuple[str, str], dict[str, Path]]) -> dict[str, Path]:
    """Take water images that stand for a whole data set out of the frames."""
    alone: dict[str, list[tuple[str, str]]] = defaultdict(list)
    paired: set[str] = set()
    for place, files in found.items():
        if set(files) == {WATER}:
            alone[place[0]].append(place)
        elif WATER in files:
            paired.add(place[0])
    return {
        dataset: found.pop(places[0])[WATER]
        for dataset, places in sorted(alone.items())
        if len(places) == 1 and dataset not in paired
    }
