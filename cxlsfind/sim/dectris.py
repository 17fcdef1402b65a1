"""Runs as Dectris file writers leave them: a master file with metadata, data files with images."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import numpy.typing as npt

from cxlsfind.sim.chunks import ChunkEncoder, bitshuffle_lz4
from cxlsfind.sim.detector import PixelArray
from cxlsfind.units import wavelength_m

#: Path of the images inside a data file, in both formats.
DATA_PATH: Final = "/entry/data/data"

#: Counts per second and pixel (EIGER2, 7 keV) above which the count-rate correction gives up.
_CUTOFF_RATE: Final = 7.7e6

Image = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class RunHeader:
    """Metadata of a run.

    Parameters
    ----------
    pixel_mask
        Bits of NXdetector, [ss, fs]; uint32.
    n_images
        Number of images of the run.
    dtype
        Type of the pixels in the files, unsigned; bad pixels hold its largest value.
    frame_time_s
        Exposure time of an image.
    beam_centre_px
        Where the direct beam meets the data array (fs, ss), px from the corner of pixel 0; ``None``
        for where the detector itself has it.
    """

    detector: PixelArray
    photon_energy_ev: float
    clen_m: float
    pixel_mask: npt.NDArray[np.uint32]
    n_images: int
    dtype: npt.DTypeLike = np.uint16
    frame_time_s: float = 1e-3
    beam_centre_px: tuple[float, float] | None = None

    @property
    def sentinel(self) -> int:
        """What bad pixels read: the largest value of the type."""
        return int(np.iinfo(np.dtype(self.dtype)).max)

    @property
    def count_cutoff(self) -> int:
        """Largest count that is written as one."""
        return min(int(_CUTOFF_RATE * self.frame_time_s), self.sentinel - 1)

    @property
    def direct_beam_px(self) -> tuple[float, float]:
        """Where the direct beam meets the data array (fs, ss), px from the corner of pixel 0."""
        return self.detector.beam_centre if self.beam_centre_px is None else self.beam_centre_px


@dataclass(frozen=True, slots=True)
class WrittenRun:
    """Files of a run: the master, and the files that hold images, in order."""

    master: Path
    data: tuple[Path, ...]


def write_legacy(
    directory: Path,
    name: str,
    images: Iterable[Image],
    header: RunHeader,
    *,
    frames_per_file: int = 1000,
) -> WrittenRun:
    """Write a run in the format "hdf5 nexus legacy nxmx".

    Parameters
    ----------
    images
        Photon counts, [ss, fs]; bad pixels are set to the sentinel here.
    frames_per_file
        Images per ``NAME_data_NNNNNN.h5``; 0 puts all images into the master file, as the
        file writer does.
    """
    with ImageEncoder(header) as encoder:
        chunks = (encoder.encode(image) for image in images)
        return write_chunks(directory, name, chunks, header, frames_per_file=frames_per_file)


def write_chunks(
    directory: Path,
    name: str,
    chunks: Iterable[bytes],
    header: RunHeader,
    *,
    frames_per_file: int = 1000,
) -> WrittenRun:
    """Write a run, as :func:`write_legacy` does, from what :class:`ImageEncoder` made."""
    master_path = directory / f"{name}_master.h5"
    stream = iter(chunks)
    if frames_per_file == 0:
        with h5py.File(master_path, "w") as master:
            _write_legacy_metadata(master, header)
            _write_images(master, stream, header, 0, header.n_images)
        return WrittenRun(master_path, (master_path,))

    data: list[Path] = []
    with h5py.File(master_path, "w") as master:
        _write_legacy_metadata(master, header)
        group = _nexus_group(master, "entry/data", "NXdata")
        for number, first in enumerate(range(0, header.n_images, frames_per_file), start=1):
            data.append(directory / f"{name}_data_{number:06d}.h5")
            with h5py.File(data[-1], "w") as file:
                size = min(frames_per_file, header.n_images - first)
                _write_images(file, stream, header, first, size)
            group[f"data_{number:06d}"] = h5py.ExternalLink(data[-1].name, DATA_PATH)
    return WrittenRun(master_path, tuple(data))


class ImageEncoder(ChunkEncoder):
    """Makes the chunks of a run's images: counts up to the cut-off, bad pixels at the sentinel."""

    def __init__(self, header: RunHeader) -> None:
        super().__init__(header.detector.shape, header.dtype)
        self._header = header
        self._bad = np.flatnonzero(header.pixel_mask)

    def encode(self, image: Image) -> bytes:
        """Return the chunk of an image: photon counts, [ss, fs]."""
        header = self._header
        most = min(header.count_cutoff, int(np.iinfo(image.dtype).max))
        written = np.minimum(image, image.dtype.type(most)).astype(header.dtype)
        written.ravel()[self._bad] = header.sentinel
        return super().encode(written)


