"""Open a run: find every frame of every listed file, before the first one is processed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cxlsfind.errors import InputError, InputProblemsError
from cxlsfind.geometry.layout import Layout, SlabKey, build_layout
from cxlsfind.geometry.model import Geometry
from cxlsfind.io._assembly import Segment, assemble, event_numbers
from cxlsfind.io.beamline import Beamline
from cxlsfind.io.datasets import FrameFinder
from cxlsfind.io.files import FileCache
from cxlsfind.io.frames import FrameSet, FrameSource
from cxlsfind.io.inputs import InputItem
from cxlsfind.io.mask_files import BadValue
from cxlsfind.io.masks import MaskStore
from cxlsfind.io.skips import SkipLog
from cxlsfind.records import EventId, FrameTable, Skipped, SourceGroup

#: Reasons that are told when no frame can be read.
_MAX_PROBLEMS = 20
#: Files that are named for one reason; of more only the first.
_MAX_NAMES = 5


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A run that is ready to be read, by this process or, pickled, by others.

    Parameters
    ----------
    geometry
        As given.
    layout
        The frame array; the same for all frames.
    frames
        Frames that can be read, in input order.
    groups
        Where they are, as outputs link to them.
    sources
        Where they are, as :class:`cxlsfind.io.reader.RunReader` reads them; one per group.
    masks
        Usable pixels, as flat bool arrays of the frame array.
    skipped
        What cannot be read, and why.
    notes
        What the user should know though nothing is wrong; one sentence each.
    beamline
        Energy, camera length and headers of every frame.
    """

    geometry: Geometry
    layout: Layout
    frames: FrameTable
    groups: tuple[SourceGroup, ...]
    sources: tuple[FrameSource, ...]
    masks: tuple[npt.NDArray[np.bool_], ...]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]
    beamline: Beamline

    def data_files(self) -> list[str]:
        """Return the files that hold the pixels, behind all links and mappings; sorted."""
        linked = {link.file for source in self.sources for link in source.links}
        slabs = (patches for source in self.sources for patches in source.patches)
        leaves = (patch.leaf for patches in slabs for patch in patches)
        return sorted(linked | {leaf.place.file for leaf in leaves if leaf is not None})


def open_run(
    items: Iterable[InputItem],
    geometry: Geometry,
    *,
    channel: int | str | None = None,
    mask_file: str | None = None,
    mask_bad: BadValue = "nonzero",
    photon_energy_ev: float | None = None,
    camera_length_m: float | None = None,
    copy_headers: Sequence[str] = (),
) -> Run:
    """Find all frames of a run.

    Parameters
    ----------
    items
        Files and frames, in the order in which they are to be processed.
    channel
        Channel of detectors that write several per frame: number or name; ``None``: the first.
    mask_file, mask_bad
        A further mask; see :class:`cxlsfind.io.masks.MaskStore`.
    photon_energy_ev, camera_length_m, copy_headers
        See :class:`cxlsfind.io.beamline.Beamline`.

    Raises
    ------
    InputProblemsError
        A setting cannot be right, or not a single frame can be read; with all reasons.
    """
    beamline = Beamline(
        geometry,
        photon_energy_ev=photon_energy_ev,
        camera_length_m=camera_length_m,
        copy_headers=copy_headers,
    )
    with FileCache() as files:
        log = SkipLog(files.real_name)
        finder = FrameFinder(files, geometry, channel=channel)
        segments = _collect(items, finder, log)
        shapes = _common_shapes(segments)
        usable = [part for s in segments if len((part := _usable(s, shapes, log)).rows)]
        if not usable or shapes is None:
            raise _nothing_left(log)
        layout = build_layout(geometry, shapes)
        store = MaskStore(
            geometry,
            _with_channels(layout, usable[0].frames),
            files,
            mask_file=mask_file,
            mask_bad=mask_bad,
        )
        masks = _check_files(usable, store, beamline, files, log)
    usable = [segment for segment in usable if _key(segment) in masks]
    if not usable:
        raise _nothing_left(log)
    parts = assemble(usable, layout, [masks[_key(segment)] for segment in usable])
    unused = ["--channel is not used: the data have no channels"]
    notes = (
        *finder.notes.lines,
        *(unused if channel is not None and not finder.has_channels else []),
        *store.notes,
        *beamline.notes,
        *_notes(parts.frames, parts.sources),
    )
    return Run(
        geometry=geometry,
        layout=layout,
        frames=parts.frames,
        groups=parts.groups,
        sources=parts.sources,
        masks=tuple(store.arrays),
        skipped=log.entries(),
        notes=notes,
        beamline=beamline,
    )


def _nothing_left(log: SkipLog) -> InputProblemsError:
    files: dict[str, list[str]] = {}
    for entry in log.entries():
        files.setdefault(entry.reason, []).append(entry.file)
    problems: list[str] = []
    for reason, names in files.items():
        if len(names) <= _MAX_NAMES:
            problems.extend(f"{name}: {reason}" for name in names)
        else:
            problems.append(f"{names[0]} and {len(names) - 1} more: {reason}")
    if len(problems) > _MAX_PROBLEMS:
        left = len(problems) - _MAX_PROBLEMS
        problems[_MAX_PROBLEMS:] = [f"and {left} more files or datasets, each for its own reason"]
    return InputProblemsError(problems or ["the input names no files"])


