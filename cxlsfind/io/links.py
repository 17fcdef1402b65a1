"""Follow links inside and between HDF5 files, and find what a path with ``%`` matches.

Links are followed here, one by one, rather than by the HDF5 library: only so is the file known
that really holds a dataset, and only so can a message name the link that leads nowhere.
"""

from __future__ import annotations

import os
import re
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import h5py

from cxlsfind.errors import InputError
from cxlsfind.io.files import FileCache, hdf5_errors

_MAX_LINKS = 32
_MAX_LISTED = 12
_MAX_DEPTH = 8
_HARD_LINK = (None, "")


class AbsentError(InputError):
    """A path names nothing in its file."""


class DanglingError(InputError):
    """A link leads to a file that cannot be opened, or to nothing in it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object really is, all links followed: absolute file name and path in it.

    ``opened_as`` is the name under which the file was found, symbolic links and all: names of
    further files count from its folder too. It does not tell places apart.
    """

    file: str
    path: str
    opened_as: str = field(compare=False)

    def __str__(self) -> str:
        """Return the place as messages name it."""
        return f"{self.path} in {self.file}"


@dataclass(frozen=True, slots=True)
class Match:
    """One dataset or group that a path with ``%`` matches.

    Parameters
    ----------
    parts
        What stands for each ``%``.
    place
        Where it is, or the reason why the link to it leads nowhere.
    """

    parts: tuple[str, ...]
    place: Place | DanglingError


def fill_path(pattern: str, parts: tuple[str, ...]) -> str:
    """Return a path with its ``%`` replaced, left to right, by the first of the parts."""
    *pieces, last = pattern.split("%")
    filled = [piece + part for piece, part in zip(pieces, parts, strict=False)]
    return "".join(filled) + last


def locate(files: FileCache, file: str, path: str) -> Place:
    """Follow all links of a path.

    Raises
    ------
    AbsentError
        There is no such path.
    DanglingError
        A link on the way leads nowhere.
    InputError
        ``file`` cannot be opened or is damaged.
    """
    here, steps, hops, via, n_beyond = "/", deque(path.split("/")), 0, "", 0
    handle = files.open(file)
    while steps:
        if len(steps) == n_beyond:
            via = ""  # all that the link names is there
        step = steps.popleft()
        if step in ("", "."):
            continue
        name = _join(here, step)
        with hdf5_errors(f"{name} in {file}"):
            link = _read_link(handle, name)
        if link is None:
            message = f"{name} does not exist in {file}"
            if via:
                raise DanglingError(f"{via} links to nothing: {message}")
            raise AbsentError(message)
        if link == _HARD_LINK:
            here = name
            continue
        hops += 1
        if hops > _MAX_LINKS:
            raise DanglingError(f"{path} in {file}: the links go round in a circle")
        if not via:
            n_beyond = len(steps)
        via = f"{name} in {file}"
        target_file, target = link
        steps.extendleft(reversed(target.split("/")))
        if target_file is not None:
            file, here = resolve_file(target_file, file), "/"
            handle = _open_linked(files, file, via)
        elif target.startswith("/"):
            here = "/"
    return Place(files.real_name(file), here, file)


def match_paths(files: FileCache, file: str, pattern: str) -> list[Match]:
    """Return all that a path with ``%`` matches in a file, in the order of names.

    A ``%`` stands for one name, or for a part of one, as in ``/entry/data/data_%``.

    Raises
    ------
    InputError
        The file cannot be opened or is damaged.
    """
    found = [Match((), Place(files.real_name(file), "/", file))]
    for step in pattern.split("/"):
        if step:
            found = [new for match in found for new in _extend(files, match, step)]
    return found


def list_images(files: FileCache, file: str) -> list[str]:
    """Return up to twelve descriptions of datasets with two or more dimensions in a file."""
    found: list[str] = []
    pending = deque([("/", 0)])
    seen: set[Place] = set()
    while pending and len(found) < _MAX_LISTED:
        path, depth = pending.popleft()
        try:
            place = locate(files, file, path)
            if place in seen:
                continue
            seen.add(place)
            with hdf5_errors(path):
                item = files.open(place.file)[place.path]
                if isinstance(item, h5py.Group) and depth < _MAX_DEPTH:
                    pending.extend((_join(path, name), depth + 1) for name in sorted(item))
                elif isinstance(item, h5py.Dataset) and item.ndim > 1:
                    found.append(f"{path} ({' x '.join(str(n) for n in item.shape)})")
        except DanglingError as error:
            found.append(f"{path} ({error})")
        except InputError:
            # Only a hint is being made here; what is damaged is left out of it.
            continue
    return found


def resolve_file(name: str, referrer: str) -> str:
    """Return the file meant by a link or a virtual dataset, found as the HDF5 library does.

    Parameters
    ----------
    name
        As stored; relative names count from the folder of the file that holds them.
    referrer
        The file that holds the name.

    Returns
    -------
    The first candidate that exists; the most likely one where none does.
    """
    folder, real_folder = Path(referrer).parent, Path(referrer).resolve().parent
    if Path(name).is_absolute():
        last = Path(name).name
        candidates = [Path(name), folder / last, real_folder / last]
    else:
        candidates = [folder / name, Path(name), real_folder / name]
    for candidate in candidates:
        if candidate.exists():
            return os.fspath(candidate)
    return os.fspath(candidates[0])


def _extend(files: FileCache, match: Match, step: str) -> list[Match]:
    if isinstance(match.place, DanglingError):
        return [match]
    place = match.place
    if "%" not in step:
        names: dict[str, tuple[str, ...]] = {step: ()}
    else:
        with hdf5_errors(str(place)):
            group = files.open(place.opened_as)[place.path]
            members = sorted(group) if isinstance(group, h5py.Group) else []
        rule = re.compile("(.+)".join(re.escape(piece) for piece in step.split("%")))
        names = {name: hit.groups() for name in members if (hit := rule.fullmatch(name))}
    found = []
    for name, parts in names.items():
        try:
            target: Place | DanglingError = locate(files, place.opened_as, _join(place.path, name))
        except AbsentError:
            continue
        except DanglingError as error:
            target = error
        found.append(Match(match.parts + parts, target))
    return found


def _read_link(handle: h5py.File, name: str) -> tuple[str | None, str] | None:
    """Return file and path that a link leads to; the file is ``None`` for a soft link.

    Hard links give :data:`_HARD_LINK`, and names that do not exist ``None``. The low-level
    calls are used because runs may have a hundred thousand links.
    """
    key = name.encode("utf-8", "surrogateescape")
    try:
        if not handle.id.links.exists(key):
            return None
    except RuntimeError:
        if isinstance(handle[name.rpartition("/")[0] or "/"], h5py.Group):
            raise  # the group is damaged
        return None
    kind = handle.id.links.get_info(key).type
    if kind == h5py.h5l.TYPE_HARD:
        return _HARD_LINK
    value = handle.id.links.get_val(key)
    if kind == h5py.h5l.TYPE_EXTERNAL:
        return os.fsdecode(value[0]), value[1].decode("utf-8", "surrogateescape")
    return None, value.decode("utf-8", "surrogateescape")


def _open_linked(files: FileCache, file: str, via: str) -> h5py.File:
    try:
        return files.open(file)
    except InputError as error:
        raise DanglingError(f"{via} is a link to another file: {error}") from error


def _join(group: str, name: str) -> str:
    return f"{group.rstrip('/')}/{name}"
