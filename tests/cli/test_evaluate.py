"""``cxlsfind-evaluate``: tables on the screen, and a page with everything."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cxlsfind.cli.evaluate import main
from cxlsfind.training.loop import SCHEMA
from cxlsfind.training.patches import Thresholds
from cxlsfind.training.peak_task import PeakTask


@pytest.fixture
def peak_folder(tmp_path: Path) -> Path:
    """Return what a training of no epochs leaves."""
    torch.set_num_threads(1)
    task = PeakTask(Thresholds(torch.tensor([-11.0, 3.0]).numpy(), torch.full((2,), 11.5).numpy()))
    model = task.build()
    row = {"epoch": 0.0, "learning_rate": 0.1, "train_loss": 1.0, "test_loss": 1.0, "seconds": 0.0}
    state = {
        "schema": SCHEMA,
        "task": "peak",
        "settings": task.settings,
        "seed": 3,
        "notes": {"left_out": ["glitch"]},
        "rows": [row, row],
        "best": model.state_dict(),
    }
    (tmp_path / "peak").mkdir()
    torch.save(state, tmp_path / "peak" / "checkpoint.pt")
    return tmp_path / "peak"


def test_a_page_about_a_peak_model(peak_folder: Path, capsys) -> None:
    output = peak_folder.parent / "page"
    arguments = [str(peak_folder), "-o", str(output), "--candidates", "600", "--frames", "0"]
    assert main([*arguments, "--precision", "0.02"]) == 0
    out = capsys.readouterr().out
    assert "Photons for half detection" in out
    assert "(never trained on)" in out
    page = (output / "index.html").read_text(encoding="utf-8")
    assert "Photon efficiency" in page
    names = {path.name for path in output.iterdir()}
    assert names >= {"index.html", "tables.json", "peak_model.png", "confusion.png",
                     "reliability.png", "free_response.png", "peak_loss.png"}  # fmt: skip


def test_photon_energy_and_camera_length(tmp_path: Path, capsys, monkeypatch) -> None:
    for module in ("evaluate_parameters", "evaluate_centre"):
        monkeypatch.setattr(f"cxlsfind.training.{module}._CLENS_M", (0.25,))
        monkeypatch.setattr(f"cxlsfind.training.{module}._PHOTONS", (1e6,))
    assert main(["-o", str(tmp_path), "--profiles", "2"]) == 0
    out = capsys.readouterr().out
    for words in ("nearest keV", "error over bound", "4 % wrong", "within 0.5 px", "anywhere"):
        assert words in out
    # Every table has a line for the condition that was left, and so has what tells the progress.
    assert out.count("0.25 m") == 7 + 2


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "nothing to score"),
        (["x", "--precision", "0"], "--precision"),
        (["x", "--candidates", "1"], "--candidates"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(tmp_path: Path, capsys, arguments, word) -> None:
    assert main([*arguments, "-o", str(tmp_path / "out")]) == 2
    assert word in capsys.readouterr().err


def test_a_missing_training_is_bad_input(tmp_path: Path, capsys) -> None:
    assert main([str(tmp_path / "none"), "-o", str(tmp_path / "out")]) == 3
    assert "no such checkpoint" in capsys.readouterr().err
