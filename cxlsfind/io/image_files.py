"""Read one image, such as a mask, from the file formats that detector software writes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import numpy.typing as npt

from cxlsfind.errors import InputError
from cxlsfind.io._hdf5 import check_regular_file, explain_os_error, open_hdf5
from cxlsfind.io.files import hdf5_errors, one_line

Image = npt.NDArray[Any]

_HDF5_SUFFIXES: Final = (".h5", ".hdf5", ".cxi", ".nxs")
_HDF5_PATH = re.compile(rf"(?P<file>.+({'|'.join(map(re.escape, _HDF5_SUFFIXES))})):(?P<path>/.+)")


def read_image(name: str) -> Image:
    """Read the array of an image file.

    Parameters
    ----------
    name
        File with the suffix ``.npy``, ``.tif``, ``.tiff``, ``.edf``, ``.cbf``, ``.h5``,
        ``.hdf5``, ``.cxi`` or ``.nxs``. An HDF5 file may be followed by ``:/path``; without,
        it must hold exactly one dataset of two dimensions.

    Returns
    -------
    Array as stored, mostly [ss, fs]; integers, floats or booleans.

    Raises
    ------
    InputError
        The file cannot be read, is damaged, or is of another format.
    """
    named = _HDF5_PATH.fullmatch(name)
    if named is not None:
        return _read_hdf5(named["file"], named["path"])
    suffix = Path(name).suffix.lower()
    if suffix in _HDF5_SUFFIXES:
        return _read_hdf5(name, None)
    reader = _READERS.get(suffix)
    if reader is None:
        known = " ".join([*_READERS, *_HDF5_SUFFIXES])
        raise InputError(f"{name}: unknown kind of image file '{suffix}'; expected one of {known}")
    check_regular_file(name)
    try:
        image = reader(Path(name))
    except OSError as error:
        raise InputError(f"{name}: {explain_os_error(error)}") from error
    # Whatever a damaged file makes the decoders stumble over, the user can do one thing only.
    except (ValueError, KeyError, IndexError, TypeError, EOFError, ArithmeticError) as error:
        raise InputError(f"{name}: cannot be read as {suffix}: {one_line(error)}") from error
    if image.dtype.kind not in "buif":
        raise InputError(f"{name}: holds values of type {image.dtype}; expected numbers")
    return image


def _read_hdf5(file: str, path: str | None) -> Image:
    with open_hdf5(file) as handle:
        if path is None:
            path = _only_image(handle, file)
        place = f"{file}:{path}"
        if path not in handle:
            raise InputError(f"{place}: there is no such dataset in the file")
        with hdf5_errors(place):
            dataset = handle[path]
            if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "buif":
                raise InputError(f"{place}: is no dataset of numbers")
            return np.asarray(dataset[()])


def _only_image(handle: h5py.File, file: str) -> str:
    found: list[str] = []

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim == 2 and item.dtype.kind in "buif":
            found.append(f"/{name}")

    with hdf5_errors(file):
        handle.visititems(visit)
    if len(found) == 1:
        return found[0]
    what = f"{len(found)} two-dimensional datasets ({', '.join(found[:8])})" if found else "none"
    raise InputError(
        f"{file}: expected one two-dimensional dataset, found {what}; "
        f"name the one to use: {file}:/path/of/dataset"
    )


def _read_npy(path: Path) -> Image:
    image: Image = np.load(path, allow_pickle=False)
    return image


def _read_tiff(path: Path) -> Image:
    import tifffile  # only here: it takes longer to import than most masks take to read

    image = np.asarray(tifffile.imread(path))
    if not image.size:  # how tifffile tells of a file without pages
        raise ValueError("no image in the file")
    return image


_EDF_TYPES: Final = {
    "signedbyte": "i1",
    "unsignedbyte": "u1",
    "signedshort": "i2",
    "unsignedshort": "u2",
    "signedinteger": "i4",
    "unsignedinteger": "u4",
    "signedlong": "i4",
    "unsignedlong": "u4",
    "signed64": "i8",
    "unsigned64": "u8",
    "float": "f4",
    "floatvalue": "f4",
    "double": "f8",
    "doublevalue": "f8",
}


def _read_edf(path: Path) -> Image:
    """Read the first image of an ESRF data format file: text in braces, then raw numbers."""
    content = path.read_bytes()
    closing = re.search(rb"\}\r?\n", content)
    if not content.lstrip().startswith(b"{") or closing is None:
        raise ValueError("no header in braces")
    header = {
        key.strip().lower(): value.strip()
        for key, _, value in (
            entry.partition("=")
            for entry in content[: closing.start()].decode("latin-1").strip(" \r\n{").split(";")
        )
    }
    if header.get("compression", "none").lower() not in {"none", "nocompression"}:
        raise ValueError(f"compression {header['compression']} is not supported")
    order = "<" if header.get("byteorder", "").lower() == "lowbytefirst" else ">"
    dtype = np.dtype(order + _EDF_TYPES[header["datatype"].lower()])
    shape = int(header["dim_2"]), int(header["dim_1"])
    pixels = np.frombuffer(content, dtype, shape[0] * shape[1], closing.end())
    return pixels.reshape(shape).astype(dtype.newbyteorder("="))


_CBF_START: Final = b"\x0c\x1a\x04\xd5"


def _read_cbf(path: Path) -> Image:
    """Read the first image of a crystallographic binary file with byte-offset compression."""
    content = path.read_bytes()
    start = content.find(_CBF_START)
    if start < 0:
        raise ValueError("no binary section")
    header = content[:start].decode("latin-1")
    if "x-cbf_byte_offset" not in header.lower():
        raise ValueError("only images with byte-offset compression are supported")
    shape = _cbf_number(header, "Second-Dimension"), _cbf_number(header, "Fastest-Dimension")
    size = re.search(r"X-Binary-Size:\s*(\d+)", header)
    start += len(_CBF_START)
    binary = content[start : start + int(size[1])] if size else content[start:]
    return _decode_byte_offset(binary, shape[0] * shape[1]).reshape(shape)


def _cbf_number(header: str, name: str) -> int:
    found = re.search(rf"X-Binary-Size-{name}:\s*(\d+)", header)
    if found is None:
        raise ValueError(f"X-Binary-Size-{name} is missing in the header")
    return int(found[1])


def _decode_byte_offset(binary: bytes, n_pixels: int) -> npt.NDArray[np.int64]:
    """Decode differences of one byte, with escapes (-128) to 2, 4 and 8 bytes."""
    codes = np.frombuffer(binary, np.int8)
    differences = np.empty(n_pixels, np.int64)
    filled = at = 0
    # Between escapes whole runs are copied: in masks almost every difference is zero.
    for escape in [*np.flatnonzero(codes == -128).tolist(), len(codes)]:
        if escape < at:
            continue  # a byte of the number before, not an escape
        run = min(escape - at, n_pixels - filled)
        differences[filled : filled + run] = codes[at : at + run]
        filled += run
        if filled == n_pixels:
            return np.cumsum(differences)
        at = escape + 1
        for n_bytes in (2, 4, 8):
            number = int.from_bytes(binary[at : at + n_bytes], "little", signed=True)
            at += n_bytes
            if number != -1 << (8 * n_bytes - 1):
                break
        if at > len(codes):
            break
        differences[filled] = number
        filled += 1
    raise ValueError(f"the data end after {filled} of {n_pixels} pixels")


_READERS: Final[dict[str, Callable[[Path], Image]]] = {
    ".npy": _read_npy,
    ".tif": _read_tiff,
    ".tiff": _read_tiff,
    ".edf": _read_edf,
    ".cbf": _read_cbf,
}