def write_v2024(
    directory: Path,
    name: str,
    channels: Mapping[str, npt.NDArray[np.integer[Any]]],
    header: RunHeader,
    *,
    frames_per_file: int = 1000,
) -> WrittenRun:
    """Write a run in the format "hdf5 nexus v2024.2 nxmx".

    The master holds one virtual dataset ``/entry/data/data`` [image, channel, ss, fs].

    Parameters
    ----------
    channels
        Counts [image, ss, fs] by name of the channel: ``threshold_1``, ``threshold_2``,
        ``difference``.
    """
    stack = np.stack([_with_sentinel(images, header) for images in channels.values()], axis=1)
    dtype = np.dtype(header.dtype)
    layout = h5py.VirtualLayout(stack.shape, dtype, maxshape=stack.shape)
    data: list[Path] = []
    for number, first in enumerate(range(0, header.n_images, frames_per_file), start=1):
        part = stack[first : first + frames_per_file]
        data.append(directory / f"{name}_data_{number:06d}.h5")
        with h5py.File(data[-1], "w") as file:
            file.create_dataset(
                DATA_PATH, data=part, chunks=(1, 1, *header.detector.shape), **bitshuffle_lz4()
            )
        source = h5py.VirtualSource(data[-1].name, DATA_PATH, part.shape, dtype)
        layout[first : first + len(part)] = source

    master_path = directory / f"{name}_master.h5"
    with h5py.File(master_path, "w") as master:
        _write_v2024_metadata(master, header, tuple(channels))
        master.create_virtual_dataset(DATA_PATH, layout, fillvalue=0)
    return WrittenRun(master_path, tuple(data))


def _with_sentinel(images: Image, header: RunHeader) -> Image:
    result = np.minimum(images, header.count_cutoff).astype(header.dtype)
    result[..., header.pixel_mask != 0] = header.sentinel
    return result


def _write_images(
    file: h5py.File, chunks: Iterator[bytes], header: RunHeader, first: int, size: int
) -> None:
    shape = header.detector.shape
    dataset = file.create_dataset(
        DATA_PATH,
        (size, *shape),
        np.dtype(header.dtype),
        chunks=(1, *shape),
        **bitshuffle_lz4(),
    )
    dataset.attrs["image_nr_low"] = np.int32(first + 1)
    dataset.attrs["image_nr_high"] = np.int32(first + size)
    for row, chunk in enumerate(islice(chunks, size)):
        dataset.id.write_direct_chunk((row, 0, 0), chunk)


def _nexus_group(file: h5py.File, path: str, nx_class: str) -> h5py.Group:
    group = file.require_group(path)
    group.attrs["NX_class"] = nx_class
    return group


def _write(group: h5py.Group, values: Mapping[str, object], units: Mapping[str, str]) -> None:
    for name, value in values.items():
        group[name] = value
        if name in units:
            group[name].attrs["units"] = units[name]


