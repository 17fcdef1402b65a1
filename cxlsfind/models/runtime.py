"""Models in the main job: which device a rank uses, and the models of a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import torch

from cxlsfind.errors import UsageError
from cxlsfind.models.card import DataDescription, ModelRefusedError
from cxlsfind.models.hit_runner import HitRunner
from cxlsfind.models.peak_runner import PeakRunner

#: File names of the models in a folder.
PEAK_FILE: Final = "peak.pt"
HIT_FILE: Final = "hit.pt"

DeviceChoice = Literal["auto", "cpu", "cuda"]


def choose_device(choice: DeviceChoice, rank_on_node: int) -> torch.device:
    """Return the device of a rank: the node's GPUs in turn, or the CPU.

    Parameters
    ----------
    rank_on_node
        Number of the rank among those of its node, from 0.

    Raises
    ------
    UsageError
        A GPU is asked for and there is none.
    """
    if choice == "cpu":
        return torch.device("cpu")
    number = torch.cuda.device_count()
    if number:
        return torch.device("cuda", rank_on_node % number)
    if choice == "cuda":
        raise UsageError(
            "--device=cuda: PyTorch sees no GPU on this node; use --device=auto or --device=cpu"
        )
    return torch.device("cpu")


@dataclass(frozen=True, slots=True, eq=False)
class Models:
    """The models of a folder; ``None`` for those that are not there."""

    peak: PeakRunner | None
    hit: HitRunner | None


def load_models(folder: Path, data: DataDescription, device: torch.device) -> Models:
    """Load what a folder holds: ``peak.pt``, ``hit.pt`` or both.

    Raises
    ------
    ModelRefusedError
        There is neither, or one of them cannot be used; the reason is said.
    """
    peak, hit = folder / PEAK_FILE, folder / HIT_FILE
    if not peak.is_file() and not hit.is_file():
        raise ModelRefusedError(
            f"{folder}: holds neither {PEAK_FILE} nor {HIT_FILE}; export models into it with "
            "cxlsfind-export"
        )
    return Models(
        PeakRunner(peak, data, device) if peak.is_file() else None,
        HitRunner(hit, data, device) if hit.is_file() else None,
    )
