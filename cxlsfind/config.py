"""The settings of one run, complete and immutable."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

#: Where models compute: on a GPU where there is one, or as told.
DeviceChoice = Literal["auto", "cpu", "cuda"]


class PeakMethod(StrEnum):
    """Which finder looks for peaks."""

    POISSON = "poisson"
    PEAKFINDER8 = "peakfinder8"


@dataclass(frozen=True, slots=True)
class RunConfig:
    """Everything the command line and the configuration file say about a run.

    Names are those of the options, which are CrystFEL's where CrystFEL has the option.

    Parameters
    ----------
    command
        The command line as it goes into outputs: without options that do not change results.
    input
        List file, HDF5 file, or ``-`` for standard input.
    geometry
        Name or path of the geometry file.
    output
        Name of the stream.
    threads
        Threads per rank.
    mask_bad
        Which value of ``mask`` means a bad pixel: ``0``, ``1`` or ``nonzero``.
    channel
        Threshold channel of detectors that write several; number or name; ``None``: the first.
    false_peaks
        False peaks expected per frame, over the whole detector.
    max_peaks
        Most peaks of a frame that the Poisson finder reports.
    hit_fpr
        Share of blank frames that may be called hits.
    pulses_per_frame
        X-ray pulses per frame: a pixel counts one photon per pulse at most.
    min_peaks
        Peaks that make a hit; ``None`` leaves the decision to the finder.
    wait_for_file
        Seconds to wait for a listed file to appear; -1 for ever.
    photon_energy_ev, camera_length_m
        Override everything that geometry and data say.
    models
        Folder of models; ``None``: those that come with cxlsfind.
    use_models
        Whether models are used at all.
    device
        Where models compute; results are the same but for rounding.
    max_skipped
        Skipped frames up to which the run counts as complete.
    """

    command: str
    input: str
    geometry: str
    output: Path
    threads: int = 1
    prefix: str = ""
    basename: bool = False
    peaks: PeakMethod = PeakMethod.POISSON
    false_peaks: float = 1.0
    max_peaks: int = 500
    hit_fpr: float = 1e-3
    pulses_per_frame: float = 1000.0
    threshold: float | None = None
    min_snr: float = 5.0
    min_pix_count: int = 2
    max_pix_count: int = 200
    local_bg_radius: int = 3
    min_res: float = 0.0
    max_res: float = 0.0
    min_peaks: int | None = None
    copy_header: tuple[str, ...] = ()
    serial_start: int = 1
    non_hits_in_stream: bool = True
    wait_for_file: float = 0.0
    mask: str | None = None
    mask_bad: Literal["0", "1", "nonzero"] = "nonzero"
    channel: str | None = None
    photon_energy_ev: float | None = None
    camera_length_m: float | None = None
    models: str | None = None
    use_models: bool = True
    device: DeviceChoice = "auto"
    max_skipped: int = 0
    overwrite: bool = False

    def settings(self) -> dict[str, Any]:
        """Return the settings that results depend on, ready for JSON."""
        without = {"command", "threads", "overwrite", "device"}
        return {
            name: str(value) if isinstance(value, Path) else value
            for name, value in asdict(self).items()
            if name not in without
        }
