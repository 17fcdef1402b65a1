"""Compiled models give what models give, travel with their card, and cannot do harm."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from cxlsfind.models.card import CARD_NAME, Card, ModelRefusedError
from cxlsfind.models.peak import PeakModel
from cxlsfind.models.torchscript import load_model, save_model, script_model

CPU = torch.device("cpu")
Patches = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def test_model_script_and_file_agree(
    tmp_path: Path, taught_model: PeakModel, patches: Patches, make_card: Callable[..., Card]
) -> None:
    """Eager, compiled, saved and loaded: the same numbers, call after call; no warning."""
    card = make_card()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scripted = script_model(taught_model)
        save_model(tmp_path / "peak.pt", scripted, card)
        loaded, found = load_model(tmp_path / "peak.pt", CPU)
    assert found == card
    assert [path.name for path in tmp_path.iterdir()] == ["peak.pt"]
    with torch.inference_mode():
        expected = taught_model(*patches)
        for model in (scripted, loaded):
            for _ in range(3):
                for part, one in zip(expected, model(*patches), strict=True):
                    torch.testing.assert_close(part, one, rtol=1e-4, atol=1e-4)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    """Missing files, other files and pickles, each with the reason."""
    with pytest.raises(ModelRefusedError, match="no such file"):
        load_model(tmp_path / "none.pt", CPU)
    (tmp_path / "text.pt").write_text("not a model")
    with pytest.raises(ModelRefusedError, match="no TorchScript model"):
        load_model(tmp_path / "text.pt", CPU)
    torch.save({"weights": torch.zeros(3)}, tmp_path / "pickle.pt")
    with pytest.raises(ModelRefusedError, match="no TorchScript model"):
        load_model(tmp_path / "pickle.pt", CPU)


class _Halver(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / 2


class _Writer(nn.Module):
    """A model that writes to disk when it is used."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.save(x, "stolen.pt")
        return x


def test_a_model_without_a_card_is_refused(tmp_path: Path) -> None:
    """TorchScript of somebody else does not say what it is for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(_Halver()).save(str(tmp_path / "bare.pt"))
    with pytest.raises(ModelRefusedError, match=CARD_NAME):
        load_model(tmp_path / "bare.pt", CPU)


def test_a_model_that_touches_files_is_refused(
    tmp_path: Path, make_card: Callable[..., Card]
) -> None:
    """Compiled code that writes files is not run."""
    save_model(tmp_path / "bad.pt", script_model(_Writer()), make_card())
    with pytest.raises(ModelRefusedError, match="aten::save"):
        load_model(tmp_path / "bad.pt", CPU)
