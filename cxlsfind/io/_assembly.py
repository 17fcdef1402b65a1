"""Put the frames of many files together into one table and its groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cxlsfind.geometry.layout import Layout
from cxlsfind.io.frames import FrameSet, FrameSource
from cxlsfind.records import DataLink, FrameTable, SourceGroup


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Consecutive frames of the input that come from one frame set.

    Parameters
    ----------
    name
        File name as it goes to the stream.
    frames, rows
        The frame set, and the flat numbers of the frames in it; int64.
    """

    name: str
    frames: FrameSet
    rows: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Assembly:
    """Frames, groups and sources of a run; groups and sources belong together."""

    frames: FrameTable
    groups: tuple[SourceGroup, ...]
    sources: tuple[FrameSource, ...]


def assemble(segments: Sequence[Segment], layout: Layout, masks: Sequence[int]) -> Assembly:
    """Put segments together.

    Parameters
    ----------
    segments
        At least one, with frames that can all be read.
    layout
        The frame array, which all of them have.
    masks
        For each segment, the number of its mask.
    """
    names: dict[str, int] = {}
    paths: dict[tuple[str, ...], int] = {}
    sources: dict[object, tuple[int, FrameSource, int]] = {}
    columns: list[tuple[npt.NDArray[np.int64], ...]] = []
    for segment, mask in zip(segments, masks, strict=True):
        frames, rows = segment.frames, segment.rows
        local = frames.group[rows]
        number = np.zeros(len(frames.sources), np.int64)
        for n in np.unique(local).tolist():
            source = frames.sources[n]
            key = (mask, source.links) if source.links else (mask, id(frames), n)
            number[n] = sources.setdefault(key, (len(sources), source, mask))[0]
        columns.append(
            (
                np.full(len(rows), names.setdefault(segment.name, len(names))),
                np.full(len(rows), paths.setdefault(frames.parts, len(paths))),
                event_numbers(rows, frames.sizes),
                number[local],
                frames.row[rows],
                frames.n_bytes[rows],
            )
        )
    file, path, dims, group, row, n_bytes = (
        np.concatenate(column) for column in zip(*columns, strict=True)
    )
    table = FrameTable(
        filenames=tuple(names),
        file=file.astype(np.int32),
        paths=tuple(paths),
        path=path.astype(np.int32),
        dims=dims,
        group=group.astype(np.int32),
        row=row,
        n_bytes=n_bytes,
    )
    keys = list(segments[0].frames.shapes)
    order = [keys.index((slab.data, slab.dims)) for slab in layout.slabs]
    by_slab = [_reorder(source, order) for _, source, _ in sources.values()]
    groups = _groups(by_slab, [mask for _, _, mask in sources.values()])
    return Assembly(table, groups, tuple(by_slab))


def event_numbers(rows: npt.NDArray[np.int64], sizes: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Return the numbers of events, shape (rows, dimensions), from flat numbers over sizes."""
    if not sizes:
        return np.zeros((len(rows), 0), np.int64)
    return np.stack(np.unravel_index(rows, sizes), axis=1).astype(np.int64)


def _reorder(source: FrameSource, order: Sequence[int]) -> FrameSource:
    """Return a source with one entry per slab of the layout: slabs may share a dataset."""
    return replace(
        source,
        links=tuple(source.links[k] for k in order) if source.links else (),
        patches=tuple(source.patches[k] for k in order) if source.patches else (),
        places=source.places if len(order) == 1 else None,
    )


def _groups(sources: Sequence[FrameSource], masks: Sequence[int]) -> tuple[SourceGroup, ...]:
    """Return what outputs may link to: datasets that one geometry can describe."""
    reference = next((_roles(source.links) for source in sources if source.links), ())
    groups = []
    for source, mask in zip(sources, masks, strict=True):
        links, obstacle = source.links, source.obstacle
        if links and _roles(links) != reference:
            obstacle = (
                f"its data have dimensions {_text(_roles(links))} where others have "
                f"{_text(reference)}, and one geometry cannot describe both"
            )
            links = ()
        groups.append(SourceGroup(links, source.n_rows, mask, obstacle))
    return tuple(groups)


def _roles(links: Sequence[DataLink]) -> tuple[tuple[int | str, ...], ...]:
    return tuple(link.dims for link in links)


def _text(roles: tuple[tuple[int | str, ...], ...]) -> str:
    return "; ".join(dict.fromkeys(f"({', '.join(str(d) for d in dims)})" for dims in roles))
