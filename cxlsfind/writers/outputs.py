"""All outputs of a run, from its blocks of results to files under their final names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from cxlsfind.errors import CxlsfindError, InputError, NothingProcessedError
from cxlsfind.geometry.model import Geometry
from cxlsfind.records import Skipped
from cxlsfind.writers.atomic import AtomicFiles
from cxlsfind.writers.blocks import BlockOutput
from cxlsfind.writers.collect import ResultCollector, RunResults
from cxlsfind.writers.command import original_command, table_command
from cxlsfind.writers.cxi import TableSources, copied_headers, without_lying, write_cxi
from cxlsfind.writers.derived_geometry import (
    lost_from_table,
    original_geometry_text,
    table_geometry_text,
)
from cxlsfind.writers.handoff import hand_off_obstacle, plan_hand_off
from cxlsfind.writers.lists import original_lines, table_lines
from cxlsfind.writers.stream import encode, stream_header
from cxlsfind.writers.summary import RunFacts, summarise, summary_bytes


@dataclass(frozen=True, slots=True)
class OutputNames:
    """Names of the files of one set.

    For ``-o hits.stream``, and for any other name with the lists of its own kind, so that runs
    share a folder: ``a.stream`` has ``a.lst``, ``a-nonhits.lst`` and ``a-indexable.lst``.
    """

    stream: str
    cxi: str
    geometry: str
    hits: str
    nonhits: str
    indexable: str
    summary: str

    @classmethod
    def of(cls, output: Path) -> OutputNames:
        """Return the names that go with a stream."""
        stem = output.name.removesuffix(".stream") or "hits"
        lead = "" if stem == "hits" else f"{stem}-"
        return cls(
            stream=output.name,
            cxi=f"{stem}.cxi",
            geometry=f"{stem}.geom",
            hits=f"{stem}.lst",
            nonhits=f"{lead}nonhits.lst",
            indexable=f"{lead}indexable.lst",
            summary=f"{stem}.json",
        )

    def all(self) -> tuple[str, ...]:
        """Return the names of the whole set; the summary, which comes last, seals it."""
        return (
            self.stream,
            self.cxi,
            self.geometry,
            self.hits,
            self.nonhits,
            self.indexable,
            self.summary,
        )


@dataclass(frozen=True, slots=True, eq=False)
class RunPlan:
    """What is known of a run before its first frame.

    Parameters
    ----------
    stream_geometry_text
        Geometry text for the stream (:func:`amended_geometry_text`).
    facts
        What the summary says beside results.
    sources
        Frames, datasets and masks.
    skipped
        What could not even be opened.
    search
        Options of ``indexamajig``'s own peak search, for the case without ``hits.cxi``.
    copy_header
        Headers that the user asked for.
    jobs
        Number of processes in the printed command.
    """

    geometry: Geometry
    stream_geometry_text: str
    facts: RunFacts
    sources: TableSources
    skipped: tuple[Skipped, ...] = ()
    search: tuple[str, ...] = ()
    copy_header: tuple[str, ...] = ()
    jobs: int = 1


@dataclass(frozen=True, slots=True)
class WrittenRun:
    """A run whose outputs are complete but for the summary and their names.

    Parameters
    ----------
    summary
        The summary without its object ``run``.
    skipped
        All frames and files that were not processed.
    table_obstacle
        Why there is no ``hits.cxi``; empty when there is one.
    next_command
        The command to run next.
    """

    summary: dict[str, Any]
    skipped: tuple[Skipped, ...]
    table_obstacle: str
    next_command: str


class OutputSet:
    """The files of one run; a context manager that leaves all of them or none.

    Parameters
    ----------
    output
        Name of the stream.
    overwrite
        Whether files of an earlier run may be replaced.
    """

    def __init__(self, output: Path, *, overwrite: bool = False) -> None:
        self.folder = output.absolute().parent
        self.names = OutputNames.of(output)
        self._files = AtomicFiles(self.folder, self.names.all(), overwrite=overwrite)

    def __enter__(self) -> OutputSet:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._files.discard()

    def path(self, name: str) -> Path:
        """Return the final, absolute path of a member of the set."""
        return self.folder / name

    def check(self, inputs: Iterable[Path] = ()) -> None:
        """Find out before the first frame whether the set can be written.

        Parameters
        ----------
        inputs
            Files that the run reads.

        Raises
        ------
        InputError
            See :meth:`AtomicFiles.check`; or there are files that no run of cxlsfind has written.
        """
        self._files.check(inputs)
        self._refuse_foreign()

    def refuse_inputs(self, inputs: Iterable[Path]) -> None:
        """Make sure that no file that the run reads would be replaced.

        Raises
        ------
        InputError
            A member of the set is one of the inputs.
        """
        self._files.refuse_inputs(inputs)

    def remove_leftovers(self) -> None:
        """Remove temporary files of killed runs; see :meth:`AtomicFiles.remove_leftovers`."""
        self._files.remove_leftovers()

    def _refuse_foreign(self) -> None:
        """Protect what has the name of an output but is none: only ``-o`` is a name that was given.

        A complete run leaves its summary, which tells.
        """
        there = [name for name in self.names.all() if self.path(name).exists()]
        foreign = [] if self._has_summary() else [n for n in there if n != self.names.stream]
        if self.names.stream in there and _is_hdf5(self.path(self.names.stream)):
            foreign.insert(0, self.names.stream)
        if foreign:
            raise InputError(
                f"{self.folder}: {', '.join(foreign)}: not from an earlier run (no "
                f"{self.names.summary} of cxlsfind goes with this), and not replaced even with "
                "--overwrite; move it, or choose another -o"
            )

    def _has_summary(self) -> bool:
        try:
            summary = json.loads(self.path(self.names.summary).read_bytes())
        except (OSError, ValueError):
            return False
        return isinstance(summary, dict) and summary.get("program") == "cxlsfind"

    def write(self, plan: RunPlan, blocks: Iterable[BlockOutput]) -> WrittenRun:
        """Write everything but the summary, under temporary names.

        Parameters
        ----------
        blocks
            In input order; each is taken once.

        Raises
        ------
        NothingProcessedError
            No frame was processed.
        CxlsfindError
            The disk takes no more.
        """
        with ExitStack() as stack:
            with self._reporting():
                collector = stack.enter_context(ResultCollector(self.folder))
            self._write_stream(plan, blocks, collector)
            results = collector.results()
            skipped = plan.skipped + results.skipped
            if len(results.frame) == 0:
                raise NothingProcessedError(_nothing(skipped))
            obstacle = hand_off_obstacle(plan.geometry, plan.sources.layout, plan.sources.groups)
            with self._reporting():
                if obstacle:
                    self._write_original(plan, results)
                else:
                    self._write_table(plan, results)
        return WrittenRun(
            summary=summarise(
                plan.facts,
                plan.geometry,
                results,
                skipped,
                n_frames=len(plan.sources.frames),
                table_obstacle=obstacle,
                lost=() if obstacle else lost_from_table(plan.geometry),
            ),
            skipped=skipped,
            table_obstacle=obstacle,
            next_command=self._next_command(plan, results, has_table=not obstacle),
        )

    def commit(self, written: WrittenRun, run: Mapping[str, Any]) -> None:
        """Write the summary and give all files their final names.

        Parameters
        ----------
        run
            What differs between runs of the same input: times, ranks, host; its own object in
            the summary.
        """
        document = written.summary | {"run": {**run, "next_command": written.next_command}}
        with self._reporting():
            with self._open(self.names.summary) as file:
                file.write(summary_bytes(document))
            self._files.commit()

    def _write_stream(
        self, plan: RunPlan, blocks: Iterable[BlockOutput], collector: ResultCollector
    ) -> None:
        with self._open(self.names.stream) as stream:
            with self._reporting():
                stream.write(stream_header(plan.facts.command, plan.stream_geometry_text))
            # Outside: an error of whoever makes the blocks is not ours to explain.
            for block in blocks:
                with self._reporting():
                    stream.write(block.stream)
                    stream.flush()
                    collector.add(block)

    def _write_table(self, plan: RunPlan, results: RunResults) -> None:
        hand_off = plan_hand_off(plan.sources.groups)
        sources = without_lying(plan.sources, results)
        write_cxi(self._files.part(self.names.cxi), sources, hand_off, results)
        text = table_geometry_text(plan.geometry, plan.sources.layout, hand_off, results)
        self._write_lines(self.names.geometry, [encode(text)])
        frames = plan.sources.frames
        for name, numbers in self._lists(results):
            self._write_lines(name, table_lines(frames, numbers, hand_off, self.names.cxi))

    def _write_original(self, plan: RunPlan, results: RunResults) -> None:
        text = original_geometry_text(plan.geometry, results)
        self._write_lines(self.names.geometry, [encode(text)])
        for name, numbers in self._lists(results):
            self._write_lines(name, original_lines(plan.sources.frames, numbers))

    def _lists(self, results: RunResults) -> Iterator[tuple[str, Sequence[int]]]:
        choices = (
            (self.names.hits, results.is_hit),
            (self.names.nonhits, ~results.is_hit),
            (self.names.indexable, results.is_indexable),
        )
        for name, chosen in choices:
            yield name, results.frame[np.flatnonzero(chosen)].tolist()

    def _next_command(self, plan: RunPlan, results: RunResults, *, has_table: bool) -> str:
        hits, geometry = self.path(self.names.hits), self.path(self.names.geometry)
        stem = self.names.geometry.removesuffix(".geom")
        indexed = self.path("indexed.stream" if stem == "hits" else f"{stem}-indexed.stream")
        if has_table:
            names = copied_headers(results)
            return table_command(hits, geometry, indexed, copy_headers=names, jobs=plan.jobs)
        return original_command(
            hits,
            geometry,
            indexed,
            search=plan.search,
            copy_headers=plan.copy_header,
            jobs=plan.jobs,
        )

    def _write_lines(self, name: str, lines: Iterable[bytes]) -> None:
        with self._open(name) as file:
            file.writelines(lines)

    def _open(self, name: str) -> IO[bytes]:
        with self._reporting():
            return self._files.part(name).open("wb")

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        """Tell the user where writing failed; without this it would look like a bug."""
        try:
            yield
        except OSError as error:
            raise CxlsfindError(
                f"{self.folder}: the outputs cannot be written: {error.strerror or error}; free "
                "space there or choose another -o, and run again"
            ) from error


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8) == b"\x89HDF\r\n\x1a\n"


def _nothing(skipped: Sequence[Skipped]) -> str:
    first = ""
    if skipped:
        place = f"{skipped[0].file} {skipped[0].event or ''}".strip()
        first = f"; the first reason: {place}: {skipped[0].reason}"
    return f"no frame was processed, {len(skipped)} items were skipped{first}"
