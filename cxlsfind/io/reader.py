"""Read the frames of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt

from cxlsfind.errors import FrameError, InputError
from cxlsfind.io.codecs import ChunkCheck
from cxlsfind.io.dtypes import delivered_type, narrow
from cxlsfind.io.files import HDF5_ERRORS, FileCache, one_line
from cxlsfind.io.frames import FrameSource
from cxlsfind.io.packed import PackedFiles, PackedFrame
from cxlsfind.io.patches import Patch, Span
from cxlsfind.io.run import Run
from cxlsfind.records import DataLink, FrameHeader

Frame = npt.NDArray[Any]


class RunReader:
    """Reads frames of a run; a context manager that closes its files at the end.

    For one thread: each needs a reader of its own.

    Parameters
    ----------
    run
        The run.
    open_files
        Largest number of files kept open.
    """

    def __init__(self, run: Run, *, open_files: int = 32) -> None:
        self._run = run
        self._files = FileCache(open_files)
        self._packed = PackedFiles(open_files)
        self._buffers: dict[np.dtype[np.generic], Frame] = {}
        self._patches: dict[int, list[_PatchTable]] = {}
        self._checks: dict[tuple[str, str], ChunkCheck | None] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._files.close()
        self._packed.close()

    def packed(self, frame: int) -> PackedFrame | None:
        """Read the bytes of a frame that is one chunk of bitshuffle and LZ4.

        Returns
        -------
        The bytes, which the next call overwrites; ``None`` for frames that are stored in another
        way: :meth:`read` reads them all.

        Raises
        ------
        FrameError
            The bytes cannot be read.
        """
        found = self._chunk(frame)
        if found is None:
            return None
        source, row, start, n_bytes = found
        link = source.links[0]
        place = f"{self._run.frames.filename(frame)} {self._run.frames.event(frame)}"
        try:
            chunk = self._packed.read(link.file, start, n_bytes)
        except FrameError as error:
            raise FrameError(f"{place}: {error}") from error
        where = f"{place}: {_frame_place(link, row)}"
        return PackedFrame(chunk, n_bytes, np.dtype(source.dtype), where)

    def expect(self, frames: Iterable[int]) -> None:
        """Have the system fetch the bytes of packed frames that will be read soon."""
        for frame in frames:
            found = self._chunk(frame)
            if found is not None:
                source, _, start, n_bytes = found
                self._packed.expect(source.links[0].file, start, n_bytes)

    def _chunk(self, frame: int) -> tuple[FrameSource, int, int, int] | None:
        """Return source, row, first byte and length of a packed frame."""
        row = int(self._run.frames.row[frame])
        source = self._run.sources[int(self._run.frames.group[frame])]
        if source.places is None or source.places.start[row] < 0:
            return None
        return source, row, int(source.places.start[row]), int(source.places.n_bytes[row])

    def read(self, frame: int) -> Frame:
        """Read one frame.

        Parameters
        ----------
        frame
            Number in the run's frame table.

        Returns
        -------
        The frame array, in the file's data type and this machine's byte order; integers of 64 bits
        are delivered with 32. It is overwritten by the next call.

        Raises
        ------
        FrameError
            The frame cannot be read.
        """
        table = self._run.frames
        group, row = int(table.group[frame]), int(table.row[frame])
        source = self._run.sources[group]
        dtype = np.dtype(source.dtype)
        out = self._buffer(dtype)
        place = f"{table.filename(frame)} {table.event(frame)}"
        try:
            if source.links:
                self._read_linked(source, row, out)
            else:
                self._read_patched(group, source, row, out)
            delivered = delivered_type(dtype)
            if delivered != dtype:
                wide, out = out, self._buffer(delivered)
                narrow(wide, out)
        except (FrameError, InputError) as error:
            raise FrameError(f"{place}: {error}") from error
        return out

    def header(self, frame: int) -> FrameHeader:
        """Return energy, camera length and headers of one frame.

        Raises
        ------
        FrameError
            One that is needed is missing or cannot be right.
        """
        table = self._run.frames
        name, event = table.filename(frame), table.event(frame)
        try:
            return self._run.beamline.header(self._files, name, event)
        except InputError as error:
            raise FrameError(f"{name} {event}: {error}") from error

    def _buffer(self, dtype: np.dtype[np.generic]) -> Frame:
        if dtype not in self._buffers:
            self._buffers[dtype] = np.empty(self._run.layout.n_pixels, dtype)
        return self._buffers[dtype]

    def _slab(self, frame: Frame, number: int) -> Frame:
        slab = self._run.layout.slabs[number]
        size = slab.shape[0] * slab.shape[1]
        return frame[slab.offset : slab.offset + size].reshape(slab.shape)

    def _read_linked(self, source: FrameSource, row: int, out: Frame) -> None:
        for number, link in enumerate(source.links):
            slab = self._slab(out, number)
            indices: dict[int | str, int | slice] = {
                "%": row,
                "ss": slice(0, slab.shape[0]),
                "fs": slice(0, slab.shape[1]),
            }
            selection = tuple(indices.get(role, role) for role in link.dims)
            with _decoding(_frame_place(link, row)):
                dataset = self._dataset(link.file, link.path, selection)
                dataset.read_direct(slab, selection)

    def _read_patched(self, group: int, source: FrameSource, row: int, out: Frame) -> None:
        tables = self._patches.get(group)
        if tables is None:
            tables = self._patches[group] = [_PatchTable(patches) for patches in source.patches]
        for number, table in enumerate(tables):
            slab = self._slab(out, number)
            for patch, position in table.find(row):
                target, within = _box(patch.target)
                slab[target][within] = self._pixels(patch, position)

    def _pixels(self, patch: Patch, position: int) -> Any:
        if patch.leaf is None:
            return patch.fill
        leaf = patch.leaf
        box, within = _box(patch.source)
        selection: dict[int, int | slice] = dict(zip(leaf.pixel_dims, box, strict=True))
        selection.update(zip(leaf.index_dims, patch.index[position].tolist(), strict=True))
        ordered = tuple(selection[d] for d in sorted(selection))
        with _decoding(f"{leaf.place}, frame {', '.join(map(str, patch.index[position]))}"):
            pixels = self._dataset(leaf.place.file, leaf.place.path, ordered)[ordered]
        return pixels[within]

    def _dataset(self, file: str, path: str, selection: tuple[Any, ...]) -> h5py.Dataset:
        """Return a dataset after a check of the chunks that hold a selection of it."""
        dataset = self._files.dataset(file, path)
        if (file, path) not in self._checks:
            self._checks[file, path] = ChunkCheck(dataset) if dataset.chunks else None
        check = self._checks[file, path]
        if check is not None:
            spans = tuple(
                (s.start, s.stop - 1) if isinstance(s, slice) else (s, s) for s in selection
            )
            check.check(dataset, spans)
        return dataset


class _PatchTable:
    """Patches of one slab, sorted by frame."""

    def __init__(self, patches: tuple[Patch, ...]) -> None:
        lengths = [len(patch.rows) for patch in patches]
        rows = np.concatenate([patch.rows for patch in patches])
        # Stable: patches of a frame stay in the order in which they are laid.
        order = np.argsort(rows, kind="stable")
        self._rows = rows[order]
        self._patch = np.repeat(np.arange(len(patches)), lengths)[order]
        self._position = np.concatenate([np.arange(n) for n in lengths])[order]
        self._patches = patches

    def find(self, row: int) -> Iterator[tuple[Patch, int]]:
        """Yield the patches of a frame, each with the frame's position in its arrays."""
        first, end = np.searchsorted(self._rows, [row, row + 1]).tolist()
        for k in range(first, end):
            yield self._patches[int(self._patch[k])], int(self._position[k])


def _frame_place(link: DataLink, row: int) -> str:
    return f"{link.path} in {link.file}, frame {row}"


@contextmanager
def _decoding(place: str) -> Iterator[None]:
    try:
        yield
    except InputError:  # a ValueError too, but not of the pixels
        raise
    except HDF5_ERRORS as error:
        raise FrameError(f"{place}: the pixels cannot be decoded: {one_line(error)}") from error


def _box(spans: tuple[Span, Span]) -> tuple[tuple[slice, slice], Any]:
    """Return slices that hold all pixels of two spans, and which pixels inside are meant."""
    ss, fs = spans
    box = _slice(ss), _slice(fs)
    if isinstance(ss, range) and isinstance(fs, range):
        return box, ...
    return box, np.ix_(
        *(
            np.arange(len(span)) if isinstance(span, range) else np.asarray(span) - span[0]
            for span in spans
        )
    )


def _slice(span: Span) -> slice:
    step = span.step if isinstance(span, range) else 1
    return slice(span[0], span[-1] + 1, step)
