"""Image files of a tree: one frame each, with its conditions as attributes of the file.

The only module of this package that opens HDF5 files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h5py
import hdf5plugin
import numpy as np
import numpy.typing as npt

from cxlsfind.datasets.truth import FrameTruth
from cxlsfind.errors import InputError
from cxlsfind.io.codecs import ChunkCheck, ChunkError

DATA_PATH: Final = "entry/data/data"  #: the image, [ss, fs]
IGNORE_PATH: Final = "entry/data/ignore"  #: beside a label: 1 where it says nothing, [ss, fs]
MASK_PATH: Final = "entry/data/mask"  #: 1 where pixels are bad, [ss, fs]
_TRUTH_PATH: Final = "entry/truth"

_AGAIN: Final = "remove it, then make or copy it again"

CLEN: Final = "clen"
PHOTON_ENERGY: Final = "photon_energy"
PEAK: Final = "peak"

#: Other spellings of the three attributes, seen in programs of the authors.
ALIASES: Final = {
    CLEN: ("camera length", "camera_length"),
    PHOTON_ENERGY: ("photon energy",),
    PEAK: (),
}

Image = npt.NDArray[Any]
Attribute = float | int | str | bool


class ImageFileError(InputError):
    """An image file cannot be read, or is not what it should be."""


@dataclass(frozen=True, slots=True)
class FrameAttributes:
    """What a file says of its frame.

    Parameters
    ----------
    clen_m, photon_energy_ev
        Camera length (m) and photon energy (eV); ``None`` without the attribute.
    peak
        Whether there is a crystal in the image; ``None`` without the attribute.
    others
        All further attributes.
    respelled
        Attributes that were found under another name, as (name found, name expected).
    odd
        One sentence for every attribute whose value makes no sense; the attribute is ``None``.
    """

    clen_m: float | None
    photon_energy_ev: float | None
    peak: bool | None
    others: Mapping[str, Attribute]
    respelled: tuple[tuple[str, str], ...] = ()
    odd: tuple[str, ...] = ()


def read_attributes(path: Path) -> FrameAttributes:
    """Read the attributes of a file.

    Raises
    ------
    ImageFileError
        The file cannot be read.
    """
    with _opened(path) as file:
        return _interpret({name: _plain(value) for name, value in file.attrs.items()})


def read_image(path: Path, data_path: str = DATA_PATH) -> Image:
    """Read an image, [ss, fs], in the data type of the file.

    Raises
    ------
    ImageFileError
        The file cannot be read, or holds no two-dimensional image of numbers at that path.
    """
    with _opened(path) as file:
        return _read_image(file, path, data_path)


def read_ignore(path: Path) -> Image | None:
    """Read the pixels for which a label file says nothing; ``None`` where it has no such list.

    Raises
    ------
    ImageFileError
        As :func:`read_image`.
    """
    with _opened(path) as file:
        return _read_image(file, path, IGNORE_PATH) if IGNORE_PATH in file else None


def read_mask(path: Path) -> Image:
    """Read the mask of a tree, [ss, fs]: 1 where pixels are bad.

    Raises
    ------
    ImageFileError
        As :func:`read_image`.
    """
    return read_image(path, MASK_PATH)


def image_shape(path: Path) -> tuple[int, int]:
    """Return the size (ss, fs) of an image without reading its pixels.

    Raises
    ------
    ImageFileError
        As :func:`read_image`.
    """
    with _opened(path) as file:
        height, width = _dataset(file, path, DATA_PATH).shape
        return height, width


def read_truth(path: Path) -> FrameTruth | None:
    """Read the truth that a simulated image of peaks carries; ``None`` where it has none.

    Raises
    ------
    ImageFileError
        The file cannot be read, or its truth is incomplete.
    """
    with _opened(path) as file:
        if _TRUTH_PATH not in file:
            return None
        try:
            group = file[_TRUTH_PATH]
            return FrameTruth(_read_checked(group["pixels"]), _read_checked(group["spots"]))
        except KeyError as error:
            raise ImageFileError(
                f"{path}: {_TRUTH_PATH} is incomplete ({_reason(error)}); {_AGAIN}"
            ) from error


def write_image(
    path: Path,
    image: Image,
    attributes: Mapping[str, Attribute],
    *,
    mask: str | None = None,
    ignore: Image | None = None,
    truth: FrameTruth | None = None,
) -> None:
    """Write an image file, bitshuffle-LZ4-compressed, complete or not at all.

    Parameters
    ----------
    image
        [ss, fs], integers or floats.
    attributes
        Attributes of the file.
    mask
        Name of the tree's mask file as seen from the folder of this one; it is linked to, and
        energy and camera length are repeated where a CrystFEL geometry can name them.
    ignore
        Beside a label: non-zero where it says nothing, [ss, fs].
    truth
        Expected photons behind the image.

    Raises
    ------
    ImageFileError
        The file cannot be written.
    """

    def fill(file: h5py.File) -> None:
        _create(file, DATA_PATH, image)
        if mask is not None:
            file[MASK_PATH] = h5py.ExternalLink(mask, MASK_PATH)
            for name in (CLEN, PHOTON_ENERGY):
                file[f"entry/{name}"] = attributes[name]
        if ignore is not None:
            _create(file, IGNORE_PATH, ignore.astype(np.uint8))
        if truth is not None:
            group = file.create_group(_TRUTH_PATH)
            group.create_dataset("spots", data=truth.spots)
            # A dataset without elements cannot be chunked.
            chunked = {"chunks": truth.pixels.shape, **_compression()} if len(truth.pixels) else {}
            group.create_dataset("pixels", data=truth.pixels, **chunked)
        for name in sorted(attributes):
            file.attrs[name] = attributes[name]

    _write(path, fill)


def write_mask(path: Path, is_bad: npt.NDArray[np.bool_]) -> None:
    """Write the mask of a tree.

    Raises
    ------
    ImageFileError
        The file cannot be written.
    """
    _write(path, lambda file: _create(file, MASK_PATH, is_bad.astype(np.uint8)))


def add_attributes(path: Path, attributes: Mapping[str, Attribute]) -> None:
    """Set attributes of a file that exists.

    Raises
    ------
    ImageFileError
        The file cannot be changed.
    """
    try:
        with h5py.File(path, "r+") as file:
            for name, value in attributes.items():
                file.attrs[name] = value
    except OSError as error:
        raise ImageFileError(f"{path}: attributes cannot be set: {_reason(error)}") from error


def _write(path: Path, fill: Callable[[h5py.File], None]) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        with h5py.File(part, "w") as file:
            fill(file)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ImageFileError(
            f"{path}: cannot be written: {_reason(error)}; make room, or choose another folder"
        ) from error


def _create(file: h5py.File, path: str, image: Image) -> None:
    file.create_dataset(path, data=image, chunks=image.shape, **_compression())


def _compression() -> dict[str, Any]:
    return dict(hdf5plugin.Bitshuffle(cname="lz4"))


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    try:
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        raise ImageFileError(f"{path}: {_reason(error)}; {_AGAIN}") from error
    with file:
        try:
            yield file
        except (ChunkError, OSError, RuntimeError) as error:
            raise ImageFileError(
                f"{path}: the file is damaged: {_reason(error)}; {_AGAIN}"
            ) from error


def _dataset(file: h5py.File, path: Path, data_path: str) -> h5py.Dataset:
    dataset = file.get(data_path)
    if not isinstance(dataset, h5py.Dataset):
        raise ImageFileError(f"{path}: there is no image at {data_path}; {_AGAIN}")
    if dataset.ndim != 2 or dataset.dtype.kind not in "iufb":
        raise ImageFileError(
            f"{path}: {data_path} has shape {dataset.shape} and type {dataset.dtype}; expected one "
            "image of numbers, [ss, fs]: write each frame into a file of its own"
        )
    return dataset


def _read_image(file: h5py.File, path: Path, data_path: str) -> Image:
    return _read_checked(_dataset(file, path, data_path))


def _read_checked(dataset: h5py.Dataset) -> npt.NDArray[Any]:
    """Read a dataset whose chunks may be damaged: the filters would crash the process."""
    if dataset.chunks is not None and dataset.size:
        ChunkCheck(dataset).check(dataset, tuple((0, size - 1) for size in dataset.shape))
    values: npt.NDArray[Any] = dataset[()]
    return values


def _interpret(attributes: dict[str, Attribute]) -> FrameAttributes:
    respelled = []
    for name, aliases in ALIASES.items():
        for alias in aliases:
            if name not in attributes and alias in attributes:
                attributes[name] = attributes.pop(alias)
                respelled.append((alias, name))
    odd: list[str] = []
    clen = _number(attributes.pop(CLEN, None), CLEN, (1e-3, 100.0), "metres", odd)
    energy = _number(attributes.pop(PHOTON_ENERGY, None), PHOTON_ENERGY, (100.0, 1e6), "eV", odd)
    peak = attributes.pop(PEAK, None)
    if peak is not None and peak not in (True, False):
        odd.append(f"attribute {PEAK!r} is {peak!r}, expected true or false")
        peak = None
    flag = None if peak is None else bool(peak)
    return FrameAttributes(clen, energy, flag, attributes, tuple(respelled), tuple(odd))


def _number(
    value: Attribute | None, name: str, limits: tuple[float, float], unit: str, odd: list[str]
) -> float | None:
    if value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not limits[0] <= number <= limits[1]:
        odd.append(f"attribute {name!r} is {value!r}, expected a number of {unit}")
        return None
    return number


def _plain(value: object) -> Attribute:
    """Return an attribute as Python has it; arrays of one element as that element."""
    if isinstance(value, np.ndarray | np.generic) and value.size == 1:
        value = value.item()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, float | int | str | bool) else str(value)


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "the file does not exist"
    if isinstance(error, PermissionError):
        return "permission denied"
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        text = error.strerror
        # HDF5 puts its own words into strerror where it knows more than the system.
        return text.split("(", 1)[-1].rstrip(")") if "(" in text else text
    text = " ".join(str(error).split())
    if "truncated file" in text:
        return f"the file is cut short ({text.split('(', 1)[-1].rstrip(')')})"
    if "signature not found" in text:
        return "not an HDF5 file"
    return text
