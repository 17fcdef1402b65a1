"""Null tails kept on disk between runs: they depend on nothing but the program.

They lie in ``$XDG_CACHE_HOME/cxlsfind`` (``~/.cache/cxlsfind``), under a name made from the source
they were computed with. Where that folder cannot be written, or a file in it is damaged, tails are
computed anew.
"""

from __future__ import annotations

import hashlib
import os
import socket
import sys
from functools import cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Arrays = dict[str, FloatArray]


def load_tail(key: str, number: int) -> Arrays | None:
    """Return the arrays kept for a node, or nothing.

    Parameters
    ----------
    key
        Names the tail.
    number
        Number of the node.
    """
    try:
        with np.load(_folder() / f"{key}-{number}.npz", allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, RuntimeError, ValueError, EOFError, BadZipFile, KeyError):
        return None


def keep_tail(key: str, number: int, arrays: Arrays) -> None:
    """Keep the arrays of a node, where that is possible."""
    name = f"{key}-{number}.npz"
    try:
        folder = _folder()
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f".{socket.gethostname()}-{os.getpid()}-{name}"
        with draft.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        draft.replace(folder / name)  # other ranks see a whole file or none
    except (OSError, RuntimeError):  # a full disk, a folder of somebody else, no home
        return


@cache
def _folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    cache_home = Path(base) if base else Path.home() / ".cache"
    return cache_home / "cxlsfind" / _fingerprint()


def _fingerprint() -> str:
    """Return a name for the source that tails are computed with."""
    here = Path(__file__).parent
    kernels = here.parents[1] / "kernels"
    digest = hashlib.sha256(f"{np.__version__} {sys.byteorder}".encode())
    for path in (
        here / "scores.py",
        here / "shapes.py",
        here / "thresholds.py",
        kernels / "likelihood.py",
        kernels / "_components.py",
    ):
        digest.update(path.read_bytes())
    return f"tails-{digest.hexdigest()[:16]}"
