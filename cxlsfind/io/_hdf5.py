"""Open HDF5 files for reading, and say in plain words why one cannot be opened."""

from __future__ import annotations

import codecs
import os
import stat
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401 - registers the filters that compressed masks and headers need

from cxlsfind.errors import InputError

#: First bytes of files that are mistaken for HDF5, and what to call them.
_SIGNATURES = (
    (b"###CBF", "a CBF image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"\x1f\x8b", "a gzip-compressed file"),
    (b"BZh", "a bzip2-compressed file"),
    (b"\x0e\x03\x13\x01", "an HDF4 file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89PNG", "a PNG image"),
    (b"CrystFEL stream", "a CrystFEL stream"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
)

#: Number of bytes that :func:`describe_content` wants to see.
PROBE_BYTES = 512

#: What :func:`describe_content` calls files without a signature.
ZEROS = "nothing but zeros"
UNKNOWN = "binary data of an unknown kind"
LIST = "a list of files"
TEXT = "plain text"

_NO_SIGNATURE = "signature not found"


class NotHdf5Error(InputError):
    """The file is complete but of another kind: waiting for it is in vain."""


def open_hdf5(path: str | os.PathLike[str]) -> h5py.File:
    """Open an HDF5 file read-only, without a file lock.

    Locks are not taken because read-only media and many cluster file systems have none, and
    because a reader must never stand in the way of the detector's writer.

    Raises
    ------
    InputError
        The file does not exist, is no regular file, may not be read, is empty, is something
        else than HDF5, is cut short, or is still being written.
    """
    name = os.fspath(path)
    check_regular_file(name)
    try:
        return h5py.File(name, "r", locking=False)
    except OSError as error:
        if _NO_SIGNATURE in str(error):
            raise _not_hdf5(name) from error
        raise InputError(f"{name}: {_explain(error)}") from error


def check_regular_file(name: str) -> None:
    """Check that a file is there, of the regular kind, and holds at least one byte.

    Raises
    ------
    InputError
        It is not so.
    """
    try:
        status = Path(name).stat()
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise InputError(f"{name}: {explain_os_error(error)}") from error
    if stat.S_ISDIR(status.st_mode):
        raise NotHdf5Error(f"{name}: is a directory, not a file")
    # Opening a pipe would wait for somebody to write into it.
    if not stat.S_ISREG(status.st_mode):
        raise NotHdf5Error(f"{name}: is no regular file but a pipe, socket or device")
    if status.st_size == 0:
        raise InputError(f"{name}: the file is empty (0 bytes)")


def explain_os_error(error: OSError | ValueError) -> str:
    """Return the reason of a failed ``open`` or ``stat`` as a short sentence."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "the file does not exist; check the name and the working directory"
    if isinstance(error, PermissionError):
        return "permission denied; ask the owner of the file for read access"
    if isinstance(error, OSError):
        return f"cannot be opened: {error.strerror or error}"
    return f"not a file name: {error}"


def describe_content(head: bytes) -> str:
    """Return what a file looks like from its first bytes: ``"a CBF image"``."""
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if not any(head):
        return ZEROS
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(head)
    if not all(c.isprintable() or c.isspace() for c in text) or "\ufffd" in text:
        return UNKNOWN
    if text.lstrip().startswith("{"):
        return "an EDF image or JSON text"
    first = text.split("\n", 1)[0].split()
    if first and first[0].endswith((".h5", ".cxi", ".nxs", ".hdf5", ".cbf")):
        return LIST
    return TEXT


def _not_hdf5(name: str) -> InputError:
    with Path(name).open("rb") as file:
        content = describe_content(file.read(PROBE_BYTES))
    message = f"{name}: not an HDF5 file: it looks like {content}"
    # Some copying programs reserve the space of a file before they fill it.
    return InputError(message) if content == ZEROS else NotHdf5Error(message)


def _explain(error: OSError) -> str:
    message = str(error)
    if "truncated file" in message:
        detail = message.split("(", 1)[-1].rstrip(")")
        return (
            f"the file is cut short ({detail}); wait until it has been written or copied "
            "completely, or copy it again"
        )
    if "already open for write" in message:
        return (
            "the file is still open for writing; wait until the detector has closed it, "
            "or, if its writer crashed, run 'h5clear -s' on it"
        )
    if error.errno is not None:
        return explain_os_error(error)
    return f"the file is damaged: {message}"