def _write_common_metadata(master: h5py.File, header: RunHeader) -> h5py.Group:
    _nexus_group(master, "entry", "NXentry")["definition"] = "NXmx"
    _nexus_group(master, "entry/instrument", "NXinstrument")
    wavelength_angstrom = wavelength_m(header.photon_energy_ev) * 1e10
    beam = _nexus_group(master, "entry/instrument/beam", "NXbeam")
    _write(
        beam,
        {"incident_wavelength": np.float32(wavelength_angstrom)},
        {"incident_wavelength": "angstrom"},
    )
    detector = _nexus_group(master, "entry/instrument/detector", "NXdetector")
    centre_fs, centre_ss = header.direct_beam_px
    values: dict[str, object] = {
        "description": header.detector.description,
        "beam_center_x": np.float32(centre_fs),
        "beam_center_y": np.float32(centre_ss),
        "bit_depth_readout": np.int32(16),
        "count_time": np.float32(header.frame_time_s),
        "frame_time": np.float32(header.frame_time_s),
        "pixel_mask_applied": np.int32(1),
        "saturation_value": np.int64(header.count_cutoff),
        "sensor_material": "Si",
        "sensor_thickness": np.float32(450e-6),
        "x_pixel_size": np.float32(header.detector.pixel_size_m),
        "y_pixel_size": np.float32(header.detector.pixel_size_m),
    }
    units = {
        "beam_center_x": "pixel",
        "beam_center_y": "pixel",
        "count_time": "s",
        "frame_time": "s",
        "sensor_thickness": "m",
        "x_pixel_size": "m",
        "y_pixel_size": "m",
    }
    _write(detector, values, units)
    return detector


def _write_legacy_metadata(master: h5py.File, header: RunHeader) -> None:
    detector = _write_common_metadata(master, header)
    values: dict[str, object] = {
        "bit_depth_image": np.int32(np.dtype(header.dtype).itemsize * 8),
        "detector_distance": np.float32(header.clen_m),
        "threshold_energy": np.float32(header.photon_energy_ev / 2),
    }
    _write(detector, values, {"detector_distance": "m", "threshold_energy": "eV"})
    specific = _nexus_group(master, "entry/instrument/detector/detectorSpecific", "NXcollection")
    height, width = header.detector.shape
    values = {
        "compression": "bslz4",
        "countrate_correction_count_cutoff": np.uint32(header.count_cutoff),
        "nimages": np.int32(header.n_images),
        "ntrigger": np.int32(1),
        "number_of_excluded_pixels": np.int32(np.count_nonzero(header.pixel_mask)),
        "photon_energy": np.float32(header.photon_energy_ev),
        "x_pixels_in_detector": np.int32(width),
        "y_pixels_in_detector": np.int32(height),
    }
    _write(specific, values, {"photon_energy": "eV"})
    _write_mask(specific, header.pixel_mask)


def _write_v2024_metadata(master: h5py.File, header: RunHeader, channels: tuple[str, ...]) -> None:
    detector = _write_common_metadata(master, header)
    _write(detector, {"distance": np.float64(header.clen_m)}, {"distance": "m"})
    _write(
        master["entry/instrument/beam"],
        {"incident_energy": np.float64(header.photon_energy_ev)},
        {"incident_energy": "eV"},
    )
    for channel in channels:
        path = f"entry/instrument/detector/{channel}_channel"
        group = _nexus_group(master, path, "NXdetector_channel")
        _write_mask(group, header.pixel_mask)
    data = _nexus_group(master, "entry/data", "NXdata")
    data.attrs["signal"] = "data"
    data.attrs["axes"] = ["image_id", "channel", ".", "."]
    data["image_id"] = np.arange(1, header.n_images + 1)
    data["channel"] = list(channels)


def _write_mask(group: h5py.Group, mask: npt.NDArray[np.uint32]) -> None:
    rows = math.ceil(mask.shape[0] / 8)
    group.create_dataset("pixel_mask", data=mask, chunks=(rows, mask.shape[1]), **bitshuffle_lz4())
