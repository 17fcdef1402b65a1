"""A simulated run on disk: Dectris files, the list and geometry to process it with, the truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cxlsfind.sim.dectris import DATA_PATH, Image, RunHeader, WrittenRun, write_legacy
from cxlsfind.sim.frames import FrameSettings, FrameSimulator
from cxlsfind.sim.spots import SpotArray
from cxlsfind.sim.truth import FRAME_DTYPE, SPOT_ROW_DTYPE, Truth, write_truth


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


class RunSimulation:
    """The frames of a run, made one at a time while their truth is collected.

    Parameters
    ----------
    settings
        What the frames look like.
    n_frames
        Length of the run.
    """

    def __init__(self, settings: FrameSettings, n_frames: int) -> None:
        self.settings = settings
        self.n_frames = n_frames
        self.simulator = FrameSimulator(settings, n_frames)
        self.labels: list[int] = []
        self.spots: list[SpotArray] = []

    def images(self) -> Iterator[Image]:
        """Yield the photon counts of every frame, [ss, fs]."""
        for number in range(self.n_frames):
            frame = self.simulator.frame(number)
            rows = np.zeros(len(frame.spots), SPOT_ROW_DTYPE)
            rows["frame"] = number
            for column in frame.spots.dtype.names or ():
                rows[column] = frame.spots[column]
            self.labels.append(int(frame.is_hit))
            self.spots.append(rows)
            yield frame.counts

    def truth(self, file: str, events: tuple[str, ...]) -> Truth:
        """Return the truth of the images made so far, all in one listed file."""
        frames = np.zeros(len(self.labels), FRAME_DTYPE)
        frames["label"] = self.labels
        frames["energy_eV"] = self.settings.photon_energy_ev
        frames["clen_m"] = self.settings.clen_m
        frames["orientation"] = np.nan
        frames["scale"] = 1.0
        frames["oracle_llr"] = np.nan
        spots = np.concatenate([np.zeros(0, SPOT_ROW_DTYPE), *self.spots])
        return Truth((file,) * len(self.labels), events, frames, spots)


def simulate_run(
    directory: Path,
    settings: FrameSettings,
    n_frames: int,
    *,
    name: str = "sim",
    frames_per_file: int = 1000,
    dtype: npt.DTypeLike = np.uint16,
) -> SimulatedRun:
    """Simulate a run into a directory, over an older one of the same name.

    Parameters
    ----------
    frames_per_file
        Images per data file; 0 puts all into the master file.
    dtype
        Type of the pixels in the files.
    """
    directory.mkdir(parents=True, exist_ok=True)
    simulation = RunSimulation(settings, n_frames)
    header = RunHeader(
        detector=settings.detector,
        photon_energy_ev=settings.photon_energy_ev,
        clen_m=settings.clen_m,
        pixel_mask=simulation.simulator.pixel_mask,
        n_images=n_frames,
        dtype=dtype,
    )
    files = write_legacy(
        directory, name, simulation.images(), header, frames_per_file=frames_per_file
    )
    run = SimulatedRun(
        files, directory / "files.lst", directory / f"{name}.geom", directory / "truth.h5"
    )
    run.list.write_text(f"{files.master.resolve()}\n", encoding="utf-8")
    run.geometry.write_text(geometry_text(settings), encoding="utf-8")
    write_truth(run.truth, simulation.truth(files.master.name, _events(n_frames, frames_per_file)))
    return run


def geometry_text(settings: FrameSettings) -> str:
    """Return the CrystFEL geometry of a simulated run's master file."""
    detector = settings.detector
    height, width = detector.shape
    centre_fs, centre_ss = detector.beam_centre
    return f"""; {detector.description}, simulated
photon_energy = {settings.photon_energy_ev} eV
clen = {settings.clen_m}
res = {1 / detector.pixel_size_m}
adu_per_photon = 1
data = /entry/data/%
dim0 = %
dim1 = ss
dim2 = fs
mask = /entry/instrument/detector/detectorSpecific/pixel_mask
mask_good = 0x0
mask_bad = 0xffffffff

p0/min_fs = 0
p0/max_fs = {width - 1}
p0/min_ss = 0
p0/max_ss = {height - 1}
p0/corner_x = {-centre_fs}
p0/corner_y = {-centre_ss}
p0/fs = x
p0/ss = y
"""


def _events(n_frames: int, frames_per_file: int) -> tuple[str, ...]:
    """Return the events of a master file read with ``data = /entry/data/%``."""
    if frames_per_file == 0:
        in_master = DATA_PATH.rpartition("/")[2]
        return tuple(f"{in_master}//{row}" for row in range(n_frames))
    return tuple(
        f"data_{number // frames_per_file + 1:06d}//{number % frames_per_file}"
        for number in range(n_frames)
    )
