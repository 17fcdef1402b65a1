"""``cxlsfind-train``: trainings from the command line, and exit codes."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from cxlsfind.cli.train import TASKS, main
from cxlsfind.training.registry import TASKS as KNOWN


def test_the_tasks_are_those_that_exist() -> None:
    assert TASKS == KNOWN


def test_a_peak_model_is_trained_and_goes_on(tmp_path: Path, capsys) -> None:
    arguments = ["peak", "-o", str(tmp_path / "peak"), "--candidates", "200", "--frames", "0"]
    assert main([*arguments, "--epochs", "1", "--batch-size", "100"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].startswith("epoch=0 ")
    assert "kept_nuisances=" in out
    assert "cxlsfind-export" in out.splitlines()[-1]
    assert main([*arguments, "--epochs", "2", "--resume", "--learning-rate", "1e-4"]) == 0
    assert capsys.readouterr().out.startswith("epoch=2 ")
    with (tmp_path / "peak" / "metrics.csv").open(newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0.0", "1.0", "2.0"]
    assert main([*arguments, "--seed", "1", "--resume"]) == 3
    assert "--seed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["peak", "--candidates", "5"], "--candidates"),
        (["peak", "--epochs", "0"], "--epochs"),
        (["peak", "--learning-rate", "-1"], "--learning-rate"),
        (["peak", "--leave-out", "ghosts"], "ghosts"),
        (["peak", "--mine", "10"], "--start"),
        (["paper-base"], "--tree"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(tmp_path: Path, capsys, arguments, word) -> None:
    assert main([*arguments, "-o", str(tmp_path / "out")]) == 2
    assert word in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_missing_start_is_bad_input(tmp_path: Path, capsys) -> None:
    arguments = ["peak", "-o", str(tmp_path / "out"), "--start", str(tmp_path / "none")]
    assert main(arguments) == 3
    assert "no such checkpoint" in capsys.readouterr().err


def test_unknown_tasks_are_usage_errors(tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["everything", "-o", str(tmp_path)])
    assert stop.value.code == 2
    assert "peak" in capsys.readouterr().err