def _collect(items: Iterable[InputItem], finder: FrameFinder, log: SkipLog) -> list[Segment]:
    segments: list[Segment] = []
    pending: list[int] = []

    def flush() -> None:
        if pending:
            segments[-1] = replace(segments[-1], rows=np.array(pending, np.int64))
            pending.clear()

    for item in items:
        try:
            if item.event is None:
                flush()
                expansion = finder.expand(item.filename)
                for lost in expansion.skipped:
                    log.add_loss(lost)
                segments.extend(
                    Segment(item.filename, frames, np.arange(len(frames)))
                    for frames in expansion.sets
                )
                continue
            frames = finder.frames(item.filename, item.event.path)
            row = _row(item.event, frames)
        except InputError as error:
            log.add(item.filename, str(error), item.event)
            continue
        last = segments[-1] if segments and pending else None
        if last is None or last.frames is not frames or last.name != item.filename:
            flush()
            segments.append(Segment(item.filename, frames, np.zeros(0, np.int64)))
        pending.append(row)
    flush()
    return segments


def _row(event: EventId, frames: FrameSet) -> int:
    """Return the flat number of an event in its frame set."""
    if len(event.dims) != len(frames.sizes):
        raise InputError(
            f"the event has {len(event.dims)} numbers after its '//', the geometry has "
            f"{len(frames.sizes)} dimensions '%'"
        )
    row = 0
    for number, size in zip(event.dims, frames.sizes, strict=True):
        if not 0 <= number < size:
            raise InputError(f"there is no such frame: numbers go from 0 to {size - 1}")
        row = row * size + number
    return row


def _common_shapes(segments: Sequence[Segment]) -> Mapping[SlabKey, tuple[int, int]] | None:
    """Return the slab shapes that most frames have; the first ones where there is a tie."""
    counts: Counter[tuple[tuple[SlabKey, tuple[int, int]], ...]] = Counter()
    for segment in segments:
        n_usable = int(np.count_nonzero(segment.frames.problem[segment.rows] < 0))
        counts[tuple(segment.frames.shapes.items())] += n_usable
    return dict(counts.most_common(1)[0][0]) if counts else None


def _usable(
    segment: Segment, shapes: Mapping[SlabKey, tuple[int, int]] | None, log: SkipLog
) -> Segment:
    """Return the part of a segment that can be read, and log the rest."""
    frames, rows = segment.frames, segment.rows
    if frames.shapes != shapes:
        reason = "the run has one layout, and most frames have another: " + _compare(
            frames.shapes, shapes or {}
        )
        log.add_rows(segment.name, reason, frames.parts, frames.sizes, rows)
        return replace(segment, rows=rows[:0])
    if not len(frames):
        log.add_loss(Skipped(segment.name, None, 0, "the file holds no frames"))
    problem = frames.problem[rows]
    for number in np.unique(problem[problem >= 0]).tolist():
        log.add_rows(
            segment.name,
            frames.reasons[number],
            frames.parts,
            frames.sizes,
            rows[problem == number],
        )
    return replace(segment, rows=rows[problem < 0])


def _compare(
    ours: Mapping[SlabKey, tuple[int, int]], theirs: Mapping[SlabKey, tuple[int, int]]
) -> str:
    key = next(key for key in ours if ours[key] != theirs[key])
    return (
        f"{key[0]} is {ours[key][1]} x {ours[key][0]} here (fs x ss), "
        f"{theirs[key][1]} x {theirs[key][0]} there"
    )


def _key(segment: Segment) -> tuple[str, int]:
    """Return what tells the file and data path of a segment from others."""
    return segment.name, id(segment.frames)


def _check_files(
    segments: Sequence[Segment],
    store: MaskStore,
    beamline: Beamline,
    files: FileCache,
    log: SkipLog,
) -> dict[tuple[str, int], int]:
    """Return the mask of every file and data path that has all that its frames need."""
    together: dict[tuple[str, int], list[Segment]] = {}
    for segment in segments:
        together.setdefault(_key(segment), []).append(segment)
    masks: dict[tuple[str, int], int] = {}
    for key, members in together.items():
        name, frames = members[0].name, members[0].frames
        rows = np.concatenate([member.rows for member in members])
        try:
            beamline.check(files, name, _events(frames, rows))
            masks[key] = store.add(name, frames.parts, event_numbers(rows, frames.sizes))
        except InputError as error:
            log.add_rows(name, str(error), frames.parts, frames.sizes, rows)
    return masks


def _events(frames: FrameSet, rows: npt.NDArray[np.int64]) -> Iterator[EventId]:
    for row in rows:
        numbers = event_numbers(np.array([row]), frames.sizes)[0]
        yield EventId(frames.parts, tuple(numbers.tolist()))


def _with_channels(layout: Layout, frames: FrameSet) -> Layout:
    """Return a layout whose dimensions say which channel is read: each has its own pixel mask."""
    slabs = (replace(slab, dims=frames.dims[slab.data, slab.dims]) for slab in layout.slabs)
    return replace(layout, slabs=tuple(slabs))


def _notes(frames: FrameTable, sources: Sequence[FrameSource]) -> list[str]:
    notes = []
    places = np.stack([frames.group.astype(np.int64), frames.row])
    n_twice = len(frames) - np.unique(places, axis=1).shape[1]
    if n_twice:
        notes.append(f"frames listed more than once: {n_twice}")
    if any(np.dtype(s.dtype).kind in "iu" and np.dtype(s.dtype).itemsize > 4 for s in sources):
        notes.append(
            "pixels are 64-bit integers: they are read as 32-bit ones, and frames with numbers "
            "that do not fit are skipped"
        )
    return notes
