"""The command to run next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import hdf5plugin

#: ``indexamajig`` takes no more ``--copy-header`` options.
COPY_HEADER_LIMIT = 32


def table_command(
    hits: Path, geometry: Path, indexed: Path, *, copy_headers: Sequence[str], jobs: int
) -> str:
    """Return the ``indexamajig`` command that indexes the hits with the peaks of ``hits.cxi``.

    It is one line for a shell, and runs from any directory.

    Parameters
    ----------
    hits, geometry, indexed
        List, geometry and the stream to write.
    copy_headers
        Arrays of ``hits.cxi`` to be copied into the stream.
    jobs
        Number of processes.
    """
    folder = hits.absolute().parent
    return _command(
        hits,
        geometry,
        indexed,
        # The final slash: the prefix is put before the name as plain text.
        [f"--prefix={folder}/".replace("//", "/"), "--peaks=cxi", "--no-revalidate"],
        copy_headers,
        jobs,
    )


def original_command(
    hits: Path,
    geometry: Path,
    indexed: Path,
    *,
    search: Sequence[str],
    copy_headers: Sequence[str],
    jobs: int,
) -> str:
    """Return the ``indexamajig`` command that looks for the peaks of the hits itself.

    For runs without ``hits.cxi``; parameters as in :func:`table_command`.

    Parameters
    ----------
    search
        Options of the peak search.
    """
    return _command(hits, geometry, indexed, ["--peaks=peakfinder8", *search], copy_headers, jobs)


def _command(
    hits: Path,
    geometry: Path,
    indexed: Path,
    options: Sequence[str],
    copy_headers: Sequence[str],
    jobs: int,
) -> str:
    words = [
        "indexamajig",
        "-i",
        str(hits.absolute()),
        "-g",
        str(geometry.absolute()),
        *options,
        "-o",
        str(indexed.absolute()),
        *(f"--copy-header={name}" for name in copy_headers[:COPY_HEADER_LIMIT]),
        "-j",
        str(jobs),
    ]
    # Compressed frames need the filters; CrystFEL's own HDF5 has none.
    plugins = f"HDF5_PLUGIN_PATH={shlex.quote(str(hdf5plugin.PLUGIN_PATH))}"
    return f"{plugins} {shlex.join(words)}"
