"""A simulated run on disk: Dectris files, the list and geometry to process it with, the truth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from cxlsfind.geometry.model import BeamKind, Geometry, Mask, Panel, Quantity
from cxlsfind.geometry.write import write_geometry
from cxlsfind.sim.dectris import DATA_PATH, ImageEncoder, RunHeader, WrittenRun, write_chunks
from cxlsfind.sim.frames import FrameSettings, FrameSimulator
from cxlsfind.sim.spots import SpotArray
from cxlsfind.sim.truth import FRAME_DTYPE, SPOT_ROW_DTYPE, Truth, write_truth

#: Where a master file has its mask.
_MASK_PATH = "/entry/instrument/detector/detectorSpecific/pixel_mask"


@dataclass(frozen=True, slots=True)
class SimulatedRun:
    """Files of a simulated run.

    Parameters
    ----------
    files
        The Dectris files.
    list, geometry
        What to give to ``cxlsfind -i`` and ``-g``.
    truth
        ``truth.h5``.
    """

    files: WrittenRun
    list: Path
    geometry: Path
    truth: Path


@dataclass(frozen=True, slots=True, eq=False)
class FrameRecord:
    """One frame as it goes to the files.

    Parameters
    ----------
    chunk
        Its image, compressed.
    row
        One element of :data:`~cxlsfind.sim.truth.FRAME_DTYPE`, shape (1,).
    spots
        Its spots.
    """

    chunk: bytes
    row: npt.NDArray[np.void]
    spots: SpotArray


class RunSource(Protocol):
    """Where the frames of a run come from.

    Parameters
    ----------
    header
        Metadata of the run.
    panels
        Where the detector's pixels are, the direct beam where the run has it.
    """

    @property
    def header(self) -> RunHeader: ...  # noqa: D102
    @property
    def panels(self) -> tuple[Panel, ...]: ...  # noqa: D102

    def record(self, number: int) -> FrameRecord:
        """Return a frame by its number, the same on every call and in every process."""


class PlainRun:
    """Plain frames: round spots without a crystal.

    Parameters
    ----------
    settings
        What the frames look like.
    n_frames
        Length of the run.
    dtype
        Type of the pixels in the files.
    """

    def __init__(self, settings: FrameSettings, n_frames: int, dtype: npt.DTypeLike) -> None:
        self._simulator = FrameSimulator(settings, n_frames)
        self.panels = settings.detector.panels
        self.header = RunHeader(
            detector=settings.detector,
            photon_energy_ev=settings.photon_energy_ev,
            clen_m=settings.clen_m,
            pixel_mask=self._simulator.pixel_mask,
            n_images=n_frames,
            dtype=dtype,
        )
        self._encoder = ImageEncoder(self.header)

    def record(self, number: int) -> FrameRecord:
        """Return a frame by its number."""
        frame = self._simulator.frame(number)
        row = np.zeros(1, FRAME_DTYPE)
        row["label"] = frame.is_hit
        row["energy_eV"] = self.header.photon_energy_ev
        row["clen_m"] = self.header.clen_m
        row["orientation"] = np.nan
        row["scale"] = 1.0
        row["oracle_llr"] = np.nan
        row["centre"] = self.header.direct_beam_px
        return FrameRecord(self._encoder.encode(frame.counts), row, frame.spots)


def simulate_run(
    directory: Path,
    settings: FrameSettings,
    n_frames: int,
    *,
    name: str = "sim",
    frames_per_file: int = 1000,
    dtype: npt.DTypeLike = np.uint16,
) -> SimulatedRun:
    """Simulate a run of plain frames into a directory, over an older one of the same name.

    Parameters
    ----------
    frames_per_file
        Images per data file; 0 puts all into the master file.
    dtype
        Type of the pixels in the files.
    """
    source = PlainRun(settings, n_frames, dtype)
    records = (source.record(number) for number in range(n_frames))
    return write_run(directory, source, records, name=name, frames_per_file=frames_per_file)


def write_run(
    directory: Path,
    source: RunSource,
    records: Iterable[FrameRecord],
    *,
    name: str = "sim",
    frames_per_file: int = 1000,
) -> SimulatedRun:
    """Write a run into a directory, over an older one of the same name; the truth comes last.

    Parameters
    ----------
    source
        Where the records come from.
    records
        All frames, in order.
    frames_per_file
        Images per data file; 0 puts all into the master file.
    """
    directory.mkdir(parents=True, exist_ok=True)
    header = source.header
    run = SimulatedRun(
        WrittenRun(directory / f"{name}_master.h5", ()),
        directory / "files.lst",
        directory / f"{name}.geom",
        directory / "truth.h5",
    )
    # Its presence says that the run is complete.
    run.truth.unlink(missing_ok=True)
    truth = _TruthCollector()
    chunks = truth.keep(records)
    files = write_chunks(directory, name, chunks, header, frames_per_file=frames_per_file)
    run.list.write_text(f"{files.master.resolve()}\n", encoding="utf-8")
    run.geometry.write_text(run_geometry(source), encoding="utf-8")
    events = _events(header.n_images, frames_per_file)
    write_truth(run.truth, truth.truth(files.master.name, events))
    return replace(run, files=files)


def run_geometry(source: RunSource) -> str:
    """Return the CrystFEL geometry of a simulated run's master file."""
    mask = Mask(0, _MASK_PATH, bad_bits=0xFFFFFFFF)
    panels = tuple(
        replace(
            panel,
            data="/entry/data/%",
            dims=("%", "ss", "fs"),
            masks=(mask,),
            flags=(),
            saturation_map=None,
            saturation_map_file=None,
        )
        for panel in source.panels
    )
    geometry = Geometry(
        file="",
        text="",
        panels=panels,
        beam_kind=BeamKind.PHOTON_ENERGY,
        beam=Quantity(source.header.photon_energy_ev),
        clen=Quantity(source.header.clen_m),
    )
    return f"; {source.header.detector.description}, simulated\n{write_geometry(geometry)}"


class _TruthCollector:
    """Keeps the truth of frames that pass by."""

    def __init__(self) -> None:
        self._rows = [np.zeros(0, FRAME_DTYPE)]
        self._spots = [np.zeros(0, SPOT_ROW_DTYPE)]

    def keep(self, records: Iterable[FrameRecord]) -> Iterator[bytes]:
        """Yield the images of records, and keep the rest."""
        for number, record in enumerate(records):
            rows = np.zeros(len(record.spots), SPOT_ROW_DTYPE)
            rows["frame"] = number
            for column in record.spots.dtype.names or ():
                rows[column] = record.spots[column]
            self._rows.append(record.row)
            self._spots.append(rows)
            yield record.chunk

    def truth(self, file: str, events: tuple[str, ...]) -> Truth:
        """Return the truth of the frames that passed, all in one listed file."""
        frames, spots = np.concatenate(self._rows), np.concatenate(self._spots)
        return Truth((file,) * len(frames), events, frames, spots)


def _events(n_frames: int, frames_per_file: int) -> tuple[str, ...]:
    """Return the events of a master file read with ``data = /entry/data/%``."""
    if frames_per_file == 0:
        in_master = DATA_PATH.rpartition("/")[2]
        return tuple(f"{in_master}//{row}" for row in range(n_frames))
    return tuple(
        f"data_{number // frames_per_file + 1:06d}//{number % frames_per_file}"
        for number in range(n_frames)
    )
