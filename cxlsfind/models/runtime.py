"""Models in the main job: which device a rank uses, and the models that fit a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from cxlsfind.config import DeviceChoice
from cxlsfind.errors import InputProblemsError, UsageError
from cxlsfind.models.card import DataDescription, ModelRefusedError
from cxlsfind.models.files import FILE_NAMES, ModelFile, hash_file, present_files
from cxlsfind.models.hit_runner import HitRunner
from cxlsfind.models.peak_runner import PeakRunner


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
    """The models of a run; ``None`` for those that are not there."""

    peak: PeakRunner | None
    hit: HitRunner | None


def examine_models(folder: Path, data: Sequence[DataDescription]) -> tuple[ModelFile, ...]:
    """Return the models of a folder, once it is sure that all of them can be used.

    Parameters
    ----------
    data
        What a run's data are; all must fit. Empty where nothing is known of them.

    Raises
    ------
    InputProblemsError
        There is neither ``peak.pt`` nor ``hit.pt``, or one cannot be used; with all reasons.
    """
    present = present_files(folder)
    if not present:
        raise InputProblemsError([_nothing_in(folder)])
    files: list[ModelFile] = []
    problems: list[str] = []
    for task, path in present.items():
        try:
            runner = _load(task, path, None, torch.device("cpu"))
        except ModelRefusedError as error:
            problems.append(str(error))
            continue
        card = runner.card
        reasons = dict.fromkeys(reason for part in data for reason in card.misfits(part))
        if reasons:
            problems.append(f"{path}: does not fit the data: {'; '.join(reasons)}")
        if isinstance(runner, HitRunner) and runner.needs_peak_model and "peak" not in present:
            problems.append(
                f"{path}: was trained behind a peak model, and there is no {FILE_NAMES['peak']} "
                "beside it; put the one it was trained with there"
            )
        files.append(
            ModelFile(task, path, hash_file(path), card.version, card.training, card.metrics)
        )
    if problems:
        raise InputProblemsError(problems)
    return tuple(files)


def load_models(files: Sequence[ModelFile], device: torch.device) -> Models:
    """Load models that were examined before.

    Raises
    ------
    ModelRefusedError
        A file has changed since, or does not compute on this device what it should.
    """
    runners: dict[str, PeakRunner | HitRunner] = {}
    for file in files:
        if not file.path.is_file() or hash_file(file.path) != file.sha256:
            raise ModelRefusedError(
                f"{file.path}: is not the file that was there when the run began; start again, "
                "with a folder that all nodes see"
            )
        runners[file.task] = _load(file.task, file.path, None, device)
    peak, hit = runners.get("peak"), runners.get("hit")
    return Models(
        peak if isinstance(peak, PeakRunner) else None,
        hit if isinstance(hit, HitRunner) else None,
    )


def _load(
    task: str, path: Path, data: DataDescription | None, device: torch.device
) -> PeakRunner | HitRunner:
    return (PeakRunner if task == "peak" else HitRunner)(path, data, device)


def _nothing_in(folder: Path) -> str:
    if not folder.is_dir():
        return f"{folder}: no such folder; --models names the folder of {' and '.join(_NAMES)}"
    return (
        f"{folder}: holds neither {' nor '.join(_NAMES)}; export models into it with "
        "cxlsfind-export"
    )


_NAMES = tuple(FILE_NAMES.values())
