"""Loading models for use, and cutting their inputs into batches of one size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from cxlsfind.models.card import Card, DataDescription, ModelRefusedError
from cxlsfind.models.torchscript import load_model, run_model

#: Patches, or frames, judged at a time; what is left of a block fills whole parts of that.
BATCH_SIZE: Final = 256
_PART: Final = 64

#: Largest difference of a log odds from what the card says that passes as rounding.
_GOLDEN_TOLERANCE = 1e-2


def load_checked(
    path: Path, task: str, data: DataDescription | None, device: torch.device
) -> tuple[torch.jit.ScriptModule, Card]:
    """Load a model that does a task and fits the data, where they are known.

    Raises
    ------
    ModelRefusedError
        The file is no model, does another task, does not fit the data or does not reproduce what
        its card says; the reason is said.
    """
    # Ranks share the cores of a node among them; more threads would fight for cores.
    torch.set_num_threads(1)
    # On a GPU too, a photon more or less must show: no 10-bit products, no algorithm by chance.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    model, card = load_model(path, device)
    if card.task != task:
        raise ModelRefusedError(f"{path}: does the task {card.task!r}, expected {task!r}")
    misfits = card.misfits(data) if data is not None else []
    if misfits:
        raise ModelRefusedError(f"{path}: does not fit the data: {'; '.join(misfits)}")
    _check_golden(model, card, device, file=str(path))
    return model, card


def artefact_odds_of(card: Card, *, file: str) -> float:
    """Return the log odds of an artefact from which a model's word is taken for it.

    Raises
    ------
    ModelRefusedError
        The card does not say.
    """
    try:
        return float(card.calibration["artefact_odds"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelRefusedError(
            f"{file}: its card does not say from which odds on something is an artefact; export "
            "it again"
        ) from error


def padded_batches(*arrays: npt.NDArray[Any], size: int = BATCH_SIZE) -> Iterator[list[Any]]:
    """Cut arrays of equal length into batches of one size.

    The last is as many parts of it as are needed, filled up with its first.
    """
    number = len(arrays[0])
    for start in range(0, number, size):
        stop = start + min(size, math.ceil((number - start) / _PART) * _PART)
        rows = np.arange(start, stop)
        rows[rows >= number] = start
        yield [np.ascontiguousarray(array[rows]) for array in arrays]


def make_golden(
    inputs: dict[str, npt.NDArray[Any]], outputs: Sequence[torch.Tensor]
) -> dict[str, Any]:
    """Return what a card holds of an example: the inputs of ``forward``, its first two outputs."""
    return {
        "inputs": {
            name: {"dtype": array.dtype.name, "values": array.astype(np.float64).tolist()}
            for name, array in inputs.items()
        },
        "output": _checked(outputs).round(5).tolist(),
    }


def _checked(outputs: Sequence[torch.Tensor]) -> npt.NDArray[np.float64]:
    parts = [output.flatten().cpu().double().numpy() for output in outputs[:2]]
    return np.concatenate(parts)


def _check_golden(
    model: torch.jit.ScriptModule, card: Card, device: torch.device, *, file: str
) -> None:
    try:
        inputs = [
            np.array(content["values"]).astype(content["dtype"])
            for content in card.golden["inputs"].values()
        ]
        expected = np.array(card.golden["output"], np.float64)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelRefusedError(f"{file}: its card has no inputs to check it with") from error
    outputs = run_model(model, *(torch.from_numpy(array).to(device) for array in inputs))
    found = _checked(outputs)
    if found.shape != expected.shape:
        raise ModelRefusedError(
            f"{file}: gives {found.size} log odds where its card has {expected.size}; "
            "export it again"
        )
    difference = np.abs(found - expected).max(initial=0.0)
    if not difference <= _GOLDEN_TOLERANCE:
        raise ModelRefusedError(
            f"{file}: its log odds differ by {difference:.3g} from what its card says; "
            "export it again with this version of PyTorch"
        )
