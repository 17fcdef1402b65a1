"""The one place that knows TorchScript: compiling, saving and loading models.

TorchScript is kept because a file of it holds code and weights in one, needs no Python class to be
loaded and can do nothing but compute. PyTorch announces that it will go some day and warns at
every call; those warnings are switched off here and nowhere else.
"""

from __future__ import annotations

import contextlib
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cxlsfind.models.card import CARD_NAME, Card, ModelRefusedError, parse_card

#: Operations of TorchScript that touch files, and those that would call Python.
_FORBIDDEN = re.compile(r"aten::(?:save|from_file)\b|prim::PythonOp|\^\w+\(")


def script_model(model: nn.Module) -> torch.jit.ScriptModule:
    """Compile a model for use: in evaluation mode, its weights fixed."""
    with _no_warnings():
        scripted: torch.jit.ScriptModule = torch.jit.freeze(torch.jit.script(model.eval()))
    return scripted


def save_model(path: Path, scripted: torch.jit.ScriptModule, card: Card) -> None:
    """Write a compiled model with its card; the file appears when it is complete."""
    temporary = path.with_name(path.name + ".new")
    with _no_warnings():
        torch.jit.save(scripted, str(temporary), _extra_files={CARD_NAME: card.to_json()})
    temporary.replace(path)


def load_model(path: Path, device: torch.device) -> tuple[torch.jit.ScriptModule, Card]:
    """Read a compiled model and its card. Nothing but TorchScript can run.

    Raises
    ------
    ModelRefusedError
        The file is no such model, lacks a card, or wants to touch files.
    """
    if sys.version_info >= (3, 14):
        raise ModelRefusedError(
            f"{path}: PyTorch does not support TorchScript with Python "
            f"{sys.version_info.major}.{sys.version_info.minor}; use Python 3.13 or older"
        )
    if not path.is_file():
        raise ModelRefusedError(f"{path}: no such file")
    extra: dict[str, Any] = {CARD_NAME: ""}
    try:
        with _no_warnings():
            scripted = torch.jit.load(  # type: ignore[no-untyped-call]
                str(path), map_location=device, _extra_files=extra
            )
    except (RuntimeError, ValueError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else "damaged"
        raise ModelRefusedError(f"{path}: no TorchScript model: {first}") from error
    text = extra[CARD_NAME]
    if not text:
        raise ModelRefusedError(
            f"{path}: holds no card {CARD_NAME}; export models with cxlsfind-export"
        )
    forbidden = _FORBIDDEN.search(str(scripted.inlined_graph))
    if forbidden:
        raise ModelRefusedError(f"{path}: wants to use {forbidden[0]}, which no model needs")
    card = parse_card(text.decode() if isinstance(text, bytes) else text, file=str(path))
    return scripted.eval(), card


def run_model(model: torch.jit.ScriptModule, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return what a compiled model says.

    PyTorch would watch the first calls and then compute with other operations, whose last digits
    differ: which rank had which block would show in the outputs. It is told not to.
    """
    # Public, but PyTorch's own list of names has forgotten it.
    unwatched = torch.jit.optimized_execution(False)  # type: ignore[attr-defined]
    with torch.inference_mode(), unwatched:
        outputs: tuple[torch.Tensor, ...] = model(*inputs)
    return outputs


@contextlib.contextmanager
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*torch.jit")
        yield
