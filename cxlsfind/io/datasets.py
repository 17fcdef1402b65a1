"""Find the frames of a listed file: what its data path matches, and what lies there.

Frames are named and ordered as CrystFEL does: the ``%`` of the data path match names in
alphabetical order, and every match is counted through its ``%`` dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import PurePosixPath

import h5py
import numpy as np

from cxlsfind.errors import InputError
from cxlsfind.geometry.layout import SlabKey, slab_key
from cxlsfind.geometry.model import Dim, Geometry
from cxlsfind.io.files import FileCache, hdf5_errors
from cxlsfind.io.frames import FrameSet, SlabFrames, sort_frames
from cxlsfind.io.links import (
    AbsentError,
    DanglingError,
    Match,
    Place,
    fill_path,
    list_images,
    locate,
    match_paths,
)
from cxlsfind.io.mappings import Indices
from cxlsfind.io.notes import Notes
from cxlsfind.io.shapes import check_shape
from cxlsfind.io.virtual import Resolver
from cxlsfind.records import Skipped

#: More frames than anybody ever took; a damaged file may claim any number.
_MAX_FRAMES = 10**9

_DETECTOR_SPECIFIC = "/entry/instrument/detector/detectorSpecific"


class RankError(InputError):
    """An object is no dataset with as many dimensions as the geometry names."""


@dataclass(frozen=True, slots=True)
class Expansion:
    """All frames of a listed file, and what of it is lost."""

    sets: tuple[FrameSet, ...]
    skipped: tuple[Skipped, ...]


class FrameFinder:
    """Finds the frames of listed files.

    Parameters
    ----------
    files
        Where files are opened.
    geometry
        Says where frames lie in a file.
    channel
        Channel of detectors that write several per frame: number, or name as in the file;
        ``None``: the first.

    Attributes
    ----------
    notes
        What the user should know of the data though nothing is wrong.
    has_channels
        Whether data with channels were found.
    """

    def __init__(
        self, files: FileCache, geometry: Geometry, *, channel: int | str | None = None
    ) -> None:
        self._files = files
        self._geometry = geometry
        self._channel = channel
        self._resolver = Resolver(files)
        self._keys = tuple(dict.fromkeys(slab_key(panel) for panel in geometry.panels))
        self._known: dict[tuple[str, tuple[str, ...]], FrameSet | InputError] = {}
        self.notes = Notes()
        self.has_channels = False

    def expand(self, name: str) -> Expansion:
        """Find all frames of a file.

        Raises
        ------
        InputError
            The file cannot be opened, or holds nothing that fits the geometry.
        """
        pattern = self._keys[0][0]
        if "%" not in pattern:
            return Expansion((self.frames(name, ()),), ())
        sets: list[FrameSet] = []
        others: list[str] = []
        skipped: list[Skipped] = []
        dangling: list[Match] = []
        for match in match_paths(self._files, name, pattern):
            if isinstance(match.place, DanglingError):
                dangling.append(match)
                continue
            try:
                sets.append(self.frames(name, match.parts))
            except RankError:
                others.append("/".join(match.parts))
            except InputError as error:
                skipped.append(Skipped(name, None, None, str(error)))
        if not (sets or skipped or dangling):
            raise AbsentError(self._nothing_matches(name, pattern, others))
        if others:
            self.notes.add(
                name,
                f"{pattern} also matches {', '.join(others)}, left out because the number of "
                "dimensions is not that of the geometry",
            )
        return Expansion(tuple(sets), (*skipped, *self._lost(name, sets, dangling)))

    def frames(self, name: str, parts: tuple[str, ...]) -> FrameSet:
        """Find the frames of one data path of a file.

        Parameters
        ----------
        parts
            What fills the ``%`` of the geometry's data paths.

        Raises
        ------
        InputError
            There are none that fit the geometry.
        """
        known = self._known.get((name, parts))
        if known is None:
            try:
                known = self._frames(name, parts)
            except InputError as error:
                known = error
            self._known[name, parts] = known
        if isinstance(known, InputError):
            # A new one: an error that is raised over and over gathers a traceback each time.
            raise type(known)(str(known))
        return known

    def _frames(self, file: str, parts: tuple[str, ...]) -> FrameSet:
        slabs: dict[SlabKey, SlabFrames] = {}
        sizes: tuple[int, ...] = ()
        for key in self._keys:
            data, dims = key
            n_blanks = data.count("%")
            if n_blanks > len(parts) or (not slabs and n_blanks < len(parts)):
                raise InputError(
                    f"the event has {len(parts)} names before its '//', but the data path {data} "
                    f"of the geometry has {n_blanks} '%'"
                )
            place = self._locate(file, fill_path(data, parts))
            roles = self._roles(place, dims)
            shape = self._files.dataset(place.file, place.path).shape
            counted = tuple(n for n, role in zip(shape, roles, strict=True) if role == "%")
            if slabs and counted != sizes:
                raise InputError(
                    f"{place} holds {_times(counted)} frames, {self._keys[0][0]} holds "
                    f"{_times(sizes)}: all panels need as many"
                )
            sizes = counted
            if prod(sizes) > _MAX_FRAMES:
                raise InputError(f"{place} claims to hold {prod(sizes)} frames: it is damaged")
            slabs[key] = self._slab(key, place, roles, file)
        return sort_frames(parts, sizes, slabs, self._resolver)

    def _slab(self, key: SlabKey, place: Place, roles: tuple[Dim, ...], file: str) -> SlabFrames:
        shape = self._files.dataset(place.file, place.path).shape
        ss, fs = roles.index("ss"), roles.index("fs")
        plane = shape[ss], shape[fs]
        remark = check_shape(self._geometry, key, plane, str(place))
        if remark is not None:
            self.notes.add(file, remark)
        resolution = self._resolver.resolve(place, _frame_index(shape, roles), (ss, fs))
        return SlabFrames(roles, plane, resolution)

    def _locate(self, file: str, path: str) -> Place:
        try:
            return locate(self._files, file, path)
        except AbsentError as error:
            images = list_images(self._files, file)
            there = (
                f"the file has these: {'; '.join(images)}. Set 'data' in the geometry accordingly"
                if images
                else "the file has no dataset with two or more dimensions"
            )
            raise AbsentError(f"{error}; {there}") from error

    def _roles(self, place: Place, dims: tuple[Dim, ...]) -> tuple[Dim, ...]:
        """Return the role of every dimension of a dataset."""
        with hdf5_errors(str(place)):
            item = self._files.open(place.file)[place.path]
        if not isinstance(item, h5py.Dataset):
            raise RankError(f"{place} is a group, not a dataset")
        if item.shape is None:
            raise RankError(f"{place} is an empty dataset without dimensions")
        shape: tuple[int, ...] = item.shape
        if len(shape) == 4 and dims == ("%", "ss", "fs"):
            channel = self._pick_channel(place, shape[1])
            if channel is not None:
                return "%", channel, "ss", "fs"
        if len(shape) != len(dims):
            raise RankError(
                f"{place} has {len(shape)} dimensions ({_times(shape)}), the geometry has "
                f"{len(dims)} ({', '.join(str(d) for d in dims)}){_rank_remedy(shape, dims)}"
            )
        for size, role in zip(shape, dims, strict=True):
            if isinstance(role, int) and role >= size:
                raise InputError(
                    f"{place} is {_times(shape)} large, the geometry wants index {role} of a "
                    f"dimension of {size}"
                )
        return dims

    def _pick_channel(self, place: Place, n_channels: int) -> int | None:
        """Return the channel to use; ``None``: the second dimension does not count channels."""
        names = self._channel_names(place)
        wanted = self._channel
        if len(names) != n_channels:
            if wanted is None and n_channels > 1:
                return None
            names = [str(n) for n in range(n_channels)]
        self.has_channels = True
        if wanted is None:
            if n_channels > 1:
                self.notes.add(
                    place.file,
                    f"the data have {n_channels} channels ({', '.join(names)}): {names[0]} is "
                    "used; choose another one with --channel",
                )
            return 0
        if str(wanted) in names:
            return names.index(str(wanted))
        if str(wanted).isdecimal() and int(wanted) < n_channels:
            return int(wanted)
        raise InputError(
            f"{place} has no channel {wanted}: there are {', '.join(names)}, numbered 0 to "
            f"{n_channels - 1}"
        )

    def _channel_names(self, place: Place) -> list[str]:
        try:
            beside = locate(
                self._files, place.file, str(PurePosixPath(place.path).parent / "channel")
            )
            with hdf5_errors(str(beside)):
                return list(self._files.dataset(beside.file, beside.path).asstr()[...].ravel())
        except InputError:
            return []

    def _nothing_matches(self, file: str, pattern: str, others: list[str]) -> str:
        if others:
            return (
                f"{pattern} matches {', '.join(others)} in {file}, and nothing of it has the "
                f"{len(self._keys[0][1])} dimensions that the geometry names"
            )
        images = list_images(self._files, file)
        there = "; ".join(images) if images else "no dataset with two or more dimensions"
        return f"nothing in {file} matches {pattern}; the file has: {there}"

    def _lost(self, name: str, sets: list[FrameSet], dangling: list[Match]) -> list[Skipped]:
        """Return an entry for every link that leads nowhere, with its number of frames if known.

        A Dectris master file says how many frames the run has; all data files but the last
        hold the same number of them.
        """
        n_found = sum(len(frames) for frames in sets)
        n_all = self._announced(name)
        counts: list[int | None] = [None] * len(dangling)
        if n_all is not None and dangling:
            usual = max((len(frames) for frames in sets), default=0)
            last = n_all - n_found - usual * (len(dangling) - 1)
            if len(dangling) == 1 or 0 < last <= usual:
                counts = [*[usual] * (len(dangling) - 1), max(last, 0)]
        elif n_all is not None and n_found < n_all:
            self.notes.add(
                name, f"the file announces {n_all} frames, its data files hold {n_found}"
            )
        return [
            Skipped(name, None, count, str(match.place))
            for match, count in zip(dangling, counts, strict=True)
        ]

    def _announced(self, file: str) -> int | None:
        numbers = []
        for key in ("nimages", "ntrigger"):
            try:
                dataset = self._files.dataset(file, f"{_DETECTOR_SPECIFIC}/{key}")
                with hdf5_errors(key):
                    numbers.append(int(np.asarray(dataset[()]).ravel()[0]))
            except (InputError, IndexError):
                return None
        return prod(numbers)


def _frame_index(shape: tuple[int, ...], roles: tuple[Dim, ...]) -> dict[int, Indices]:
    """Return, for all frames of a dataset, their index in each dimension but ss and fs."""
    counted = [d for d, role in enumerate(roles) if role == "%"]
    sizes = tuple(shape[d] for d in counted)
    n_frames = prod(sizes)
    numbers = np.unravel_index(np.arange(n_frames), sizes) if sizes else ()
    index: dict[int, Indices] = {}
    for d, role in enumerate(roles):
        if role == "%":
            index[d] = np.asarray(numbers[counted.index(d)], np.int64)
        elif isinstance(role, int):
            index[d] = np.full(n_frames, role, np.int64)
    return index


def _rank_remedy(shape: tuple[int, ...], dims: tuple[Dim, ...]) -> str:
    if len(shape) == 3 and dims == ("ss", "fs"):
        return ": for a stack of frames write dim0 = %, dim1 = ss, dim2 = fs"
    if len(shape) == 2 and dims == ("%", "ss", "fs"):
        return ": for single frames write dim0 = ss, dim1 = fs"
    return ""


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)
