"""Files of models that a run uses; knows no PyTorch, so that a run without models loads none."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

#: Tasks, and the file names of their models in a folder.
FILE_NAMES: Final = {"peak": "peak.pt", "hit": "hit.pt"}

#: Models that come with cxlsfind: those used by default, and in folders those asked for by name.
SHIPPED_FOLDER: Final = Path(__file__).parent / "weights"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model that fits a run.

    Parameters
    ----------
    task
        What it does: ``peak`` or ``hit``.
    path
        Its file.
    sha256
        Hash of the file.
    version
        Version of cxlsfind that exported it.
    training, metrics
        How it was made and how well it does, as its card says.
    """

    task: str
    path: Path
    sha256: str
    version: str
    training: Mapping[str, Any]
    metrics: Mapping[str, Any]

    def describe(self) -> dict[str, Any]:
        """Return what an output says of the model; no path, which differs between machines."""
        return {
            "task": self.task,
            "file": self.path.name,
            "version": self.version,
            "sha256": self.sha256,
            "figures": dict(self.metrics),
            "training": dict(self.training),
        }


def find_folder(name: str) -> Path:
    """Return the folder of this name, or, without one here, of the models that cxlsfind has so."""
    here, shipped = Path(name), SHIPPED_FOLDER / name
    return shipped if not here.is_dir() and shipped.is_dir() else here


def present_files(folder: Path) -> dict[str, Path]:
    """Return the models of a folder by task."""
    paths = {task: folder / name for task, name in FILE_NAMES.items()}
    return {task: path for task, path in paths.items() if path.is_file()}


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def torch_obstacle() -> str:
    """Return why PyTorch cannot be used; empty if it can."""
    try:
        import torch  # noqa: F401 - whether it can be loaded is the question
    except (ImportError, OSError) as error:
        return f"PyTorch cannot be loaded ({' '.join(str(error).split())})"
    return ""
